"""The frozen test of a release: the same set whatever else was in the file, prompts told apart, groups kept."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from golden_sets.errors import InputError
from router_training.always_flagship import always_flagship
from router_training.frozen_test import SET_NAME, FrozenTest
from router_training.pairs import Pairs


def pairs(*prompts: str, groups: list[int] | None = None, ids: list[str] | None = None) -> Pairs:
    n = len(prompts)
    return Pairs(
        prompts=prompts,
        ids=tuple(ids or [f"q{i}" for i in range(n)]),
        small=np.zeros(n),
        flagship=np.ones(n),
        groups=np.array(groups or range(n)),
    )


def digest(of: FrozenTest) -> str:
    (only,) = of.sets
    return only.digest


def test_it_is_the_same_set_whatever_the_groups_are_called_and_the_scores_are() -> None:
    one = pairs("a", "b", "c", groups=[0, 0, 1])
    other = replace(one, groups=np.array([7, 7, 3]), small=np.ones(3))
    assert digest(FrozenTest.of_pairs(one)) == digest(FrozenTest.of_pairs(other))
    assert FrozenTest.of_pairs(one).answers_digest != FrozenTest.of_pairs(other).answers_digest
    apart = FrozenTest.of_pairs(replace(one, groups=np.array([0, 1, 2])))
    assert digest(apart) != digest(FrozenTest.of_pairs(one))


def test_a_prompt_that_occurs_twice_is_two_of_one_group() -> None:
    found = FrozenTest.of_pairs(pairs("a", "a", "b", groups=[0, 0, 1], ids=["x", "x", "y"]))
    assert list(found.texts) == [(SET_NAME, "x"), (SET_NAME, "x (2)"), (SET_NAME, "y")]
    assert len(set(found.units.values())) == 2
    default = always_flagship()
    outcomes = found.outcomes(found.sent(default), found.sent(default))
    assert len(outcomes) == 6
    assert len(outcomes.distinct("cluster")) == 2


def test_an_empty_one_is_refused() -> None:
    empty = pairs("a").take(np.array([], dtype=np.int64))
    with pytest.raises(InputError):
        FrozenTest.of_pairs(empty)
