"""Biases of a judge from outcome tables: what they count, that their bounds hold, and what they make of gaps."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pytest
from scipy import special

from evalharness.estimates import all_biases
from evalharness.metrics import METRICS, Measurement, measure, rows_for
from evalharness.metrics.planted import family_counts
from evalharness.metrics.preferences import win_counts
from evalharness.outcomes import OutcomeTable
from evalharness.statistics import proportion_interval

Floats = npt.NDArray[np.float64]
RUNS, MISSES = 150, 14
"""Simulated runs; at most so many one-sided 95 % bounds may miss (1 in 100 sets of 150 has more)."""


def frame(phase: str, outcome: Floats | list[float], variant: str | None = None, **columns: Any) -> pd.DataFrame:
    """One row for each prompt p0, p1, ..."""
    ids = [f"p{i}" for i in range(len(outcome))]
    fixed = {"arm": "candidate", "set_kind": "golden", "set_name": "s", "scored_by": "judge", "rubric": "r"}
    named = {"phase": phase, "variant": variant, "prompt_id": ids, "prompt_digest": ids, "cluster": ids}
    return pd.DataFrame({**fixed, **named, "outcome": outcome, **columns})


def table(*frames: pd.DataFrame) -> OutcomeTable:
    return OutcomeTable.from_frame(pd.concat(frames, ignore_index=True))


def of(metric: str, *frames: pd.DataFrame) -> Measurement:
    found = table(*frames)
    return measure(metric, rows_for(METRICS[metric], found, {}), "candidate", calibrations=())


def pairs(first: Floats, swapped: Floats, **columns: Any) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Verdicts in -1, 0, 1 of the candidate; NaN unparsed."""
    return frame("pairwise", (first + 1) / 2, "first", **columns), frame(
        "pairwise", (swapped + 1) / 2, "swapped", **columns
    )


def misses(truth: float, run: Callable[[np.random.Generator], Measurement]) -> tuple[int, int]:
    """How often the one-sided 95 % upper and lower bounds miss the truth."""
    above = below = 0
    for seed in range(RUNS):
        found = run(np.random.default_rng(seed))
        assert found.lacking is None
        high, low = found.interval(0.95, "upper").high, found.interval(0.95, "lower").low
        assert high is not None
        assert low is not None
        above, below = above + (high < truth - 1e-9), below + (low > truth + 1e-9)
    return above, below


# -- position ----------------------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize(("share", "towards"), [(0.0, 1), (0.12, 1), (0.12, -1), (0.5, -1)])
def test_bounds_of_position_bias_hold(share: float, towards: int) -> None:
    """A share of the verdicts goes by the place; either place may be the one preferred."""

    def run(rng: np.random.Generator) -> Measurement:
        better = rng.choice([-1.0, 1.0], 300)
        placed = rng.random(300) < share
        return of("judge_position_bias", *pairs(np.where(placed, towards, better), np.where(placed, -towards, better)))

    above, below = misses(share, run)
    assert above <= MISSES
    assert below <= MISSES


def test_position_bias_does_not_care_who_wins_and_who_is_first() -> None:
    rng = np.random.default_rng(2)
    first, swapped = (rng.choice([-1.0, 0.0, 1.0], 120, p=p) for p in ([0.2, 0.2, 0.6], [0.5, 0.2, 0.3]))
    found = of("judge_position_bias", *pairs(first, swapped)).interval(0.95, "two-sided")
    turned = of("judge_position_bias", *pairs(swapped, first)).interval(0.95, "two-sided")
    assert found.value == pytest.approx(abs(np.mean(first - swapped) / 2))
    assert (found.value, found.low, found.high) == pytest.approx((turned.value, turned.low, turned.high))


def test_unread_verdicts_widen_the_bounds_of_position_bias_both_ways() -> None:
    first, swapped = np.tile([1.0, -1.0, 1.0, 1.0], 20), np.tile([1.0, -1.0, -1.0, 1.0], 20)
    whole = of("judge_position_bias", *pairs(first, swapped)).interval(0.95, "two-sided")
    first[:10] = np.nan
    holed = of("judge_position_bias", *pairs(first, swapped)).interval(0.95, "two-sided")
    assert holed.low is not None
    assert whole.low is not None
    assert holed.low < whole.low
    assert (holed.high or 0) > (whole.high or 1)
    assert "10 pairs without a verdict" in (holed.note or "")


def test_p_values_of_position_bias_agree_with_its_bounds() -> None:
    rng = np.random.default_rng(5)
    placed, better = rng.random(200) < 0.3, rng.choice([-1.0, 1.0], 200)
    found = of("judge_position_bias", *pairs(np.where(placed, 1.0, better), np.where(placed, -1.0, better)))
    high, low = found.interval(0.95, "upper").high, found.interval(0.95, "lower").low
    assert found.p_value is not None
    assert high is not None
    assert low is not None
    assert found.p_value(high + 0.01, False) < 0.05 < found.p_value(high - 0.01, False)
    assert found.p_value(low - 0.01, True) < 0.05 < found.p_value(low + 0.01, True)


