import numpy as np
import pytest
from numpy.typing import NDArray

from evalharness.statistics import Interval, paired_interval, ppi_mean_interval, ppi_paired_interval, ppi_rate_interval
from golden_sets.errors import InputError

Floats = NDArray[np.float64]


def judged_pairs(
    rng: np.random.Generator, n: int, psi: float, difference: float, quality: float
) -> tuple[Floats, Floats]:
    """True and judged differences; the judge errs independently on each answer of each arm."""
    truth = rng.choice([1.0, -1.0, 0.0], size=n, p=[(psi + difference) / 2, (psi - difference) / 2, 1 - psi])
    both = (rng.random(n) < 0.8).astype(float)
    candidate = np.where(truth > 0, 1.0, np.where(truth < 0, 0.0, both))
    answers = np.stack([candidate, candidate - truth])
    judged = np.where(rng.random((2, n)) < quality, answers, 1 - answers)
    return truth, judged[0] - judged[1]


def first(n: int, labelled: int) -> NDArray[np.bool_]:
    return np.arange(n) < labelled


def width(interval: Interval) -> float:
    assert interval.low is not None
    assert interval.high is not None
    return interval.high - interval.low


def test_a_perfect_judge_makes_labels_go_further_and_a_random_one_does_not_hurt() -> None:
    rng = np.random.default_rng(1)
    truth = (rng.random(2000) < 0.7).astype(float)
    noise = (rng.random(2000) < 0.5).astype(float)
    labels = truth[:200]
    alone = ppi_mean_interval(noise[200:], noise[:200], labels)
    helped = ppi_mean_interval(truth[200:], truth[:200], labels)
    assert width(helped) < 0.7 * width(alone)
    assert alone.value == pytest.approx(labels.mean(), abs=0.02)
    assert width(alone) == pytest.approx(2 * 1.96 * np.sqrt(0.21 / 200), rel=0.15)


def test_a_judge_that_contradicts_the_labels_is_dropped() -> None:
    rng = np.random.default_rng(2)
    truth = (rng.random(500) < 0.6).astype(float)
    interval = ppi_mean_interval(1 - truth[100:], 1 - truth[:100], truth[:100])
    assert interval.method == "ppi-labels-only"
    assert interval.value == pytest.approx(truth[:100].mean())


@pytest.mark.parametrize("events", [0, 4])
def test_rare_events_are_refused(events: int) -> None:
    labels = np.r_[np.ones(events), np.zeros(100 - events)]
    for outcome in (labels, 1 - labels):
        interval = ppi_mean_interval(np.zeros(900), outcome, outcome)
        assert (interval.low, interval.high) == (None, None)
        assert interval.note is not None
        assert "too rare" in interval.note


def test_weights_undo_unequal_sampling() -> None:
    """Hard prompts labelled ten times as often as easy ones: without weights the rate is far too low."""
    rng = np.random.default_rng(3)
    hard = rng.random(20_000) < 0.3
    truth = (rng.random(20_000) < np.where(hard, 0.5, 0.95)).astype(float)
    judged = np.where(rng.random(20_000) < 0.8, truth, 1 - truth)
    chance = np.where(hard, 0.2, 0.02)
    picked = rng.random(20_000) < chance
    interval = ppi_paired_interval(judged, picked, truth[picked], weights=1 / chance[picked])
    unweighted = ppi_paired_interval(judged, picked, truth[picked])
    assert interval.low is not None
    assert interval.high is not None
    assert interval.low <= truth.mean() <= interval.high
    assert unweighted.high is not None
    assert unweighted.high < truth.mean()


def test_labels_on_every_prompt_are_the_paired_interval() -> None:
    rng = np.random.default_rng(4)
    truth, judged = judged_pairs(rng, 300, 0.1, 0.0, 0.9)
    interval = ppi_paired_interval(judged, np.ones(300, dtype=np.bool_), truth)
    alone = paired_interval(int((truth > 0).sum()), int((truth < 0).sum()), 300)
    assert interval.low == pytest.approx(alone.low)
    assert interval.high == pytest.approx(alone.high)
    assert interval.method == "labels-only-exact"


def test_labels_that_show_nothing_still_leave_a_width() -> None:
    judged = np.zeros(1000)
    judged[500:520] = -1
    interval = ppi_paired_interval(judged, first(1000, 100), np.zeros(100))
    assert interval.low is not None
    # A judge never caught missing a loss in 100 labels may still miss nearly 3 in 100.
    assert interval.low < -0.025


def test_copies_within_a_cluster_do_not_narrow() -> None:
    rng = np.random.default_rng(5)
    truth, judged = judged_pairs(rng, 400, 0.2, 0.0, 0.95)
    mask = first(400, 200)
    single = ppi_paired_interval(judged, mask, truth[mask])
    copied = ppi_paired_interval(
        np.repeat(judged, 3), np.repeat(mask, 3), np.repeat(truth[mask], 3), clusters=np.repeat(np.arange(400), 3)
    )
    assert copied.low == pytest.approx(single.low)
    assert copied.high == pytest.approx(single.high)


def test_a_rate_of_alike_answers_is_known_no_better_than_its_clusters() -> None:
    rng = np.random.default_rng(7)
    truth = (rng.random(400) < 0.6).astype(float)
    judged = np.where(rng.random(400) < 0.9, truth, 1 - truth)
    mask = first(400, 150)
    single = ppi_rate_interval(judged, mask, truth[mask])
    copied = ppi_rate_interval(
        np.repeat(judged, 4), np.repeat(mask, 4), np.repeat(truth[mask], 4), clusters=np.repeat(np.arange(400), 4)
    )
    assert copied.value == pytest.approx(single.value)
    assert (copied.low, copied.high) == pytest.approx((single.low, single.high))
    assert (single.clusters, copied.clusters) == (None, 400)


