"""A router against its baselines on prompts that neither head, calibration nor threshold has seen."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Literal

import numpy as np

from evalharness.evidence import Estimate
from evalharness.statistics import clustered_mean_interval, log_ratio_interval
from golden_sets.errors import InputError
from router_training.baselines import untrained_baselines
from router_training.cells import family_cells, length_cells
from router_training.deciding import Decisions
from router_training.evaluation import (
    BaselineResult,
    Example,
    FrontierPoint,
    LiteralBandResult,
    Operation,
    RouterEvaluation,
)
from router_training.frontier import NO_GAP, Ranking, decile_thresholds, number
from router_training.measuring import calibration_result, estimate, loss_estimate, mean_score
from router_training.operating import literal_band
from router_training.pairs import Floats, Pairs
from router_training.records import OperatingPoint
from router_training.resampling import Resamples, percentile_interval

CURVE_POINTS = 50
"""Thresholds of the frontier that is drawn."""
EXAMPLES = 10
"""Prompts that are shown."""
EXCERPT = 600
"""Characters of each."""


def evaluate_router(
    pairs: Pairs,
    decisions: Decisions,
    point: OperatingPoint,
    *,
    calibration_p_hard: Floats | None = None,
    fitted_baselines: Mapping[str, Floats] | None = None,
    confidence: float = 0.95,
) -> RouterEvaluation:
    """Everything that `relgate router eval` reports.

    Bootstrap intervals draw whole groups again, the same ones for the router and every baseline, so that differences
    are paired; means and shares take the intervals by which the gate judges.

    Args:
        pairs: labelled prompts, none of them used in training.
        decisions: the router's, on the same prompts in the same order.
        point: the router's operating point.
        calibration_p_hard: P(hard) of its calibration prompts (`Router.reference`): fixes the thresholds of
            ``apgr_fixed``; None: it is left out.
        fitted_baselines: scores of fitted baselines by name, each of shape (n,), higher: rather the flagship.
        confidence: of the intervals.

    Raises:
        InputError: no prompts, or decisions about other prompts.
    """
    if len(pairs) == 0 or len(pairs) != len(decisions.reasons):
        raise InputError(f"{len(decisions.reasons)} decisions for {len(pairs)} labelled prompts")
    resamples = Resamples(pairs.groups)
    scores = served_scores(decisions)
    rules = {**untrained_baselines(pairs), **(fitted_baselines or {})}
    thresholds = None if calibration_p_hard is None else decile_thresholds(calibration_p_hard)
    curves = _curves({"": scores, **rules}, pairs.delta, resamples, thresholds)
    mine = curves.pop("")

    def shown(metric: str, value: float | None, draws: Floats) -> Estimate:
        note = NO_GAP if value is None else None
        return estimate(metric, percentile_interval(value, draws, pairs.groups, confidence=confidence, note=note))

    def baseline(name: str, curve: _Curve) -> BaselineResult:
        gain = None if curve.apgr is None or mine.apgr is None else mine.apgr - curve.apgr
        return BaselineResult(
            apgr=shown("apgr", curve.apgr, curve.apgr_draws),
            cpt50=shown("cpt50", curve.cpt50, curve.cpt50_draws),
            cpt80=shown("cpt80", curve.cpt80, curve.cpt80_draws),
            apgr_gain=shown("apgr_gain", gain, mine.apgr_draws - curve.apgr_draws),
            frontier=frontier_points(rules[name], pairs),
        )

    literal = literal_band(decisions.scores.p_hard, pairs.delta)
    notes = [NO_GAP] if mine.apgr is None else []
    if point.why_always_flagship is not None:
        notes.append(f"the router sends everything to the flagship: {point.why_always_flagship}")
    return RouterEvaluation(
        n=len(pairs),
        groups=len(np.unique(pairs.groups)),
        small_quality=mean_score("small_quality", pairs.small, pairs.groups, confidence),
        flagship_quality=mean_score("flagship_quality", pairs.flagship, pairs.groups, confidence),
        apgr=shown("apgr", mine.apgr, mine.apgr_draws),
        cpt50=shown("cpt50", mine.cpt50, mine.cpt50_draws),
        cpt80=shown("cpt80", mine.cpt80, mine.cpt80_draws),
        apgr_fixed=None if thresholds is None else shown("apgr_fixed", mine.fixed, mine.fixed_draws),
        operating_point=point,
        operation=_operation(pairs, decisions, point, resamples, confidence),
        literal_band=LiteralBandResult(**asdict(literal)),
        calibration=calibration_result(decisions.scores.p_hard, pairs, resamples, confidence),
        frontier=frontier_points(scores, pairs),
        baselines={
            **{name: baseline(name, curve) for name, curve in curves.items()},
            "always_small": _constant_rule(pairs, pairs.small, pairs.small_usd, confidence),
            "always_flagship": _constant_rule(pairs, pairs.flagship, pairs.flagship_usd, confidence),
        },
        lengths=length_cells(pairs, scores, decisions.flagship, confidence),
        families=family_cells(pairs, scores, decisions.flagship, confidence),
        examples=_examples(pairs, decisions),
        notes=tuple(notes),
    )


def served_scores(decisions: Decisions) -> Floats:
    """The order in which the router as it runs gives prompts to the flagship: those unlike training always first."""
    p_hard = decisions.scores.p_hard
    return np.where(decisions.unlike | ~np.isfinite(p_hard), 2.0, np.nan_to_num(p_hard))


def frontier_points(scores: Floats, pairs: Pairs) -> tuple[FrontierPoint, ...]:
    """Quality and cost at equally spaced shares of flagship calls, prompts of one score never torn apart."""
    order = np.argsort(-scores, kind="stable")
    ends = np.flatnonzero(np.r_[np.diff(scores[order]) < 0, True]) + 1
    wanted = np.searchsorted(ends, np.linspace(0, len(pairs), CURVE_POINTS + 1)[1:])
    counts = np.unique(np.r_[0, ends[wanted]])

    def means(small: Floats, flagship: Floats) -> Floats:
        return np.asarray((small.sum() + np.r_[0.0, np.cumsum((flagship - small)[order])][counts]) / len(pairs))

    quality = means(pairs.small, pairs.flagship)
    usd: list[float] | list[None] = [None] * counts.size
    if pairs.small_usd is not None and pairs.flagship_usd is not None:
        usd = means(pairs.small_usd, pairs.flagship_usd).tolist()
    shares = (counts / len(pairs)).tolist()
    return tuple(
        FrontierPoint(flagship_share=share, quality=score, usd=cost)
        for share, score, cost in zip(shares, quality.tolist(), usd, strict=True)
    )


@dataclass(frozen=True, eq=False)
class _Curve:
    """RouteLLM's metrics of one rule, with their bootstrap draws."""

    apgr: float | None
    cpt50: float | None
    cpt80: float | None
    fixed: float | None
    apgr_draws: Floats
    cpt50_draws: Floats
    cpt80_draws: Floats
    fixed_draws: Floats


