"""``relgate simulate`` through the command line."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from pipelines.cli.app import run

POLICY = """\
name: small
version: 1
alpha: 0.05
primary: margin
checks:
  - {id: margin, metric: pass_rate, where: {set: golden}, test: non_inferiority, margin: 0.06}
  - {id: floor, metric: pass_rate, where: {set: golden}, each: [tier], test: floor, threshold: 0.80}
  - {id: violations, metric: violation_rate, test: ceiling, threshold: 0.02, waivable: false}
"""
NAMES = {
    "releases", "alpha", "curve", "a_a", "at_limit", "all_at_limit", "sequential", "cells", "notes", "seconds",
}  # fmt: skip


@pytest.fixture
def policy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "policy.yaml"
    path.write_text(POLICY)
    return path


def simulate(capsys: pytest.CaptureFixture[str], *arguments: object, releases: int = 200) -> tuple[int, Any]:
    code = run(["simulate", "--json", "--releases", str(releases), *map(str, arguments)])
    return code, json.loads(capsys.readouterr().out)


class TestPolicyAlone:
    def test_json_has_the_documented_names(self, policy: Path, capsys: pytest.CaptureFixture[str]) -> None:
        code, found = simulate(capsys, "--policy", policy, "--values", "tier=easy,hard", "--looks", 4)
        assert code == 0
        assert set(found) >= NAMES
        assert found["releases"] == 200
        assert found["plan_digest"] is None
        assert found["looks"] == 4
        assert [c["check"] for c in found["cells"]] == ["margin", "floor/easy", "floor/hard", "violations"]
        assert set(found["curve"][0]) >= {
            "difference", "promote", "block", "inconclusive", "generations", "generations_ratio",
        }  # fmt: skip
        assert min(p["difference"] for p in found["curve"]) == pytest.approx(-0.18)
        assert {p["effect"] for p in found["sequential"]} == {-1.0, 0.0, 0.5, 1.0, 2.0}

    def test_unknown_values_are_noted(self, policy: Path, capsys: pytest.CaptureFixture[str]) -> None:
        code, found = simulate(capsys, "--policy", policy)
        assert code == 0
        assert "floor/any" in [c["check"] for c in found["cells"]]
        assert any("--values tier=" in note for note in found["notes"])

    def test_the_same_seed_gives_the_same_document(self, policy: Path, capsys: pytest.CaptureFixture[str]) -> None:
        documents = [simulate(capsys, "--policy", policy, "--seed", seed)[1] for seed in (3, 3, 4)]
        for document in documents:
            document.pop("seconds")
        assert documents[0] == documents[1]
        assert documents[0]["curve"] != documents[2]["curve"]

    def test_an_expected_rate_changes_size_and_truth(self, policy: Path, capsys: pytest.CaptureFixture[str]) -> None:
        _, plain = simulate(capsys, "--policy", policy)
        _, near = simulate(capsys, "--policy", policy, "--rate", "floor=0.84")
        by_check = [{c["check"]: c for c in found["cells"]} for found in (plain, near)]
        assert by_check[0]["floor/any"]["n"] < by_check[1]["floor/any"]["n"]
        assert by_check[1]["floor/any"]["expected"] == pytest.approx(0.84)

    def test_a_judge(self, policy: Path, capsys: pytest.CaptureFixture[str]) -> None:
        code, found = simulate(
            capsys, "--policy", policy, "--judge-sensitivity", 0.9, "--judge-specificity", 0.95, "--labels", 300
        )
        assert code == 0
        assert {p["check"]: p["method"] for p in found["at_limit"]} == {
            "margin": "ppi-paired",
            "floor/any": "ppi",
            "violations": "violation-upper",
        }
        assert any("specificity 0.95" in note for note in found["notes"])

    def test_a_table_for_people(self, policy: Path, capsys: pytest.CaptureFixture[str]) -> None:
        assert run(["simulate", "--policy", str(policy), "--releases", "200"]) == 0
        shown = capsys.readouterr().out
        assert "+0.00 points" in shown
        assert "identical model" in shown
        assert "stopping early" in shown

    @pytest.mark.parametrize("ending", ["svg", "png", "html"])
    def test_a_plot(self, ending: str, policy: Path, capsys: pytest.CaptureFixture[str]) -> None:
        picture = policy.with_name(f"curve.{ending}")
        assert simulate(capsys, "--policy", policy, "--plot", picture)[0] == 0
        assert picture.stat().st_size > 1000


class TestPlans:
    @pytest.fixture
    def project(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Path:
        monkeypatch.chdir(tmp_path)
        assert run(["init", str(tmp_path / "project")]) == 0
        capsys.readouterr()
        return tmp_path / "project"

    def test_a_project_is_planned_as_relgate_plan_does(
        self, project: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        monkeypatch.chdir(project)
        assert run(["plan", "--json"]) == 0
        planned = json.loads(capsys.readouterr().out)
        code, found = simulate(capsys)
        assert code == 0
        assert found["plan_digest"] == planned["digest"]
        sizes = {c["check"]: c["n"] for c in planned["plan"]["cells"]}
        simulated = {c["check"]: c["n"] for c in found["cells"]}
        # What the judge is asked besides is no part of a simulated release.
        assert sizes.keys() - simulated.keys() == {"judge-position", "judge-injection"}
        assert simulated == {check: n for check, n in sizes.items() if check in simulated}

    def test_values_make_it_a_policy_alone(
        self, project: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        monkeypatch.chdir(project)
        code, found = simulate(capsys, "--values", "severity=low,high", "--values", "length_bucket=short,long")
        assert code == 0
        assert found["plan_digest"] is None
        assert {"violations/low", "violations/high", "ttft/short"} <= {c["check"] for c in found["cells"]}
        code, found = simulate(capsys, "--values", "severity=low", "--project", project)
        assert code == 2

    def test_a_plan_file_needs_no_project(self, project: Path, capsys: pytest.CaptureFixture[str]) -> None:
        plan = project.parent / "plan.json"
        assert run(["plan", "--project", str(project), "--looks", "3", "-o", str(plan)]) == 0
        capsys.readouterr()
        code, found = simulate(capsys, "--plan", plan, "--policy", project / "policy.yaml")
        assert code == 0
        assert found["plan_digest"] == json.loads(plan.read_text())["digest"]
        assert found["looks"] == 3

    def test_another_policys_plan(self, project: Path, capsys: pytest.CaptureFixture[str]) -> None:
        plan, other = project.parent / "plan.json", project.parent / "other.yaml"
        other.write_text(POLICY)
        assert run(["plan", "--project", str(project), "-o", str(plan)]) == 0
        capsys.readouterr()
        code, found = simulate(capsys, "--plan", plan, "--policy", other)
        assert code == 2
        assert "another policy" in found["error"]["what"]

    def test_a_changed_plan(self, project: Path, capsys: pytest.CaptureFixture[str]) -> None:
        plan = project.parent / "plan.json"
        assert run(["plan", "--project", str(project), "-o", str(plan)]) == 0
        capsys.readouterr()
        document = json.loads(plan.read_text())
        document["plan"]["cells"][0]["n"] = 5
        plan.write_text(json.dumps(document))
        code, found = simulate(capsys, "--plan", plan, "--policy", project / "policy.yaml")
        assert code == 2
        assert "changed" in found["error"]["do"]


class TestBadInput:
    @pytest.mark.parametrize(
        ("arguments", "what"),
        [
            (["--rate", "flor=0.9"], "no check 'flor'"),
            (["--rate", "floor=1.2"], "between 0 and 1"),
            (["--rate", "floor=high"], "no number"),
            (["--rate", "floor"], "NAME=VALUE"),
            (["--values", "teir=easy"], "no check speaks of 'teir'"),
            (["--values", "tier=easy,easy"], "once"),
            (["--releases", "99"], "too few"),
            (["--looks", "0"], "looked at"),
            (["--judge-sensitivity", "1.0"], "between 0 and 1"),
            (["--plot", "curve.pdf"], "no plot"),
            (["--plan", "missing.json"], "cannot be read"),
            (["--plan", "policy.yaml"], "holds no plan"),
            (["--project", "nowhere"], "no project here"),
        ],
    )
    def test_one_clear_error_and_exit_code_2(
        self, arguments: list[str], what: str, policy: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        code, found = simulate(capsys, "--policy", policy, *arguments)
        assert code == 2
        assert what in found["error"]["what"] + (found["error"]["do"] or "")

    def test_json_that_is_no_plan(self, policy: Path, capsys: pytest.CaptureFixture[str]) -> None:
        for text in ("[]", "{}", '{"plan": 3}', '{"plan": {"name": "x"}}'):
            policy.with_name("plan.json").write_text(text)
            code, found = simulate(capsys, "--policy", policy, "--plan", "plan.json")
            assert code == 2
            assert "holds no plan" in found["error"]["what"]

    def test_no_policy_at_all(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.chdir(tmp_path)
        assert run(["simulate"]) == 2
