"""Choosing features and head: on prompts that were not fitted on, by group, the simplest within noise."""

from __future__ import annotations

import json

import numpy as np
import pytest

from golden_sets.errors import InputError
from router_training.choosing import FEATURE_SETS, GRID, Choice, Trial, choose_head, grouped_folds, simplest
from router_training.comparing import order_gain
from router_training.features import features
from router_training.heads.head import Floats, Matrix
from router_training.pairs import Codes, Pairs
from tests.support.labelled_pairs import drawn, pairs_of


def trial(name: str, predicted: Floats, delta: Floats) -> Trial:
    return Trial(name, (), (), predicted, *order_gain(predicted, delta))


def by_hundreds(n: int) -> tuple[str, ...]:
    """Prompts of very different lengths that say nothing else."""
    return tuple("word " * (1 + 40 * (row % 2)) + str(row % 7) for row in range(n))


@pytest.fixture(scope="module")
def linear() -> tuple[Matrix, Pairs, Choice]:
    def small(x: Matrix) -> Floats:
        return np.asarray(x[:, :8].sum(axis=1), dtype=np.float64)

    vectors, pairs = drawn(600, 48, small, lambda x: np.full(len(x), 3.0), seed=1)
    return vectors, pairs, choose_head(pairs, vectors, seed=2)


def test_the_chosen_head_orders_new_prompts(linear: tuple[Matrix, Pairs, Choice]) -> None:
    _, _, choice = linear
    new = np.random.default_rng(3).normal(size=(300, 48)).astype(np.float32)
    predicted = choice.head.predict(features([f"prompt {row}" for row in range(300)], new, choice.features))
    truth = -new[:, :8].sum(axis=1).astype(np.float64)
    gain, best = (order_gain(order, truth)[0] for order in (predicted, truth))
    assert gain > 0.9 * best


def test_a_linear_truth_gets_a_simple_head_without_cheap_features(linear: tuple[Matrix, Pairs, Choice]) -> None:
    _, _, choice = linear
    assert choice.features == ()
    assert choice.chosen.name in ("ridge", "logistic", "scores")


def test_every_candidate_is_recorded_with_its_result(linear: tuple[Matrix, Pairs, Choice]) -> None:
    _, pairs, choice = linear
    told = json.loads(json.dumps(choice.to_json(), allow_nan=False))
    assert told["prompts"] == len(pairs)
    assert told["folds"] == 5
    heads = [tried["head"] for tried in told["tried"]]
    assert len(told["tried"]) == len(FEATURE_SETS) + sum(map(len, GRID.values())) + 2
    assert set(heads) > set(GRID)
    assert told["chosen"] in told["tried"]
    assert told["best"]["apgr"] == max(tried["apgr"] for tried in told["tried"])
    assert told["best"]["apgr"] - told["chosen"]["apgr"] <= told["standard_error_of_the_difference"] + 1e-9


def test_held_out_predictions_do_not_know_their_own_label(linear: tuple[Matrix, Pairs, Choice]) -> None:
    vectors, pairs, choice = linear
    flipped = pairs.small.copy()
    flipped[0] = 1 - flipped[0]
    again = choose_head(pairs_of(flipped, pairs.flagship), vectors, seed=2)
    for one, other in zip(choice.trials, again.trials, strict=True):
        if one.features == other.features and one.members == other.members:
            assert one.predicted[0] == other.predicted[0]
            assert (one.predicted != other.predicted).any()
    assert choice.trials[0].members == again.trials[0].members


def test_a_seed_repeats_and_progress_reaches_its_end(linear: tuple[Matrix, Pairs, Choice]) -> None:
    vectors, pairs, choice = linear
    told: list[tuple[int, int]] = []
    again = choose_head(pairs, vectors, seed=2, progress=lambda done, total: told.append((done, total)))
    assert again.to_json() == choice.to_json()
    assert np.array_equal(again.out_of_fold, choice.out_of_fold)
    assert told[0][0] == 1
    assert told[-1][0] == told[-1][1] == len(told)


