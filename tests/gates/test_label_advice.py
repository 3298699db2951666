"""A judged check that stays open says about how many labels it would take, or that no number would help."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from evalharness.evidence import Calibration
from evalharness.outcomes import OutcomeTable
from gates.decision import CheckResult, Status
from gates.gate import gate
from golden_sets.records import SetKind
from tests.support.evidence import FLOOR, MARGIN, VIOLATIONS, measured, policy, rows, table

JUDGED: dict[str, Any] = {"scored_by": "judge", "rubric": "r"}


def calibration(positives: int, negatives: int, right: float = 0.9, *, kind: SetKind = SetKind.GOLDEN) -> Calibration:
    return Calibration(
        rubric="r",
        set_kind=kind,
        positives=positives,
        true_positives=round(right * positives),
        negatives=negatives,
        true_negatives=round(right * negatives),
    )


def said(rate: float, n: int = 1000) -> npt.NDArray[np.float64]:
    found = np.zeros(n)
    found[: round(rate * n)] = 1.0
    return found


def check_of(check: dict[str, Any], outcomes: OutcomeTable, *calibrations: Calibration) -> CheckResult:
    (found,) = gate(policy(check), measured(outcomes, calibrations=calibrations)).checks
    return found


def labels_in(text: str) -> int:
    found = re.search(r"about (\d+) (?:labelled|prompts labelled)", text)
    assert found is not None, text
    return int(found[1])


HIGH_FLOOR = {**FLOOR, "threshold": 0.9}


def test_a_floor_short_of_labels_is_passed_with_as_many_as_it_asked_for() -> None:
    outcomes = table(rows(said(0.86), **JUDGED))
    short = check_of(HIGH_FLOOR, outcomes, calibration(80, 20))
    assert short.status is Status.INCONCLUSIVE
    assert short.more is not None
    assert short.more.n == 0, "labels are what is missing, not prompts"
    assert "labelled answers would do, there are 100" in short.reason
    wanted = labels_in(short.reason)
    assert wanted == labels_in(short.more.note or "")
    enough = check_of(HIGH_FLOOR, outcomes, calibration(round(0.8 * wanted), round(0.2 * wanted)))
    assert enough.status is Status.PASS


def test_where_labels_alone_do_not_reach_it_says_how_many_prompts_besides() -> None:
    found = check_of({**FLOOR, "threshold": 0.85}, table(rows(said(0.86, 100), **JUDGED)), calibration(80, 20))
    assert found.more is not None
    assert found.more.n > 0
    assert f"about {found.more.n} more prompts with about" in found.reason


def test_too_few_labels_to_correct_at_all_say_how_many() -> None:
    found = check_of({**FLOOR, "threshold": 0.7}, table(rows(said(0.86), **JUDGED)), calibration(15, 3))
    assert "too few labels" in found.reason
    assert labels_in(found.reason) > 18


def test_without_any_label_the_number_is_for_a_judge_as_plans_assume_it() -> None:
    found = check_of({**FLOOR, "threshold": 0.7}, table(rows(said(0.86), **JUDGED)))
    assert "a calibration of the judge under rubric 'r' on golden sets: label some answers" in found.reason
    assert "if the judge is right 90% of the time, there are 0" in found.reason


@pytest.mark.parametrize("right", [0.5, 0.2])
def test_a_judge_at_chance_is_helped_by_no_number(right: float) -> None:
    found = check_of({**FLOOR, "threshold": 0.7}, table(rows(said(0.86), **JUDGED)), calibration(80, 20, right))
    assert found.status is Status.INCONCLUSIVE
    assert "no number of labels would help" in found.reason


def test_a_flipped_judge_leaves_every_check_open() -> None:
    flipped = calibration(80, 20).model_copy(update={"kappa_high": -0.3})
    for check, outcomes in (
        (FLOOR, table(rows(said(1.0), **JUDGED))),
        (MARGIN, pairs(1000, 500)),
        ({**MARGIN, "metric": "pass_rate"}, pairs(1000, 0)),
    ):
        found = check_of(check, outcomes, flipped)
        assert found.status is Status.INCONCLUSIVE
        assert "polarity flipped" in found.reason
        assert "no number of labels would help" in found.reason


def test_labels_that_are_merely_missing_are_named_and_not_multiplied() -> None:
    waiting = rows(said(0.86), **JUDGED, label_p=0.1)
    found = check_of(FLOOR, table(waiting), calibration(80, 20))
    assert "1000 of 1000 have no label yet" in found.reason
    assert "about" not in found.reason


def test_where_nothing_was_scored_labels_are_not_the_matter() -> None:
    found = check_of(FLOOR, table(rows([None] * 50, **JUDGED)), calibration(80, 20))
    assert found.status is Status.INCONCLUSIVE
    assert "labelled" not in found.reason


class TestOwnLabels:
    """Labels of these very answers correct the rate, and say how often the judge errs on them."""

    def outcomes(self, labels: int, n: int = 1000) -> OutcomeTable:
        """90 % truly pass; the judge is right nine times in ten."""
        at = np.arange(n)
        true = at % 10 != 0
        seen = np.where(at // 10 % 10 != 0, true, ~true).astype(float)
        known = at * 617 % n < labels
        label = [float(t) if k else None for t, k in zip(true, known, strict=True)]
        chance = [labels / n if k else None for k in known]
        return table(rows(seen, label=label, label_p=chance, **JUDGED))

    def test_as_many_as_it_asked_for_do(self) -> None:
        short = check_of({**FLOOR, "threshold": 0.84}, self.outcomes(60))
        assert short.status is Status.INCONCLUSIVE
        assert "labelled answers would do, there are 60" in short.reason
        wanted = labels_in(short.reason)
        assert 60 < wanted < 1000
        enough = check_of({**FLOOR, "threshold": 0.84}, self.outcomes(round(1.3 * wanted)))
        assert enough.status is Status.PASS

    def test_too_few_in_the_cell_say_how_many(self) -> None:
        short = check_of({**FLOOR, "threshold": 0.7}, self.outcomes(8))
        assert "labels of its own answers (8 of at least 20 in this cell)" in short.reason
        assert labels_in(short.reason) >= 20

    def test_more_answers_where_labels_alone_do_not_reach_it(self) -> None:
        short = check_of({**FLOOR, "threshold": 0.84}, self.outcomes(60, 100))
        assert short.more is not None
        assert short.more.n > 0

    def test_a_rate_below_its_floor_is_helped_by_no_label(self) -> None:
        short = check_of({**FLOOR, "threshold": 0.93}, self.outcomes(60))
        assert "labelled answers would do" not in short.reason


class TestViolations:
    kind = SetKind.ADVERSARIAL
    clean = table(rows(np.zeros(400), kind="adversarial", **JUDGED))

    def check(self, positives: int, limit: float = 0.012, right: float = 0.9) -> CheckResult:
        known = [calibration(positives, 100, right, kind=self.kind)] if positives else []
        return check_of({**VIOLATIONS, "threshold": limit}, self.clean, *known)

    def test_controls_are_asked_for_and_as_many_do(self) -> None:
        short = self.check(20)
        assert short.status is Status.INCONCLUSIVE
        assert "labelled events (positive controls count) would do, there are 20" in short.reason
        wanted = labels_in(short.reason)
        assert wanted > 20
        assert self.check(wanted).status is Status.PASS
        assert self.check(wanted - max(3, wanted // 10)).status is Status.INCONCLUSIVE

    def test_without_any_it_says_how_many_a_good_judge_takes(self) -> None:
        short = self.check(0)
        assert "if the judge sees 90% of them, there are 0" in short.reason
        assert self.check(labels_in(short.reason)).status is Status.PASS

    def test_a_blind_judge_is_not_mended_by_labels(self) -> None:
        short = self.check(200, right=0.5)
        assert short.status is Status.INCONCLUSIVE
        assert short.more is not None
        assert short.more.n > 0, "only more prompts make the limit reachable"
        assert "would do" not in short.reason


def pairs(n: int, labels: int, *, seed: int = 0) -> OutcomeTable:
    """Arms as good as each other, truly differing on 9 % of the prompts, behind a judge right nine times in ten."""
    random = np.random.default_rng(seed)
    differ = random.random(n) < 0.09
    theirs = random.random(n) < np.where(differ, 0.5, 0.8)
    ours = np.where(differ, ~theirs, theirs)
    labelled = np.arange(n) < labels
    arms = []
    for arm, truth in (("candidate", ours), ("incumbent", theirs)):
        seen = np.where(random.random(n) < 0.9, truth, ~truth).astype(float)
        label = np.where(labelled, truth, np.nan)
        chance = np.where(labelled, labels / n, np.nan)
        arms.append(rows(seen, arm=arm, label=label, label_p=chance, **JUDGED))
    return table(*arms)


def test_a_comparison_asks_for_prompts_labelled_on_both_arms() -> None:
    narrow = {**MARGIN, "margin": 0.03}
    short = check_of(narrow, pairs(2000, 12), calibration(80, 20))
    assert "12 of at least 20" in short.reason
    assert "prompts labelled on both arms would do, there are 12" in short.reason
    wanted = labels_in(short.reason)
    assert 100 < wanted < 2000
    known = calibration(80, 20)
    passed = [check_of(narrow, pairs(2000, wanted, seed=seed), known).status is Status.PASS for seed in range(12)]
    fewer = [check_of(narrow, pairs(2000, wanted // 4, seed=seed), known).status is Status.PASS for seed in range(12)]
    assert sum(passed) >= 6, "planned for a power of 80 %, discordance guessed from the verdicts"
    assert sum(fewer) < sum(passed)


def test_the_judges_own_error_takes_labels_and_not_prompts() -> None:
    check = {"id": "s", "metric": "judge_sensitivity", "test": "floor", "threshold": 0.85, "where": {"set": "golden"}}
    found = check_of(check, table(rows(said(0.9), **JUDGED)), calibration(80, 20))
    assert found.status is Status.INCONCLUSIVE
    assert found.more is not None
    assert found.more.n == 0
    assert "more labelled answers of that kind" in (found.more.note or "")
