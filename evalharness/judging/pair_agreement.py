"""What a pairwise judge says, and how far people agree: wins, ties and losses of answer 1 against answer 2."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from evalharness.judging.biases import (
    PositionBias,
    VerbosityBias,
    halved,
    position_bias,
    verbosity_bias,
)
from evalharness.judging.pair_file import Codes, Floats, JudgedPairs
from evalharness.statistics import (
    Interval,
    clustered_kappa_interval,
    clustered_paired_interval,
    clustered_proportion_interval,
)

_UNPARSED = 2.0
"""Stands for an unparsed verdict beside -1, 0 and 1."""


@dataclass(frozen=True)
class LabelAgreement:
    """Verdicts against people's preferences."""

    labelled: int
    """Pairs with a label."""
    agreement: Interval
    """Share of them where the verdict is the label; a tie agrees with a tie only, an unparsed verdict with nothing."""
    decided: Interval | None
    """The same among pairs where both name an answer; None without any."""
    single_orders: Interval
    """Share of single verdicts, both orders counted, that are the label: a judge asked once, in a random order."""
    kappa: Interval
    """Over answer 1, answer 2, ties and unparsed."""
    kappa_decided: Interval | None
    """Over answer 1 and answer 2, where both name one."""

    @property
    def polarity_flipped(self) -> bool:
        """Whether judge and people agree less than chance, with confidence."""
        return self.kappa_decided is not None and self.kappa_decided.high is not None and self.kappa_decided.high < 0


@dataclass(frozen=True)
class PairReport:
    """A pairwise judge on some pairs."""

    pairs: int
    wins: int
    """Pairs where both orders prefer answer 1."""
    ties: int
    """Pairs where both say a tie, or where they disagree."""
    losses: int
    """Pairs where both orders prefer answer 2."""
    unscored: int
    """Pairs without a verdict in some order."""
    unparsed: int
    """Single verdicts that could not be read."""
    difference: Interval
    """Wins minus losses over all pairs; an unscored pair is a loss in the lower bound and a win in the upper one."""
    win_rate: Interval
    """The same as a rate: ties count half."""
    labels: LabelAgreement | None
    position: PositionBias
    verbosity: VerbosityBias | None


def judge_pairs(pairs: JudgedPairs, *, confidence: float = 0.95) -> PairReport:
    """Count wins, ties and losses, compare them with people's labels, and measure position and verbosity bias.

    Raises:
        InputError: confidence outside (0, 1).
    """
    verdict = pairs.verdict
    difference = _net(verdict, pairs.clusters, confidence)
    return PairReport(
        pairs=len(pairs),
        wins=int((verdict == 1).sum()),
        ties=int((verdict == 0).sum()),
        losses=int((verdict == -1).sum()),
        unscored=int(np.isnan(verdict).sum()),
        unparsed=int(np.isnan(pairs.first).sum() + np.isnan(pairs.swapped).sum()),
        difference=difference,
        win_rate=halved(difference),
        labels=None if np.isnan(pairs.label).all() else _label_agreement(pairs, confidence),
        position=position_bias(pairs, confidence=confidence),
        verbosity=verbosity_bias(pairs, confidence=confidence),
    )


def _net(verdict: Floats, clusters: Codes, confidence: float) -> Interval:
    def net(unscored: float) -> Interval:
        filled = np.where(np.isnan(verdict), unscored, verdict)
        return clustered_paired_interval(filled, clusters, confidence=confidence)

    middle, missing = net(0.0), int(np.isnan(verdict).sum())
    if not missing:
        return middle
    note = f"{missing} unscored pairs: ties in the value, losses in the lower bound, wins in the upper one"
    return replace(middle, low=net(-1.0).low, high=net(1.0).high, note=note)


def _label_agreement(pairs: JudgedPairs, confidence: float) -> LabelAgreement:
    known = ~np.isnan(pairs.label)
    label, verdict, clusters = pairs.label[known], pairs.verdict[known], pairs.clusters[known]
    decided = (np.abs(label) == 1) & (np.abs(verdict) == 1)

    def share(right: Floats, of: Codes) -> Interval:
        return clustered_proportion_interval(right.astype(np.float64), of, confidence=confidence, method="wilson")

    single = ((pairs.first[known] == label).astype(np.float64) + (pairs.swapped[known] == label)) / 2
    spoken = np.where(np.isnan(verdict), _UNPARSED, verdict)
    return LabelAgreement(
        labelled=int(known.sum()),
        agreement=share(verdict == label, clusters),
        decided=share((verdict == label)[decided], clusters[decided]) if decided.any() else None,
        single_orders=share(single, clusters),
        kappa=_kappa(label, spoken, clusters, confidence),
        kappa_decided=_kappa(label[decided], verdict[decided], clusters[decided], confidence)
        if decided.any()
        else None,
    )


def _kappa(label: Floats, verdict: Floats, clusters: Codes, confidence: float) -> Interval:
    """Kappa over the categories that either uses."""
    used, codes = np.unique(np.concatenate([label, verdict]), return_inverse=True)
    first, second = codes.reshape(2, -1)
    return clustered_kappa_interval(first, second, clusters, categories=max(2, used.size), confidence=confidence)
