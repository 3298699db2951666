"""Heads: each learns what it claims to, survives degenerate labels, and predicts the same after it was stored."""

from __future__ import annotations

import numpy as np
import pytest
from safetensors.numpy import load, save
from scipy import special
from sklearn.linear_model import LogisticRegression, Ridge

from golden_sets.errors import InputError
from router_training.comparing import order_gain
from router_training.heads.fitting import KINDS, Kind, fit_average, fit_head
from router_training.heads.head import Floats, HeadState, Matrix
from router_training.heads.loading import head_of
from tests.support.labelled_pairs import drawn, pairs_of

LEARNING: tuple[Kind, ...] = tuple(kind for kind in KINDS if kind != "constant")
BOTH_SCORES: tuple[Kind, ...] = ("ridge", "scores", "kernel", "mlp", "knn")
SETTINGS: dict[Kind, dict[str, float]] = {
    "ridge": {"penalty": 10},
    "logistic": {"penalty": 10},
    "scores": {"penalty": 10},
    "kernel": {"penalty": 1, "landmarks": 200},
    "mlp": {"seeds": 2, "hidden": 16, "epochs": 40},
    "knn": {"neighbours": 40},
}


def easy_when_positive(x: Matrix) -> Floats:
    return np.asarray(3 * x[:, 0], dtype=np.float64)


def always(x: Matrix) -> Floats:
    return np.full(len(x), 3.0)


def never_better_when_positive(x: Matrix) -> Floats:
    return np.asarray(-3 * x[:, 0], dtype=np.float64)


def skill(predictions: Floats, truth: Floats) -> float:
    """1: the order of the truth, 0: a random one."""
    return order_gain(predictions, truth)[0] / order_gain(truth, truth)[0]


@pytest.mark.parametrize("kind", LEARNING)
def test_every_head_orders_new_prompts_by_their_expected_delta(kind: Kind) -> None:
    features, pairs = drawn(700, 5, easy_when_positive, always, seed=1)
    new = np.random.default_rng(2).normal(size=(400, 5)).astype(np.float32)
    expected = special.expit(always(new)) - special.expit(easy_when_positive(new))
    predicted = fit_head(kind, features, pairs, seed=0, **SETTINGS[kind]).predict(new)
    assert skill(predicted, expected) > 0.9
    assert abs(predicted.mean() - expected.mean()) < 0.06


@pytest.mark.parametrize("kind", BOTH_SCORES)
def test_prompts_on_which_the_small_model_is_better_count_as_such(kind: Kind) -> None:
    features, pairs = drawn(700, 5, easy_when_positive, never_better_when_positive, seed=3)
    far = np.zeros((2, 5), dtype=np.float32)
    far[:, 0] = (1.5, -1.5)
    better, worse = fit_head(kind, features, pairs, seed=0, **SETTINGS[kind]).predict(far)
    assert better < -0.3
    assert worse > 0.3


def test_the_kernel_head_learns_what_no_linear_head_can() -> None:
    def curved(x: Matrix) -> Floats:
        return np.asarray(4 * np.abs(x[:, 0]) - 3, dtype=np.float64)

    features, pairs = drawn(1000, 2, curved, always, seed=4)
    new = np.random.default_rng(5).normal(size=(500, 2)).astype(np.float32)
    truth = -special.expit(curved(new))
    flat, bent = (
        fit_head(kind, features, pairs, seed=0, **SETTINGS[kind]).predict(new) for kind in ("scores", "kernel")
    )
    assert skill(bent, truth) > 0.85
    assert skill(flat, truth) < 0.3


def test_a_sharper_kernel_follows_finer_detail() -> None:
    def wavy(x: Matrix) -> Floats:
        return np.asarray(5 * np.sin(4 * x[:, 0]), dtype=np.float64)

    features, pairs = drawn(1000, 2, wavy, always, seed=20)
    new = np.random.default_rng(21).normal(size=(500, 2)).astype(np.float32)
    broad, sharp = (
        skill(fit_head("kernel", features, pairs, penalty=1, sharpness=s).predict(new), -wavy(new)) for s in (0.3, 10)
    )
    assert sharp > 0.8
    assert sharp > broad + 0.1


def test_ridge_is_that_of_scikit_learn_on_scaled_features() -> None:
    features, pairs = drawn(300, 4, easy_when_positive, always, seed=6)
    scaled = (features - features.mean(axis=0)) / features.std(axis=0)
    peer = Ridge(alpha=50).fit(scaled, pairs.delta).predict(scaled)
    assert fit_head("ridge", features, pairs, penalty=50).predict(features) == pytest.approx(peer, abs=1e-5)


