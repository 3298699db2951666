"""Candidate against incumbent by a pairwise judge: both orders of every pair, and the win rate they amount to."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from evalharness.judging.pair_agreement import judge_pairs
from evalharness.judging.pair_file import JudgedPairs
from evalharness.metrics.calibrated import missing_text
from evalharness.metrics.catalogue import MetricSpec
from evalharness.metrics.measurement import IntervalAt, Measurement, nothing, prepared, two_bounds
from evalharness.metrics.paired import MIN_LABELLED_PAIRS
from evalharness.outcomes import Codes, Floats, Mask, OutcomeTable
from evalharness.statistics import Interval, Side
from evalharness.statistics.prediction_powered import PoweredDifference
from evalharness.text_columns import joint_codes

NO_PAIRS = "pairwise verdicts: name a pairwise rubric under 'judging'"
IDENTICAL = "identical"
"""What pairs of answers in the same words are scored by: they are ties, and no judge was asked."""
FAILED = "failed"
"""What pairs are scored by of which an answer is missing because its request failed: no judge was asked."""


@dataclass(frozen=True)
class Preferences:
    """The rows of phase ``pairwise``, a pair at a time; answer 1 is the candidate's."""

    pairs: JudgedPairs
    """Verdicts in both orders, labels, lengths (characters of the candidate's answer less those of the incumbent's)."""
    label_p: Floats
    """Shape (n,): probability with which the pair was chosen for labelling; NaN where it was not."""
    sets: Codes
    """Shape (n,): code of the set."""
    failed: Mask
    """Shape (n,): True where a request failed."""

    @classmethod
    def of(cls, rows: OutcomeTable) -> Preferences:
        """Join the two orders; an order without a row counts as a verdict that could not be read."""
        keys = joint_codes([rows.codes("set_name"), rows.codes("prompt_id"), rows.repeats()])
        _, at = np.unique(keys, return_inverse=True)
        n = int(at.max(initial=-1)) + 1

        def filled(values: Floats) -> Floats:
            found, known = np.full(n, np.nan), ~np.isnan(values)
            found[at[known]] = values[known]
            return found

        def verdicts(variant: str) -> Floats:
            return filled(np.where(rows.matches("variant", variant), 2 * rows.numbers("outcome") - 1, np.nan))

        clusters, sets, failed = np.zeros(n, dtype=np.int64), np.zeros(n, dtype=np.int64), np.zeros(n, dtype=np.bool_)
        clusters[at], sets[at], failed[at] = rows.clusters(), rows.codes("set_name"), rows.matches("scored_by", FAILED)
        return cls(
            JudgedPairs(
                first=verdicts("first"),
                swapped=verdicts("swapped"),
                label=filled(2 * rows.numbers("label") - 1),
                clusters=clusters,
                longer=filled(rows.numbers("prompt_tokens") - rows.numbers("output_tokens")),
            ),
            filled(rows.numbers("label_p")),
            sets,
            failed,
        )

    @property
    def labelled(self) -> Mask:
        """Shape (n,): True where the truth of both answers is known."""
        return ~np.isnan(self.pairs.label)

    def lacking(self) -> str | None:
        """What is missing for verdicts to be corrected by labels."""
        drawn, count = ~np.isnan(self.label_p), int(self.labelled.sum())
        missing = missing_text(int((drawn & ~self.labelled).sum()), int(drawn.sum()))
        if missing is not None:
            return missing
        judged = ~self.failed
        speechless = np.setdiff1d(self.sets[judged], self.sets[judged & drawn])
        if count >= MIN_LABELLED_PAIRS and not speechless.size:
            return None
        if count >= MIN_LABELLED_PAIRS:
            return "labels of pairs of every set: those of one say nothing of the judge on another"
        return (
            f"labels of both answers of a pair ({count} of at least {MIN_LABELLED_PAIRS}): 'pairwise_truth' under "
            "'judging' says whether the prompts' own labels are the truth about pairs"
        )


