import numpy as np
import pytest
from numpy.typing import NDArray

from evalharness.statistics import (
    Direction,
    corrected_rate_bound,
    labels_for_limit,
    labels_for_margin,
    power_for_judged_limit,
    power_for_judged_margin,
    power_for_limit,
    power_for_margin,
    ppi_paired_bound,
)
from golden_sets.errors import InputError


@pytest.mark.parametrize("alpha", [0.05, 0.005])
@pytest.mark.parametrize(
    ("limit", "true", "direction"), [(0.8, 0.85, "floor"), (0.9, 0.95, "floor"), (0.3, 0.2, "ceiling")]
)
@pytest.mark.parametrize("judge", [(0.9, 0.9), (0.98, 0.85), (1.0, 1.0)])
def test_power_for_a_judged_limit_is_what_the_bound_reaches(
    judge: tuple[float, float], limit: float, true: float, direction: Direction, alpha: float
) -> None:
    rng, draws = np.random.default_rng(1), 8000
    sens, spec = judge
    for n, labels in ((500, 400), (1500, 300)):
        passing = round(labels * true)
        bound = corrected_rate_bound(
            rng.binomial(n, true * sens + (1 - true) * (1 - spec), draws), n,
            rng.binomial(passing, sens, draws), passing,
            rng.binomial(labels - passing, spec, draws), labels - passing,
            confidence=1 - alpha, side="lower" if direction == "floor" else "upper",
        )  # fmt: skip
        simulated = np.mean(bound >= limit if direction == "floor" else bound <= limit)
        power = power_for_judged_limit(
            n, limit, true, sens, spec, passing, labels - passing, direction=direction, alpha=alpha
        )
        assert power == pytest.approx(simulated, abs=0.05)


def test_a_perfect_judge_with_endless_labels_is_the_plain_rate() -> None:
    judged = power_for_judged_limit(1000, 0.9, 0.93, 1.0, 1.0, 1e9, 1e9, direction="floor")
    assert judged == pytest.approx(power_for_limit(1000, 0.9, 0.93, direction="floor"), abs=0.05)


def test_power_for_a_judged_limit_rises_with_answers_labels_and_judge() -> None:
    def power(n: int = 1000, judge: float = 0.9, labels: float = 100) -> float:
        return power_for_judged_limit(n, 0.8, 0.87, judge, judge, labels, labels, direction="floor")

    assert power() < min(power(n=3000), power(judge=0.97), power(labels=400))
    assert power(labels=9) == power(judge=0.5) == 0.0


def test_a_ceiling_on_failures_is_a_floor_on_passes() -> None:
    floor = power_for_judged_limit(800, 0.8, 0.86, 0.95, 0.9, 120, 80, direction="floor")
    ceiling = power_for_judged_limit(800, 0.2, 0.14, 0.9, 0.95, 80, 120, direction="ceiling")
    assert floor == pytest.approx(ceiling)


def test_labels_for_a_limit_are_the_fewest() -> None:
    labels = labels_for_limit(2000, 0.8, 0.86, sensitivity=0.9, specificity=0.9, direction="floor")
    assert labels is not None

    def power(count: int) -> float:
        return power_for_judged_limit(2000, 0.8, 0.86, 0.9, 0.9, 0.86 * count, 0.14 * count, direction="floor")

    assert power(labels) >= 0.8 > power(labels - 1)
    assert labels_for_limit(150, 0.8, 0.86, sensitivity=0.9, specificity=0.9, direction="floor") is None


def judged_tables(
    rng: np.random.Generator, n: int, labels: int, discordance: float, difference: float, quality: float, draws: int
) -> tuple[NDArray[np.int_], NDArray[np.int_]]:
    """Counts by judged difference (unlabelled), and by judged and true difference; both arms pass 80 % of the rest."""
    joint = np.zeros((3, 3))
    answers = {
        (1, 0): (discordance + difference) / 2, (0, 1): (discordance - difference) / 2,
        (1, 1): 0.8 * (1 - discordance), (0, 0): 0.2 * (1 - discordance),
    }  # fmt: skip
    for (ours, theirs), share in answers.items():
        for verdict in ((0, 0), (0, 1), (1, 0), (1, 1)):
            right = [quality if v == a else 1 - quality for v, a in zip(verdict, (ours, theirs), strict=True)]
            joint[verdict[0] - verdict[1] + 1, ours - theirs + 1] += share * right[0] * right[1]
    labelled = rng.multinomial(labels, joint.ravel(), size=draws).reshape(draws, 3, 3)
    return rng.multinomial(n - labels, joint.sum(axis=1), size=draws), labelled


