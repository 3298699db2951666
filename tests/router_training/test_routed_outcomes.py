"""Outcomes of routers from those of two models: what the gate sees of a router."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from evalharness.drawing import PromptId
from evalharness.metrics import METRICS, compare, measure, rows_for
from evalharness.outcomes import OutcomeTable
from golden_sets.errors import InputError
from router_training.pairs import Pairs
from router_training.records import Model
from router_training.routed_outcomes import Sent, answers_of_both, routed
from tests.support.evidence import rows, table

SET = "golden-set"
MOST_OUTSIDE = 20
"""Of 200 bounds at 95 %: a right one is outside more often than this once in 800 times (binomial)."""


def sent(models: str, set_name: str = SET, **options: Any) -> Sent:
    """``"fs"``: prompt p0 to the flagship, p1 to the small model."""
    to: dict[PromptId, Model] = {
        (set_name, f"p{i}"): "flagship" if letter == "f" else "small" for i, letter in enumerate(models)
    }
    return Sent(to, **options)


def both(flagship: Sequence[float | None], small: Sequence[float | None], **columns: Any) -> OutcomeTable:
    mine = {name: value[0] for name, value in columns.items()}
    theirs = {name: value[1] for name, value in columns.items()}
    return table(rows(flagship, **mine), rows(small, arm="incumbent", **theirs))


def test_every_prompt_has_the_answer_of_the_model_it_is_sent_to() -> None:
    models = both([1, 1, 0], [0, 1, 1], usd=([3.0] * 3, [1.0] * 3), label=([1, 1, 0], [0, 0, 1]))
    found = routed(models, sent("fss"), sent("fff"))
    ours, theirs = found.arm("candidate"), found.arm("incumbent")
    assert ours.numbers("outcome").tolist() == [1, 1, 1]
    assert ours.numbers("usd").tolist() == [3, 1, 1]
    assert ours.numbers("label").tolist() == [1, 0, 1]
    assert ours.numbers("routed").tolist() == [1, 0, 0]
    assert theirs.numbers("outcome").tolist() == [1, 1, 0]
    assert theirs.numbers("routed").tolist() == [1, 1, 1]


def test_rows_pair_by_prompt_whatever_their_order() -> None:
    models = both([1, 0, 0], [0, 0, 1])
    shuffled = models.take(np.random.default_rng(3).permutation(len(models)))
    assert (
        routed(shuffled, sent("fss"), sent("sss")).to_parquet() == routed(models, sent("fss"), sent("sss")).to_parquet()
    )


def test_the_share_and_its_jump_are_measured_on_the_same_prompts() -> None:
    models = both([1.0] * 200, [1.0] * 200)
    found = routed(models, sent("f" * 60 + "s" * 140), sent("f" * 50 + "s" * 150))
    spec = METRICS["flagship_share"]
    own = measure("flagship_share", rows_for(spec, found, {}), "candidate", calibrations=()).estimate(0.9)
    assert own.value == pytest.approx(0.3)
    assert own.method == "clopper-pearson"
    jump = compare("flagship_share", rows_for(spec, found, {}), calibrations=()).estimate(0.9)
    assert jump.value == pytest.approx(0.05)
    assert jump.low is not None
    assert jump.high is not None
    assert 0.02 < jump.low < 0.05 < jump.high < 0.10


def test_a_model_has_no_share() -> None:
    found = measure("flagship_share", table(rows([1.0] * 10)), "candidate", calibrations=())
    assert found.lacking is not None
    assert "no router" in found.lacking


def test_an_answer_that_both_routers_give_makes_no_difference_whatever_became_of_it() -> None:
    """Failed requests of a model count for the incumbent: here they are the candidate's, too."""
    flagship: list[float | None] = [1.0] * 90 + [None] * 10
    models = both(flagship, [0.0] * 100, error=([None] * 90 + ["timeout"] * 5 + [None] * 5, [None] * 100))
    found = routed(models, sent("f" * 100), sent("f" * 100))
    difference = compare("pass_rate", rows_for(METRICS["pass_rate"], found, {}), calibrations=()).estimate(0.9)
    assert (difference.value, difference.unscored) == (0.0, 0)
    own = measure("pass_rate", found.arm("candidate"), "candidate", calibrations=()).estimate(0.9)
    assert own.value == pytest.approx(0.9)
    reliability = measure("request_success_rate", found, "candidate", calibrations=()).estimate(0.9)
    assert reliability.value == pytest.approx(0.95)


def test_an_answer_that_only_one_router_gives_keeps_the_rules_of_models() -> None:
    models = both([None] * 10 + [1.0] * 90, [1.0] * 100, error=(["timeout"] * 10 + [None] * 90, [None] * 100))
    found = routed(models, sent("f" * 100), sent("s" * 10 + "f" * 90))
    assert compare("pass_rate", found, calibrations=()).estimate(0.9).value == pytest.approx(-0.1)
    found = routed(models, sent("s" * 10 + "f" * 90), sent("f" * 100))
    assert compare("pass_rate", found, calibrations=()).estimate(0.9).value == 0.0


