"""A pairwise judge from a file: verdicts of both orders, agreement with people, position and verbosity bias."""

from __future__ import annotations

import csv
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from evalharness.judging.pair_agreement import judge_pairs
from evalharness.judging.pair_file import JudgedPairs, read_judged_pairs
from evalharness.statistics import Interval, paired_interval
from golden_sets.errors import InputError
from tests.support.shared_data import DATA, needs_data

Floats = NDArray[np.float64]


def pairs(first: Any, swapped: Any, label: Any = None, **further: Any) -> JudgedPairs:
    n = len(first)
    label = np.full(n, np.nan) if label is None else np.asarray(label, dtype=float)
    plain = JudgedPairs(np.asarray(first, dtype=float), np.asarray(swapped, dtype=float), label, np.arange(n))
    return replace(plain, **further)


def inside(interval: Interval | None, value: float) -> bool:
    assert interval is not None
    assert interval.low is not None
    assert interval.high is not None
    return interval.low <= value <= interval.high


def written(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "pairs.csv"
    path.write_text(text)
    return path


def test_verdicts_name_the_answer_whatever_the_order(tmp_path: Path) -> None:
    path = written(tmp_path, "id,label,first_order,swapped_order\na,1,1,1\nb,2,2,1\nc,0,0,0\nd,1,,1\ne,2,2.0,2\n")
    found = read_judged_pairs(path)
    assert found.first[[0, 1, 2, 4]].tolist() == [1, -1, 0, -1]
    assert found.swapped.tolist() == [1, 1, 0, 1, -1]
    assert found.label.tolist() == [1, -1, 0, 1, -1]
    # Both orders agree on a, c and e; b turns with the order: a tie; d has no verdict.
    assert found.verdict[[0, 1, 2, 4]].tolist() == [1, 0, 0, -1]
    assert np.isnan(found.verdict[3])
    # Read as places, 1 in the swapped order is the answer shown first: answer 2.
    assert read_judged_pairs(path, by_place=True).verdict[[0, 1, 2, 4]].tolist() == [0, -1, 0, 0]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("id,first_order\na,1\n", "there is no column 'swapped_order'"),
        ("first_order,swapped_order\n1,1\n1,3\n", r"pairs\.csv:3: swapped_order: '3' is no preference"),
        ("first_order,swapped_order,label\n1,1,good\n", r"pairs\.csv:2: label: 'good' is no preference"),
        ("first_order,swapped_order,length_1\n1,1,10\n", "only 'length_1' is there"),
        ("first_order,swapped_order,length_1,length_2\n1,1,10,-1\n", r"pairs\.csv:2: length_2: '-1' is negative"),
        ("first_order,swapped_order\n", "the file has no rows"),
    ],
)
def test_bad_files_are_refused(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        read_judged_pairs(written(tmp_path, text))


def test_wins_ties_and_losses_have_the_paired_interval() -> None:
    first = np.r_[np.ones(40), -np.ones(52), np.ones(8), np.zeros(900)]
    swapped = np.r_[np.ones(40), -np.ones(52), -np.ones(8), np.zeros(900)]
    found = judge_pairs(pairs(first, swapped))
    assert (found.wins, found.ties, found.losses, found.unscored) == (40, 908, 52, 0)
    expected = paired_interval(40, 52, 1000)
    assert (found.difference.low, found.difference.high) == (expected.low, expected.high)
    assert found.win_rate.value == pytest.approx(0.494)
    assert found.labels is None
    assert found.verbosity is None


def test_unparsed_verdicts_take_their_worst_case_and_agree_with_nothing() -> None:
    first, swapped = np.ones(100), np.ones(100)
    first[:6], swapped[4:8] = np.nan, np.nan
    found = judge_pairs(pairs(first, swapped, np.ones(100)))
    assert (found.wins, found.unscored, found.unparsed) == (92, 8, 10)
    lowest = paired_interval(92, 8, 100)
    assert found.difference.low == pytest.approx(lowest.low)
    assert found.difference.high == 1.0
    assert found.labels is not None
    assert found.labels.agreement.value == pytest.approx(0.92)
    assert found.labels.single_orders.value == pytest.approx(0.95)
    assert found.position.pairs == 92


def test_agreement_with_and_without_ties() -> None:
    metrics = pytest.importorskip("sklearn.metrics")
    rng = np.random.default_rng(1)
    label = rng.choice([1.0, -1.0, 0.0], size=400, p=[0.45, 0.45, 0.1])
    first, swapped = (np.where(rng.random(400) < 0.8, label, rng.choice([1.0, -1.0], 400)) for _ in range(2))
    given = pairs(first, swapped, label)
    found = judge_pairs(given).labels
    assert found is not None
    assert found.agreement.value == pytest.approx(np.mean(given.verdict == label))
    decided = (given.verdict != 0) & (label != 0)
    assert found.decided is not None
    assert found.decided.n == decided.sum()
    assert found.decided.value == pytest.approx(np.mean((given.verdict == label)[decided]))
    assert found.kappa.value == pytest.approx(metrics.cohen_kappa_score(label, given.verdict))
    assert found.kappa_decided is not None
    assert found.kappa_decided.value == pytest.approx(metrics.cohen_kappa_score(label[decided], given.verdict[decided]))
    flipped = judge_pairs(pairs(-first, -swapped, label)).labels
    assert flipped is not None
    assert flipped.polarity_flipped
    assert not found.polarity_flipped


def leaning(rng: np.random.Generator, n: int, towards_first: float) -> JudgedPairs:
    """A judge that picks the answer shown first with this probability, whatever the answers are."""
    first = np.where(rng.random(n) < towards_first, 1.0, -1.0)
    swapped = np.where(rng.random(n) < towards_first, -1.0, 1.0)
    return pairs(first, swapped)


def test_position_bias_is_measured_with_its_interval() -> None:
    rng = np.random.default_rng(2)
    covered = [judge_pairs(leaning(rng, 200, 0.7)).position for _ in range(200)]
    assert sum(inside(one.bias, 0.4) for one in covered) >= 184
    assert sum(inside(one.first_preferred, 0.49 / 0.58) for one in covered) >= 184
    assert sum(inside(one.turned, 0.58) for one in covered) >= 184
    fair = [judge_pairs(leaning(rng, 200, 0.5)).position for _ in range(200)]
    assert sum(inside(one.bias, 0.0) for one in fair) >= 184
    assert sum(inside(one.first_preferred, 0.5) for one in fair) >= 184
    always = judge_pairs(leaning(rng, 100, 1.0)).position
    assert (always.first_shown, always.second_shown, always.same) == (100, 0, 0)
    assert always.bias is not None
    assert always.bias.value == 1.0


def test_a_consistent_judge_has_no_position_bias() -> None:
    verdicts = np.where(np.arange(60) % 3 == 0, 1.0, -1.0)
    found = judge_pairs(pairs(verdicts, verdicts)).position
    assert found.turned is not None
    assert found.bias is not None
    assert (found.turned.value, found.bias.value, found.first_preferred) == (0.0, 0.0, None)


def wordy(rng: np.random.Generator, n: int, *, liking: float, surplus: float) -> JudgedPairs:
    """Two equally good answers, answer 1 longer on average, and a judge that likes length."""
    longer = rng.normal(surplus, 100, n)
    chance = 1 / (1 + np.exp(-liking * np.tanh(longer / longer.std())))
    verdict = np.where(rng.random(n) < chance, 1.0, -1.0)
    people = np.where(rng.random(n) < 0.5, 1.0, -1.0)
    return pairs(verdict, verdict, people, longer=longer)


@pytest.mark.slow
def test_length_controlled_win_rates_undo_what_length_alone_wins() -> None:
    rng, covered, apparent, certain = np.random.default_rng(3), 0, 0, 0
    for _ in range(300):
        found = judge_pairs(wordy(rng, 300, liking=1.5, surplus=80)).verbosity
        assert found is not None
        assert found.difference is not None
        assert found.difference.low is not None
        covered += inside(found.length_controlled, 0.5)
        apparent += not inside(found.win_rate, 0.5)
        certain += found.difference.low > 0
        assert found.excess is not None
    assert covered >= 0.93 * 300
    assert apparent >= 0.9 * 300
    assert certain >= 0.9 * 300


def test_a_judge_that_likes_length_more_than_people_do() -> None:
    rng = np.random.default_rng(4)
    found = judge_pairs(wordy(rng, 500, liking=1.5, surplus=0)).verbosity
    assert found is not None
    assert found.longer_preferred is not None
    assert found.longer_preferred.low is not None
    assert found.longer_preferred.low > 0.55
    assert inside(found.longer_by_people, 0.5)
    assert found.excess is not None
    assert found.excess.low is not None
    assert found.excess.low > 0.05
    none = judge_pairs(wordy(rng, 500, liking=0.0, surplus=80)).verbosity
    assert none is not None
    assert inside(none.excess, 0.0)
    assert inside(none.difference, 0.0)


def test_lengths_that_never_differ_control_nothing() -> None:
    verdicts = np.where(np.arange(40) % 2 == 0, 1.0, -1.0)
    found = judge_pairs(pairs(verdicts, verdicts, longer=np.zeros(40))).verbosity
    assert found is not None
    assert found.length_controlled.value is None
    assert found.length_controlled.note == "all differences of length are equal"
    assert (found.difference, found.longer_preferred, found.excess) == (None, None, None)
    unknown = judge_pairs(pairs(verdicts, verdicts, longer=np.full(40, np.nan))).verbosity
    assert unknown is None
    told_apart = judge_pairs(pairs(verdicts, verdicts, longer=verdicts * 10)).verbosity
    assert told_apart is not None
    assert told_apart.length_controlled.note == "no finite regression of the outcomes on the controls"


def test_pairs_of_one_prompt_are_not_independent() -> None:
    rng = np.random.default_rng(5)
    verdict = np.repeat(np.where(rng.random(100) < 0.6, 1.0, -1.0), 5)
    single = judge_pairs(pairs(verdict[::5], verdict[::5]))
    copied = judge_pairs(pairs(verdict, verdict, clusters=np.repeat(np.arange(100), 5)))
    assert copied.difference.low is not None
    assert single.difference.low is not None
    assert copied.difference.low == pytest.approx(single.difference.low, abs=0.02)


# -- real files --------------------------------------------------------------------------------------------------------

COLUMNS = {"id": "dataset,idx", "first_order": "winner_orig_order", "swapped_order": "winner_swapped_order"}


@pytest.mark.shared_data
@needs_data
@pytest.mark.parametrize(("judge", "method"), [("GPT-4", "Vanilla"), ("PaLM2", "Swap_CoT"), ("Falcon", "Vanilla")])
def test_real_judges_give_the_counts_of_the_file(judge: str, method: str) -> None:
    path = DATA / "pairwise_judgments.csv"
    found = judge_pairs(read_judged_pairs(path, columns=COLUMNS, where={"judge": judge, "method": method}))
    with path.open(encoding="utf-8") as file:
        rows = [row for row in csv.DictReader(file) if (row["judge"], row["method"]) == (judge, method)]
    orders = [(row["winner_orig_order"], row["winner_swapped_order"], row["label"]) for row in rows]
    assert found.pairs == len(rows) == 554
    assert found.wins == sum(a == b == "1" for a, b, _ in orders)
    assert found.losses == sum(a == b == "2" for a, b, _ in orders)
    assert found.unparsed == sum((a == "") + (b == "") for a, b, _ in orders)
    assert found.unscored == sum(a == "" or b == "" for a, b, _ in orders)
    # Answer 1 is shown first in the original order, answer 2 in the swapped one.
    assert found.position.first_shown == sum((a, b) == ("1", "2") for a, b, _ in orders)
    assert found.position.second_shown == sum((a, b) == ("2", "1") for a, b, _ in orders)
    assert found.labels is not None
    assert found.labels.agreement.value == pytest.approx(sum(a == b == c for a, b, c in orders) / 554)


@pytest.mark.shared_data
@needs_data
def test_weak_real_judges_prefer_the_first_place_and_the_longer_answer() -> None:
    with (DATA / "pairwise_items.jsonl").open(encoding="utf-8") as file:
        items = [json.loads(line) for line in file]
    longer = np.array([len(item["output_1"]) - len(item["output_2"]) for item in items], dtype=float)
    where = {"judge": "ChatGPT", "method": "Vanilla"}
    path = DATA / "pairwise_judgments.csv"
    given = read_judged_pairs(path, columns=COLUMNS, where=where)
    with path.open(encoding="utf-8") as file:
        judged = [r for r in csv.DictReader(file) if (r["judge"], r["method"]) == ("ChatGPT", "Vanilla")]
    assert [(r["dataset"], int(r["idx"])) for r in judged] == [(i["dataset"], i["idx"]) for i in items]
    found = judge_pairs(replace(given, longer=longer))
    assert found.position.bias is not None
    assert found.position.bias.low is not None
    assert found.position.bias.low > 0.3
    assert found.verbosity is not None
    assert found.verbosity.excess is not None
    assert found.verbosity.excess.low is not None
    assert found.verbosity.excess.low > 0.1
