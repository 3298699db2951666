"""What traffic is compared with: calibration prompts as the router saw them, none of which shaped its clusters."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from golden_sets.errors import InputError
from router_training.heads.head import Floats, Matrix

MOST = 4000
"""More prompts than this sharpen the comparison little, and every router carries them."""


@dataclass(frozen=True, eq=False)
class Reference:
    """A sample of calibration prompts.

    They are those on which the threshold was chosen: had they been among the prompts that clusters or head were fitted
    on, traffic like them would look farther away and less certain than they do.
    """

    embeddings: Matrix
    """Shape (m, dimensions), each of length 1."""
    p_hard: Floats
    """Their calibrated P(hard), shape (m,)."""

    def __post_init__(self) -> None:
        """Refuse what does not belong together.

        Raises:
            InputError: other lengths, or something that is not finite.
        """
        if self.embeddings.ndim != 2 or self.p_hard.shape != (len(self.embeddings),):
            raise InputError("the router's reference prompts have embeddings and P(hard) of different lengths")
        if not (np.isfinite(self.embeddings).all() and np.isfinite(self.p_hard).all()):
            raise InputError("the router's reference prompts hold a number that is not finite")

    def __len__(self) -> int:
        return len(self.p_hard)

    @classmethod
    def sampled(cls, embeddings: Matrix, p_hard: Floats, *, seed: int) -> Self:
        """At most `MOST` of the calibration prompts, drawn at random."""
        rows = np.arange(len(p_hard))
        if rows.size > MOST:
            rows = np.sort(np.random.default_rng(seed).choice(rows.size, MOST, replace=False))
        return cls(np.asarray(embeddings[rows], dtype=np.float32), np.asarray(p_hard[rows], dtype=np.float64))

    def tensors(self) -> dict[str, npt.NDArray[np.floating]]:
        """As they are stored beside the clusters: ``reference`` and ``reference_p_hard``.

        P(hard) to the last bit: where the calibration is all but flat, prompts lie less than single precision apart,
        and rounding would take them to the other side of the threshold than traffic exactly like them.
        """
        return {"reference": self.embeddings, "reference_p_hard": self.p_hard}

    @classmethod
    def from_tensors(cls, tensors: Mapping[str, Any]) -> Self:
        """Read them back; tensors of other names are passed over.

        Raises:
            InputError: one is missing.
        """
        for name in ("reference", "reference_p_hard"):
            if name not in tensors:
                raise InputError(f"the router has no tensor '{name}'", do="train it again")
        return cls(
            np.asarray(tensors["reference"], dtype=np.float32), np.asarray(tensors["reference_p_hard"], np.float64)
        )
