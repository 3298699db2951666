"""Biases of a pairwise judge: which place it prefers, and how much it likes length.

Sources: Wang et al., arXiv 2305.17926 (both orders, verdicts that turn with the order); Dubois, Galambosi, Liang and
Hashimoto, arXiv 2404.04475 (length-controlled win rate: logistic regression on tanh of the standardised difference of
lengths, whose term is then set to zero; their term for the instruction's difficulty needs many models and is left out
here, and errors are cluster-robust instead of regularised).
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from evalharness.judging.pair_file import Codes, Floats, JudgedPairs
from evalharness.statistics import Interval, clustered_paired_interval, clustered_proportion_interval
from evalharness.statistics.interval import without_bounds
from evalharness.statistics.logistic import controlled_mean

LENGTH_CONTROLLED = "logistic-length-controlled"
"""Method of the length-controlled win rate."""


@dataclass(frozen=True)
class PositionBias:
    """How verdicts turn with the order in which two answers are shown."""

    pairs: int
    """Pairs with a verdict in both orders."""
    same: int
    """Of these, those with the same verdict in both."""
    first_shown: int
    """Those where the answer shown first is preferred in both orders."""
    second_shown: int
    """Those where the answer shown second is preferred in both orders."""
    turned: Interval | None
    """Share of the pairs whose verdict turns with the order (ties included); None without pairs."""
    bias: Interval | None
    """Share of verdicts for the answer shown first minus share for the one shown second; 0 is none."""
    first_preferred: Interval | None
    """Among pairs where the same place wins in both orders, share where it is the first; a half is no preference."""


@dataclass(frozen=True)
class VerbosityBias:
    """How verdicts go with length."""

    pairs: int
    """Pairs with a verdict and both lengths."""
    win_rate: Interval
    """Of answer 1 on these pairs, a tie counting half."""
    length_controlled: Interval
    """The same had both answers been of one length; no value where no finite regression exists."""
    difference: Interval | None
    """Win rate minus length-controlled win rate: what length alone gives answer 1."""
    longer_preferred: Interval | None
    """Share of verdicts for the longer answer, a tie counting half; None where all are of one length."""
    longer_by_people: Interval | None
    """The same for people's labels, on the pairs that have one."""
    excess: Interval | None
    """Judge minus people, on those pairs: preference for length that quality does not explain."""


def position_bias(pairs: JudgedPairs, *, confidence: float = 0.95) -> PositionBias:
    """Compare the verdicts of both orders; pairs without a verdict in both are left out.

    Raises:
        InputError: confidence outside (0, 1).
    """
    both = ~np.isnan(pairs.first) & ~np.isnan(pairs.swapped)
    first, swapped, clusters = pairs.first[both], pairs.swapped[both], pairs.clusters[both]
    placed = (np.abs(first) == 1) & (swapped == -first)
    turned = bias = preferred = None
    if both.any():
        turned = clustered_proportion_interval(
            (first != swapped).astype(np.float64), clusters, confidence=confidence, method="wilson"
        )
        # Answer 1 is shown first in the first order, answer 2 in the swapped one.
        bias = clustered_paired_interval((first - swapped) / 2, clusters, confidence=confidence)
    if placed.any():
        preferred = clustered_proportion_interval(
            (first[placed] == 1).astype(np.float64), clusters[placed], confidence=confidence, method="wilson"
        )
    return PositionBias(
        pairs=int(both.sum()),
        same=int((first == swapped).sum()),
        first_shown=int((first[placed] == 1).sum()),
        second_shown=int((first[placed] == -1).sum()),
        turned=turned,
        bias=bias,
        first_preferred=preferred,
    )


def verbosity_bias(pairs: JudgedPairs, *, confidence: float = 0.95) -> VerbosityBias | None:
    """Compare verdicts (ties where the orders disagree) with lengths; None without lengths or verdicts.

    Raises:
        InputError: confidence outside (0, 1).
    """
    if pairs.longer is None:
        return None
    verdict = pairs.verdict
    kept = ~np.isnan(verdict) & ~np.isnan(pairs.longer)
    if not kept.any():
        return None
    verdict, longer, clusters, label = verdict[kept], pairs.longer[kept], pairs.clusters[kept], pairs.label[kept]
    controlled, difference = _length_controlled((verdict + 1) / 2, longer, clusters, confidence)
    side = np.sign(longer)
    unequal = side != 0
    labelled = unequal & ~np.isnan(label)
    return VerbosityBias(
        pairs=int(kept.sum()),
        win_rate=win_rate(verdict, clusters, confidence),
        length_controlled=controlled,
        difference=difference,
        longer_preferred=win_rate((verdict * side)[unequal], clusters[unequal], confidence) if unequal.any() else None,
        longer_by_people=win_rate((label * side)[labelled], clusters[labelled], confidence) if labelled.any() else None,
        excess=clustered_paired_interval(
            ((verdict - label) * side)[labelled] / 2, clusters[labelled], confidence=confidence
        )
        if labelled.any()
        else None,
    )


def win_rate(verdict: Floats, clusters: Codes, confidence: float) -> Interval:
    """Share of wins with ties as half, from verdicts in {-1, 0, 1}: the paired interval, moved from [-1, 1]."""
    return halved(clustered_paired_interval(verdict, clusters, confidence=confidence))


def halved(difference: Interval) -> Interval:
    """Wins minus losses as a win rate."""
    value, low, high = (None if x is None else (1 + x) / 2 for x in (difference.value, difference.low, difference.high))
    return replace(difference, value=value, low=low, high=high)


def _length_controlled(
    wins: Floats, longer: Floats, clusters: Codes, confidence: float
) -> tuple[Interval, Interval | None]:
    """The win rate at equal lengths, and how much the raw one exceeds it."""
    spread = float(longer.std())
    if spread == 0:
        note = "all differences of length are equal"
        return without_bounds(None, confidence, LENGTH_CONTROLLED, wins.size, note), None
    found = controlled_mean(wins, np.tanh(longer / spread)[:, None], clusters, confidence=confidence)
    return replace(found.controlled, method=LENGTH_CONTROLLED), found.difference
