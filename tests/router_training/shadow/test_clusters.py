"""What is new: found where there is something, and nothing where there is nothing."""

from __future__ import annotations

import numpy as np
from scipy.stats import binom

from router_training.heads.head import Matrix
from router_training.novelty import unit_length
from router_training.shadow.clusters import EXAMPLES, Seen, new_clusters

DIMENSIONS = 24


def clumps(rng: np.random.Generator, n: int, means: Matrix) -> Matrix:
    return unit_length(means[rng.integers(len(means), size=n)] + 0.1 * rng.normal(size=(n, DIMENSIONS)))


def seen(n: int, new: set[int] | None = None) -> list[Seen]:
    return [Seen(f"r{k}", f"prompt {k}", "new" if new and k in new else "old", k % 2 == 0) for k in range(n)]


def test_a_new_kind_is_told_with_its_share_and_examples_of_it() -> None:
    rng = np.random.default_rng(0)
    means = unit_length(rng.normal(size=(9, DIMENSIONS)))
    reference, window = clumps(rng, 400, means[:8]), clumps(rng, 200, means[:8])
    new = set(range(0, 200, 8))
    window[sorted(new)] = clumps(rng, len(new), means[8:])
    (found,) = new_clusters(reference, window, seen(200, new), seed=0)
    assert found.requests == len(new)
    assert found.share == len(new) / 200
    assert found.reference_share == 0
    assert found.families == {"new": len(new)}
    assert found.p_value < 0.001
    assert found.ratio_low > 2
    assert len(found.examples) == EXAMPLES
    assert set(found.examples) <= {f"r{k}" for k in new}
    assert found.prompts[0] == f"prompt {found.examples[0][1:]}"


def test_traffic_like_the_reference_holds_nothing_new() -> None:
    told = 0
    for seed in range(100):
        rng = np.random.default_rng(seed)
        means = unit_length(rng.normal(size=(8, DIMENSIONS)))
        told += bool(new_clusters(clumps(rng, 300, means), clumps(rng, 150, means), seen(150), seed=seed))
    assert told <= binom.ppf(0.999, 100, 0.05)


def test_equal_prompts_are_one_example() -> None:
    rng = np.random.default_rng(0)
    means = unit_length(rng.normal(size=(5, DIMENSIONS)))
    window = np.concatenate([clumps(rng, 60, means[:4]), np.repeat(means[4:], 20, axis=0)])
    requests = [*seen(60), *(Seen(f"same{k}", "the same", None, False) for k in range(20))]
    (found,) = new_clusters(clumps(rng, 200, means[:4]), window, requests, seed=0)
    assert found.requests == 20
    assert found.prompts == ("the same",)
    assert found.examples == ("same0",)


def test_a_handful_of_requests_is_no_cluster() -> None:
    rng = np.random.default_rng(0)
    means = unit_length(rng.normal(size=(4, DIMENSIONS)))
    assert new_clusters(clumps(rng, 100, means), clumps(rng, 3, means), seen(3), seed=0) == ()
