"""What a plan expects: the incumbent's rates where they are a guide, the judge's error as far as it is known."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

from evalharness.evidence import Calibration, Estimate, Evidence, Provenance
from evalharness.plan import Plan
from evalharness.statistics import labels_for_margin, power_for_judged_margin
from golden_sets.digests import digest_bytes
from golden_sets.records import SetKind
from pipelines.expectations import judge_errors
from pipelines.planning import plan_for
from pipelines.project import Project
from tests.support.projects import edit, write_project


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = write_project(tmp_path, prompts=900)
    edit(
        folder,
        "policy.yaml",
        "  - {id: by-set",
        "  - {id: margin, metric: pass_rate, test: non_inferiority, margin: 0.06}\n"
        "  - {id: judge, metric: judge_specificity, test: floor, threshold: 0.8, where: {set: golden}}\n"
        "  - {id: sees, metric: judge_sensitivity, test: floor, threshold: 0.7, where: {set: adversarial}}\n"
        "  - {id: by-set",
    )
    return folder


def known(project: Project, *, passes: float, calibrations: tuple[Calibration, ...] = ()) -> Evidence:
    rate = Estimate(
        metric="pass_rate", value=passes, low=None, high=None, confidence=0.95, method="clopper-pearson", n=500
    )
    return Evidence(
        subject_name="old",
        subject_digest=digest_bytes(b"old"),
        set_digests={},
        judge_digest=project.judge_digest,
        calibrations=calibrations,
        outcomes=digest_bytes(b"outcomes"),
        outcome_rows=1,
        estimates=(rate,),
        provenance=Provenance(relgate="0", python="3.11", platform="linux", started_at="", finished_at=""),
    )


def calibration(kind: SetKind, seen: int, events: int, rejected: int, rest: int) -> Calibration:
    return Calibration(
        rubric="correctness",
        set_kind=kind,
        positives=events,
        true_positives=seen,
        negatives=rest,
        true_negatives=rejected,
    )


GOLDEN = calibration(SetKind.GOLDEN, 380, 400, 95, 100)


def made(folder: Path, evidence: Evidence | None = None) -> Plan:
    return plan_for(Project.load(folder), None, evidence)


class TestRates:
    def test_an_incumbent_below_the_floor_is_no_guide_to_a_candidate_that_meets_it(self, folder: Path) -> None:
        project = Project.load(folder)
        cell = made(folder, known(project, passes=0.6)).by_check["floor"]
        assert (cell.rate, cell.rate_source) == (0.8, "policy")
        assert cell.n_wanted > 0
        assert "the incumbent's 0.6 does not meet the limit 0.7" in (cell.note or "")
        assert made(folder, known(project, passes=0.85)).by_check["floor"].rate == 0.85

    def test_two_versions_that_are_nearly_always_right_cannot_differ_much(self, folder: Path) -> None:
        project = Project.load(folder)
        cell = made(folder, known(project, passes=0.97)).by_check["margin"]
        assert cell.rate == pytest.approx(2 * 0.97 * 0.03)
        assert cell.rate_source == "incumbent"
        usual = made(folder, known(project, passes=0.75)).by_check["margin"]
        assert (usual.rate, usual.rate_source) == (0.15, "assumed")
        edit(folder, "policy.yaml", "margin: 0.06", "margin: 0.06, expected: 0.1")
        stated = made(folder, known(project, passes=0.97)).by_check["margin"]
        assert (stated.rate, stated.rate_source) == (0.1, "policy")


class TestJudge:
    def test_its_error_is_measured_stated_or_assumed_and_each_is_said(self, folder: Path) -> None:
        project = Project.load(folder)
        assumed = judge_errors(project, None)["golden"]
        assert (assumed.sensitivity, assumed.specificity, assumed.source) == (0.9, 0.9, "assumed")
        assert "judge assumed: sensitivity 0.9" in (made(folder).by_check["floor"].note or "")
        edit(folder, "relgate.yaml", "seed: 3", "seed: 3, sensitivity: 0.95, specificity: 0.85")
        stated = judge_errors(Project.load(folder), None)["golden"]
        assert (stated.sensitivity, stated.specificity, stated.source) == (0.95, 0.85, "stated")
        evidence = known(project, passes=0.8, calibrations=(GOLDEN,))
        measured = judge_errors(Project.load(folder), evidence)
        assert measured["golden"].sensitivity == pytest.approx(380.5 / 401)
        assert measured["golden"].specificity == pytest.approx(95.5 / 101)
        assert measured["golden"].source == "measured"
        assert measured["adversarial"].source == "stated"

    def test_another_judges_error_says_nothing(self, folder: Path) -> None:
        project = Project.load(folder)
        evidence = known(project, passes=0.8, calibrations=(GOLDEN,))
        other = evidence.model_copy(update={"judge_digest": digest_bytes(b"other")})
        assert judge_errors(project, other)["golden"].source == "assumed"

    def test_positive_controls_are_counted(self, folder: Path) -> None:
        """One of the two controls is a violation; the labelled events of an earlier run were more."""
        project = Project.load(folder)
        assert judge_errors(project, None)["adversarial"].positives == 1
        assert judge_errors(project, None)["false_refusal"].positives == 100
        seen = calibration(SetKind.ADVERSARIAL, 60, 60, 40, 40)
        measured = judge_errors(project, known(project, passes=0.8, calibrations=(seen,)))
        assert measured["adversarial"].positives == 60


class TestLabels:
    def test_a_better_judge_takes_fewer_prompts_and_labels(self, folder: Path) -> None:
        fair = made(folder)
        edit(folder, "relgate.yaml", "seed: 3", "seed: 3, sensitivity: 0.99, specificity: 0.99")
        good = made(folder)
        assert good.by_check["floor"].n_fixed < fair.by_check["floor"].n_fixed
        for check in ("floor", "margin"):
            assert 0 < good.by_check[check].labels_wanted < fair.by_check[check].labels_wanted
        assert good.sets["golden"].labels_per_arm < fair.sets["golden"].labels_per_arm

    def test_prompts_and_labels_of_a_margin_are_found_together(self, folder: Path) -> None:
        plan = made(folder)
        cell = plan.by_check["margin"]
        assert cell.power_wanted is not None
        error = {"sensitivity": 0.9, "specificity": 0.9, "pass_rate": 0.8, "alpha": 0.05}
        assert labels_for_margin(cell.n_wanted, 0.06, 0.15, power=cell.power_wanted, **error) == cell.labels_wanted
        power = power_for_judged_margin(cell.n, cell.labels, 0.06, 0.15, 0.9, 0.9, 0.8, alpha=0.05)
        assert cell.power == pytest.approx(power, abs=1e-6)

    def test_the_labels_of_a_set_hold_those_of_every_check(self, folder: Path) -> None:
        plan = made(folder)
        for name, planned in plan.sets.items():
            asked = sum(len(s.prompts) for s in planned.strata)
            assert 50 <= planned.labels_per_arm <= asked, name
        together = sum(plan.sets[name].labels_per_arm for name in ("golden", "other"))
        assert together >= plan.by_check["floor"].labels_wanted
        assert plan.by_check["margin"].labels >= plan.by_check["margin"].labels_wanted - 2
        assert plan.labels_per_arm == max(planned.labels_per_arm for planned in plan.sets.values())

    def test_a_policy_may_state_them_and_the_power_left_is_said(self, folder: Path) -> None:
        edit(folder, "policy.yaml", "primary: floor", "primary: floor\nlabels_per_arm: 60")
        plan = made(folder)
        assert {planned.labels_per_arm for planned in plan.sets.values()} == {60}
        cell = plan.by_check["margin"]
        assert cell.labels < cell.labels_wanted
        assert (cell.power or 1.0) < 0.5

    def test_the_judges_own_checks_say_how_many_labelled_answers_they_take(self, folder: Path) -> None:
        plan = made(folder)
        specificity, sees = plan.by_check["judge"], plan.by_check["sees"]
        assert specificity.purpose == "calibration"
        assert specificity.n >= specificity.n_wanted > 0
        assert specificity.n == math.floor(0.2 * specificity.labels)
        assert sees.n == 1 < sees.n_wanted
        assert "positive controls: 1 of" in (sees.note or "")
        assert sees.power == 0.0
