"""Estimates for an evaluation: means, losses and calibration, with the intervals by which the gate judges."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from evalharness.evidence import Estimate
from evalharness.statistics import Interval, Side, clustered_paired_interval, clustered_proportion_interval
from router_training.calibrating import brier, debiased_calibration_error, ece, reliability
from router_training.evaluation import CalibrationResult, ReliabilityBin
from router_training.pairs import Codes, Floats, Pairs
from router_training.resampling import Resamples, percentile_interval

_PERFECT_DRAWS = 200


def estimate(metric: str, interval: Interval, *, unit: str = "1") -> Estimate:
    """An interval under the name of what it measures."""
    return Estimate(
        metric=metric,
        value=interval.value,
        low=interval.low,
        high=interval.high,
        confidence=interval.confidence,
        method=interval.method,
        n=interval.n,
        clusters=interval.clusters,
        unit=unit,
        note=interval.note,
    )


def mean_score(metric: str, scores: npt.ArrayLike, groups: Codes, confidence: float) -> Estimate:
    """Mean of numbers in [0, 1] whose groups are independent."""
    values = np.asarray(scores, dtype=np.float64)
    return estimate(metric, clustered_proportion_interval(values, groups, confidence=confidence))


def loss_estimate(given_up: Floats, groups: Codes, confidence: float, *, side: Side = "two-sided") -> Estimate:
    """Mean quality given up, each in [-1, 1], by the gate's interval for paired differences.

    Args:
        given_up: flagship's score minus the chosen model's, shape (n,).
        groups: of the prompts, shape (n,).
        confidence: of the interval, or of the one bound.
        side: ``upper``: only the bound that a limit is held against.
    """
    return estimate("loss", clustered_paired_interval(given_up, groups, confidence=confidence, side=side))


def calibration_result(p_hard: Floats, pairs: Pairs, resamples: Resamples, confidence: float) -> CalibrationResult:
    """How far P(hard) can be taken at its word on these prompts."""
    hard = pairs.hard.astype(np.float64)
    errors, ece_draws = (p_hard - hard) ** 2, []
    brier_draws = []
    for times in resamples.chunks():
        brier_draws.append(times @ errors / times.sum(axis=1))
        ece_draws.append([ece(np.repeat(p_hard, row), np.repeat(hard, row)) for row in times])
    base = float(hard.mean())
    return CalibrationResult(
        hard_share=base,
        brier=estimate(
            "brier",
            percentile_interval(brier(p_hard, hard), np.concatenate(brier_draws), pairs.groups, confidence=confidence),
        ),
        brier_of_base_rate=base * (1 - base),
        ece=estimate(
            "ece",
            percentile_interval(ece(p_hard, hard), np.concatenate(ece_draws), pairs.groups, confidence=confidence),
        ),
        ece_of_perfect=_ece_of_perfect(p_hard, resamples.seed),
        debiased_error=debiased_calibration_error(p_hard, hard),
        bins=tuple(
            ReliabilityBin(
                predicted=part.predicted,
                observed=estimate(
                    "hard_share",
                    clustered_proportion_interval(
                        hard[part.rows], pairs.groups[part.rows], confidence=confidence, method="wilson"
                    ),
                ),
            )
            for part in reliability(p_hard, hard)
        ),
    )


def _ece_of_perfect(p_hard: Floats, seed: int) -> float:
    """What a forecast that is exactly right shows by chance: outcomes are drawn from the probabilities themselves."""
    generator = np.random.default_rng(seed)
    return float(np.mean([ece(p_hard, generator.random(p_hard.size) < p_hard) for _ in range(_PERFECT_DRAWS)]))
