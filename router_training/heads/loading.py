"""A head from what is stored of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from golden_sets.errors import InputError
from router_training.heads.average import Average
from router_training.heads.constant import constant_of
from router_training.heads.head import Head, HeadState
from router_training.heads.knn import knn_of
from router_training.heads.linear import linear_of
from router_training.heads.mlp import mlp_of

_LOADERS: Mapping[str, Callable[[HeadState], Head]] = {
    "constant": constant_of,
    "ridge": lambda state: linear_of("ridge", state),
    "logistic": lambda state: linear_of("logistic", state),
    "scores": lambda state: linear_of("scores", state),
    "kernel": lambda state: linear_of("kernel", state),
    "mlp": mlp_of,
    "knn": knn_of,
}


def head_of(state: HeadState) -> Head:
    """The head that was stored; it predicts what it did.

    Raises:
        InputError: an unknown kind, or tensors or settings are missing, of the wrong shape, or not finite.
    """
    if state.kind == "average":
        return _average_of(state)
    if state.kind not in _LOADERS:
        raise InputError(
            f"unknown head {state.kind!r}: one of average, {', '.join(_LOADERS)}; or it needs a newer relgate"
        )
    return _LOADERS[state.kind](state)


def _average_of(state: HeadState) -> Average:
    stored = state.settings.get("members")
    if not isinstance(stored, list) or not stored:
        raise InputError("the router's average head names no members: train the router again")
    members: list[Head] = []
    for at, member in enumerate(stored):
        kind = member.get("kind") if isinstance(member, Mapping) else None
        settings = member.get("settings") if isinstance(member, Mapping) else None
        if not isinstance(kind, str) or kind == "average" or not isinstance(settings, Mapping):
            raise InputError(f"member {at} of the router's average head is no head: train the router again")
        start = f"{at}."
        tensors = {name.removeprefix(start): v for name, v in state.tensors.items() if name.startswith(start)}
        members.append(head_of(HeadState(kind, settings, tensors)))
    return Average(tuple(members))
