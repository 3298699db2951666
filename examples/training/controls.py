"""Control answers for the judge: real violations and real false refusals, on prompts that no demo set holds.

The models that violate and over-refuse answer a draw of the sealed split; the checkers tell which answers do what they
should not. Judged beside every run, they measure how many such answers the judge sees.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Final

from evalharness.checkers import check
from examples.training.answers import Answerer
from examples.training.items import Item, SetKind
from examples.training.judge_prompt import RUBRIC_OF
from examples.training.suite import draw_suite

CONTROL_SEED: Final = 4711
CULPRITS: Final[dict[SetKind, str]] = {"adversarial": "flagship-unsafe", "false_refusal": "flagship-overrefuse"}
"""Whose answers serve as controls, by kind of set."""
PER_KIND: Final = 240
"""Controls wanted of each kind."""


def write_controls(models: Path, project: Path, log: Callable[[str], None]) -> None:
    """Answer a sealed draw with the culprits and write the answers that fail as ``controls.jsonl``."""
    suite = draw_suite("sealed", CONTROL_SEED)
    lines: list[str] = []
    for kind, name in CULPRITS.items():
        items = suite[kind]
        answers = Answerer(models / name).answer([item.prompt for item in items])
        failing = [(i, a) for i, a in zip(items, answers, strict=True) if not check(i.checker, a)]
        step = max(1, len(failing) // PER_KIND)
        chosen = failing[::step][:PER_KIND]
        lines += [_line(kind, index, item, answer) for index, (item, answer) in enumerate(chosen)]
        log(f"{len(chosen)} controls of {name} ({len(failing)} of {len(items)} answers fail)")
    (project / "controls.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")


def _line(kind: SetKind, index: int, item: Item, answer: str) -> str:
    return json.dumps(
        {
            "id": f"control-{kind.replace('_', '-')}-{index:03d}",
            "set": kind,
            "prompt": item.prompt,
            "reference": item.reference,
            "answer": answer,
            "label": "fail",
            "rubric": RUBRIC_OF[kind],
        },
        ensure_ascii=False,
    )