def test_the_time_of_deciding_is_told_apart_from_that_of_answers() -> None:
    models = both([1.0] * 4, [1.0] * 4, e2e_s=([2.0] * 4, [1.0] * 4))
    times = {(SET, "p0"): [0.002, 0.004], (SET, "p2"): [0.003]}
    found = routed(models, sent("fsss", seconds=times), sent("ffff"))
    spec = METRICS["routing_s"]
    seen = measure("routing_s", rows_for(spec, found, {}), "candidate", calibrations=(), quantile=0.5)
    assert seen.n == 3
    assert seen.estimate(0.5).value == pytest.approx(0.003)
    answers = measure("e2e_s", rows_for(METRICS["e2e_s"], found, {}), "candidate", calibrations=(), quantile=0.5)
    assert (answers.n, answers.estimate(0.5).value) == (4, 1.0)
    assert (
        measure(
            "request_success_rate", rows_for(METRICS["request_success_rate"], found, {}), "candidate", calibrations=()
        ).n
        == 4
    )


def test_prompts_of_one_group_count_as_one() -> None:
    units = {(SET, f"p{i}"): f"g{i // 2}" for i in range(6)}
    found = routed(both([1.0] * 6, [0.0] * 6), sent("f" * 6), sent("s" * 6), units=units)
    assert len(found.arm("candidate").distinct("cluster")) == 3


def test_a_prompt_that_is_sent_nowhere_is_named() -> None:
    with pytest.raises(InputError, match="not asked about prompt 'p2'"):
        routed(both([1.0] * 3, [1.0] * 3), sent("ff"))


def test_scores_of_a_file_become_the_answers_of_both_models() -> None:
    pairs = Pairs(
        prompts=("What is 2 + 2?", "word " * 40, "Why?"),
        ids=("a", "b", "c"),
        small=np.array([1.0, 0.25, 0.5]),
        flagship=np.array([1.0, 0.75, 0.5]),
        groups=np.array([0, 1, 1]),
        families=("math", "text", "text"),
        small_usd=np.array([0.1, 0.1, 0.1]),
        flagship_usd=np.array([1.0, 2.0, 3.0]),
    )
    models = answers_of_both(pairs, "routing-test")
    to: dict[PromptId, Model] = {
        ("routing-test", "a"): "small",
        ("routing-test", "b"): "flagship",
        ("routing-test", "c"): "small",
    }
    found = routed(models, Sent(to))
    assert found.numbers("outcome").tolist() == [1.0, 0.75, 0.5]
    assert found.numbers("usd").tolist() == [0.1, 2.0, 0.1]
    assert len(found.distinct("cluster")) == 2
    assert found.cells(["category"]) == [{"category": "math"}, {"category": "text"}]
    assert found.cells(["length_bucket"]) == [{"length_bucket": "le16"}, {"length_bucket": "le64"}]
    cost = measure("usd_per_success", found, "candidate", calibrations=()).estimate(0.9)
    assert cost.value == pytest.approx(2.2 / 2.25)


def test_the_column_is_written_only_where_there_is_a_router() -> None:
    models = both([1.0], [0.0])
    assert "routed" not in models.frame.columns
    found = routed(models, sent("f"))
    back = OutcomeTable.from_parquet(found.to_parquet())
    assert back.numbers("routed").tolist() == [1.0]
    assert "routed" in back.frame.columns


def scores(family: str, rng: np.random.Generator, n: int) -> npt.NDArray[np.float64]:
    if family == "beta":
        return rng.beta(2.0, 1.0, n)
    if family == "mostly-one":
        return np.where(rng.random(n) < 0.9, 1.0, rng.random(n))
    return (rng.random(n) < 0.7).astype(np.float64)


@pytest.mark.slow
@pytest.mark.parametrize("family", ["bernoulli", "beta", "mostly-one"])
def test_intervals_of_fractional_outcomes_cover(family: str) -> None:
    """Imported scores lie anywhere in [0, 1]: rates and differences of them must hold their level all the same."""
    rng = np.random.default_rng(11)
    truth = {"bernoulli": 0.7, "beta": 2 / 3, "mostly-one": 0.95}[family]
    n, releases, outside_rate, outside_difference = 300, 200, 0, 0
    for _ in range(releases):
        flagship, small = scores(family, rng, n), scores(family, rng, n)
        found = table(rows(flagship, scored_by="import"), rows(small, arm="incumbent", scored_by="import"))
        own = measure("pass_rate", found, "candidate", calibrations=()).interval(0.95, "lower")
        difference = compare("pass_rate", found, calibrations=()).interval(0.95, "lower")
        assert own.low is not None
        assert difference.low is not None
        outside_rate += own.low > truth
        outside_difference += difference.low > 0
    assert outside_rate <= MOST_OUTSIDE
    assert outside_difference <= MOST_OUTSIDE