@dataclass(frozen=True, slots=True)
class WinCounts:
    """Pairs by what both orders say; a tie where they disagree."""

    wins: int
    """The candidate's answer is preferred in both orders."""
    ties: int
    """Neither is, the orders disagree, or both answers are in the same words."""
    losses: int
    unscored: int
    """Without a verdict in some order."""
    identical: int
    """Of the ties, those in the same words: no judge was asked."""


def win_counts(rows: OutcomeTable) -> WinCounts | None:
    """Wins, ties and losses of the candidate; None without rows of phase ``pairwise``."""
    mine = rows.phase("pairwise")
    if not len(mine):
        return None
    verdict = Preferences.of(mine).pairs.verdict
    return WinCounts(
        wins=int((verdict == 1).sum()),
        ties=int((verdict == 0).sum()),
        losses=int((verdict == -1).sum()),
        unscored=int(np.isnan(verdict).sum()),
        identical=int((mine.matches("scored_by", IDENTICAL) & mine.matches("variant", "first")).sum()),
    )


def asked_about(rows: OutcomeTable) -> OutcomeTable:
    """The rows of phase ``pairwise`` about which a judge was asked: other pairs say nothing of it."""
    return rows.take(~rows.matches("scored_by", IDENTICAL) & ~rows.matches("scored_by", FAILED))


def win_rate(spec: MetricSpec, rows: OutcomeTable) -> Measurement:
    """Share of pairs that the candidate wins, ties as half, corrected by the labelled pairs.

    Prediction-powered inference on the differences: all verdicts, and the truth where both answers of a pair are
    labelled. An unscored pair is a loss in the lower bound and a win in the upper one. Without enough labels there is
    no bound, because a judge's word is not the truth: see `judged_win_rate`.
    """
    if not len(rows):
        return nothing(spec.name, spec.unit, NO_PAIRS)
    found = Preferences.of(rows)
    pairs = found.pairs
    # Never labelled, so no label speaks for them: certain in either bound. A failed incumbent would have passed.
    gap = found.failed & ~found.labelled
    known, unscored = found.labelled | gap, np.isnan(pairs.verdict) & ~gap
    weights = 1.0 / np.nan_to_num(found.label_p[known], nan=1.0)

    def at(fill: float, missing: float) -> IntervalAt:
        verdict = np.where(gap, missing, np.where(unscored, fill, pairs.verdict))
        truth = np.where(gap, missing, pairs.label)[known]
        return prepared(lambda: PoweredDifference.of(verdict, known, truth, weights, clusters=pairs.clusters).interval)

    both = two_bounds(at(-1.0, -1.0), at(1.0, 0.0)) if unscored.any() or gap.any() else at(0.0, 0.0)
    return Measurement(
        metric=spec.name,
        unit=spec.unit,
        interval=lambda confidence, side: _as_rate(both(confidence, side)),
        n=len(pairs),
        errors=int(found.failed.sum()),
        unscored=int(unscored.sum()),
        lacking=found.lacking(),
    )


def judged_win_rate(rows: OutcomeTable) -> Measurement | None:
    """The same by the judge's word alone, two-sided: shown beside it, never decided on; None without pairs."""
    mine = rows.phase("pairwise")
    if not len(mine):
        return None
    pairs = Preferences.of(mine).pairs

    def interval(confidence: float, _side: Side) -> Interval:
        return judge_pairs(pairs, confidence=confidence).win_rate

    unscored = int(np.isnan(pairs.verdict).sum())
    return Measurement("judged_win_rate", "1", interval, n=len(pairs), unscored=unscored)


def _as_rate(difference: Interval) -> Interval:
    """Wins minus losses in [-1, 1] as a rate in [0, 1]."""
    value, low, high = (None if x is None else (1 + x) / 2 for x in (difference.value, difference.low, difference.high))
    return replace(difference, value=value, low=low, high=high)