def test_logistic_is_that_of_scikit_learn_with_the_mean_delta_of_hard_and_other_prompts() -> None:
    features, pairs = drawn(400, 4, easy_when_positive, always, seed=7)
    scaled = (features - features.mean(axis=0)) / features.std(axis=0)
    chances = LogisticRegression(C=1 / 20, tol=1e-8).fit(scaled, pairs.hard).predict_proba(scaled)[:, 1]
    gain = (pairs.delta[~pairs.hard].mean(), pairs.delta[pairs.hard].mean())
    wanted = gain[0] + (gain[1] - gain[0]) * chances
    # Targets are kept a thousandth away from 0 and 1.
    assert fit_head("logistic", features, pairs, penalty=20).predict(features) == pytest.approx(wanted, abs=0.005)


def test_scores_between_0_and_1_are_learnt_as_they_are() -> None:
    features = np.random.default_rng(8).normal(size=(800, 3)).astype(np.float32)
    small, flagship = special.expit(features[:, 0]), np.full(800, 0.9)
    pairs = pairs_of(small.astype(np.float64), flagship)
    predicted = fit_head("scores", features, pairs, penalty=0.01).predict(features)
    assert predicted == pytest.approx(pairs.delta, abs=0.01)


def test_neighbours_are_weighted_by_how_much_nearer_they_are_than_the_last() -> None:
    features, pairs = drawn(60, 3, easy_when_positive, always, seed=9)
    scaled = (features - features.mean(axis=0)) / features.std(axis=0)
    unit = scaled / np.linalg.norm(scaled, axis=1, keepdims=True)
    likeness = unit @ unit[0]
    nearest = np.argsort(-likeness)[:7]
    weights = likeness[nearest] - likeness[nearest].min() + 1e-6
    wanted = (weights * pairs.delta[nearest]).sum() / weights.sum()
    assert fit_head("knn", features, pairs, neighbours=7).predict(features[:1])[0] == pytest.approx(wanted, abs=1e-5)


def test_more_neighbours_than_prompts_ask_all_of_them() -> None:
    features, pairs = drawn(20, 3, easy_when_positive, always, seed=10)
    predicted = fit_head("knn", features, pairs, neighbours=500).predict(features)
    assert np.isfinite(predicted).all()


def test_the_spread_is_the_standard_error_of_a_regression() -> None:
    features, pairs = drawn(2000, 5, easy_when_positive, always, seed=11)
    design = np.c_[(features - features.mean(axis=0)) / features.std(axis=0), np.ones(2000)]
    coefficients = np.linalg.lstsq(design, pairs.delta, rcond=None)[0]
    errors = pairs.delta - design @ coefficients
    inverse = np.linalg.inv(design.T @ design)
    sandwich = inverse @ (design.T * np.square(errors)) @ design @ inverse
    wanted = np.sqrt(np.einsum("ij,jk,ik->i", design, sandwich, design))
    found = fit_head("ridge", features, pairs, penalty=1e-6).spread(features)
    assert found.mean() == pytest.approx(wanted.mean(), rel=0.25)
    assert np.corrcoef(found, wanted)[0, 1] > 0.6


@pytest.mark.parametrize("kind", ["ridge", "scores", "kernel"])
def test_prompts_of_one_group_do_not_make_a_head_surer(kind: Kind) -> None:
    features, pairs = drawn(300, 4, easy_when_positive, always, seed=12)
    four = np.repeat(np.arange(300), 4)
    copies = pairs_of(pairs.small[four], pairs.flagship[four], groups=four)
    loose = pairs_of(pairs.small[four], pairs.flagship[four])
    kept, fooled = (fit_head(kind, features[four], p, penalty=4).spread(features).mean() for p in (copies, loose))
    assert kept > 1.5 * fooled


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("small", "flagship"), [(0.0, 1.0), (1.0, 1.0), (0.0, 0.0)])
def test_labels_that_are_all_the_same_give_finite_predictions_near_them(
    kind: Kind, small: float, flagship: float
) -> None:
    features = np.random.default_rng(13).normal(size=(40, 3)).astype(np.float32)
    pairs = pairs_of(np.full(40, small), np.full(40, flagship))
    head = fit_head(kind, features, pairs)
    assert head.predict(features) == pytest.approx(np.full(40, flagship - small), abs=0.05)
    assert np.isfinite(head.spread(features)).all()


@pytest.mark.parametrize("kind", KINDS)
def test_a_constant_column_and_few_prompts_do_no_harm(kind: Kind) -> None:
    features, pairs = drawn(12, 3, easy_when_positive, always, seed=14)
    features[:, 1] = 0.1
    head = fit_head(kind, features, pairs)
    assert np.isfinite(head.predict(features)).all()
    assert np.isfinite(head.spread(features)).all()