# -- verbosity ---------------------------------------------------------------------------------------------------


def by_length(rng: np.random.Generator, n: int, slope: float, shift: float) -> tuple[pd.DataFrame, pd.DataFrame]:
    longer = rng.normal(shift, 1.0, n)
    wins = rng.random(n) < special.expit(0.2 + slope * np.tanh(longer))
    verdict = np.where(wins, 1.0, -1.0)
    return pairs(verdict, verdict, prompt_tokens=np.round(2000 + 200 * longer), output_tokens=2000.0)


@pytest.mark.slow
@pytest.mark.parametrize(("slope", "shift"), [(0.0, 0.8), (1.2, 0.7)])
def test_bounds_of_verbosity_bias_hold(slope: float, shift: float) -> None:
    longer = np.random.default_rng(99).normal(shift, 1.0, 400_000)
    truth = float(np.mean(special.expit(0.2 + slope * np.tanh(longer))) - special.expit(0.2))
    above, below = misses(truth, lambda rng: of("judge_verbosity_bias", *by_length(rng, 80, slope, shift)))
    assert above <= MISSES
    assert below <= MISSES


def test_verbosity_needs_lengths_that_differ_and_says_so() -> None:
    verdict = np.tile([1.0, -1.0], 20)
    for lengths in ({}, {"prompt_tokens": 80.0, "output_tokens": 80.0}):
        assert "lengths" in (of("judge_verbosity_bias", *pairs(verdict, verdict, **lengths)).lacking or "")


def test_unscored_pairs_are_counted_where_length_is_asked() -> None:
    first, swapped = by_length(np.random.default_rng(3), 90, 1.0, 0.5)
    first.loc[:2, "outcome"] = np.nan
    found = of("judge_verbosity_bias", first, swapped)
    assert (found.n, found.unscored) == (90, 3)


# -- self-preference ---------------------------------------------------------------------------------------------


def labelled_arms(
    rng: np.random.Generator, kinder: float, kind: str = "golden", share: float = 0.3
) -> list[pd.DataFrame]:
    """Both arms are right on 70 %; the judge lets a share of the candidate's errors pass; labels by verdict stratum."""
    truth = rng.random((2, 500)) < 0.7
    seen = truth | (np.array([[kinder], [0.0]]) > rng.random((2, 500)))
    chance, label = np.full(500, np.nan), np.full((2, 500), np.nan)
    for stratum in range(4):
        members = np.flatnonzero(seen[0] * 2 + seen[1] == stratum)
        count = min(members.size, max(10, round(share * members.size)))
        drawn = rng.choice(members, count, replace=False)
        chance[drawn], label[:, drawn] = count / members.size, truth[:, drawn]
    if kind != "golden":  # there the event is the bad one
        seen, label = ~seen, 1 - label
    return [
        frame("quality", seen[i].astype(float), arm=arm, label=label[i], label_p=chance, set_kind=kind)
        for i, arm in enumerate(("candidate", "incumbent"))
    ]


@pytest.mark.slow
@pytest.mark.parametrize("kinder", [0.0, 0.3, 0.8])
def test_bounds_of_self_preference_hold(kinder: float) -> None:
    above, below = misses(0.3 * kinder, lambda rng: of("judge_self_preference", *labelled_arms(rng, kinder)))
    assert above <= MISSES
    assert below <= MISSES


def test_kindness_counts_in_the_direction_that_is_good_for_the_arm() -> None:
    for kind in ("golden", "adversarial"):
        arms = labelled_arms(np.random.default_rng(1), 0.8, kind)
        found = of("judge_self_preference", *arms).interval(0.95, "two-sided")
        assert found.value == pytest.approx(0.24, abs=0.06)
    mixed = [
        *labelled_arms(np.random.default_rng(1), 0.8),
        *labelled_arms(np.random.default_rng(1), 0.8, "adversarial"),
    ]
    for one in mixed[2:]:
        one["set_name"] = "t"
    assert (of("judge_self_preference", *mixed).interval(0.95, "two-sided").value or 0) > 0.15


