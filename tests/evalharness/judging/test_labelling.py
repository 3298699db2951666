"""The labelled subsample: known probabilities, rare verdicts covered, the same draw on any order."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from evalharness.judging.file_calibration import agreement
from evalharness.judging.labelled_file import LabelledAnswers
from evalharness.judging.labelling import labelled_subsample
from evalharness.statistics import ppi_paired_interval
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


FIRST = [*(f"both-{i}" for i in range(60)), *(f"won-{i}" for i in range(20))]


def test_prompts_that_come_first_are_a_stratum_with_half_of_the_labels() -> None:
    sample = labelled_subsample(VERDICTS, per_arm=100, least=10, first=FIRST)
    drawn = Counter("first" if key in FIRST else stratum(key) for key in sample.chosen)
    # 50 of the 80 that come first; of the 920 others 50 in proportion, and at least 10 of each verdict.
    assert drawn == {"first": 50, "both": 46, "lost": 10, "won": 10, "unscored": 3}
    assert {sample.probability[key] for key in FIRST} == {50 / 80}
    assert sum(1 / sample.probability[key] for key in sample.chosen) == pytest.approx(len(VERDICTS))


def test_where_few_come_first_all_are_drawn() -> None:
    sample = labelled_subsample(VERDICTS, per_arm=100, least=10, first=["both-1", "lost-2", "nobody"])
    assert {"both-1", "lost-2"} <= sample.chosen
    assert "nobody" not in sample.probability
    assert (sample.probability["both-1"], sample.probability["lost-2"]) == (1.0, 1.0)


def test_where_most_come_first_they_are_not_drawn_less_often_than_the_others() -> None:
    sample = labelled_subsample(VERDICTS, per_arm=100, least=1, first=[key for key in VERDICTS if key != "both-1"])
    assert sample.probability["both-2"] == pytest.approx(0.1, abs=0.002)
    assert 0 < sample.probability["both-1"] <= 1


@pytest.mark.parametrize("per_arm", [1, 2, 3])
def test_a_small_batch_still_draws_from_everywhere(per_arm: int) -> None:
    sample = labelled_subsample(VERDICTS, per_arm=per_arm, least=1, first=FIRST)
    assert {"first" if key in FIRST else stratum(key) for key in sample.chosen} == {
        "first", "both", "lost", "won", "unscored",
    }  # fmt: skip
    assert min(sample.probability.values()) > 0


def test_weighted_rates_cover_though_disagreements_come_first() -> None:
    """A judge that is wrong mostly where the detector contradicts it: rates and the judge's error keep their level."""
    random = np.random.default_rng(11)
    n, runs = 1500, 300
    truth = random.random(n) < 0.3
    contested = random.random(n) < 0.08
    judge = np.where(random.random(n) < np.where(contested, 0.5, 0.03), ~truth, truth)
    keys = {f"p{i}": (bool(judge[i]),) for i in range(n)}
    first = [f"p{i}" for i in np.flatnonzero(contested)]
    wanted = {"rate": truth.mean(), "sensitivity": judge[truth].mean(), "specificity": (~judge)[~truth].mean()}
    covered, plain = Counter[str](), []
    for seed in range(runs):
        sample = labelled_subsample(keys, per_arm=120, least=10, seed=seed, first=first)
        drawn = np.array([key in sample.chosen for key in keys])
        weights = np.array([1 / sample.probability[key] for key in keys])
        found = agreement(
            LabelledAnswers(
                np.where(drawn, truth, np.nan), judge.astype(float), np.arange(n), np.where(drawn, weights, 1)
            )
        )
        assert found.sensitivity is not None
        assert found.specificity is not None
        for name, interval in (
            ("rate", found.human_rate), ("sensitivity", found.sensitivity), ("specificity", found.specificity),
        ):  # fmt: skip
            assert interval.low is not None
            assert interval.high is not None
            covered[name] += interval.low <= wanted[name] <= interval.high
        plain.append((judge == truth)[drawn].mean())
    assert {name: count >= 0.93 * runs for name, count in covered.items()} == dict.fromkeys(wanted, True), covered
    assert np.mean(plain) < (judge == truth).mean() - 0.05, "counting every label alike would be biased here"


def test_corrected_differences_cover_though_disagreements_come_first() -> None:
    """Arms as good as each other; the labels of what comes first correct both arms of the judged difference."""
    random = np.random.default_rng(12)
    n, runs, covered = 800, 150, 0
    for seed in range(runs):
        contested, differ = random.random(n) < 0.1, random.random(n) < 0.1
        theirs = random.random(n) < np.where(differ, 0.5, 0.8)
        truth = np.stack([np.where(differ, ~theirs, theirs), theirs])
        said = np.where(random.random((2, n)) < np.where(contested, 0.5, 0.04), ~truth, truth)
        sample = labelled_subsample(
            {i: (bool(said[0, i]), bool(said[1, i])) for i in range(n)},
            per_arm=120,
            seed=seed,
            first=np.flatnonzero(contested).tolist(),
        )
        drawn = np.array(sorted(sample.chosen))
        mask = np.isin(np.arange(n), drawn)
        judged, true = (pair[0].astype(float) - pair[1] for pair in (said, truth))
        weights = np.array([1 / sample.probability[i] for i in drawn])
        found = ppi_paired_interval(judged, mask, true[mask], weights=weights, confidence=0.95)
        assert found.low is not None
        assert found.high is not None
        covered += found.low <= 0.0 <= found.high
    assert covered >= 0.93 * runs


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
