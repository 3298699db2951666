"""Tensors and settings of a stored head, checked as they are taken out: the file may come from anywhere."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from golden_sets.errors import InputError
from router_training.heads.head import HeadState

Tensor = npt.NDArray[np.float32]


def tensor(state: HeadState, name: str, shape: tuple[int | None, ...]) -> Tensor:
    """One tensor of a head.

    Args:
        state: the stored head.
        name: of the tensor.
        shape: what it must be; None: any size of at least 1.

    Raises:
        InputError: missing, of another shape, or not finite.
    """
    if name not in state.tensors:
        raise InputError(f"the router's {state.kind} head lacks the tensor {name!r}: train the router again")
    values = np.ascontiguousarray(state.tensors[name], dtype=np.float32)
    fits = values.ndim == len(shape) and all(
        size >= 1 and (wanted is None or size == wanted) for size, wanted in zip(values.shape, shape, strict=True)
    )
    if not fits:
        wanted_shape = " x ".join("any" if size is None else str(size) for size in shape)
        raise InputError(
            f"tensor {name!r} of the router's {state.kind} head has the shape {values.shape}, not {wanted_shape}:"
            " train the router again"
        )
    if not np.isfinite(values).all():
        raise InputError(f"tensor {name!r} of the router's {state.kind} head is not finite: train the router again")
    return values


def number(state: HeadState, name: str) -> float:
    """One number among a head's settings.

    Raises:
        InputError: missing, or no finite number.
    """
    value = state.settings.get(name)
    if isinstance(value, bool) or not isinstance(value, int | float) or not np.isfinite(value):
        raise InputError(f"the router's {state.kind} head lacks the number {name!r}: train the router again")
    return float(value)