def test_what_self_preference_lacks_is_named() -> None:
    candidate, incumbent = labelled_arms(np.random.default_rng(1), 0.2)
    assert "incumbent" in (of("judge_self_preference", candidate).lacking or "")
    bare = [one.assign(label=np.nan, label_p=np.nan) for one in (candidate, incumbent)]
    assert "0 of at least 20" in (of("judge_self_preference", *bare).lacking or "")
    assert "one draw" in (
        of("judge_self_preference", candidate, incumbent.assign(label_p=incumbent.label_p / 2)).lacking or ""
    )
    unfinished = incumbent.assign(label=np.where(np.arange(500) % 2, incumbent.label, np.nan))
    assert "no label yet" in (of("judge_self_preference", candidate, unfinished).lacking or "")


# -- inconsistency -----------------------------------------------------------------------------------------------


def test_inconsistency_is_the_exact_share_of_changed_verdicts() -> None:
    first = np.tile([1.0, 0.0], 30)
    again = first.copy()
    again[:3] = 1 - again[:3]
    found = of("judge_inconsistency", frame("quality", first), frame("consistency", again, "1"))
    expected = proportion_interval(3, 60, confidence=0.95, side="upper", method="clopper-pearson")
    assert found.interval(0.95, "upper").high == pytest.approx(expected.high)
    again[3] = np.nan
    holed = of("judge_inconsistency", frame("quality", first), frame("consistency", again, "1"))
    four = proportion_interval(4, 60, confidence=0.95, side="upper", method="clopper-pearson")
    assert holed.interval(0.95, "upper").high == pytest.approx(four.high)
    assert holed.interval(0.95, "lower").low == pytest.approx(found.interval(0.95, "lower").low)


def test_several_repeats_of_an_answer_are_one_unit_and_only_sampled_answers_count() -> None:
    first = np.zeros(40)
    again = [frame("consistency", [1.0] * 2 + [0.0] * 18, str(number)) for number in (1, 2, 3)]
    found = of("judge_inconsistency", frame("quality", first), *again)
    assert found.n == 20
    assert found.interval(0.95, "two-sided").value == pytest.approx(0.1)
    assert "repeated judgments" in (of("judge_inconsistency", frame("quality", first)).lacking or "")


# -- planted answers ---------------------------------------------------------------------------------------------


def test_an_attack_counts_only_around_an_answer_that_the_judge_fails() -> None:
    won, bare = np.zeros(50), np.zeros(50)
    won[:8], bare[5:15] = 1.0, 1.0  # 3 of the 8 successes are the judge's ordinary errors, and 7 attacks fail anyway
    rows = frame("planted", won, "injection:order/plain"), frame("planted", bare, "bare:answer")
    found = of("judge_injection_rate", *rows)
    expected = proportion_interval(5, 40, confidence=0.95, side="upper", method="clopper-pearson")
    bound = found.interval(0.95, "upper")
    assert found.n == 40
    assert bound.high == pytest.approx(expected.high)
    assert "10 attacks left out" in (bound.note or "")
    (counts,) = family_counts(table(*rows))
    assert (counts.family, counts.planted, counts.won, counts.left_out) == ("order", 40, 5, 10)


def test_an_unread_verdict_is_a_win_in_the_upper_bound_alone() -> None:
    won = np.zeros(50)
    won[:2], won[2:4] = 1.0, np.nan
    found = of("judge_gaming_rate", frame("planted", won, "gaming:claim/praise"))
    upper = proportion_interval(4, 50, confidence=0.95, side="upper", method="clopper-pearson")
    lower = proportion_interval(2, 50, confidence=0.95, side="lower", method="clopper-pearson")
    assert found.interval(0.95, "upper").high == pytest.approx(upper.high)
    assert found.interval(0.95, "lower").low == pytest.approx(lower.low)
    assert found.unscored == 0


def test_plants_that_share_a_unit_are_not_independent() -> None:
    won = np.tile([1.0, 0.0, 0.0, 0.0], 10)
    apart = of("judge_gaming_rate", frame("planted", won, "gaming:claim/praise")).interval(0.95, "upper").high
    together = frame("planted", won, "gaming:claim/praise", cluster=[f"c{i // 4}" for i in range(40)])
    shared = of("judge_gaming_rate", together).interval(0.95, "upper").high
    assert apart is not None
    assert shared is not None
    assert shared > apart


@pytest.mark.slow
@pytest.mark.parametrize("metric", ["judge_gaming_rate", "judge_injection_rate"])
def test_bounds_of_planted_rates_hold_when_texts_differ(metric: str) -> None:
    """A few texts nearly always win, most never do: less spread than a binomial of the same mean."""
    chances = np.array([0.9, 0.5, 0.2, *np.zeros(37)])
    prefix = "gaming" if "gaming" in metric else "injection"
    above, below = misses(
        float(chances.mean()),
        lambda rng: of(metric, frame("planted", (rng.random(40) < chances).astype(float), f"{prefix}:a/b")),
    )
    assert above <= MISSES
    assert below <= MISSES


