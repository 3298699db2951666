"""Labelled prompts."""

from __future__ import annotations

import numpy as np
import pytest

from golden_sets.errors import InputError
from router_training.pairs import Pairs


def pairs(small: list[float], flagship: list[float], **columns: object) -> Pairs:
    n = len(small)
    return Pairs(
        prompts=tuple(f"prompt {k}" for k in range(n)),
        ids=tuple(map(str, range(n))),
        small=np.array(small),
        flagship=np.array(flagship),
        groups=np.arange(len(flagship)),
        **columns,  # type: ignore[arg-type]
    )


def test_a_difference_of_exactly_the_limit_is_not_hard_wherever_it_lies() -> None:
    """.65 - .5 is more than .15 in floating point, .95 - .8 less, .15 - 0 equal."""
    some = pairs([0.5, 0.8, 0.0, 0.5], [0.65, 0.95, 0.15, 0.66])
    assert some.hard.tolist() == [False, False, False, True]
    assert some.delta[:3].tolist() == [0.15, 0.15, 0.15]


def test_columns_of_different_lengths_are_refused() -> None:
    with pytest.raises(InputError, match="differ in length"):
        pairs([0.5], [0.5, 0.6])
