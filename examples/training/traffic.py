"""The demo's traffic: a log of prompts with arrival times, in which a task family turns up that no router has seen.

The first days hold the families of the routing set in its proportions; from `CHANGE_DAY` on, a share of the prompts is
of the unseen family. Nothing else changes.
"""

from __future__ import annotations

import json
import random
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

from examples.training.judge_prompt import RUBRIC_OF
from examples.training.suite import ROUTING_MIX, UNSEEN_FAMILY
from examples.training.tasks import TIERS, draw_task

DAYS: Final = 10
PER_DAY: Final = 300
CHANGE_DAY: Final = 6
"""Days before the unseen family turns up."""
UNSEEN_SHARE: Final = 0.2
"""Its share of the prompts from then on."""
TRAFFIC_SEED: Final = 20_004
START: Final = datetime(2026, 1, 5, tzinfo=UTC)


def write_traffic(path: Path) -> None:
    """Write the log: one JSON object a line with ``id``, ``time`` (ISO 8601), ``prompt``, ``family``, and what a judge
    is told: ``reference`` and ``rubric``.
    """
    rng = random.Random(TRAFFIC_SEED)
    known, weights = list(ROUTING_MIX), list(ROUTING_MIX.values())
    lines: list[str] = []
    for day in range(DAYS):
        seconds = sorted(rng.uniform(0, 86_400) for _ in range(PER_DAY))
        for second in seconds:
            unseen = day >= CHANGE_DAY and rng.random() < UNSEEN_SHARE
            family, tier = (UNSEEN_FAMILY, rng.choice(TIERS)) if unseen else rng.choices(known, weights)[0]
            item = draw_task(rng, "demo", family, tier)
            time = START + timedelta(days=day, seconds=round(second, 3))
            line = {
                "id": f"traffic-{len(lines):04d}",
                "time": time.isoformat(timespec="milliseconds"),
                "prompt": item.prompt,
                "family": item.category,
                "reference": item.reference,
                "rubric": RUBRIC_OF["golden"],
            }
            lines.append(json.dumps(line, ensure_ascii=False))
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