def _curves(
    rules: Mapping[str, Floats], delta: Floats, resamples: Resamples, thresholds: Floats | None
) -> dict[str, _Curve]:
    """All rules on the same resamples, drawn once."""
    rankings = {name: Ranking(scores, delta) for name, scores in rules.items()}
    draws: dict[str, list[tuple[Floats, ...]]] = {name: [] for name in rules}
    for times in resamples.chunks():
        for name, ranking in rankings.items():
            curve = ranking.deciles(times)
            # Thresholds fixed on the router's own scale mean nothing on another rule's.
            fixed = ranking.fixed(thresholds, times) if thresholds is not None and not name else curve
            draws[name].append((curve.apgr, curve.cpt(0.5), curve.cpt(0.8), fixed.apgr))
    found = {}
    for name, ranking in rankings.items():
        here = ranking.deciles()
        held = ranking.fixed(thresholds) if thresholds is not None and not name else here
        drawn = [np.concatenate(parts) for parts in zip(*draws[name], strict=True)]
        found[name] = _Curve(number(here.apgr), number(here.cpt(0.5)), number(here.cpt(0.8)), number(held.apgr), *drawn)
    return found


def _operation(
    pairs: Pairs, decisions: Decisions, point: OperatingPoint, resamples: Resamples, confidence: float
) -> Operation:
    flagship = decisions.flagship
    given_up = np.where(flagship, 0.0, pairs.delta)
    usd = usd_ratio = None
    if pairs.small_usd is not None and pairs.flagship_usd is not None:
        spent = np.where(flagship, pairs.flagship_usd, pairs.small_usd)
        usd, usd_ratio = _costs(spent, pairs.flagship_usd, pairs, confidence)
    upper = loss_estimate(given_up, pairs.groups, point.confidence, side="upper")
    return Operation(
        quality=mean_score("quality", np.where(flagship, pairs.flagship, pairs.small), pairs.groups, confidence),
        loss=loss_estimate(given_up, pairs.groups, confidence),
        loss_bound=upper,
        max_loss=point.max_loss,
        bound=_bound(upper, loss_estimate(given_up, pairs.groups, point.confidence, side="lower"), point.max_loss),
        gap_recovered=_gap_recovered(given_up, pairs, resamples, confidence),
        flagship_share=mean_score("flagship_share", flagship, pairs.groups, confidence),
        band_share=mean_score("band_share", decisions.band, pairs.groups, confidence),
        unlike_share=mean_score("unlike_share", decisions.unlike, pairs.groups, confidence),
        usd=usd,
        usd_ratio=usd_ratio,
    )


