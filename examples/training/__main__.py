"""Command line: ``python -m examples.training`` writes the demo's suite and project files and trains its models."""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Final

import torch

from examples.training import zoo
from examples.training.cards import write_cards
from examples.training.controls import write_controls
from examples.training.project_files import write_project_files
from examples.training.suite import write_suite
from examples.training.traffic import write_traffic

_EXAMPLES: Final = Path(__file__).resolve().parents[1]

STEPS: Final[dict[str, Callable[[Path, zoo.Log], dict[str, float]]]] = {
    "flagship": zoo.train_flagships,
    "flagship-cheap": partial(zoo.train_from_scratch, "flagship-cheap", zoo.CHEAP),
    "small": partial(zoo.train_from_scratch, "small", zoo.SMALL),
    "flagship-unsafe": partial(zoo.train_variant, "flagship-unsafe", "unsafe"),
    "flagship-overrefuse": partial(zoo.train_variant, "flagship-overrefuse", "overrefuse"),
    "judge": zoo.train_judge,
    "judge-pairs": zoo.train_judge_pairs,
}
"""Training steps in the order in which they need each other; ``flagship`` trains v1 and v2."""


def main(arguments: list[str] | None = None) -> int:
    """Run the steps asked for (all by default); returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m examples.training", description=__doc__)
    parser.add_argument(
        "--only", action="append", choices=["suite", *STEPS, "controls", "cards"], help="a step; may be repeated"
    )
    parser.add_argument("--out", type=Path, default=_EXAMPLES / "models", help="where the model directories go")
    parser.add_argument("--project", type=Path, default=_EXAMPLES / "demo", help="the demo project's directory")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads(), help="CPU threads")
    chosen = parser.parse_args(arguments)
    torch.set_num_threads(chosen.threads)
    wanted = chosen.only or ["suite", *STEPS, "controls", "cards"]
    if "suite" in wanted:
        write_suite(chosen.project / "sets")
        write_traffic(chosen.project / "traffic.jsonl")
        write_project_files(chosen.project)
    for step, train in STEPS.items():
        if step in wanted:
            seconds = train(chosen.out, partial(_log, step))
            _log(step, json.dumps({"seconds": {name: round(value) for name, value in seconds.items()}}))
    if "controls" in wanted:
        write_controls(chosen.out, chosen.project, partial(_log, "controls"))
    if "cards" in wanted:
        write_cards(chosen.out, partial(_log, "cards"))
    return 0


def _log(step: str, message: str) -> None:
    sys.stderr.write(f"{time.strftime('%H:%M:%S')} {step}: {message}\n")
    sys.stderr.flush()


if __name__ == "__main__":
    sys.exit(main())