@pytest.mark.parametrize("quality", [0.6, 0.9, 0.98])
@pytest.mark.parametrize(
    ("n", "labels", "margin", "discordance", "difference"),
    [
        (1000, 300, 0.03, 0.09, 0.0),
        (2000, 600, 0.03, 0.09, 0.01),
        (4000, 250, 0.03, 0.09, 0.0),
        (600, 300, 0.05, 0.15, -0.01),
    ],
)
def test_power_for_a_judged_margin_is_what_the_bound_reaches(
    n: int, labels: int, margin: float, discordance: float, difference: float, quality: float
) -> None:
    rng = np.random.default_rng(2)
    tables = judged_tables(rng, n, labels, discordance, difference, quality, 4000)
    for alpha in (0.05, 0.005):
        bound = ppi_paired_bound(*tables, confidence=1 - alpha, side="lower")
        power = power_for_judged_margin(
            n, labels, margin, discordance, quality, quality, 0.8, true_difference=difference, alpha=alpha
        )
        assert power == pytest.approx(np.mean(bound >= -margin), abs=0.06)


def test_labels_reach_the_power_they_are_sized_for() -> None:
    labels = labels_for_margin(2000, 0.03, 0.09, sensitivity=0.9, specificity=0.9, pass_rate=0.8)
    assert labels is not None
    rest, labelled = judged_tables(np.random.default_rng(3), 2000, labels, 0.09, 0.0, 0.9, 8000)
    assert np.mean(ppi_paired_bound(rest, labelled, confidence=0.95, side="lower") >= -0.03) == pytest.approx(
        0.8, abs=0.02
    )
    assert power_for_judged_margin(2000, labels, 0.03, 0.09, 0.9, 0.9, 0.8) >= 0.8
    assert power_for_judged_margin(2000, labels - 1, 0.03, 0.09, 0.9, 0.9, 0.8) < 0.8


def test_labels_on_every_prompt_are_nearly_tangos_power() -> None:
    everything = power_for_judged_margin(800, 800, 0.03, 0.09, 0.9, 0.9, 0.8)
    assert everything == pytest.approx(power_for_margin(800, 0.03, 0.09), abs=0.03)


def labels_needed(n: int, *, quality: float = 0.95) -> int | None:
    return labels_for_margin(n, 0.03, 0.09, sensitivity=quality, specificity=quality, pass_rate=0.8)


def test_a_better_judge_needs_fewer_labels_and_a_blind_one_saves_none() -> None:
    perfect, good, poor, blind = (labels_needed(3000, quality=q) for q in (1.0, 0.95, 0.8, 0.5))
    assert perfect is not None
    assert good is not None
    assert poor is not None
    assert blind is not None
    assert perfect < good < poor <= blind
    assert power_for_margin(blind, 0.03, 0.09) == pytest.approx(0.8, abs=0.03)


def test_no_number_of_labels_makes_up_for_too_few_prompts() -> None:
    assert labels_needed(300) is None
    with pytest.raises(InputError, match="n must be"):
        labels_needed(0)


def test_bad_input_is_refused() -> None:
    with pytest.raises(InputError, match="passing side"):
        labels_for_limit(1000, 0.8, 0.8, sensitivity=0.9, specificity=0.9, direction="floor")
    with pytest.raises(InputError, match="floor or ceiling"):
        power_for_judged_limit(10, 0.5, 0.6, 1, 1, 10, 10, direction="above")  # type: ignore[arg-type]
    with pytest.raises(InputError, match=r"labels must lie in \[0, n = 100\]"):
        power_for_judged_margin(100, 101, 0.03, 0.09, 0.9, 0.9, 0.8)
    with pytest.raises(InputError, match="cannot be proved"):
        labels_for_margin(100, 0.03, 0.09, sensitivity=0.9, specificity=0.9, pass_rate=0.8, true_difference=-0.03)
    with pytest.raises(InputError, match="sensitivity"):
        power_for_judged_margin(100, 50, 0.03, 0.09, 1.2, 0.9, 0.8)