def _bound(upper: Estimate, lower: Estimate, max_loss: float) -> Literal["holds", "exceeded", "open"]:
    if upper.high is not None and upper.high <= max_loss:
        return "holds"
    return "exceeded" if lower.low is not None and lower.low > max_loss else "open"


def _costs(spent: Floats, flagship: Floats, pairs: Pairs, confidence: float) -> tuple[Estimate, Estimate]:
    """Mean cost per prompt, and its ratio to always asking the flagship."""
    ones = np.ones(len(pairs))
    mean = clustered_mean_interval(spent, pairs.groups, confidence=confidence)
    ratio = log_ratio_interval(spent, ones, flagship, ones, clusters=pairs.groups, confidence=confidence)
    return estimate("usd", mean, unit="USD"), estimate("usd_ratio", ratio)


def _gap_recovered(given_up: Floats, pairs: Pairs, resamples: Resamples, confidence: float) -> Estimate:
    draws = []
    for times in resamples.chunks():
        gaps = times @ pairs.delta
        draws.append(1 - times @ given_up / np.where(gaps > 1e-9, gaps, np.nan))
    gap = float(pairs.delta.sum())
    value = 1 - float(given_up.sum()) / gap if gap > 1e-9 else None
    interval = percentile_interval(
        value,
        np.concatenate(draws),
        pairs.groups,
        confidence=confidence,
        note=NO_GAP if value is None else None,
    )
    return estimate("gap_recovered", interval)


def _examples(pairs: Pairs, decisions: Decisions) -> tuple[Example, ...]:
    p_hard, lost = decisions.scores.p_hard, np.where(decisions.flagship, 0.0, pairs.delta)
    worst = [row for row in np.lexsort((p_hard, -lost)).tolist() if lost[row] > 0][:EXAMPLES]
    return tuple(
        Example(
            id=pairs.ids[row],
            text=pairs.prompts[row][:EXCERPT],
            family=None if pairs.families is None else pairs.families[row],
            p_hard=float(p_hard[row]),
            small=float(pairs.small[row]),
            flagship=float(pairs.flagship[row]),
        )
        for row in worst
    )


def _constant_rule(pairs: Pairs, scores: Floats, usd: Floats | None, confidence: float) -> BaselineResult:
    """A rule that asks one model everything."""
    return BaselineResult(
        quality=mean_score("quality", scores, pairs.groups, confidence), usd=None if usd is None else float(usd.mean())
    )
