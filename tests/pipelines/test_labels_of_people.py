"""Labels of people in a real run: real answers, a real judge, a file to be filled in, and what becomes of it."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from evalharness.checkers import check
from golden_sets.reading import read_set
from pipelines.scaffold import scaffold

POLICY = """\
name: labels
version: 1
alpha: 0.05
primary: floor
labels_per_arm: 60
checks:
  - {id: floor, metric: pass_rate, where: {set: golden}, test: floor, threshold: 0.2}
  - {id: helpful, metric: pass_rate, where: {set: golden, rubric: helpfulness}, test: floor, threshold: 0.5}
"""


def evaluate(project: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    """What ``relgate eval --json`` says, and the evidence it writes."""
    output = project / "evidence.json"
    command = [sys.executable, "-m", "pipelines.cli", "eval", "flagship-v1", "--project", str(project), "--json"]
    done = subprocess.run([*command, "-o", str(output)], capture_output=True, text=True, timeout=900, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout), json.loads(output.read_text())["evidence"]


def gate(project: Path) -> dict[str, Any]:
    command = [sys.executable, "-m", "pipelines.cli", "gate", str(project / "evidence.json"), "--json"]
    policy = ["--policy", str(project / "policy.yaml")]
    done = subprocess.run([*command, *policy], capture_output=True, text=True, timeout=300, check=False)
    result: dict[str, Any] = json.loads(done.stdout)
    return {one["id"]: one for one in result["checks"]}


@pytest.mark.vllm
@pytest.mark.slow
def test_a_run_asks_for_labels_and_rests_on_them_once_they_are_there(tmp_path: Path) -> None:
    project = tmp_path / "project"
    scaffold(project, ["flagship-v1"], name="labels")
    (project / "policy.yaml").write_text(POLICY)
    golden = project / "sets" / "golden.jsonl"
    golden.write_text("\n".join(golden.read_text().splitlines()[:160]) + "\n")
    card = project / "sets" / "golden.yaml"
    card.write_text(card.read_text() + "criteria: [helpfulness]\n")
    file = project / "relgate.yaml"
    text = re.sub(r"^sets: .*$", "sets: [sets/golden.yaml]", file.read_text(), flags=re.MULTILINE)
    text = re.sub(r"^latency: .*$", "latency: null", text, flags=re.MULTILINE)
    text = re.sub(r"^controls: .*$", "controls: null", text, flags=re.MULTILINE)
    file.write_text(re.sub(r"^labels: .*$", "labels: {source: file, file: labels.jsonl}", text, flags=re.MULTILINE))

    # Nobody has labelled anything: the checks cannot be settled, and say how many labels are missing.
    told, evidence = evaluate(project)
    assert told["to_label"]["answers"] > 0
    assert evidence["calibrations"] == []
    checks = gate(project)
    assert {one["status"] for one in checks.values()} == {"inconclusive"}
    assert "no label yet" in checks["floor"]["reason"]

    # People fill in the file: here by the prompts' own checkers, as a person who knows the answer would.
    rows = [json.loads(line) for line in Path(told["to_label"]["file"]).read_text().splitlines()]
    assert {row["rubric"] for row in rows} == {"correctness", "helpfulness"}
    assert not {"arm", "score", "verdict", "outcome"} & rows[0].keys()
    checkers = {p.id: p.checker for p in read_set(card).prompt_set.prompts}
    for row in rows:
        checker = checkers[row["prompt_id"]]
        assert checker is not None
        meets = check(checker, row["answer"]) if row["rubric"] == "correctness" else "sorry" not in row["answer"]
        row["label"] = "pass" if meets else "fail"
    strange = {**rows[0], "label": "unsure", "labeller": "x"}
    unknown = {**rows[0], "prompt_id": "no-such-prompt"}
    lines = [json.dumps(row) for row in (*rows, strange, unknown)]
    (project / "labels.jsonl").write_text("\n".join(lines) + "\n")

    told, evidence = evaluate(project)
    assert (told["to_label"]["answers"], told["generated"], told["judged"]) == (0, 0, 0)
    by_rubric = {one["rubric"]: one for one in evidence["calibrations"]}
    assert set(by_rubric) == {"correctness", "helpfulness"}
    assert by_rubric["correctness"]["label_source"] == "file"
    assert by_rubric["correctness"]["agreement"] > 0.7
    notes = " ".join(evidence["provenance"]["details"]["labels"])
    assert "'unsure' (1)" in notes
    assert "no-such-prompt" in notes
    checks = gate(project)
    assert checks["floor"]["status"] == "pass"
    assert checks["floor"]["estimate"]["method"] == "ppi"
    assert "no label yet" not in checks["helpful"]["reason"]
    criteria = [one for one in evidence["estimates"] if one["cell"] == {"rubric": "helpfulness"}]
    assert len(criteria) == 1
