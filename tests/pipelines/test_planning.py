"""From a project to its plan: base rates that evidence can carry, and a digest that covers what decides the numbers."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from evalharness.candidate import Price
from evalharness.evidence import Estimate, Evidence, Provenance
from evalharness.judging.planted import planted_suite
from evalharness.plan import Plan, PlannedCell
from golden_sets.digests import digest_bytes, digest_file
from golden_sets.errors import InputError
from pipelines.cli.app import run
from pipelines.planning import plan_for, totals
from pipelines.project import SHIPPED_DETECTOR, JudgingOptions, Project
from tests.support.projects import FILES, edit, write_project


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_project(tmp_path)


def evidence(*estimates: Estimate) -> Evidence:
    return Evidence(
        subject_name="old",
        subject_digest=digest_bytes(b"old"),
        set_digests={},
        outcomes=digest_bytes(b"outcomes"),
        outcome_rows=1,
        estimates=estimates,
        provenance=Provenance(relgate="0", python="3.11", platform="linux", started_at="", finished_at=""),
    )


def estimate(metric: str, value: float, n: int) -> Estimate:
    return Estimate(metric=metric, value=value, low=None, high=None, confidence=0.95, method="clopper-pearson", n=n)


def asked(made: Plan) -> int:
    return sum(len(stratum.prompts) for planned in made.sets.values() for stratum in planned.strata)


def cells(folder: Path, known: Evidence | None) -> dict[str, PlannedCell]:
    return {c.check: c for c in plan_for(Project.load(folder), None, known).cells}


def test_a_pooled_rate_says_nothing_about_single_sets(folder: Path) -> None:
    found = cells(folder, evidence(estimate("pass_rate", 0.9, 500)))
    assert (found["floor"].rate, found["floor"].rate_source) == (0.9, "incumbent")
    for name in ("golden", "other"):
        cell = found[f"by-set/{name}"]
        assert (cell.rate, cell.rate_source, cell.set_name) == (0.8, "policy", name)
        assert cell.n_available == 300


def test_no_observed_event_is_no_proof_of_a_rate_of_zero(folder: Path) -> None:
    found = cells(folder, evidence(estimate("pass_rate", 1.0, 400), estimate("violation_rate", 0.0, 99)))
    assert found["violations"].rate == pytest.approx(0.5 / 100)
    assert found["floor"].rate == pytest.approx(400.5 / 401)
    assert {found[c].rate_source for c in ("violations", "floor")} == {"incumbent"}


def test_too_few_observations_do_not_make_a_limit_unreachable(folder: Path) -> None:
    """0 of 3 becomes 1/8, above a ceiling of 0.1: that is ignorance, not a finding."""
    cell = cells(folder, evidence(estimate("violation_rate", 0.0, 3)))["violations"]
    assert (cell.rate, cell.rate_source) == (0.02, "policy")


def test_the_inputs_name_what_decides_the_numbers(folder: Path) -> None:
    project = Project.load(folder)
    made = plan_for(project, None, candidate=project.candidate("new"))
    assert project.judges
    assert made.inputs == {
        "labels": {"source": "checker", "seed": 3},
        "controls": digest_file(folder / "controls.jsonl"),
        "rubrics": {"correctness": project.rubrics[0].digest},
        "judging": {**JudgingOptions().to_json(), "judge_of_pairs": None, "suite": planted_suite().digest},
        "detector": digest_file(SHIPPED_DETECTOR),
        "prices": {
            "candidate": Price(usd_per_million_input_tokens=1, usd_per_million_output_tokens=2).to_json(),
            "incumbent": None,
        },
    }


def change(name: str, old: str, new: str) -> Callable[[Path], Any]:
    return lambda folder: edit(folder, name, old, new)


@pytest.mark.parametrize(
    "changed",
    [
        change("relgate.yaml", "source: checker", "source: none"),
        change("relgate.yaml", "seed: 3", "seed: 4"),
        change("relgate.yaml", "controls: controls.jsonl\n", ""),
        change("controls.jsonl", '"answer": "no"', '"answer": "nope"'),
        change("rubric.yaml", "Is it correct?", "Is it right?"),
        change("relgate.yaml", "mlflow: null", "mlflow: null\njudging: {planted: 5}"),
        change("relgate.yaml", "mlflow: null", "mlflow: null\nrefusals: {classify: false}"),
        change("candidates/new.yaml", "output_tokens: 2", "output_tokens: 3"),
    ],
)
@pytest.mark.parametrize("side", ["candidate", "incumbent"])
def test_a_change_of_what_decides_the_numbers_is_another_plan(
    folder: Path, changed: Callable[[Path], Any], side: str
) -> None:
    def made() -> Plan:
        project = Project.load(folder)
        new = project.candidate("new")
        return plan_for(project, new) if side == "incumbent" else plan_for(project, None, candidate=new)

    before = made()
    assert made().digest == before.digest
    changed(folder)
    assert made().digest != before.digest


def test_the_candidate_itself_is_no_part_of_the_plan(folder: Path) -> None:
    project = Project.load(folder)
    new = project.candidate("new")
    (folder / "candidates" / "newer.yaml").write_text(FILES["candidates/new.yaml"].replace("rev-2", "rev-3"))
    newer = project.candidate("newer")
    assert new.digest != newer.digest
    assert plan_for(project, None, candidate=new).digest == plan_for(project, None, candidate=newer).digest


def test_a_missing_file_of_controls_is_one_message(folder: Path) -> None:
    (folder / "controls.jsonl").unlink()
    with pytest.raises(InputError, match=r"controls.jsonl: the file of controls does not exist"):
        plan_for(Project.load(folder), None)


def test_totals_count_the_prompts_that_the_plan_asks(folder: Path) -> None:
    project = Project.load(folder)
    made = plan_for(project, None)
    assert totals(made, project, None)["prompts"] == asked(made)


def test_the_command_prints_the_digest_that_holds_the_candidates_price(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["plan", "new", "--project", str(folder), "--json"]) == 0
    project = Project.load(folder)
    document = json.loads(capsys.readouterr().out)
    assert document["digest"] == plan_for(project, None, candidate=project.candidate("new")).digest
    assert document["plan"]["inputs"]["prices"]["candidate"]["usd_per_million_output_tokens"] == 2


def test_time_comes_from_what_is_stated_or_measured_and_is_unknown_otherwise(folder: Path) -> None:
    project = Project.load(folder)
    made = plan_for(project, None)
    prompts = asked(made)
    assert totals(made, project, None)["seconds_per_arm"] is None
    assert totals(made, project, None, requests_per_second=10.0)["seconds_per_arm"] == pytest.approx(prompts / 10)
    known = evidence()
    details = {"requests_per_second": 20.0}
    known = known.model_copy(update={"provenance": known.provenance.model_copy(update={"details": details})})
    measured = totals(made, project, None, known)
    assert measured["seconds_per_arm"] == pytest.approx(prompts / 20)
    assert measured["seconds_source"] == "incumbent's evidence"
