"""False alarms under endless looking, by simulation: no test rings more often than it states."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import binom

from router_training.heads.head import Floats, Matrix
from router_training.novelty import clusters, unit_length
from router_training.records import OperatingPoint
from router_training.reference import Reference
from router_training.shadow.drift import QUESTIONS, DriftTests
from router_training.shadow.quality import LARGE_SHARE, Labelled, QualityTests, days_of, sequences_of

STREAMS, LENGTH = 150, 400
ALPHA = 0.1


def point(threshold: float = 0.3, band_high: float = 0.4) -> OperatingPoint:
    return OperatingPoint(
        threshold=threshold,
        band_high=band_high,
        max_loss=0.02,
        confidence=0.95,
        loss=0.01,
        loss_high=0.02,
        flagship_share=0.4,
        n=500,
        method="simulated",
    )


def most_rings(alpha: float, streams: int = STREAMS) -> int:
    """More rings than this have a chance below 1 in 1000 for a test that rings with probability alpha."""
    return int(binom.ppf(0.999, streams, alpha))


class World:
    """Prompts in clumps on a sphere, with a P(hard) each."""

    def __init__(self, seed: int, *, clumps: int = 12, dimensions: int = 24) -> None:
        rng = np.random.default_rng(seed)
        self._rng = rng
        self._means = unit_length(rng.normal(size=(clumps, dimensions)))
        self._shares = rng.dirichlet(np.full(clumps, 2.0))
        self.centres = clusters(self.draw(600)[0], seed=seed)

    def draw(self, n: int) -> tuple[Matrix, Floats]:
        clump = self._rng.choice(len(self._shares), size=n, p=self._shares)
        spread = self._rng.normal(size=(n, self._means.shape[1])) * 0.15
        return unit_length(self._means[clump] + spread), self._rng.beta(2, 4, n)

    def family(self, n: int) -> Matrix:
        """Prompts of one kind that the world does not hold, though it is not far from what it holds."""
        near = unit_length(self._means[:1] + 0.5 * self._means[1:2])
        return unit_length(near + self._rng.normal(size=(n, self._means.shape[1])) * 0.05)


def stream(tests: DriftTests, embeddings: Matrix, p_hard: Floats, rng: np.random.Generator) -> None:
    scores = tests.scores(embeddings, p_hard)
    for row in range(len(embeddings)):
        tests.observe({name: scores.of(name)[row] for name in QUESTIONS}, {name: rng.random() for name in QUESTIONS})


@pytest.mark.slow
@pytest.mark.parametrize("size", [60, 400])
def test_drift_rings_without_drift_no_more_often_than_stated(size: int) -> None:
    rang = dict.fromkeys(QUESTIONS, 0)
    for seed in range(STREAMS):
        world, rng = World(seed), np.random.default_rng(1000 + seed)
        tests = DriftTests(world.centres, Reference(*world.draw(size)), point(), alpha=ALPHA)
        stream(tests, *world.draw(LENGTH), rng)
        for name in QUESTIONS:
            rang[name] += tests.rang_at(name) is not None
    assert rang["composition"] <= most_rings(ALPHA / 2)
    assert rang["novelty"] <= most_rings(ALPHA / 2)
    assert rang["band"] <= most_rings(ALPHA)


def test_a_new_family_is_found_within_a_few_dozen_of_its_requests() -> None:
    delays = []
    for seed in range(20):
        world, rng = World(seed), np.random.default_rng(seed)
        tests = DriftTests(world.centres, Reference(*world.draw(400)), point(), alpha=0.01)
        stream(tests, *world.draw(500), rng)
        assert tests.rang_at("composition") is None
        embeddings, p_hard = world.draw(400)
        new = rng.random(400) < 0.2
        embeddings[new] = world.family(int(new.sum()))
        stream(tests, embeddings, p_hard, rng)
        rang_at = tests.rang_at("composition")
        delays.append(np.inf if rang_at is None else int(new[: rang_at - 500].sum()))
    assert np.median(delays) <= 30
    assert max(delays) < np.inf


def test_a_band_twice_as_full_is_noticed() -> None:
    world, rng = World(1), np.random.default_rng(1)
    embeddings, p_hard = world.draw(1400)
    tests = DriftTests(world.centres, Reference(embeddings[:400], p_hard[:400]), point(), alpha=0.01)
    moved = p_hard[400:].copy()
    moved[rng.random(moved.size) < 0.3] = 0.35
    stream(tests, embeddings[400:], moved, rng)
    assert tests.rang_at("band") is not None
    assert tests.rang_at("composition") is None


def test_the_onset_is_told() -> None:
    world, rng = World(3), np.random.default_rng(3)
    tests = DriftTests(world.centres, Reference(*world.draw(400)), point(), alpha=0.01)
    embeddings, p_hard = world.draw(900)
    new = (np.arange(900) >= 600) & (rng.random(900) < 0.3)
    embeddings[new] = world.family(int(new.sum()))
    scores = tests.scores(embeddings, p_hard)
    seen = [
        tests.observe({name: scores.of(name)[row] for name in QUESTIONS}, {name: rng.random() for name in QUESTIONS})
        for row in range(900)
    ]
    rang_at = tests.rang_at("composition")
    assert rang_at is not None
    began = tests.onset("composition", np.array([one["composition"].p for one in seen[:rang_at]]))
    assert 560 <= began <= rang_at


def deltas(rng: np.random.Generator, n: int, large: float, gain: float) -> Floats:
    """Deltas of 0, 1 and -1: a share ``large`` of 1, with a mean of ``gain``."""
    worse = large - gain
    return rng.choice([1.0, -1.0, 0.0], size=n, p=[large, worse, 1 - large - worse])


@pytest.mark.slow
def test_quality_rings_at_its_limits_no_more_often_than_stated() -> None:
    """At the limits themselves, with unequal sampling probabilities and a flagship that takes 40 % of the requests."""
    rang = {"loss": 0, "large": 0}
    for seed in range(STREAMS):
        rng = np.random.default_rng(seed)
        tests = QualityTests(0.06, least_probability=0.3, alpha=ALPHA)
        small = rng.random(2 * LENGTH) < 0.6
        delta = deltas(rng, 2 * LENGTH, LARGE_SHARE, 0.1)
        for number in range(2 * LENGTH):
            if not small[number]:
                tests.flagship()
                continue
            probability = 0.3 if number % 3 else 0.9
            if rng.random() < probability:
                tests.replayed(float(delta[number]), probability)
        rang["loss"] += tests.loss.wager.rang_at is not None
        rang["large"] += tests.large.wager.rang_at is not None
    assert rang["loss"] <= most_rings(ALPHA)
    assert rang["large"] <= most_rings(ALPHA)


def labels(rng: np.random.Generator, delta: Floats, per_day: int, probability: Floats) -> list[Labelled]:
    return [
        Labelled(k + 1, k / per_day * 86_400.0, float(delta[k]), float(probability[k]))
        for k in range(delta.size)
        if rng.random() < probability[k]
    ]


@pytest.mark.slow
def test_all_days_together_raise_a_false_alert_no_more_often_than_stated() -> None:
    rang = plain = 0
    for seed in range(STREAMS):
        rng = np.random.default_rng(seed)
        delta = deltas(rng, 600, LARGE_SHARE, 0.1)
        days = days_of(labels(rng, delta, 60, np.full(600, 0.5)), least_probability=0.5, alpha=ALPHA)
        rang += any(day.proved_by is not None for day in days)
        plain += any(day.exceeds for day in days)
    assert rang <= most_rings(ALPHA)
    assert plain > STREAMS / 2  # why the plain quartile of a day is no alert


def test_a_day_on_which_most_differences_are_large_is_an_alert() -> None:
    rng = np.random.default_rng(0)
    delta = np.r_[deltas(rng, 200, 0.1, 0.05), deltas(rng, 200, 0.6, 0.5)]
    days = days_of(labels(rng, delta, 100, np.full(400, 0.5)), least_probability=0.5, alpha=0.01)
    assert [day.proved_by is not None for day in days] == [False, False, True, True]
    assert [day.exceeds for day in days] == [False, False, True, True]


@pytest.mark.slow
def test_weighted_sequences_cover_the_mean_over_all_small_routed_requests() -> None:
    """Requests with large differences are sampled three times as often; unweighted, the mean would be far off."""
    missed = 0
    for seed in range(STREAMS):
        rng = np.random.default_rng(seed)
        delta = deltas(rng, 400, 0.2, 0.1)
        found = sequences_of(
            labels(rng, delta, 100, np.where(delta > 0, 0.9, 0.3)), least_probability=0.3, confidence=1 - ALPHA
        )
        assert found is not None
        assert found.mean_delta.low is not None
        assert found.mean_delta.high is not None
        missed += not found.mean_delta.low <= 0.1 <= found.mean_delta.high
    assert missed <= most_rings(ALPHA)