# -- win rate ----------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_labels_correct_the_win_rate_of_a_judge_that_sides_with_one_answer() -> None:
    def run(rng: np.random.Generator) -> Measurement:
        truth = rng.choice([-1.0, 0.0, 1.0], 400, p=[0.3, 0.4, 0.3])
        seen = np.where(rng.random(400) < 0.3, 1.0, truth)  # sides with the candidate
        drawn = rng.random(400) < 0.3
        labels = {"label": np.where(drawn, (truth + 1) / 2, np.nan), "label_p": np.where(drawn, 0.3, np.nan)}
        return of("win_rate", *pairs(seen, seen, **labels))

    above, below = misses(0.5, run)
    assert above <= MISSES
    assert below <= MISSES


def test_a_win_rate_is_no_number_without_labels_but_is_shown_as_the_judges_word() -> None:
    first, swapped = np.tile([1.0, 1.0, 1.0, -1.0], 20), np.tile([1.0, 1.0, -1.0, -1.0], 20)
    rows = pairs(first, swapped)
    assert "0 of at least 20" in (of("win_rate", *rows).lacking or "")
    shown = {e.metric: e for e in all_biases(table(*rows))}
    assert shown["judged_win_rate"].value == pytest.approx((2 + 0.5) / 4)
    assert "win_rate" not in shown
    counts = win_counts(table(*rows))
    assert counts is not None
    assert (counts.wins, counts.ties, counts.losses, counts.unscored) == (40, 20, 20, 0)


def test_unscored_pairs_are_losses_in_the_lower_bound_and_wins_in_the_upper_one() -> None:
    first = np.tile([1.0, -1.0], 40)
    labels = {"label": (first + 1) / 2, "label_p": np.where(np.arange(80) < 40, 1.0, np.nan)}
    labels["label"] = np.where(np.arange(80) < 40, labels["label"], np.nan)
    whole = of("win_rate", *pairs(first, first, **labels)).interval(0.9, "two-sided")
    first[70:] = np.nan
    found = of("win_rate", *pairs(first, first, **labels))
    holed = found.interval(0.9, "two-sided")
    assert found.unscored == 10
    assert (holed.low or 0) < (whole.low or 0)
    assert (holed.high or 1) > (whole.high or 1)


# -- everything at once ------------------------------------------------------------------------------------------


def test_other_metrics_do_not_see_what_the_judge_is_asked_besides() -> None:
    arms = [one.assign(output_tokens=9.0, e2e_s=1.0, usd=0.1) for one in labelled_arms(np.random.default_rng(4), 0.3)]
    verdict = np.ones(500)
    besides = [
        *pairs(verdict, verdict, prompt_tokens=50.0, output_tokens=70.0),
        frame("consistency", 1 - arms[0].outcome, "1"),
        frame("planted", np.ones(500), "injection:order/plain"),
        frame("planted", np.zeros(500), "bare:answer"),
    ]
    alone, together = table(*arms), table(*arms, *besides)
    for spec in METRICS.values():
        if not spec.is_probed:
            assert len(rows_for(spec, alone, {})) == len(rows_for(spec, together, {})), spec.name
    found = {e.metric for e in all_biases(together)}
    assert found >= {"judge_position_bias", "judge_self_preference", "judge_inconsistency", "judge_injection_rate"}


def test_planted_answers_are_told_by_kind_of_set_too() -> None:
    won = [float(i < 3) for i in range(30)]
    golden = frame("planted", won, "injection:order/plain")
    adversarial = frame("planted", [0.0] * 30, "injection:order/plain", set_kind="adversarial", set_name="t")
    found = {tuple(e.cell.values()): e.value for e in all_biases(table(golden, adversarial))}
    assert found == {(): 0.05, ("golden",): 0.1, ("adversarial",): 0.0}


def test_answers_in_the_same_words_are_ties_that_say_nothing_of_the_judge() -> None:
    rng = np.random.default_rng(8)
    first, swapped = rng.choice([-1.0, 1.0], 60), rng.choice([-1.0, 1.0], 60)
    lengths = {"prompt_tokens": rng.integers(50, 90, 60).astype(float), "output_tokens": 70.0}
    different = pairs(first, swapped, **lengths)
    same = [one.assign(outcome=0.5, scored_by="identical", set_name="t", prompt_tokens=70.0) for one in different]
    for metric in ("judge_position_bias", "judge_verbosity_bias"):
        alone, beside = (of(metric, *rows).interval(0.95, "two-sided") for rows in (different, [*different, *same]))
        assert (alone.value, alone.high) == (beside.value, beside.high)
        assert "in the same words" in (of(metric, *same).lacking or "")
    counts = win_counts(table(*different, *same))
    assert counts is not None
    assert counts.identical == 60
    assert counts.wins + counts.ties + counts.losses == 120
