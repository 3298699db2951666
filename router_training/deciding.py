"""From a head's prediction to a decision: calibrated, held against the operating point, safe where in doubt."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from router_training.heads.head import Floats, Head, Matrix
from router_training.pairs import Mask
from router_training.records import Model, OperatingPoint, Reason, Route


@dataclass(frozen=True, eq=False)
class Scores:
    """What the head says of prompts; arrays of shape (n,)."""

    prediction: Floats
    """The head's own number, not calibrated."""
    spread: Floats
    """Uncertainty, in units of delta."""
    p_hard: Floats
    """Calibrated probability that the prompt is hard."""
    delta: Floats
    """Calibrated expected delta."""


@dataclass(frozen=True, eq=False)
class Decisions:
    """Where prompts go, and why; arrays of shape (n,)."""

    scores: Scores
    """What the head says of them."""
    distance: Floats
    """Cosine distance to the nearest training cluster."""
    reasons: tuple[Reason, ...]
    """Why each goes where it goes."""

    @property
    def flagship(self) -> Mask:
        """True where the flagship answers."""
        return np.array([reason != "easy" for reason in self.reasons], dtype=np.bool_)

    @property
    def band(self) -> Mask:
        """True where the uncertainty band decided."""
        return np.array([reason == "band" for reason in self.reasons], dtype=np.bool_)

    @property
    def unlike(self) -> Mask:
        """True where the prompt is unlike training."""
        return np.array([reason == "unlike training" for reason in self.reasons], dtype=np.bool_)

    def routes(self) -> list[Route]:
        """One record a prompt."""
        return [
            Route(
                model=_model(reason),
                reason=reason,
                p_hard=float(self.scores.p_hard[row]),
                expected_delta=float(self.scores.delta[row]),
                uncertainty=float(self.scores.spread[row]),
                novelty=float(self.distance[row]),
            )
            for row, reason in enumerate(self.reasons)
        ]


def predictions(head: Head, features: Matrix) -> tuple[Floats, Floats]:
    """Prediction and spread of every prompt, shapes (n,): each computed alone, so that no neighbour changes it."""
    rows = [features[row : row + 1] for row in range(len(features))]
    predicted = np.array([head.predict(row)[0] for row in rows], dtype=np.float64)
    return predicted, np.array([head.spread(row)[0] for row in rows], dtype=np.float64)


def decide(point: OperatingPoint, scores: Scores, distance: Floats, unlike: Mask) -> Decisions:
    """Where prompts go: to the small model below the threshold, if they are like training; else to the flagship.

    A number that is not finite counts as unlike training.
    """
    if point.why_always_flagship is not None:
        always: Reason = "always flagship"
        return Decisions(scores, distance, (always,) * len(distance))
    sound = np.isfinite(scores.prediction) & np.isfinite(scores.p_hard) & np.isfinite(distance)
    strange = unlike | ~sound  # an infinite prediction has the p_hard of the curve's end, which looks sound
    return Decisions(
        scores,
        distance,
        tuple(_reason(point, p, odd) for p, odd in zip(scores.p_hard.tolist(), strange.tolist(), strict=True)),
    )


def _reason(point: OperatingPoint, p_hard: float, strange: bool) -> Reason:
    if strange:
        return "unlike training"
    if p_hard < point.threshold:
        return "easy"
    return "band" if p_hard < point.band_high else "hard"


def _model(reason: Reason) -> Model:
    return "small" if reason == "easy" else "flagship"
