"""The labelled subsample: known probabilities, rare verdicts covered, the same draw on any order."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from evalharness.judging.labelling import labelled_subsample
from golden_sets.errors import InputError

# 1,000 prompts: both arms pass on 900, one alone on 50 and 47, and on 3 the judge left an arm unscored.
VERDICTS: dict[str, tuple[bool | None, ...]] = {
    **{f"both-{i}": (True, True) for i in range(900)},
    **{f"lost-{i}": (False, True) for i in range(50)},
    **{f"won-{i}": (True, False) for i in range(47)},
    **{f"unscored-{i}": (None, True) for i in range(3)},
}


def stratum(key: str) -> str:
    return key.split("-")[0]


def test_in_proportion_with_a_least_number_from_every_stratum() -> None:
    sample = labelled_subsample(VERDICTS, per_arm=100, least=10)
    assert Counter(map(stratum, sample.chosen)) == {"both": 90, "lost": 10, "won": 10, "unscored": 3}


def test_every_prompt_has_a_known_probability() -> None:
    sample = labelled_subsample(VERDICTS, per_arm=100, least=10)
    assert set(sample.probability) == set(VERDICTS)
    by_stratum = {stratum(key): p for key, p in sample.probability.items()}
    assert by_stratum == {"both": 0.1, "lost": 0.2, "won": pytest.approx(10 / 47), "unscored": 1.0}
    # Inverse probabilities of the drawn prompts add up to the population, stratum by stratum.
    assert sum(1 / sample.probability[key] for key in sample.chosen) == pytest.approx(len(VERDICTS))


def test_the_draw_depends_on_the_seed_and_not_on_the_order() -> None:
    backwards = dict(reversed(VERDICTS.items()))
    assert labelled_subsample(VERDICTS, seed=1) == labelled_subsample(backwards, seed=1)
    assert labelled_subsample(VERDICTS, seed=1).chosen != labelled_subsample(VERDICTS, seed=2).chosen


def test_prompts_are_drawn_as_often_as_their_probability_says() -> None:
    draws = Counter(key for seed in range(400) for key in labelled_subsample(VERDICTS, seed=seed).chosen)
    lost = np.array([draws[f"lost-{i}"] for i in range(50)]) / 400
    assert lost.mean() == pytest.approx(0.2)
    assert np.abs(lost - 0.2).max() < 5 * np.sqrt(0.2 * 0.8 / 400)


def test_a_small_population_is_labelled_whole() -> None:
    few = dict(list(VERDICTS.items())[:30])
    sample = labelled_subsample(few, per_arm=100)
    assert sample.chosen == set(few)
    assert set(sample.probability.values()) == {1.0}


@pytest.mark.parametrize(
    ("verdicts", "per_arm", "complaint"),
    [
        ({}, 100, "nothing to label"),
        ({"a": (True, True)}, 0, "at least 1"),
        ({"a": (True, True), "b": (True,)}, 10, "same arms"),
    ],
)
def test_bad_input(verdicts: dict[str, tuple[bool | None, ...]], per_arm: int, complaint: str) -> None:
    with pytest.raises(InputError, match=complaint):
        labelled_subsample(verdicts, per_arm=per_arm)
