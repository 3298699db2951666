"""Files of labelled prompts: every column means what it says, and every bad value is named with its line."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pytest

from golden_sets.digests import digest_bytes
from golden_sets.errors import InputError
from router_training.labelled_file import read_pairs
from tests.support.shared_data import DATA, needs_data


def rows(n: int = 60, **columns: object) -> list[dict[str, object]]:
    """Different prompts with scores; ``columns`` are added to every row."""
    return [
        {"prompt": f"word{n} alpha{n} beta{n} gamma{n}?", "small_score": n % 2, "flagship_score": 1, **columns}
        for n in range(n)
    ]


def jsonl(path: Path, lines: Sequence[Mapping[str, object]]) -> Path:
    path.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    return path


def test_a_file_with_everything(tmp_path: Path) -> None:
    lines = rows(small_usd=0.001, flagship_usd=0.02)
    for number, line in enumerate(lines):
        line |= {
            "id": f"p{number}",
            "family": "law" if number < 30 else None,
            "group": "g" if number in (3, 50) else "",
        }
    pairs = read_pairs(jsonl(tmp_path / "a.jsonl", lines))
    assert len(pairs) == 60
    assert pairs.ids[:2] == ("p0", "p1")
    assert pairs.small.tolist() == [0.0, 1.0] * 30
    assert pairs.flagship.tolist() == [1.0] * 60
    assert pairs.families == ("law",) * 30 + ("none",) * 30
    assert pairs.small_usd is not None
    assert pairs.flagship_usd is not None
    assert (pairs.small_usd.sum(), pairs.flagship_usd.sum()) == pytest.approx((0.06, 1.2))
    assert pairs.groups[3] == pairs.groups[50]
    assert len(set(pairs.groups.tolist())) == 59


def test_only_what_is_needed(tmp_path: Path) -> None:
    lines = [*rows(), rows(1)[0]]
    pairs = read_pairs(jsonl(tmp_path / "a.jsonl", lines))
    assert len(pairs) == 61, "a prompt that occurs twice is kept"
    assert pairs.groups[60] == pairs.groups[0]
    assert pairs.ids[0] == digest_bytes(pairs.prompts[0].encode())
    assert (pairs.families, pairs.small_usd, pairs.flagship_usd) == (None, None, None)


def test_rows_that_may_only_teach_are_marked(tmp_path: Path) -> None:
    lines = rows()
    lines[3]["teach_only"], lines[4]["teach_only"], lines[5]["teach_only"] = True, "1", False
    marked, plain = jsonl(tmp_path / "a.jsonl", lines), jsonl(tmp_path / "b.jsonl", rows())
    pairs = read_pairs([marked, plain])
    assert np.flatnonzero(pairs.picked).tolist() == [3, 4]
    assert np.flatnonzero(pairs.take(np.array([0, 4])).picked).tolist() == [1]
    assert not read_pairs(plain).picked.any()
    lines[6]["teach_only"] = "maybe"
    with pytest.raises(InputError, match=r"teach_only: 'maybe' is neither true nor false"):
        read_pairs(jsonl(tmp_path / "a.jsonl", lines))


def test_columns_are_mapped_rows_chosen_and_booleans_understood(tmp_path: Path) -> None:
    lines: list[Mapping[str, object]] = [
        {"q": line["prompt"], "use": use, "scores": {"mini": line["small_score"] == 1, "maxi": {"x": 0.5}}}
        for line in rows()
        for use in ("yes", "no")
    ]
    names = {"prompt": "q", "small_score": "scores.mini", "flagship_score": "scores.maxi.x"}
    pairs = read_pairs(jsonl(tmp_path / "a.jsonl", lines), columns=names, where={"use": "yes"})
    assert len(pairs) == 60
    assert pairs.small.tolist() == [0.0, 1.0] * 30
    assert set(pairs.flagship.tolist()) == {0.5}
    with pytest.raises(InputError, match=r"no column 'scores\.midi'.*scores\.maxi\.x, scores\.mini"):
        read_pairs(tmp_path / "a.jsonl", columns={**names, "small_score": "scores.midi"})


def test_csv_reads_the_same(tmp_path: Path) -> None:
    lines = rows(family='a "quoted", one')
    text = "prompt,small_score,flagship_score,family\n"
    text += "".join(f'"{line["prompt"]}\n",{line["small_score"]},1.0,"a ""quoted"", one"\n' for line in lines)
    (tmp_path / "a.csv").write_text(text, encoding="utf-8")
    one, other = read_pairs(tmp_path / "a.csv"), read_pairs(jsonl(tmp_path / "a.jsonl", lines))
    assert (one.prompts, one.ids, one.families) == (other.prompts, other.ids, other.families)
    assert np.array_equal(one.small, other.small)


def test_several_files_are_one_and_their_groups_are_their_own(tmp_path: Path) -> None:
    first = jsonl(tmp_path / "a.jsonl", rows(30, group="x", small_usd=1, flagship_usd=2))
    second = [{**line, "prompt": f"other {line['prompt']} entirely", "group": "x"} for line in rows(30)]
    pairs = read_pairs([first, jsonl(tmp_path / "b.jsonl", second)])
    assert len(pairs) == 60
    assert len(set(pairs.groups.tolist())) == 2
    assert pairs.small_usd is None, "costs of half of the prompts are no costs"
    copy = jsonl(tmp_path / "c.jsonl", rows(1))
    assert len(set(read_pairs([first, tmp_path / "b.jsonl", copy]).groups.tolist())) == 2


def test_a_mapped_column_may_have_our_name_in_another_file(tmp_path: Path) -> None:
    old = [{**{k: v for k, v in row.items() if k != "small_score"}, "mine": 1} for row in rows(30)]
    new = jsonl(
        tmp_path / "new.jsonl", [{**row, "prompt": f"other {row['prompt']}", "small_score": 0} for row in rows(30)]
    )
    found = read_pairs([jsonl(tmp_path / "old.jsonl", old), new], columns={"small_score": "mine"})
    assert found.small.tolist() == [1.0] * 30 + [0.0] * 30
    with pytest.raises(InputError, match="no column 'nowhere'"):
        read_pairs([jsonl(tmp_path / "old.jsonl", old), new], columns={"small_score": "nowhere"})


@pytest.mark.parametrize(
    ("change", "what"),
    [
        ({"small_score": float("nan")}, r"a\.jsonl:4: not a JSON object"),
        ({"small_score": "nan"}, r"a\.jsonl:4: small_score: 'nan' is not a finite number - score the answer"),
        ({"flagship_score": None}, r"a\.jsonl:4: flagship_score is empty - score both answers"),
        ({"flagship_score": 7}, r"a\.jsonl:4: flagship_score: '7' is outside \[0, 1\] - scale the scores"),
        ({"small_score": -0.1}, r"a\.jsonl:4: small_score: '-0.1' is outside \[0, 1\]"),
        ({"small_score": "good"}, r"a\.jsonl:4: small_score: 'good' is not a number"),
        ({"prompt": " \n"}, r"a\.jsonl:4: prompt is empty - give every row a value"),
        ({"small_usd": None}, r"a\.jsonl:4: small_usd is empty"),
        ({"flagship_usd": -1}, r"a\.jsonl:4: flagship_usd: '-1' is negative"),
        ({"prompt": ["a"]}, r"a\.jsonl:4: 'prompt' is neither text nor a number"),
    ],
)
def test_bad_values_are_named_with_their_line(tmp_path: Path, change: dict[str, object], what: str) -> None:
    lines = rows(small_usd=0.1, flagship_usd=0.2)
    lines[3] |= change
    with pytest.raises(InputError, match=what):
        read_pairs(jsonl(tmp_path / "a.jsonl", lines))


def test_too_few_and_missing_columns(tmp_path: Path) -> None:
    few = jsonl(tmp_path / "few.jsonl", rows(49))
    with pytest.raises(InputError, match=r"few\.jsonl: 49 labelled prompts, at least 50 are needed - label more"):
        read_pairs(few)
    assert len(read_pairs(few, least=1)) == 49
    with pytest.raises(InputError, match="'small_usd' but no 'flagship_usd'"):
        read_pairs(jsonl(tmp_path / "a.jsonl", rows(small_usd=1)))
    with pytest.raises(InputError, match="no column 'flagship_score' - map one with --column flagship_score=COLUMN"):
        read_pairs(jsonl(tmp_path / "b.jsonl", [{"prompt": "a", "small_score": 1, "large": 1}]))


@pytest.mark.shared_data
@needs_data
def test_real_measurements_are_read_with_mapped_columns() -> None:
    pairs = read_pairs(
        DATA / "routing_mmlu.csv",
        columns={"small_score": "small_correct", "flagship_score": "flagship_correct", "family": "subject"},
    )
    assert len(pairs) == 14_042
    assert pairs.hard.mean() == pytest.approx(0.178, abs=0.001)
    sizes = np.bincount(pairs.groups)
    assert sizes.size < 13_500, "passages that several questions share hold together"
    assert sizes.max() < 100, "nothing that stands in very many prompts makes them one group"
