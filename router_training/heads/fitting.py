"""Fitting a head of any kind, with the settings that kind knows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal, get_args

import numpy as np

from golden_sets.errors import InputError
from router_training.heads.average import Average
from router_training.heads.constant import fit_constant
from router_training.heads.head import Head, Matrix
from router_training.heads.knn import fit_knn
from router_training.heads.linear import fit_linear
from router_training.heads.mlp import fit_mlp
from router_training.pairs import Pairs

Kind = Literal["constant", "ridge", "logistic", "scores", "kernel", "mlp", "knn"]
KINDS: tuple[Kind, ...] = get_args(Kind)
"""Single heads; ``average`` is made of them by `fit_average`."""
_KNOWN: Mapping[Kind, tuple[str, ...]] = {
    "constant": (),
    "ridge": ("penalty",),
    "logistic": ("penalty",),
    "scores": ("penalty",),
    "kernel": ("penalty", "landmarks", "sharpness"),
    "mlp": ("seeds", "hidden", "epochs"),
    "knn": ("neighbours",),
}

_REAL = ("penalty", "sharpness")
"""Settings that need not be whole numbers."""


def fit_head(kind: Kind, features: Matrix, pairs: Pairs, *, seed: int = 0, **settings: float) -> Head:
    """A fitted head.

    Args:
        kind: one of `KINDS`.
        features: of the training prompts, shape (n, features).
        pairs: the same prompts with both models' scores.
        seed: of whatever is drawn at random.
        settings: ``penalty`` (ridge, logistic, scores, kernel), ``landmarks`` and ``sharpness`` (kernel), ``seeds``,
            ``hidden`` and ``epochs`` (mlp), ``neighbours`` (knn); what is left out has its default.

    Raises:
        InputError: no prompts, features that are not finite or not of these prompts, an unknown kind or setting.
    """
    if len(features) != len(pairs) or not len(pairs):
        raise InputError(
            f"a head needs at least one prompt and the features of each: {len(pairs)} prompts, {len(features)} rows"
        )
    if not np.isfinite(features).all():
        raise InputError("a head cannot be fitted on features that are not finite")
    if kind not in _KNOWN:
        raise InputError(f"unknown head {kind!r}: one of {', '.join(KINDS)}")
    unknown = sorted(set(settings) - set(_KNOWN[kind]))
    if unknown:
        raise InputError(f"head {kind} has no setting {', '.join(unknown)}; it has {', '.join(_KNOWN[kind]) or 'none'}")
    whole = {name: int(value) for name, value in settings.items() if name not in _REAL}
    penalty, sharpness = settings.get("penalty"), settings.get("sharpness", 1.0)
    match kind:
        case "constant":
            return fit_constant(pairs)
        case "mlp":
            return fit_mlp(features, pairs, seed=seed, **whole)
        case "knn":
            return fit_knn(features, pairs, **whole)
        case _:
            return fit_linear(kind, features, pairs, seed=seed, penalty=penalty, sharpness=sharpness, **whole)


def fit_average(
    members: Sequence[tuple[Kind, Mapping[str, float]]], features: Matrix, pairs: Pairs, *, seed: int = 0
) -> Head:
    """Several heads, averaged. Arguments as `fit_head`; ``members`` are kinds with their settings.

    Raises:
        InputError: as `fit_head`, or no members.
    """
    return Average(tuple(fit_head(kind, features, pairs, seed=seed, **settings) for kind, settings in members))
