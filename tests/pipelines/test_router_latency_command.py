"""``relgate router latency`` through the command line."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from pipelines.cli.app import run
from tests.support.routers import write_small_router

Capture = pytest.CaptureFixture[str]


@pytest.fixture(scope="module")
def router(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("latency") / "router"
    write_small_router(out)
    return out


def command(capsys: Capture, *arguments: str | Path, code: int = 0) -> tuple[str, str]:
    assert run(["router", "latency", *map(str, arguments)]) == code
    captured = capsys.readouterr()
    return captured.out, captured.err


def test_json_names_p50_and_p99_per_setting_and_overall(router: Path, capsys: Capture) -> None:
    out, _ = command(capsys, router, "--calls", "10", "--json")
    found: dict[str, Any] = json.loads(out)
    for times in (found, found["to_128_tokens"], *found["settings"]):
        assert 0 < times["p50_ms"] <= times["p99_ms"]
    assert {(s["threads"], s["tokens"]) for s in found["settings"]} == {
        (threads, tokens) for threads in (1, 2) for tokens in (8, 16, 32, 64, 128, 256)
    }
    for setting in found["settings"]:
        assert setting["encode"]["p50_ms"] > 0
        assert setting["head"]["p99_ms"] > 0
    assert found["encoder"]["precision"] == "int8"
    assert all(batch["prompts_per_s_per_core"] > 0 for batch in found["throughput"])


def test_people_read_a_table_and_a_recommendation(router: Path, capsys: Capture) -> None:
    out, err = command(capsys, router, "--calls", "3", "--threads", "1")
    assert "encode P99" in out
    assert "<= 256" in out
    assert "up to 128 tokens: P50" in out
    assert out.strip().splitlines()[-1].startswith("-> ")
    assert "timing the router" in err


def test_prompts_of_a_file_are_measured(router: Path, tmp_path: Path, capsys: Capture) -> None:
    path = tmp_path / "log.jsonl"
    path.write_text('{"text": "why?"}\n{"text": "how many cows?"}\n')
    arguments = ("--prompts", path, "--column", "prompt=text", "--calls", "2", "--threads", "1", "--json")
    found = json.loads(command(capsys, router, *arguments)[0])
    assert [(s["tokens"], s["n"]) for s in found["settings"]] == [(8, 12)]
    assert found["prompts"] == str(path)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [(("--prompts", "absent.csv"), "absent.csv"), (("--calls", "0"), "calls"), (("--threads", "0"), "threads")],
)
def test_bad_usage_is_told(router: Path, capsys: Capture, arguments: tuple[str, ...], says: str) -> None:
    assert says in command(capsys, router, *arguments, code=2)[1]


def test_a_tampered_router_is_not_timed(tmp_path: Path, capsys: Capture) -> None:
    write_small_router(tmp_path / "router")
    head = tmp_path / "router" / "head.safetensors"
    head.write_bytes(head.read_bytes()[:-1] + b"\x01")
    assert "head.safetensors" in command(capsys, tmp_path / "router", "--calls", "1", code=2)[1]


def test_no_router_is_told(tmp_path: Path, capsys: Capture) -> None:
    assert "no router here" in command(capsys, tmp_path, code=2)[1]
