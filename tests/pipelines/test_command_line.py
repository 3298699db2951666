"""The command line: exit codes, JSON, messages. Everything here runs the real commands, without a model."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from pipelines.cli.app import run
from pipelines.cli.output import line, table

POLICY = """\
name: p
version: 1
alpha: 0.05
primary: margin
checks:
  - {id: floor, metric: pass_rate, each: [tier], test: floor, threshold: 0.8}
  - {id: margin, metric: pass_rate, test: non_inferiority, margin: 0.05}
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "policy.yaml").write_text(POLICY)
    for name, wrong in (("good", 10), ("bad", 3), ("few", 10)):
        n = 60 if name == "few" else 1000
        lines = [
            "id,correct,tier",
            *(f"q{i},{0 if i % wrong == 0 else 1},{'easy' if i % 4 < 2 else 'hard'}" for i in range(n)),
        ]
        (tmp_path / f"{name}.csv").write_text("\n".join(lines) + "\n")
    return tmp_path


def imported(name: str) -> str:
    columns = ["--column", "prompt_id=id", "--column", "outcome=correct"]
    assert run(["import", "outcomes", f"{name}.csv", "--subject", name, "-o", f"{name}.json", *columns]) == 0
    return f"{name}.json"


def output(capsys: pytest.CaptureFixture[str]) -> Any:
    return json.loads(capsys.readouterr().out)


def test_import_tells_every_estimate(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["import", "outcomes", "good.csv", "--subject", "m", "--column", "prompt_id=id", "--json"]
    assert run([*arguments, "--column", "outcome=correct"]) == 0
    document = output(capsys)
    (overall,) = [e for e in document["estimates"] if e["metric"] == "pass_rate" and not e["cell"]]
    assert overall["value"] == pytest.approx(0.9)
    assert overall["low"] < 0.9 < overall["high"]
    assert {"confidence", "method", "n"} <= set(overall)
    assert document["planned"] is False
    assert Path(document["evidence"]).is_file()


@pytest.mark.parametrize(("candidate", "code", "verdict"), [("good", 0, "promote"), ("bad", 1, "block")])
def test_gate_answers_with_exit_code_and_json(
    folder: Path, capsys: pytest.CaptureFixture[str], candidate: str, code: int, verdict: str
) -> None:
    incumbent, evidence = imported("good"), imported(candidate)
    capsys.readouterr()
    found = run(["gate", evidence, "--policy", "policy.yaml", "--incumbent", incumbent, "--json"])
    document = output(capsys)
    assert (found, document["verdict"]) == (code, verdict)
    assert ("margin" in document["failed_checks"]) is (verdict == "block")
    assert document["inconclusive_checks"] == []
    assert {c["id"] for c in document["checks"]} == {"floor/easy", "floor/hard", "margin"}


def test_too_little_data_is_exit_3_also_where_the_policy_blocks(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    evidence = imported("few")
    capsys.readouterr()
    assert run(["gate", evidence, "--policy", "policy.yaml", "--incumbent", evidence, "--json"]) == 3
    document = output(capsys)
    assert document["verdict"] == "inconclusive"
    assert document["failed_checks"] == []
    assert document["inconclusive_checks"]


def test_a_decision_file_becomes_a_report(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    evidence = imported("bad")
    assert run(["gate", evidence, "--policy", "policy.yaml", "--incumbent", evidence, "-o", "out/decision.json"]) == 1
    capsys.readouterr()
    assert run(["report", "out/decision.json", "-o", "pages", "--json"]) == 0
    paths = output(capsys)["reports"]
    assert "floor/easy" in Path(paths["html"]).read_text()
    assert "<failure" in Path(paths["junit"]).read_text()


def test_a_changed_decision_file_is_refused(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    evidence = imported("bad")
    run(["gate", evidence, "--policy", "policy.yaml", "--incumbent", evidence, "-o", "decision.json"])
    text = Path("decision.json").read_text()
    Path("decision.json").write_text(text.replace('"verdict": "block"', '"verdict": "promote"'))
    assert run(["report", "decision.json"]) == 2
    assert "changed after it was written" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["gate", "absent.json", "--policy", "policy.yaml"], "absent.json"),
        (["gate", "good.csv", "--policy", "policy.yaml"], "not JSON"),
        (["import", "outcomes", "good.csv", "--subject", "m"], "prompt_id"),
        (["import", "outcomes", "good.csv", "--subject", "m", "--column", "prompt_id"], "NAME=VALUE"),
        (["plan"], "relgate init"),
        (["frobnicate"], "frobnicate"),
        (["gate"], "EVIDENCE"),
        (["sets", "validate", "policy.yaml"], "policy.yaml"),
    ],
)
def test_bad_usage_and_bad_input_are_exit_2_with_one_message(
    folder: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], message: str
) -> None:
    assert run(arguments) == 2
    assert message.lower() in capsys.readouterr().err.lower()


def test_control_characters_of_others_are_shown_and_not_obeyed(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "odd.csv").write_text("id,correct,\x1b[2J\u202etier\nq1,1,easy\n")
    assert run(["import", "outcomes", "odd.csv", "--subject", "odd", "-o", "odd.json"]) == 2
    told = capsys.readouterr().err
    assert "\x1b" not in told
    assert "[U+001B][2J[U+202E]tier" in told
    console = Console(width=160)
    line(console, "a family: \x1b[31mred")
    console.print(table("\x1b[2J", ("family",), [["\x1b[31mred [bold]\x9b"]]))
    told = capsys.readouterr().out
    assert "\x1b" not in told
    assert told.count("[U+001B][31mred") == 2
    assert "[bold][U+009B]" in told


def test_errors_are_json_too(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["gate", "absent.json", "--policy", "policy.yaml", "--json"]) == 2
    document = output(capsys)
    assert document["exit_code"] == 2
    assert "absent.json" in document["error"]["where"]


def test_a_policy_that_matches_nothing_names_its_line(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    evidence = imported("good")
    Path("policy.yaml").write_text(POLICY.replace("metric: pass_rate, each: [tier]", "metric: violation_rate"))
    assert run(["gate", evidence, "--policy", "policy.yaml"]) == 2
    assert "policy.yaml:6" in capsys.readouterr().err


def test_help_is_exit_0(capsys: pytest.CaptureFixture[str]) -> None:
    assert run([]) == 0
    assert run(["--help"]) == 0
    assert "release" in capsys.readouterr().out
