"""A threshold that was changed is shown wherever the verdict is: console, JSON, report; with what was signed."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from evalharness.database import open_database
from evalharness.evidence_files import write_evidence
from gates.policy import load_policy
from gates.registry import Registry
from pipelines.cli.app import run
from tests.support.evidence import measured, rows, table
from tests.support.signed_registry import People

POLICY = """\
name: p
version: {version}
alpha: 0.05
primary: floor
checks:
  - {{id: floor, metric: pass_rate, test: floor, threshold: {threshold}, owner: sara}}
"""


@dataclass
class Gating:
    """A registry whose channel is pinned to a strict policy, and evidence that only a looser one lets pass."""

    folder: Path
    capsys: pytest.CaptureFixture[str]

    @property
    def store(self) -> str:
        return f"sqlite:///{self.folder / 'registry.db'}"

    def policy(self, threshold: float) -> Path:
        path = self.folder / f"{threshold}.yaml"
        path.write_text(POLICY.format(version=int(100 * threshold), threshold=threshold))
        return path

    def gate(self, threshold: float, *options: str) -> str:
        evidence = self.folder / "v2.json"
        found = measured(table(rows([1.0] * 180 + [0.0] * 20)), name="v2")
        write_evidence(found.evidence, found.outcomes.to_parquet(), evidence, found.plan)
        self.capsys.readouterr()
        run(["gate", str(evidence), "--policy", str(self.policy(threshold)), "--store", self.store, *options])
        return self.capsys.readouterr().out


@pytest.fixture
def gating(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Gating:
    found = Gating(tmp_path, capsys)
    engine = open_database(found.store)
    people = People(Registry(engine))
    people.pin(load_policy(found.policy(0.95)).policy)
    engine.dispose()
    return found


def changes(document: Any) -> list[tuple[str, str, str, bool]]:
    (since,) = document
    return [(one["check"], one["before"], one["after"], one["loosened"]) for one in since["changes"]]


def test_gate_lists_what_was_loosened_with_its_owner(gating: Gating) -> None:
    told = " ".join(gating.gate(0.8).split())
    assert "promote" in told
    assert "changed thresholds since policy p version 95" in told
    assert "floor: threshold 0.95 -> 0.8 (owner sara; LOOSENED)" in told


def test_json_and_report_hold_it_too(gating: Gating) -> None:
    document = json.loads(gating.gate(0.8, "--json", "--report", str(gating.folder / "reports")))
    assert changes(document["changed_thresholds"]) == [("floor", "0.95", "0.8", True)]
    assert "loosened</span>" in Path(document["reports"]["html"]).read_text()
    assert "LOOSENED" in Path(document["reports"]["markdown"]).read_text()
    assert "LOOSENED" in Path(document["reports"]["junit"]).read_text()
    inside = json.loads(Path(document["reports"]["json"]).read_text())["report"]["standing"]
    assert changes(inside["changed_thresholds"]) == [("floor", "0.95", "0.8", True)]


def test_nothing_is_listed_where_nothing_changed(gating: Gating) -> None:
    assert "changed thresholds" not in gating.gate(0.95)
    assert json.loads(gating.gate(0.95, "--json"))["changed_thresholds"] == []


def test_a_tightened_threshold_is_not_called_loosened(gating: Gating) -> None:
    told = " ".join(gating.gate(0.97).split())
    assert "floor: threshold 0.95 -> 0.97 (owner sara; tightened)" in told


def test_the_report_of_a_recorded_decision_tells_where_it_stands(gating: Gating) -> None:
    decision = json.loads(gating.gate(0.8, "--json"))["decision"]
    out = gating.folder / "again"
    assert run(["report", decision, "--store", gating.store, "-o", str(out), "--project", str(out), "--json"]) == 0
    paths = json.loads(gating.capsys.readouterr().out)["reports"]
    standing = json.loads(Path(paths["json"]).read_text())["report"]["standing"]
    assert (standing["channel"], standing["stage"]) == ("flagship", "production")
    assert any("pinned policy" in text for text in standing["missing"])
    assert standing["pinned"].startswith("Channel flagship is pinned to policy p version 95")


def test_sets_that_are_pinned_no_longer_are_listed_with_the_policy_pinned_before(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    gating = Gating(tmp_path, capsys)
    engine = open_database(gating.store)
    people, policy = People(Registry(engine)), load_policy(gating.policy(0.8)).policy
    people.pin(policy, sets={"golden": policy.digest})
    people.pin(policy)
    engine.dispose()
    told = " ".join(gating.gate(0.8).split())
    assert "pinned set golden" in told
    assert "-> not pinned" in told
    assert "LOOSENED" in told
