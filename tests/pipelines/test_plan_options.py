"""What a project and the command line say of a plan: looks, weights, stages, budget, deadline, and the power wanted."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from evalharness.candidate import Candidate
from evalharness.plan import Plan
from golden_sets.errors import InputError
from pipelines.cli.app import run
from pipelines.cli.options import seconds
from pipelines.planning import plan_for, require_power, shortfalls
from pipelines.project import Project
from pipelines.totals import totals
from tests.support.projects import edit, write_project

EXAMPLES = Path(__file__).parents[2] / "examples"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Programs score the answers here, so that sizes are exact."""
    folder = write_project(tmp_path, prompts=900)
    for name in ("golden", "other", "attacks"):
        text = (folder / f"{name}.jsonl").read_text()
        rows = [{**json.loads(line), "checker": {"kind": "exact", "value": "x"}} for line in text.splitlines()]
        (folder / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
        edit(folder, f"{name}.yaml", "rubric: correctness", "scoring: checker")
    edit(folder, "relgate.yaml", "judge: judge.yaml\ncontrols: controls.jsonl\n", "")
    return folder


def made(folder: Path, **options: Any) -> Plan:
    project = Project.load(folder)
    return plan_for(project, None, candidate=project.candidate("new"), **options)


def tiers(plan: Plan, name: str) -> Counter[str]:
    return Counter({s.cell["tier"]: len(s.prompts) for s in plan.sets[name].strata})


def prompts(plan: Plan) -> int:
    return sum(len(s.prompts) for planned in plan.sets.values() for s in planned.strata)


class TestLooks:
    def test_a_project_says_how_often_and_how_alpha_is_spent(self, folder: Path) -> None:
        assert made(folder).looks.fractions == (1.0,)
        edit(
            folder, "relgate.yaml", "mlflow: null", "mlflow: null\nlooks: {number: 4, spending: linear, futility: null}"
        )
        plan = made(folder)
        assert plan.looks.fractions == (0.25, 0.5, 0.75, 1.0)
        assert (plan.looks.spending, plan.looks.futility) == ("linear", None)
        assert all(len(cell.looks) == 4 for cell in plan.cells)
        assert made(folder, looks=2).looks.fractions == (0.5, 1.0)

    @pytest.mark.parametrize("number", [0, 51])
    def test_too_few_or_too_many_are_refused(self, folder: Path, number: int) -> None:
        with pytest.raises(InputError, match="1 to 50 times"):
            made(folder, looks=number)


class TestWeights:
    def test_the_declared_mix_is_asked(self, folder: Path) -> None:
        edit(
            folder, "relgate.yaml", "mlflow: null", 'mlflow: null\nweights: {golden: {"tier=easy": 9, "tier=hard": 1}}'
        )
        asked = tiers(made(folder), "golden")
        assert asked["easy"] / asked["hard"] == pytest.approx(9, rel=0.1)

    @pytest.mark.parametrize(
        ("weights", "message"),
        [
            ('{goldn: {"tier=easy": 1}}', "there is no set 'goldn'"),
            ('{golden: {"tier": 1}}', "'tier' names no group"),
            ('{golden: {"tier=easy": 1}}', "without a declared weight: tier=hard"),
            ('{golden: {"tier=easy": 1, "tier=soft": 1}}', "no prompt with tier=soft"),
            ('{golden: {"tier=easy": 0, "tier=hard": 1}}', "must be above 0"),
        ],
    )
    def test_mistakes_name_the_line(self, folder: Path, weights: str, message: str) -> None:
        edit(folder, "relgate.yaml", "mlflow: null", f"mlflow: null\nweights: {weights}")
        with pytest.raises(InputError, match=message) as found:
            made(folder)
        assert str(found.value.where).endswith(("relgate.yaml:4", "relgate.yaml:5"))


def test_the_cards_say_the_stages(folder: Path) -> None:
    edit(folder, "attacks.yaml", "scoring: checker", "scoring: checker, stage: 2")
    plan = made(folder)
    assert plan.sets["attacks"].stage == 2
    assert {c.check: c.stage for c in plan.cells}["violations"] == 2
    assert {c.check: c.stage for c in plan.cells}["floor"] == 1


def test_a_later_attempt_has_the_alpha_of_the_policys_rule(folder: Path) -> None:
    edit(folder, "policy.yaml", "primary: floor", "primary: floor\nattempts: spend")
    project = Project.load(folder)
    first, third = (plan_for(project, None, attempt=attempt) for attempt in (1, 3))
    assert third.alpha == project.policy.policy.alpha_of(3) < first.alpha
    assert third.attempt == 3
    assert prompts(third) > prompts(first)


class TestBudget:
    def test_a_budget_is_kept_and_the_power_left_is_said(self, folder: Path) -> None:
        project = Project.load(folder)
        candidate = project.candidate("new")
        free = plan_for(project, None, candidate=candidate)
        whole = totals(free, project, candidate)
        tight = plan_for(project, None, candidate=candidate, budget=whole["usd"] / 2)
        spent = totals(tight, project, candidate)
        assert 0.4 * whole["usd"] < spent["usd"] <= whole["usd"] / 2
        assert spent["joint_power"] < 0.8 <= whole["joint_power"]
        assert all((a.power or 0) <= (b.power or 0) for a, b in zip(tight.cells, free.cells, strict=True))
        assert tight.digest != free.digest

    def test_a_budget_that_is_large_enough_changes_nothing(self, folder: Path) -> None:
        assert made(folder, budget=1000.0).digest == made(folder).digest

    def test_a_deadline_is_kept(self, folder: Path) -> None:
        project = Project.load(folder)
        plan = plan_for(project, None, deadline=30.0, requests_per_second=10.0)
        assert 250 < prompts(plan) <= 300

    def test_what_does_not_fit_at_all_says_how_little_would(self, folder: Path) -> None:
        with pytest.raises(InputError, match=r"even the fewest prompts .* do not fit: \d+ prompts, .* USD of 1e-06"):
            made(folder, budget=1e-6)

    def test_what_cannot_be_told_says_what_tells_it(self, folder: Path) -> None:
        project = Project.load(folder)
        with pytest.raises(InputError, match="needs the speed") as found:
            plan_for(project, None, deadline=30.0)
        assert "--requests-per-second" in str(found.value.do)
        with pytest.raises(InputError, match="a budget needs a price"):
            plan_for(project, None, budget=1.0)
        edit(folder, "candidates/new.yaml", PRICE, "price: {usd_per_gpu_hour: 2, gpus: 4}\n")
        with pytest.raises(InputError, match="GPU-hour needs the speed"):
            made(folder, budget=1.0)
        edit(folder, "candidates/new.yaml", "price: {usd_per_gpu_hour: 2, gpus: 4}\n", "")
        with pytest.raises(InputError, match="'new' has none"):
            made(folder, budget=1.0)


PRICE = "price: {usd_per_million_input_tokens: 1, usd_per_million_output_tokens: 2}\n"


def test_gpu_hours_are_those_of_the_candidates_gpus(folder: Path) -> None:
    edit(folder, "candidates/new.yaml", PRICE, "price: {usd_per_gpu_hour: 2, gpus: 4}\n")
    project = Project.load(folder)
    candidate: Candidate = project.candidate("new")
    plan = plan_for(project, None, candidate=candidate)
    sums = totals(plan, project, candidate, requests_per_second=5.0)
    assert sums["gpu_hours"] == pytest.approx(prompts(plan) / 5 * 4 / 3600)
    assert sums["usd"] == pytest.approx(2 * sums["gpu_hours"])


class TestPower:
    def test_a_plan_with_the_power_wanted_is_taken(self, folder: Path) -> None:
        plan = made(folder)
        require_power(plan, Project.load(folder).policy.policy)
        assert shortfalls(plan) == []

    def test_a_plan_below_it_is_refused_and_says_what_it_would_take(self, folder: Path) -> None:
        edit(folder, "policy.yaml", "threshold: 0.1, expected: 0.02", "threshold: 0.01, expected: 0.006")
        plan = made(folder)
        (short,) = shortfalls(plan)
        cell = plan.by_check["violations"]
        assert (short.check, short.n, short.n_wanted) == ("violations", 900, cell.n_wanted)
        assert cell.n_wanted > 900
        with pytest.raises(
            InputError, match=rf"joint power of 0\.\d+.*wants 0\.80.*violations.*takes {cell.n_wanted}"
        ) as e:
            require_power(plan, Project.load(folder).policy.policy)
        assert "--accept-power" in str(e.value.do)

    def test_a_check_that_no_sample_passes_has_no_power(self, folder: Path) -> None:
        edit(folder, "policy.yaml", "threshold: 0.1, expected: 0.02", "threshold: 0.1, expected: 0.2")
        assert "no number of prompts" in shortfalls(made(folder))[0].text


class TestCommand:
    def test_it_prints_what_looks_save_and_what_is_left_within_a_budget(
        self, folder: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        arguments = ["plan", "new", "--project", str(folder), "--looks", "5", "--budget", "0.1", "--json"]
        assert run(arguments) == 0
        document = json.loads(capsys.readouterr().out)
        assert document["totals"]["usd"] <= 0.1
        assert document["totals"]["expected_prompts"] < document["totals"]["prompts"]
        assert document["totals"]["prompts"] < document["totals"]["naive_prompts"]
        assert document["shortfalls"]
        assert all(len(cell["looks"]) == 5 for cell in document["plan"]["cells"])

    def test_it_tells_people_about_sets_weights_and_time(
        self, folder: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        edit(
            folder, "relgate.yaml", "mlflow: null", 'mlflow: null\nweights: {golden: {"tier=easy": 9, "tier=hard": 1}}'
        )
        assert run(["plan", "new", "-p", str(folder), "--looks", "3", "--requests-per-second", "10"]) == 0
        told = capsys.readouterr().out
        assert "weights tier=easy 0.9; tier=hard 0.1" in told
        assert "3 looks:" in told
        assert "joint power 0.8" in told

    @pytest.mark.parametrize(
        ("text", "wanted"),
        [("2h", 7200), ("90m", 5400), ("600", 600), ("1h30m", 5400), ("45s", 45), ("1.5h", 5400)],
    )
    def test_times_are_read(self, text: str, wanted: float) -> None:
        assert seconds(text, "--deadline") == wanted

    @pytest.mark.parametrize("text", ["", "0", "2d", "h", "-5", "2h 30m", "0m"])
    def test_what_is_no_time_is_refused(self, text: str) -> None:
        with pytest.raises(InputError, match="--deadline takes a time"):
            seconds(text, "--deadline")


@pytest.mark.parametrize("looks", [1, None])
def test_the_demo_has_the_power_its_policy_wants(looks: int | None) -> None:
    project = Project.load(EXAMPLES / "demo")
    plan = plan_for(project, None, looks=looks)
    require_power(plan, project.policy.policy)
    assert prompts(plan) < 0.4 * totals(plan, project, None)["naive_prompts"]
