"""The sample that traffic is compared with."""

from __future__ import annotations

import numpy as np
import pytest

from golden_sets.errors import InputError
from router_training.calibrating import calibrated, fit_p_hard
from router_training.reference import MOST, Reference
from router_training.router_files import to_bytes


def test_a_stored_reference_stands_on_the_same_side_of_any_threshold() -> None:
    """Where the calibration is all but flat, P(hard) of different prompts agree in their first seven digits."""
    from safetensors.numpy import load

    rng = np.random.default_rng(0)
    x = rng.normal(size=1000)
    hard = rng.random(1000) < np.where(x < -1, 0.02, np.where(x < 1, 0.2, 0.8))
    p_hard = calibrated(fit_p_hard(x, hard, np.arange(1000)), x)
    told = Reference(np.zeros((1000, 2), dtype=np.float32), p_hard).tensors()
    stored = Reference.from_tensors(load(to_bytes(told))).p_hard
    ranked = np.sort(p_hard)
    thresholds = (ranked[1:] + ranked[:-1]) / 2
    assert ((stored[:, None] < thresholds) == (p_hard[:, None] < thresholds)).all()


def test_a_large_sample_is_drawn_from() -> None:
    p_hard = np.linspace(0, 1, MOST + 500)
    found = Reference.sampled(np.ones((MOST + 500, 2), dtype=np.float32), p_hard, seed=1)
    assert len(found) == MOST
    assert np.isin(found.p_hard, p_hard).all()
    assert found.p_hard.mean() == pytest.approx(0.5, abs=0.02)


def test_what_does_not_belong_together_is_refused() -> None:
    with pytest.raises(InputError, match="different lengths"):
        Reference(np.ones((2, 2), dtype=np.float32), np.ones(3))
    with pytest.raises(InputError, match="not finite"):
        Reference(np.ones((2, 2), dtype=np.float32), np.array([0.5, np.nan]))
    with pytest.raises(InputError, match="no tensor 'reference_p_hard'"):
        Reference.from_tensors({"reference": np.ones((2, 2), dtype=np.float32)})
