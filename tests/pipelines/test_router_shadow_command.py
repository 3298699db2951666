"""``relgate router shadow``: from a log to alerts, in one run or several, killed or not."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipelines.cli.app import run
from router_training.labelled_file import read_pairs
from tests.support.shadow_router import HARD, KNOWN, UNSEEN, prompt_of, small_router

N, CHANGE = 900, 500


@pytest.fixture(scope="module")
def router(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("routers") / "router"
    small_router(directory)
    return directory


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A log in which an unseen family turns up, and the scores of both models on all of it."""
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(7)
    log, scores = [], []
    for k in range(N):
        family = UNSEEN if k >= CHANGE and rng.random() < 0.3 else str(rng.choice(KNOWN))
        hard = family in (*HARD, UNSEEN)
        prompt = prompt_of(family, rng)
        log.append({"id": f"r{k}", "time": 1.7e9 + 600 * k, "prompt": prompt, "family": family})
        small = float(rng.random() < (0.15 if hard else 0.95))
        scores.append({"prompt": prompt, "small_score": small, "flagship_score": 1.0, "small_usd": 1e-5})
    for name, rows in (("log", log), ("scores", scores)):
        (tmp_path / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return tmp_path


def shadow(router: Path, *options: str, log: str = "log.jsonl") -> list[str]:
    return ["router", "shadow", str(router), "--traffic", log, "--sample", "0.2", *options]


def document(capsys: pytest.CaptureFixture[str], code: int, arguments: list[str]) -> dict[str, Any]:
    capsys.readouterr()
    assert run([*arguments, "--json"]) == code
    found: dict[str, Any] = json.loads(capsys.readouterr().out)
    return found


def test_alerts_labels_and_page(router: Path, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = document(capsys, 1, shadow(router, "--scores", "scores.jsonl", "-o", "out"))
    assert found["requests"] == found["taken"] == N
    assert {alert["kind"] for alert in found["alerts"]} == {"drift"}
    assert CHANGE < found["alerts"][0]["request"] < CHANGE + 200
    assert found["delays"][0]["family"] == UNSEEN
    assert found["scored"] == found["sampled"] > 20
    assert found["prices"]["small_usd"] == pytest.approx(1e-5)
    assert set(found["mean_delta"]) >= {"value", "low", "high", "confidence", "method", "n"}
    labelled = [json.loads(line) for line in Path(found["files"]["labelled"]).read_text().splitlines()]
    assert len(labelled) == found["scored"]
    assert set(labelled[0]) >= {"prompt", "small_score", "flagship_score", "weight"}
    to_label = [json.loads(line) for line in Path(found["files"]["to_label"]).read_text().splitlines()]
    assert {row["family"] for row in to_label if row["cluster"] == 1} == {UNSEEN}
    assert all(row["teach_only"] is True for row in (*labelled, *to_label))
    pairs = read_pairs(Path(found["files"]["labelled"]), least=1)  # though only the small model's answers are priced
    assert len(pairs) == pairs.picked.sum() == found["scored"]
    alerts = [json.loads(line) for line in Path(found["files"]["alerts"]).read_text().splitlines()]
    assert alerts == [*found["alerts"], *found["notices"]]
    assert {one["level"] for one in found["alerts"]} == {"alert"}
    seen = [day["day"] for day in found["days"] if day["p75_alert"]]
    assert [(one["level"], one["kind"], one["numbers"]["day"]) for one in found["notices"]] == [
        ("notice", "p75 exceeded", day) for day in seen
    ]
    page = Path(found["files"]["page"]).read_text()
    assert "default-src 'none'" in page
    assert "<script" not in page
    assert found["alerts"][0]["what"][1:] in page


def test_the_page_escapes_what_others_wrote(router: Path, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = [json.loads(line) for line in Path("log.jsonl").read_text().splitlines()]
    for row in rows:
        if row["family"] == UNSEEN:
            row["prompt"] += " <img src=x onerror=alert(1)> \u202e"
    Path("log.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    found = document(capsys, 1, shadow(router, "--no-replay", "-o", "out"))
    page = Path(found["files"]["page"]).read_text()
    assert "&lt;img src=x" in page
    assert "<img src=x" not in page
    assert "[U+202E]" in page
    assert "\u202e" not in page


def test_a_second_run_goes_on_and_the_alert_stands(
    router: Path, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = Path("log.jsonl").read_text().splitlines(keepends=True)
    Path("log.jsonl").write_text("".join(lines[:CHANGE]))
    first = document(capsys, 0, shadow(router, "--scores", "scores.jsonl"))
    assert first["alerts"] == []
    with Path("log.jsonl").open("a") as file:
        file.writelines(lines[CHANGE:])
    second = document(capsys, 1, shadow(router, "--scores", "scores.jsonl"))
    assert (second["taken"], second["requests"]) == (N - CHANGE, N)
    third = document(capsys, 1, shadow(router, "--scores", "scores.jsonl"))
    assert third["taken"] == 0
    for one in (second, third):
        one.pop("taken")
    assert third == second
    whole = document(capsys, 1, shadow(router, "--scores", "scores.jsonl", "--state", "whole"))
    assert whole["tests"] == second["tests"]
    assert whole["mean_delta"] == second["mean_delta"]


@pytest.mark.slow
def test_killed_at_any_moment_it_loses_nothing_and_counts_nothing_twice(
    router: Path, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    whole = document(capsys, 1, shadow(router, "--scores", "scores.jsonl", "--state", "whole"))
    command = [sys.executable, "-m", "pipelines.cli", *shadow(router, "--scores", "scores.jsonl", "--state", "killed")]
    root = str(Path(__file__).resolve().parents[2])
    for patience in (0.05, 0.3, 0.6):
        process = subprocess.Popen(
            command, env={**os.environ, "PYTHONPATH": root}, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        deadline = time.monotonic() + 60
        while process.poll() is None and not Path("killed/shadow.db").exists() and time.monotonic() < deadline:
            time.sleep(0.02)
        time.sleep(patience)
        process.send_signal(signal.SIGKILL)
        process.wait()
    after = document(capsys, 1, shadow(router, "--scores", "scores.jsonl", "--state", "killed"))
    for one in (whole, after):
        for name in ("taken", "state"):
            one.pop(name)
    assert after == whole


def test_without_replay_drift_is_tested_and_replays_wait(
    router: Path, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    found = document(capsys, 1, shadow(router, "--no-replay"))
    assert found["waiting"] == found["sampled"] > 0
    assert found["mean_delta"] is None
    later = document(capsys, 1, shadow(router, "--scores", "scores.jsonl"))
    assert (later["waiting"], later["scored"]) == (0, found["sampled"])


def test_following_ends_when_the_time_is_up(router: Path, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = document(capsys, 1, shadow(router, "--no-replay", "--follow", "--for", "1"))
    assert found["requests"] == N


def test_scores_are_found_by_other_names(router: Path, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = [json.loads(line) for line in Path("log.jsonl").read_text().splitlines()]
    Path("log.jsonl").write_text("".join(json.dumps({"question": row["prompt"]}) + "\n" for row in rows))
    mapped = ["--column", "log.prompt=question", "--column", "small_score=flagship_score"]
    found = document(capsys, 1, shadow(router, "--scores", "scores.jsonl", *mapped))
    assert found["mean_delta"]["value"] == 0
    assert found["days"] == []
    assert found["without_scores"] == 0


def test_replays_without_scores_are_told(router: Path, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lines = Path("scores.jsonl").read_text().splitlines(keepends=True)
    Path("scores.jsonl").write_text("".join(lines[: N // 2]))
    found = document(capsys, 1, shadow(router, "--scores", "scores.jsonl"))
    assert found["without_scores"] == found["unscored"] > 0


@pytest.mark.parametrize(
    ("options", "why"),
    [
        (["--sample", "0"], "sampled share"),
        (["--alpha", "2"], "chance"),
        (["--scores", "scores.jsonl", "--no-replay"], "exclude each other"),
        (["--scores", "none.jsonl"], "none.jsonl"),
        (["--no-replay", "--for", "soon"], "--for"),
        (["--no-replay", "--column", "log.promt=x"], "no column 'promt'"),
        ([], "there is no project here"),
    ],
)
def test_bad_usage(
    router: Path, folder: Path, capsys: pytest.CaptureFixture[str], options: list[str], why: str
) -> None:
    assert run(shadow(router, *options)) == 2
    assert why in capsys.readouterr().err


def test_a_missing_log_and_a_score_out_of_range(router: Path, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(shadow(router, "--no-replay", log="none.jsonl")) == 2
    assert "there is no such log" in capsys.readouterr().err
    Path("scores.jsonl").write_text('{"prompt": "p", "small_score": 3, "flagship_score": 5}\n')
    assert run(shadow(router, "--scores", "scores.jsonl")) == 2
    assert "scores.jsonl:1" in capsys.readouterr().err