def test_answers_may_come_in_any_order() -> None:
    rng = np.random.default_rng(8)
    truth = (rng.random(300) < 0.6).astype(float)
    judged = np.where(rng.random(300) < 0.9, truth, 1 - truth)
    order = rng.permutation(300)
    mask = first(300, 80)
    in_order = ppi_mean_interval(judged[80:], judged[:80], truth[:80])
    mixed = ppi_rate_interval(judged[order], mask[order], truth[order][mask[order]])
    assert (mixed.low, mixed.high) == pytest.approx((in_order.low, in_order.high))


@pytest.mark.slow
def test_clustered_rates_cover_as_stated() -> None:
    """Twelve answers to each of 60 questions, 100 labels: without clusters the interval would be too narrow."""
    rng, covered, naive = np.random.default_rng(9), 0, 0
    clusters = np.repeat(np.arange(60), 12)
    for _ in range(600):
        truth = (rng.random(720) < np.repeat(rng.beta(1, 1.5, 60), 12)).astype(float)
        judged = np.where(rng.random(720) < 0.85, truth, 1 - truth)
        mask = np.zeros(720, dtype=np.bool_)
        mask[rng.permutation(720)[:300]] = True
        found = ppi_rate_interval(judged, mask, truth[mask], clusters=clusters)
        plain = ppi_rate_interval(judged, mask, truth[mask])
        assert found.low is not None
        assert found.high is not None
        assert plain.low is not None
        assert plain.high is not None
        covered += found.low <= 0.4 <= found.high
        naive += plain.low <= 0.4 <= plain.high
    assert covered >= 0.93 * 600
    assert naive < 0.92 * 600


def test_a_judge_never_caught_by_the_labels_may_still_be_wrong() -> None:
    """No error in 100 labels: up to about 3 in 100 answers may be judged wrongly, whatever the judge says of them."""
    judged = np.r_[np.ones(2500), np.zeros(2500)]
    mask = np.arange(5000) % 50 == 0
    found = ppi_rate_interval(judged, mask, judged[mask])
    assert found.value == pytest.approx(0.5)
    assert found.low is not None
    assert found.high is not None
    assert found.low < 0.5 - 0.03
    assert found.high > 0.5 + 0.03
    assert width(found) < 0.6 * 2 * 1.96 * np.sqrt(0.25 / 100)


@pytest.mark.slow
@pytest.mark.parametrize("errors", [(0.04, 0.0), (0.0, 0.04), (0.02, 0.02), (0.3, 0.02), (0.5, 0.5)])
@pytest.mark.parametrize(("labels", "rate"), [(50, 0.3), (100, 0.5), (100, 0.8)])
def test_rates_are_covered_behind_judges_that_err_seldom_and_often(
    errors: tuple[float, float], labels: int, rate: float
) -> None:
    rng, covered, given = np.random.default_rng(10), 0, 0
    for _ in range(500):
        truth = (rng.random(3000) < rate).astype(float)
        missed, invented = errors
        wrong = rng.random(3000) < np.where(truth == 1, missed, invented)
        judged = np.where(wrong, 1 - truth, truth)
        found = ppi_rate_interval(judged, first(3000, labels), truth[:labels])
        if found.low is not None and found.high is not None:
            given += 1
            covered += found.low <= rate <= found.high
    assert given >= 495
    assert covered >= 0.93 * given


def test_too_few_labelled_prompts_claim_nothing() -> None:
    interval = ppi_paired_interval(np.zeros(100), first(100, 9), np.zeros(9))
    assert (interval.low, interval.high) == (None, None)
    assert interval.note is not None
    assert "at least 10" in interval.note


def test_bad_input_is_refused() -> None:
    with pytest.raises(InputError, match="booleans"):
        ppi_paired_interval([0.0, 1.0], [0, 1], [1.0])
    with pytest.raises(InputError, match="expected 1"):
        ppi_paired_interval([0.0, 1.0], [False, True], [1.0, 0.0])
    with pytest.raises(InputError, match="weights must be above 0"):
        ppi_mean_interval([0.0], [1.0, 0.0], [1.0, 0.0], weights=[1.0, 0.0])
    with pytest.raises(InputError, match=r"\[0, 1\]"):
        ppi_mean_interval([0.0], [2.0], [1.0])


def promoted(difference_bound: float, quality: float, labelled: int, repetitions: int) -> tuple[float, float]:
    """Share of models exactly at the margin that would be promoted: with PPI, and on judged outcomes alone."""
    rng, corrected, naive = np.random.default_rng(6), 0, 0
    for _ in range(repetitions):
        truth, judged = judged_pairs(rng, 1000, 0.09, -difference_bound, quality)
        mask = first(1000, labelled)
        low = ppi_paired_interval(judged, mask, truth[mask], side="lower").low
        wins, losses = int((judged > 0).sum()), int((judged < 0).sum())
        plain = paired_interval(wins, losses, 1000, side="lower").low
        assert plain is not None
        corrected += low is not None and low > -difference_bound
        naive += plain > -difference_bound
    return corrected / repetitions, naive / repetitions


@pytest.mark.slow
def test_a_model_at_the_margin_is_promoted_at_most_as_often_as_alpha_despite_judge_errors() -> None:
    corrected, naive = promoted(0.03, 0.9, 300, 2000)
    # Within a point plus two Monte-Carlo standard errors; judged outcomes alone promote more often.
    assert corrected <= 0.07
    assert naive > corrected
    assert naive > 0.07