def test_cheap_features_are_taken_where_they_help() -> None:
    prompts = by_hundreds(400)
    rng = np.random.default_rng(4)
    long = np.array([len(prompt) > 100 for prompt in prompts])
    small = (rng.random(400) < np.where(long, 0.2, 0.9)).astype(np.float64)
    vectors = rng.normal(size=(400, 6)).astype(np.float32)
    choice = choose_head(pairs_of(small, np.ones(400), prompts=prompts), vectors)
    assert choice.features
    truth = long.astype(np.float64)
    predicted = choice.head.predict(features(prompts, vectors, choice.features))
    assert order_gain(predicted, truth)[0] > 0.9 * order_gain(truth, truth)[0]


def test_copies_in_one_group_cannot_be_looked_up() -> None:
    rng = np.random.default_rng(5)
    groups = np.repeat(np.arange(80), 5)
    vectors = rng.normal(size=(80, 6)).astype(np.float32)[groups]
    small = (rng.random(80) < 0.5).astype(np.float64)[groups]
    grouped = choose_head(pairs_of(small, np.ones(400), groups=groups), vectors)
    loose = choose_head(pairs_of(small, np.ones(400)), vectors)
    delta = 1 - small
    assert order_gain(grouped.out_of_fold, delta)[0] < 0.04
    assert order_gain(loose.out_of_fold, delta)[0] > 0.07


def test_without_a_gap_apgr_is_null_and_a_head_is_chosen_all_the_same() -> None:
    vectors, pairs = drawn(60, 4, lambda x: np.full(len(x), 2.0), lambda x: np.asarray(x[:, 0], dtype=float), seed=6)
    told = choose_head(pairs, vectors, folds=3).to_json()
    assert isinstance(told["chosen"], dict)
    assert told["chosen"]["apgr"] is None
    assert told["standard_error_of_the_difference"] is None


def test_the_simplest_within_one_standard_error_of_the_best_is_taken() -> None:
    rng = np.random.default_rng(7)
    delta = rng.normal(size=2000)
    noise = rng.normal(size=2000)
    poor, good, alike = delta + 5 * noise, delta + noise, delta + 0.999 * noise
    trials = [trial("poor", poor, delta), trial("good", good, delta), trial("alike", alike, delta)]
    assert simplest(trials, np.arange(2000)).name == ("good" if trials[1].gain >= trials[2].gain else "alike")
    blurred = [trial("other", delta + rng.normal(size=2000), delta), trials[2]]
    close = abs(blurred[0].gain - blurred[1].gain)
    assert close < 0.05
    assert simplest([trials[2], blurred[0]], np.zeros(2000, dtype=np.int64)).name in ("alike", "other")


@pytest.mark.parametrize("seed", range(3))
def test_folds_keep_groups_whole_and_are_about_equal(seed: int) -> None:
    groups: Codes = np.random.default_rng(seed).integers(0, 90, 400)
    parts = grouped_folds(groups, 5, seed)
    assert all(len(np.unique(parts[groups == group])) == 1 for group in np.unique(groups))
    counts = np.bincount(parts)
    assert counts.size == 5
    assert counts.max() - counts.min() <= 2


def test_what_cannot_be_validated_is_refused() -> None:
    groups = np.zeros(10, dtype=np.int64)
    pairs = pairs_of(np.zeros(10), np.ones(10), groups=groups)
    with pytest.raises(InputError, match="1 group"):
        choose_head(pairs, np.zeros((10, 3), dtype=np.float32))
    with pytest.raises(InputError, match="1 fold"):
        grouped_folds(np.arange(10), 1, 0)
    with pytest.raises(InputError, match="embeddings of 3"):
        choose_head(pairs_of(np.zeros(4), np.ones(4)), np.zeros((3, 3), dtype=np.float32))
