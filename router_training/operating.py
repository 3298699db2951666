"""The operating point: how far the small model may be used before too much quality is at stake.

The quality given up on a prompt is flagship's score minus the small model's where the small model answers, and 0 where
the flagship does. Thresholds on P(hard) are tested from the safe end, each with the very test by which the gate would
compare the router with "always flagship" (paired non-inferiority with margin ``max_loss``, one-sided), and the first
that is not proven ends it. Testing in a fixed sequence costs no level: the chance that a threshold is certified whose
true loss exceeds ``max_loss`` is at most 1 - confidence, however many are tried (Angelopoulos, Bates, Candes, Jordan
and Lei, Learn then Test, Annals of Applied Statistics 19 (2025), arXiv 2110.01052, section 2.3).

That holds for prompts the head was not fitted on. The calibration curve may be fitted on them: it is strictly
increasing, so the sequence of routers that is tested does not depend on it.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import takewhile

import numpy as np

from evalharness.statistics import betting_p_value
from evalharness.statistics.clustered import ClusteredDifference
from golden_sets.errors import InputError
from router_training.pairs import Codes, Floats, Mask
from router_training.records import OperatingPoint

STEPS = 50
"""Thresholds tested, each letting through an equal share of the calibration prompts more than the one before."""
LITERAL_BAND = (0.40, 0.60)
"""The usual recipe: small model below, flagship above, uncertain between; on P(hard) as it is."""


def choose_operating_point(
    p_hard: Floats,
    delta: Floats,
    groups: Codes,
    *,
    small_usd: Floats | None = None,
    flagship_usd: Floats | None = None,
    eligible: Mask | None = None,
    max_loss: float = 0.02,
    confidence: float = 0.95,
) -> OperatingPoint:
    """The threshold of least cost among those whose loss is proven to be at most ``max_loss``.

    Without prices the least cost is the least share of calls to the flagship. Where nothing can be proven, or the
    flagship is no better, the threshold is 0, everything goes to the flagship, and the record says why.

    Args:
        p_hard: calibrated probability of each calibration prompt, shape (n,).
        delta: flagship's score minus the small model's, in [-1, 1], shape (n,).
        groups: of the prompts: the independent units, shape (n,).
        small_usd: cost of the small model's answers, shape (n,).
        flagship_usd: cost of the flagship's answers, shape (n,).
        eligible: prompts that may go to the small model at all (not unlike training); None: all.
        max_loss: most mean quality that may be given up, in (0, 1).
        confidence: of the bound.

    Raises:
        InputError: empty or of different lengths, or a limit or confidence outside (0, 1).
    """
    for name, value in (("max_loss", max_loss), ("confidence", confidence)):
        if not 0 < value < 1:
            raise InputError(f"{name} must lie strictly between 0 and 1, got {value}", do="write 2 points as 0.02")
    may = np.ones(p_hard.shape, dtype=np.bool_) if eligible is None else eligible
    if p_hard.size == 0 or not p_hard.shape == delta.shape == groups.shape == may.shape:
        raise InputError("P(hard), deltas and groups of the calibration prompts must be one number per prompt")
    steps = [_Step.at(t, p_hard, delta, may, small_usd, flagship_usd) for t in _thresholds(p_hard[may])]
    alpha = 1 - confidence
    reason = _nothing_to_route(delta, groups, max_loss, alpha)
    proven = [] if reason else list(takewhile(lambda s: _proven(s.losses, groups, max_loss, alpha), steps))
    if not proven and reason is None:
        reason = (
            f"no threshold is safe: letting even {_percent(steps[0].small)} of the prompts go to the small model, the "
            f"loss may exceed {max_loss:g}"
            if steps
            else "every calibration prompt is unlike training"
        )
    always_flagship = _Step.at(0.0, p_hard, delta, may, small_usd, flagship_usd)
    chosen = min([always_flagship, *proven], key=lambda s: (s.cost, -s.threshold))
    if proven and chosen is always_flagship:
        reason = "the small model's answers cost no less than the flagship's"
    # The last one, proven with all before it, may be held to tighter limits in turn: still one fixed sequence. Of a
    # threshold that its cost singled out of the others, only the limit itself is proven.
    is_last = bool(proven) and chosen is steps[-1]
    proven_loss = _upper_bound(chosen.losses, groups, max_loss, confidence) if is_last else max_loss
    return OperatingPoint(
        threshold=chosen.threshold,
        band_high=_band_high(steps, chosen.threshold, max_loss),
        max_loss=max_loss,
        confidence=confidence,
        loss=float(chosen.losses.mean()),
        loss_high=proven_loss if reason is None else 0.0,
        flagship_share=1 - chosen.small,
        n=p_hard.size,
        method="fixed sequence of paired non-inferiority tests",
        why_always_flagship=reason,
    )


@dataclass(frozen=True, slots=True)
class LiteralBand:
    """What a band on the plain P(hard) does with these prompts."""

    low: float
    """Small model below."""
    high: float
    """Flagship above; between them the flagship, too, as uncertain."""
    small_share: float
    """Share of prompts below the band."""
    band_share: float
    """Share inside it."""
    flagship_share: float
    """Share that the flagship answers: inside the band and above."""
    loss: float
    """Mean quality given up against always asking the flagship."""


def literal_band(p_hard: Floats, delta: Floats, band: tuple[float, float] = LITERAL_BAND) -> LiteralBand:
    """The usual recipe, for comparison: small model below the band, flagship inside it and above."""
    low, high = band
    small = p_hard < low
    inside = ~small & (p_hard <= high)
    return LiteralBand(
        low, high, float(small.mean()), float(inside.mean()), float(1 - small.mean()), float((small * delta).mean())
    )


@dataclass(frozen=True, eq=False)
class _Step:
    threshold: float
    losses: Floats
    """Quality given up on each prompt, shape (n,)."""
    small: float
    """Share of prompts that the small model answers."""
    cost: float
    """Mean cost per prompt: USD, or calls to the flagship where there are no prices."""

    @classmethod
    def at(
        cls, threshold: float, p_hard: Floats, delta: Floats, may: Mask, small: Floats | None, flagship: Floats | None
    ) -> _Step:
        to_small = (p_hard < threshold) & may
        share = float(to_small.mean())
        cost = 1 - share
        if small is not None and flagship is not None:
            cost = float(np.where(to_small, small, flagship).mean())
        return cls(threshold, np.where(to_small, delta, 0.0), share, cost)


def _thresholds(p_hard: Floats) -> list[float]:
    """Between the distinct values of P(hard), so that each lets through about one step more; the last one all."""
    if not p_hard.size:
        return []
    ranked = np.sort(p_hard)
    ends = np.unique(np.searchsorted(ranked, np.quantile(ranked, np.arange(1, STEPS + 1) / STEPS), side="right"))
    inner = ends[ends < ranked.size]
    return [*((ranked[inner - 1] + ranked[inner]) / 2).tolist(), 1.0]


def _proven(losses: Floats, groups: Codes, max_loss: float, alpha: float) -> bool:
    """Whether the mean loss is shown to be below the limit."""
    paired = ClusteredDifference.of(losses, groups)
    # Right-or-wrong scores: exact where few prompts decide. Graded ones rest on their variance, which knows nothing of
    # a rare large loss that was not drawn; a bet on the bounded mean does.
    if not paired.whole and betting_p_value(losses, max_loss, groups, low=-1.0, high=1.0, alpha=alpha) > alpha:
        return False
    return paired.clears(max_loss, confidence=1 - alpha, above=False)


def _upper_bound(losses: Floats, groups: Codes, max_loss: float, confidence: float) -> float:
    """Upper bound of the mean loss by the same tests, to 1e-4, between the mean and ``max_loss``."""
    low, high = min(float(losses.mean()), max_loss), max_loss
    while high - low > 1e-4:
        middle = (low + high) / 2
        low, high = (low, middle) if _proven(losses, groups, middle, 1 - confidence) else (middle, high)
    return high


def _nothing_to_route(delta: Floats, groups: Codes, max_loss: float, alpha: float) -> str | None:
    """Why no threshold is worth testing; None where some are."""
    if delta.mean() <= 0:
        return (
            f"the flagship is no better than the small model on the {delta.size} calibration prompts (mean difference "
            f"{delta.mean():+.3f}): check the labels, or serve the small model alone"
        )
    if not _proven(np.zeros(delta.shape), groups, max_loss, alpha):
        return (
            f"{delta.size} calibration prompts in {np.unique(groups).size} groups cannot prove a loss of at most "
            f"{max_loss:g} even if none occurs: label more prompts"
        )
    return None


def _band_high(steps: list[_Step], threshold: float, max_loss: float) -> float:
    """The highest threshold up to which the point estimate stays within the limit."""
    allowed = list(takewhile(lambda s: s.threshold <= threshold or s.losses.mean() <= max_loss, steps))
    return max(threshold, allowed[-1].threshold) if allowed else threshold


def _percent(share: float) -> str:
    return f"{100 * share:.1f} %"
