"""Decisions are safe where a number is in doubt."""

from __future__ import annotations

import numpy as np
import pytest

from router_training.deciding import Scores, decide
from router_training.records import OperatingPoint

POINT = OperatingPoint(
    threshold=0.3,
    band_high=0.5,
    max_loss=0.02,
    confidence=0.95,
    loss=0.01,
    loss_high=0.02,
    flagship_share=0.5,
    n=100,
    method="made up",
)


@pytest.mark.parametrize(
    ("p_hard", "distance", "unlike", "reason"),
    [
        (0.29, 0.1, False, "easy"),
        (0.3, 0.1, False, "band"),
        (0.5, 0.1, False, "hard"),
        (0.1, 0.1, True, "unlike training"),
        (np.nan, 0.1, False, "unlike training"),
        (0.1, np.nan, False, "unlike training"),
        (-np.inf, 0.1, False, "unlike training"),
    ],
)
def test_only_a_sound_number_below_the_threshold_means_the_small_model(
    p_hard: float, distance: float, unlike: bool, reason: str
) -> None:
    numbers = np.zeros(1)
    decisions = decide(
        POINT, Scores(numbers, numbers, np.array([p_hard]), numbers), np.array([distance]), np.array([unlike])
    )
    assert decisions.reasons == (reason,)
    assert decisions.routes()[0].model == ("small" if reason == "easy" else "flagship")


@pytest.mark.parametrize("prediction", [-np.inf, np.inf, np.nan])
def test_a_prediction_that_is_not_finite_is_no_reason_for_the_small_model(prediction: float) -> None:
    numbers = np.zeros(1)
    scores = Scores(np.array([prediction]), numbers, np.array([0.01]), numbers)
    assert decide(POINT, scores, numbers, np.array([False])).reasons == ("unlike training",)
