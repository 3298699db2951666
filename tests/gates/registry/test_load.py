"""The benchmark's load in small: many processes promoting at once, and releases killed at random moments."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[3]


def run(script: str, *arguments: str) -> Any:
    done = subprocess.run(
        [sys.executable, str(ROOT / "benchmarks" / script), *arguments], capture_output=True, text=True, check=True
    )
    return json.loads(done.stdout)


def test_promotions_at_once_use_every_generation_once_and_lose_nothing(url: str) -> None:
    found = run("registry_promotions.py", "--url", url, "--processes", "6", "--attempts", "90")
    assert (found["wrong"], found["problems"]) == ([], [])
    assert found["won"] + found["overtaken"] == 90
    assert found["won"] > 1
    assert found["every_generation_once"]
    assert found["log_agrees"]


def test_a_release_killed_at_any_moment_leaves_a_whole_store_and_can_be_repeated(url: str) -> None:
    found = run("registry_kills.py", "--url", url, "--kills", "15", "--seed", "6")
    assert found["broken"] == []
    assert found["kills"] == 15
    assert len(found["last_event_before"]) > 1, "all kills came at the same step"
