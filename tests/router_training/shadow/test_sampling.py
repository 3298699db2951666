"""Which requests are replayed: by their ids, at the stated probability."""

from __future__ import annotations

import numpy as np
from scipy.stats import binom, kstest

from router_training.shadow.sampling import is_sampled, uniform

IDS = [f"request-{k}" for k in range(5000)]


def test_numbers_are_uniform_and_depend_on_id_seed_and_purpose() -> None:
    one, other = (np.array([uniform(seed, "sample", name) for name in IDS]) for seed in (0, 1))
    tie = np.array([uniform(0, "tie", name) for name in IDS])
    assert kstest(one, "uniform").pvalue > 0.001
    assert abs(np.corrcoef(one, other)[0, 1]) < 0.06
    assert abs(np.corrcoef(one, tie)[0, 1]) < 0.06
    assert [uniform(0, "sample", name) for name in IDS] == one.tolist()


def test_the_share_is_the_probability() -> None:
    drawn = sum(is_sampled(3, name, 0.05) for name in IDS)
    assert binom.ppf(0.0005, len(IDS), 0.05) <= drawn <= binom.ppf(0.9995, len(IDS), 0.05)


def test_a_larger_share_contains_a_smaller_one() -> None:
    assert all(is_sampled(0, name, 0.2) for name in IDS if is_sampled(0, name, 0.05))
    assert all(is_sampled(0, name, 1.0) for name in IDS)