@pytest.mark.parametrize("kind", KINDS)
def test_a_stored_head_predicts_what_it_did(kind: Kind) -> None:
    features, pairs = drawn(150, 6, easy_when_positive, always, seed=15)
    head = fit_head(kind, features, pairs, seed=3)
    state = head.state()
    again = head_of(HeadState(state.kind, state.settings, load(save(dict(state.tensors)))))
    assert again.kind == kind
    assert np.array_equal(again.predict(features), head.predict(features))
    assert np.array_equal(again.spread(features), head.spread(features))


@pytest.mark.parametrize("kind", KINDS)
def test_a_prompt_alone_is_predicted_as_among_others_and_a_seed_repeats(kind: Kind) -> None:
    features, pairs = drawn(150, 6, easy_when_positive, always, seed=16)
    head, twin = (fit_head(kind, features, pairs, seed=5) for _ in range(2))
    together = head.predict(features)
    assert [head.predict(row[None])[0] for row in features] == pytest.approx(together, abs=1e-5)
    assert np.array_equal(together, twin.predict(features))
    assert head.predict(features[:0]).shape == (0,)
    assert head.spread(features[:0]).shape == (0,)


def test_an_average_is_the_mean_and_unsure_where_its_members_disagree() -> None:
    features, pairs = drawn(300, 4, easy_when_positive, always, seed=17)
    members: list[tuple[Kind, dict[str, float]]] = [("scores", {"penalty": 10}), ("knn", {"neighbours": 20})]
    alone = [fit_head(kind, features, pairs, seed=0, **settings) for kind, settings in members]
    average = fit_average(members, features, pairs)
    predicted = np.stack([head.predict(features) for head in alone])
    assert average.predict(features) == pytest.approx(predicted.mean(axis=0))
    assert (average.spread(features) >= predicted.std(axis=0) - 1e-12).all()
    state = average.state()
    again = head_of(HeadState(state.kind, state.settings, load(save(dict(state.tensors)))))
    assert np.array_equal(again.predict(features), average.predict(features))


@pytest.mark.parametrize("kind", LEARNING)
@pytest.mark.parametrize("damage", ["missing", "shape", "nan"])
def test_a_damaged_head_is_refused(kind: Kind, damage: str) -> None:
    features, pairs = drawn(60, 4, easy_when_positive, always, seed=18)
    state = fit_head(kind, features, pairs).state()
    for name in state.tensors:
        tensors = dict(state.tensors)
        if damage == "missing":
            del tensors[name]
        elif damage == "shape":
            tensors[name] = tensors[name][None]
        else:
            tensors[name] = np.full_like(tensors[name], np.nan)
        with pytest.raises(InputError, match=rf"{name}.*train the router again"):
            head_of(HeadState(state.kind, state.settings, tensors))


@pytest.mark.parametrize(
    ("state", "message"),
    [
        (HeadState("oracle", {}), "unknown head 'oracle'"),
        (HeadState("constant", {}), "lacks the number 'value'"),
        (HeadState("constant", {"value": True}), "lacks the number 'value'"),
        (HeadState("average", {}), "names no members"),
        (HeadState("average", {"members": ["ridge"]}), "member 0"),
        (HeadState("average", {"members": [{"kind": "average", "settings": {}}]}), "member 0"),
    ],
)
def test_settings_that_make_no_head_are_refused(state: HeadState, message: str) -> None:
    with pytest.raises(InputError, match=message):
        head_of(state)


def test_what_cannot_be_fitted_is_refused() -> None:
    features, pairs = drawn(30, 3, easy_when_positive, always, seed=19)
    with pytest.raises(InputError, match="has no setting neighbours; it has penalty"):
        fit_head("ridge", features, pairs, neighbours=3)
    with pytest.raises(InputError, match="must be above 0"):
        fit_head("ridge", features, pairs, penalty=0)
    with pytest.raises(InputError, match="must be above 0"):
        fit_head("kernel", features, pairs, sharpness=0)
    with pytest.raises(InputError, match="at least one neighbour"):
        fit_head("knn", features, pairs, neighbours=0)
    with pytest.raises(InputError, match="must be at least 1"):
        fit_head("mlp", features, pairs, hidden=0)
    with pytest.raises(InputError, match="30 prompts, 29 rows"):
        fit_head("ridge", features[:29], pairs)
    with pytest.raises(InputError, match="not finite"):
        fit_head("ridge", np.full_like(features, np.nan), pairs)
    with pytest.raises(InputError, match="at least one head"):
        fit_average([], features, pairs)
