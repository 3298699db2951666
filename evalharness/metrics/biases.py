"""What a judge goes by beside quality, each as one number with an interval that a policy can bound.

All are magnitudes, 0 being none. Where a bias has a direction, |b| has as its upper bound the larger of the one-sided
upper bounds of b and -b: whichever sign b has, the bound on its side covers it, so that each holds at the full
confidence (Berger, Technometrics 24 (1982) 295: intersection-union). Its lower bound may lie on either side and splits
alpha between the two.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

import numpy as np

from evalharness.judging.pair_file import JudgedPairs
from evalharness.metrics.calibrated import missing_text, scored_by_judge
from evalharness.metrics.catalogue import MetricSpec
from evalharness.metrics.measurement import IntervalAt, Measurement, nothing, once, prepared, two_bounds
from evalharness.metrics.paired import MIN_LABELLED_PAIRS
from evalharness.metrics.planted import planted_rate
from evalharness.metrics.preferences import NO_PAIRS, Preferences, asked_about
from evalharness.outcomes import Floats, OutcomeTable
from evalharness.statistics import Interval, Side
from evalharness.statistics.clustered import ClusteredDifference, ClusteredProportion
from evalharness.statistics.control_effect import control_effect
from evalharness.statistics.prediction_powered import PoweredDifference
from evalharness.text_columns import joint_codes
from golden_sets.cards import DETECTOR
from golden_sets.records import SetKind

ALL_IDENTICAL = "pairs of different answers: all are in the same words"
LENGTHS_ALIKE = "answers of different lengths: nothing can be told of length"


def bias(spec: MetricSpec, rows: OutcomeTable) -> Measurement:
    """A metric of family ``bias`` on rows chosen by `rows_for`."""
    return _BIASES[spec.name](spec, rows)


def magnitude(signed: IntervalAt) -> IntervalAt:
    """The interval of |b| from that of b."""

    def interval(confidence: float, side: Side) -> Interval:
        upper = (1 + confidence) / 2 if side == "two-sided" else confidence
        # A lower bound of |b| may come from either side of zero: alpha is split.
        lower = (1 + upper) / 2
        highest = lowest = None
        if side != "lower":
            above, below = signed(upper, "upper"), signed(upper, "lower")
            highest = None if above.high is None or below.low is None else max(above.high, -below.low)
        if side != "upper":
            above, below = signed(lower, "upper"), signed(lower, "lower")
            lowest = None if above.high is None or below.low is None else max(0.0, below.low, -above.high)
        values = [one.value for one in (above, below) if one.value is not None]
        value = abs(sum(values) / len(values)) if values else None
        return replace(above, value=value, low=lowest, high=highest, confidence=confidence)

    return interval


def _position(spec: MetricSpec, rows: OutcomeTable) -> Measurement:
    """Share of verdicts for the answer shown first less that for the one shown second, over both orders.

    A verdict that could not be read takes the worst value in each bound. Answers in the same words, about which nobody
    was asked, tell nothing.
    """
    asked = asked_about(rows)
    if not len(asked):
        return nothing(spec.name, spec.unit, NO_PAIRS if not len(rows) else ALL_IDENTICAL)
    pairs = Preferences.of(asked).pairs

    unparsed = int((np.isnan(pairs.first) | np.isnan(pairs.swapped)).sum())

    def at(fill: float) -> Callable[[], ClusteredDifference]:
        # The candidate is shown first in the first order, the incumbent in the swapped one.
        first = np.where(np.isnan(pairs.first), fill, pairs.first)
        swapped = np.where(np.isnan(pairs.swapped), -fill, pairs.swapped)
        return once(lambda: ClusteredDifference.of((first - swapped) / 2, pairs.clusters))

    worst, best = (at(-1.0), at(1.0)) if unparsed else 2 * (at(0.0),)

    def p_value(limit: float, above: bool) -> float:
        """Of the claim that |b| lies above a limit, on one side of zero or the other, or within it on both."""
        if above:
            return min(1.0, 2 * min(worst().p_value(limit, above=True), best().p_value(-limit, above=False)))
        return max(best().p_value(limit, above=False), worst().p_value(-limit, above=True))

    told = f"{unparsed} pairs without a verdict in some order: worst case in each bound" if unparsed else None
    signed = two_bounds(lambda *at: worst().interval(*at), lambda *at: best().interval(*at))
    interval = _noted(magnitude(signed), told)
    return Measurement(spec.name, spec.unit, interval, n=len(pairs), p_value=p_value)


def _verbosity(spec: MetricSpec, rows: OutcomeTable) -> Measurement:
    """Win rate less length-controlled win rate: what length alone gives one side; unscored pairs are left out."""
    asked = asked_about(rows)
    if not len(asked):
        return nothing(spec.name, spec.unit, NO_PAIRS if not len(rows) else ALL_IDENTICAL)
    pairs = Preferences.of(asked).pairs
    verdict, longer = pairs.verdict, _lengths(pairs)
    kept = ~np.isnan(verdict) & ~np.isnan(longer)
    if not kept.any() or longer[kept].std() == 0:
        return nothing(spec.name, spec.unit, LENGTHS_ALIKE)
    controls = np.tanh(longer[kept] / longer[kept].std())[:, None]
    found = control_effect((verdict[kept] + 1) / 2, controls, pairs.clusters[kept])
    if found is None:
        return nothing(spec.name, spec.unit, "verdicts that differ: no finite regression of them on length exists")
    unscored = int((~kept).sum())
    return Measurement(spec.name, spec.unit, magnitude(found.interval), n=len(pairs), unscored=unscored)


def _lengths(pairs: JudgedPairs) -> Floats:
    return np.full(len(pairs), np.nan) if pairs.longer is None else pairs.longer


def _self_preference(spec: MetricSpec, rows: OutcomeTable) -> Measurement:
    """How much kinder the judge is to the candidate than to the incumbent, beyond the truth.

    Kindness to an answer: judged less true outcome, in the direction that is good for the arm. Its mean over the
    prompts labelled on both arms, weighted by the inverse of their probability; clusters, and labels that show few
    errors, are treated as in paired comparisons. An unscored answer takes the worst value in each bound.
    """
    judged = rows.take(scored_by_judge(rows) & ~rows.matches("rubric", DETECTOR))
    keys = joint_codes([judged.codes("set_name"), judged.codes("prompt_id"), judged.repeats()])
    arms = [np.flatnonzero(judged.matches("arm", arm)) for arm in ("candidate", "incumbent")]
    if not arms[1].size:
        return nothing(spec.name, spec.unit, "an incumbent that the judge scored too")
    _, ours, theirs = np.intersect1d(keys[arms[0]], keys[arms[1]], return_indices=True)
    candidate, incumbent = judged.take(arms[0][ours]), judged.take(arms[1][theirs])
    chance = [np.nan_to_num(table.numbers("label_p"), nan=1.0) for table in (candidate, incumbent)]
    labelled = ~np.isnan(candidate.numbers("label")) & ~np.isnan(incumbent.numbers("label"))
    drawn, count = ~np.isnan([table.numbers("label_p") for table in (candidate, incumbent)]), int(labelled.sum())
    if (missing := missing_text(int((drawn & ~labelled).sum()), int(drawn.sum()))) is not None:
        return nothing(spec.name, spec.unit, missing)
    if count < MIN_LABELLED_PAIRS:
        wanted = f"labels of both arms' answers to the same prompts ({count} of at least {MIN_LABELLED_PAIRS})"
        return nothing(spec.name, spec.unit, wanted)
    if not np.array_equal(chance[0][labelled], chance[1][labelled]):
        return nothing(spec.name, spec.unit, "labels of both arms from one draw: evaluate both together")
    clusters = candidate.clusters()

    def at(ours: float, theirs: float) -> IntervalAt:
        kinder = (_kindness(candidate, ours) - _kindness(incumbent, theirs))[labelled]
        # Halved, because one verdict too many for the candidate and one too few for the incumbent make 2.
        sample = once(
            lambda: PoweredDifference.of(
                np.zeros(labelled.size), labelled, kinder / 2, 1.0 / chance[0][labelled], clusters=clusters
            )
        )
        return lambda confidence, side: _doubled(sample().interval(confidence, side))

    gaps = [int(np.isnan(table.numbers("outcome"))[labelled].sum()) for table in (candidate, incumbent)]
    signed = two_bounds(at(0.0, 1.0), at(1.0, 0.0)) if sum(gaps) else at(0.0, 0.0)
    told = f"{count} prompts labelled on both arms"
    return Measurement(spec.name, spec.unit, _noted(magnitude(signed), told), n=count)


def _kindness(table: OutcomeTable, unscored: float) -> Floats:
    """Judged less true outcome, so that more is better for the arm; an unscored verdict is ``unscored`` of 1 kind."""
    golden = table.matches("set_kind", SetKind.GOLDEN.value)
    outcome, label = table.numbers("outcome"), table.numbers("label")
    judged = np.where(np.isnan(outcome), np.where(golden, unscored, 1 - unscored), outcome)
    return np.where(golden, judged - label, label - judged)


def _doubled(found: Interval) -> Interval:
    """Twice the interval; how prediction-powered inference was tuned says nothing here."""
    value, low, high = (None if x is None else 2 * x for x in (found.value, found.low, found.high))
    bounded = low is not None or high is not None
    return replace(found, value=value, low=low, high=high, note=None if bounded else found.note)


def _inconsistency(spec: MetricSpec, rows: OutcomeTable) -> Measurement:
    """The share of repeated judgments that differ from the first one, by answer.

    Where one of the two could not be read they differ in the upper bound and agree in the lower one.
    """
    keys = joint_codes([rows.codes("arm"), rows.codes("set_name"), rows.codes("prompt_id"), rows.repeats()])
    again, first = rows.matches("phase", "consistency"), rows.matches("phase", "quality")
    if not again.any():
        return nothing(spec.name, spec.unit, "repeated judgments")
    outcomes = rows.numbers("outcome")
    answers, at = np.unique(keys[again], return_inverse=True)
    before = np.full(answers.size, np.nan)
    _, where, source = np.intersect1d(answers, keys[first], return_indices=True)
    before[where] = outcomes[first][source]
    changed = np.abs(outcomes[again] - before[at])
    unknown = np.isnan(changed)
    clusters = np.zeros(answers.size, dtype=np.int64)
    clusters[at] = rows.clusters()[again]

    def share(fill: float) -> IntervalAt:
        sums = np.bincount(at, np.where(unknown, fill, (changed > 0.5).astype(np.float64)), minlength=answers.size)
        return prepared(lambda: ClusteredProportion.of(sums / np.bincount(at), clusters).interval)

    told = f"{int(unknown.sum())} judgments without a verdict: changed in the upper bound" if unknown.any() else None
    interval = two_bounds(share(0.0), share(1.0)) if unknown.any() else share(0.0)
    return Measurement(spec.name, spec.unit, _noted(interval, told), n=answers.size)


def _noted(interval: IntervalAt, told: str | None) -> IntervalAt:
    def at(confidence: float, side: Side) -> Interval:
        found = interval(confidence, side)
        return replace(found, note="; ".join(text for text in (told, found.note) if text) or None)

    return at


_BIASES: Mapping[str, Callable[[MetricSpec, OutcomeTable], Measurement]] = {
    "judge_position_bias": _position,
    "judge_verbosity_bias": _verbosity,
    "judge_self_preference": _self_preference,
    "judge_inconsistency": _inconsistency,
    "judge_gaming_rate": planted_rate,
    "judge_injection_rate": planted_rate,
}
