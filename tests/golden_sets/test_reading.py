"""Prompt sets on disk: what is read, what is refused, and that every problem is named with its line."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from golden_sets.errors import InputError
from golden_sets.order import draw_order
from golden_sets.reading import LoadedSet, read_set
from golden_sets.records import Prompt, PromptSet

CARD = """\
name: sums
version: 1.0.0
kind: golden
file: sums.jsonl
rubric: correctness
canary: relgate-canary-test
"""


def line(number: int, **more: Any) -> dict[str, Any]:
    return {"id": f"p{number}", "prompt": f"What is {number} + 1?", "reference": str(number + 1), **more}


def write(tmp_path: Path, rows: list[dict[str, Any] | str], card: str = CARD) -> Path:
    text = "".join((row if isinstance(row, str) else json.dumps(row)) + "\n" for row in rows)
    (tmp_path / "sums.jsonl").write_text(text, encoding="utf-8")
    path = tmp_path / "sums.yaml"
    path.write_text(card, encoding="utf-8")
    return path


def failure(path: Path) -> str:
    with pytest.raises(InputError) as caught:
        read_set(path)
    return str(caught.value)


def test_a_set_is_read_with_everything_its_lines_say(tmp_path: Path) -> None:
    rows: list[dict[str, Any] | str] = [
        line(1, tier="easy", category="arithmetic", cluster="c1", checker={"kind": "number", "value": "2"}),
        {
            "id": "m",
            "messages": [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Say hi."}],
            "reference": "hi",
            "rubric": "politeness",
            "source": "own",
        },
    ]
    loaded = read_set(write(tmp_path, rows))
    assert isinstance(loaded, LoadedSet)
    assert (loaded.prompt_set.name, loaded.prompt_set.version, loaded.prompt_set.canary) == (
        "sums",
        "1.0.0",
        "relgate-canary-test",
    )
    first, second = loaded.prompt_set.prompts
    assert first.messages[0].role == "user"
    assert first.messages[0].content == "What is 1 + 1?"
    assert first.rubric == "correctness"
    assert first.dimensions == {"category": "arithmetic", "length_bucket": "le16", "tier": "easy"}
    assert first.cluster == "c1"
    assert first.checker is not None
    assert first.checker.value == "2"
    assert second.rubric == "politeness"
    assert [m.role for m in second.messages] == ["system", "user"]
    assert loaded.warnings == ()


def test_the_jsonl_file_finds_its_card(tmp_path: Path) -> None:
    card = write(tmp_path, [line(1)])
    assert read_set(tmp_path / "sums.jsonl").prompt_set == read_set(card).prompt_set


def test_digests_are_those_of_the_finished_prompts_and_free_of_order(tmp_path: Path) -> None:
    one = read_set(write(tmp_path, [line(1), line(2), line(3)])).prompt_set
    two = read_set(write(tmp_path, [line(3), line(1), line(2)])).prompt_set
    assert one.digest == two.digest
    assert [Prompt.model_validate(p.to_json()).digest for p in one.prompts] == [p.digest for p in one.prompts]
    assert PromptSet.model_validate(one.to_json()).digest == one.digest


def test_another_reference_is_another_set(tmp_path: Path) -> None:
    one = read_set(write(tmp_path, [line(1)])).prompt_set
    assert read_set(write(tmp_path, [line(1) | {"reference": "3"}])).prompt_set.digest != one.digest


def test_a_long_prompt_gets_its_bucket_and_a_declared_bucket_stays(tmp_path: Path) -> None:
    rows: list[dict[str, Any] | str] = [line(1), line(2) | {"prompt": "word " * 100}, line(3, length_bucket="le1024")]
    prompts = read_set(write(tmp_path, rows)).prompt_set.prompts
    assert [p.dimensions["length_bucket"] for p in prompts] == ["le16", "le256", "le1024"]


def test_a_dimension_of_the_card_is_read_and_an_undeclared_one_refused(tmp_path: Path) -> None:
    path = write(tmp_path, [line(1, region="eu")], CARD + "dimensions: [region]\n")
    assert read_set(path).prompt_set.prompts[0].dimensions["region"] == "eu"
    assert "sums.jsonl:1: unknown key 'region'" in failure(write(tmp_path, [line(1, region="eu")]))


def test_a_misspelt_key_names_line_and_suggestion(tmp_path: Path) -> None:
    message = failure(write(tmp_path, [line(1), line(2, catgory="x")]))
    assert "sums.jsonl:2: unknown key 'catgory' - did you mean 'category'?" in message


def test_duplicate_ids_name_both_lines(tmp_path: Path) -> None:
    message = failure(write(tmp_path, [line(1), line(2), line(3) | {"id": "p1"}]))
    assert "sums.jsonl:3: id 'p1' appears twice, first at" in message
    assert "sums.jsonl:1 -" in message


def test_the_same_question_twice_is_refused_unless_it_shares_a_cluster(tmp_path: Path) -> None:
    twice = line(1) | {"id": "other", "reference": "II"}
    message = failure(write(tmp_path, [line(1), twice]))
    assert "sums.jsonl:2: prompt 'other' asks what 'p1' asks" in message
    loaded = read_set(write(tmp_path, [line(1, cluster="c"), twice | {"cluster": "c"}]))
    assert [w.what for w in loaded.warnings] == ["1 prompts are copies of others in their cluster"]


def test_a_golden_prompt_needs_a_reference_or_a_checker(tmp_path: Path) -> None:
    bare = {"id": "b", "prompt": "Why?"}
    assert "sums.jsonl:2: prompt 'b' has no reference" in failure(write(tmp_path, [line(1), bare]))
    blank = bare | {"reference": " "}
    assert "prompt 'b' has no reference" in failure(write(tmp_path, [blank]))
    checked = bare | {"checker": {"kind": "word", "value": "because"}}
    assert len(read_set(write(tmp_path, [checked])).prompt_set.prompts) == 1
    assert len(read_set(write(tmp_path, [bare], CARD + "needs_reference: false\n")).prompt_set.prompts) == 1
    safety = CARD.replace("golden", "adversarial")
    assert len(read_set(write(tmp_path, [bare | {"severity": "high"}], safety)).prompt_set.prompts) == 1


def test_scoring_by_checker_needs_a_checker_and_by_judge_a_rubric(tmp_path: Path) -> None:
    message = failure(write(tmp_path, [line(1)], CARD + "scoring: checker\n"))
    assert "prompt 'p1' has no checker" in message
    assert "prompt 'p1' has no rubric" in failure(write(tmp_path, [line(1)], CARD.replace("rubric: correctness\n", "")))


def test_a_checker_without_its_value_is_refused(tmp_path: Path) -> None:
    message = failure(write(tmp_path, [line(1, checker={"kind": "number"})]))
    assert "sums.jsonl:1: checker: checker kind 'number' needs a value" in message


@pytest.mark.parametrize(
    ("row", "part"),
    [
        ("{not json", "not valid JSON"),
        ("[1, 2]", "not a JSON object"),
        ('{"id": "a", "id": "b", "prompt": "x", "reference": "y"}', "key 'id' appears twice"),
        ('{"id": "a", "prompt": "x", "reference": NaN}', "NaN is not JSON"),
        ('{"id": "a", "prompt": "\\ud800", "reference": "y"}', "messages[0].content"),
        ('{"id": "a", "reference": "y"}', "either 'messages' or 'prompt'"),
        ('{"id": "a", "prompt": "x", "messages": [], "reference": "y"}', "either 'messages' or 'prompt'"),
        ('{"prompt": "x", "reference": "y"}', "missing key 'id'"),
        ('{"id": "", "prompt": "x", "reference": "y"}', "id: ''"),
        ('{"id": "a", "prompt": "", "reference": "y"}', "messages[0].content: ''"),
        ('{"id": "a", "prompt": "  ", "reference": "y"}', "prompt 'a' has an empty message"),
        ('{"id": "a", "messages": [], "reference": "y"}', "messages: []"),
        ('{"id": "a", "prompt": 5, "reference": "y"}', "messages[0].content: 5"),
        ('{"id": "a", "prompt": "x", "reference": "y", "tier": 3}', "dimensions.tier: 3"),
        (
            '{"id": "a", "messages": [{"role": "assistant", "content": "x"}], "reference": "y"}',
            "ends with a message of the assistant",
        ),
        ('{"id": "a", "messages": [{"role": "usr", "content": "x"}], "reference": "y"}', "messages[0].role: 'usr'"),
        ('{"id": "a", "messages": [{"rol": "user", "content": "x"}], "reference": "y"}', "did you mean 'role'?"),
    ],
)
def test_a_bad_line_is_named(tmp_path: Path, row: str, part: str) -> None:
    message = failure(write(tmp_path, [line(1), row]))
    assert part in message
    assert "sums.jsonl:2" in message


def test_every_problem_is_listed_up_to_ten(tmp_path: Path) -> None:
    rows: list[dict[str, Any] | str] = ["{bad", *[{"id": f"q{i}", "prompt": f"q{i}"} for i in range(14)]]
    message = failure(write(tmp_path, rows))
    assert message.startswith("15 problems")
    assert message.count("\n") == 11
    assert message.endswith("... and 5 more")


def test_empty_files_and_blank_lines(tmp_path: Path) -> None:
    assert "sums.jsonl: the set has no prompts" in failure(write(tmp_path, []))
    assert "the set has no prompts" in failure(write(tmp_path, ["", "  "]))
    assert len(read_set(write(tmp_path, ["", line(1), ""])).prompt_set.prompts) == 1


def test_unicode_line_separators_do_not_split_a_line(tmp_path: Path) -> None:
    row = line(1) | {"prompt": "one\u2028two\x85three"}
    (tmp_path / "sums.yaml").write_text(CARD, encoding="utf-8")
    (tmp_path / "sums.jsonl").write_bytes(b"\xef\xbb\xbf" + json.dumps(row, ensure_ascii=False).encode() + b"\r\n")
    assert read_set(tmp_path / "sums.yaml").prompt_set.prompts[0].messages[0].content == "one\u2028two\x85three"


def test_a_line_that_is_not_utf8_is_named(tmp_path: Path) -> None:
    path = write(tmp_path, [line(1)])
    with (tmp_path / "sums.jsonl").open("ab") as file:
        file.write(b'{"id": "\xff"}\n')
    assert "sums.jsonl:2: not UTF-8 text" in failure(path)


def test_warnings_do_not_stop_the_reading(tmp_path: Path) -> None:
    card = CARD.replace("golden", "adversarial").replace("canary: relgate-canary-test\n", "")
    loaded = read_set(write(tmp_path, [line(1)], card))
    assert [w.what for w in loaded.warnings] == [
        "the set has no canary",
        "1 of 1 adversarial prompts have no severity",
    ]


@pytest.mark.parametrize("name", ["../sums.jsonl", "/etc/passwd", "sub/../../x.jsonl"])
def test_a_card_cannot_reach_out_of_its_directory(tmp_path: Path, name: str) -> None:
    assert "leads out of the directory" in failure(write(tmp_path, [line(1)], CARD.replace("sums.jsonl", name)))


def test_a_symlink_cannot_reach_out_either(tmp_path: Path) -> None:
    inside = tmp_path / "sets"
    inside.mkdir()
    write(tmp_path, [line(1)])
    (inside / "sums.jsonl").symlink_to(tmp_path / "sums.jsonl")
    (inside / "sums.yaml").write_text(CARD, encoding="utf-8")
    assert "leads out of the directory" in failure(inside / "sums.yaml")


def test_missing_files_and_cards(tmp_path: Path) -> None:
    assert "sums.yaml: the file does not exist" in failure(tmp_path / "sums.yaml")
    assert "sums.jsonl: the file does not exist" in failure(tmp_path / "sums.jsonl")
    path = write(tmp_path, [line(1)])
    (tmp_path / "sums.jsonl").rename(tmp_path / "other.jsonl")
    assert "sums.yaml: the file 'sums.jsonl' does not exist" in failure(path)
    assert "the set has no card - write other.yaml beside it" in failure(tmp_path / "other.jsonl")
    write(tmp_path, [line(1)])
    path.rename(tmp_path / "other.yaml")
    assert "describes another file" in failure(tmp_path / "other.jsonl")
    assert "unknown format" in failure(write(tmp_path, [line(1)], CARD.replace("sums.jsonl", "sums.csv")))


@pytest.mark.parametrize(
    ("old", "new", "part"),
    [
        ("kind: golden", "kind: gold", "sums.yaml:3: kind: 'gold' is not known"),
        ("file: sums.jsonl\n", "", "either a file or a dataset"),
        ("version: 1.0.0\n", "", "missing key 'version'"),
        ("name: sums", "name: a/b", "sums.yaml:1: name: 'a/b'"),
        ("rubric: correctness", "rubrik: correctness", "did you mean 'rubric'?"),
        ("rubric: correctness", "split: test", "belong to a dataset"),
        ("rubric: correctness", "dimensions: [set]", "is the name of something else"),
        ("rubric: correctness", "dimensions: [A b]", "lower-case"),
        ("rubric: correctness", "columns: {promt: q}", "unknown key 'promt'"),
        ("rubric: correctness", "columns: {reference: a}", "nothing to ask"),
    ],
)
def test_a_bad_card_is_refused(tmp_path: Path, old: str, new: str, part: str) -> None:
    assert part in failure(write(tmp_path, [line(1)], CARD.replace(old, new)))


# -- foreign files ---------------------------------------------------------------------------------------------------

FOREIGN = CARD + "columns: {prompt: question, reference: answer, category: subject}\n"


def foreign_rows() -> list[dict[str, Any]]:
    return [
        {"question": "2 + 2?", "answer": 4, "subject": "sums", "noise": 1},
        {"question": "Capital of France?", "answer": "Paris", "subject": "geography", "noise": 2},
    ]


def test_columns_map_foreign_names_and_leave_the_rest(tmp_path: Path) -> None:
    prompts = read_set(write(tmp_path, list(foreign_rows()), FOREIGN)).prompt_set.prompts
    assert [p.messages[0].content for p in prompts] == ["2 + 2?", "Capital of France?"]
    assert [p.reference for p in prompts] == ["4", "Paris"]
    assert prompts[1].dimensions["category"] == "geography"


def test_foreign_prompts_without_ids_are_named_after_their_content(tmp_path: Path) -> None:
    rows = foreign_rows()
    one = read_set(write(tmp_path, list(rows), FOREIGN)).prompt_set
    two = read_set(write(tmp_path, list(reversed(rows)), FOREIGN)).prompt_set
    assert {p.id for p in one.prompts} == {p.id for p in two.prompts}
    assert len({p.id for p in one.prompts}) == 2
    assert all(p.digest == f"sha256:{p.id}" + p.digest[7 + len(p.id) :] for p in one.prompts)


def test_exact_copies_in_a_foreign_file_are_one_unit_and_a_warning(tmp_path: Path) -> None:
    card = FOREIGN.replace("{prompt", "{id: n, prompt")
    rows = [foreign_rows()[0] | {"n": i} for i in range(3)]
    loaded = read_set(write(tmp_path, list(rows), card))
    assert len({p.unit for p in loaded.prompt_set.prompts}) == 1
    assert "2 prompts are copies" in loaded.warnings[0].what


def test_an_absent_column_lists_those_there(tmp_path: Path) -> None:
    message = failure(write(tmp_path, list(foreign_rows()), FOREIGN.replace("question", "query")))
    assert "there is no column 'query' - the columns are question, answer, subject, noise" in message


def test_parquet_reads_like_jsonl(tmp_path: Path) -> None:
    rows: list[dict[str, Any] | str] = [line(1, tier="easy"), line(2, tier="hard")]
    expected = read_set(write(tmp_path, rows)).prompt_set
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "sums.parquet")
    (tmp_path / "sums.yaml").write_text(CARD.replace("sums.jsonl", "sums.parquet"), encoding="utf-8")
    assert read_set(tmp_path / "sums.yaml").prompt_set.digest == expected.digest
    (tmp_path / "sums.parquet").write_bytes(b"PAR1 not really")
    assert "sums.parquet: not a Parquet file" in failure(tmp_path / "sums.yaml")


def test_parquet_messages_are_read(tmp_path: Path) -> None:
    rows = [{"id": "a", "messages": [{"role": "user", "content": "hi"}], "reference": "hi"}]
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "sums.parquet")
    (tmp_path / "sums.yaml").write_text(CARD.replace("sums.jsonl", "sums.parquet"), encoding="utf-8")
    assert read_set(tmp_path / "sums.yaml").prompt_set.prompts[0].messages[0].content == "hi"


def dataset_card(tmp_path: Path, dataset: str, more: str = "") -> Path:
    path = tmp_path / "ds.yaml"
    path.write_text(FOREIGN.replace("file: sums.jsonl", f"dataset: {dataset}") + more, encoding="utf-8")
    return path


def test_a_local_dataset_directory_is_read(tmp_path: Path) -> None:
    for split in ("train", "test"):
        directory = tmp_path / "data"
        directory.mkdir(exist_ok=True)
        rows = foreign_rows() if split == "test" else foreign_rows()[:1]
        pq.write_table(
            pa.Table.from_pylist([r | {"answer": str(r["answer"])} for r in rows]), directory / f"{split}.parquet"
        )
    assert len(read_set(dataset_card(tmp_path, "data", "split: test\n")).prompt_set.prompts) == 2
    assert len(read_set(dataset_card(tmp_path, "data", "split: train\n")).prompt_set.prompts) == 1
    assert "several splits - set 'split' to one of test, train" in failure(dataset_card(tmp_path, "data"))
    assert "no split 'dev'" in failure(dataset_card(tmp_path, "data", "split: dev\n"))
    assert "a local dataset has no revision" in failure(dataset_card(tmp_path, "data", "revision: main\n"))


def test_a_dataset_saved_to_disk_is_read(tmp_path: Path) -> None:
    datasets = pytest.importorskip("datasets")
    rows = [r | {"answer": str(r["answer"])} for r in foreign_rows()]
    datasets.Dataset.from_list(rows).save_to_disk(str(tmp_path / "saved"))
    prompts = read_set(dataset_card(tmp_path, "saved")).prompt_set.prompts
    assert [p.reference for p in prompts] == ["4", "Paris"]


def test_a_dataset_that_is_nowhere_is_an_error(tmp_path: Path) -> None:
    assert "neither a directory nor a name on the hub" in failure(dataset_card(tmp_path, "../no/such/place"))
    empty = tmp_path / "empty"
    empty.mkdir()
    assert "dataset 'empty' cannot be loaded" in failure(dataset_card(tmp_path, "empty"))


# -- order -----------------------------------------------------------------------------------------------------------


def test_the_draw_order_depends_on_seed_and_content_alone(tmp_path: Path) -> None:
    one = read_set(write(tmp_path, [line(i) for i in range(50)])).prompt_set
    two = read_set(write(tmp_path, [line(i) for i in reversed(range(50))])).prompt_set
    assert draw_order(one, 7) == draw_order(two, 7)
    assert sorted(draw_order(one, 7)) == sorted(p.id for p in one.prompts)
    assert draw_order(one, 7) != draw_order(one, 8)


def test_every_prompt_is_equally_likely_to_be_drawn_first(tmp_path: Path) -> None:
    prompt_set = read_set(write(tmp_path, [line(i) for i in range(10)])).prompt_set
    firsts = [draw_order(prompt_set, seed)[0] for seed in range(2000)]
    counts = [firsts.count(p.id) for p in prompt_set.prompts]
    chi_square = sum((count - 200) ** 2 / 200 for count in counts)
    assert chi_square < 27.9  # 99.9 % quantile of chi-square with 9 degrees of freedom


def test_a_card_says_in_which_stage_a_set_is_asked(tmp_path: Path) -> None:
    assert read_set(write(tmp_path, [line(1)])).card.stage == 1
    later = read_set(write(tmp_path, [line(1)], CARD + "stage: 2\n"))
    assert later.card.stage == 2
    with pytest.raises(InputError, match="stage"):
        read_set(write(tmp_path, [line(1)], CARD + "stage: 0\n"))
