"""The demo's prompt sets: drawn from the ``demo`` split, written with their cards; and the sealed draw.

Within a set every payload occurs once, so prompts are independent draws from the generator and a prompt's cluster is
its payload.
"""

from __future__ import annotations

import json
import random
import uuid
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Final

import yaml

from examples.training.items import Item, SetKind, Split
from examples.training.judge_prompt import RUBRIC_OF
from examples.training.safety import (
    SEEN_ATTACKS,
    SEEN_HARMS,
    UNSEEN_ATTACKS,
    UNSEEN_HARMS,
    draw_harmful,
    draw_lookalike,
)
from examples.training.tasks import FAMILIES, TIERS, Tier, draw_task
from router_training.grouping import related

VERSION: Final = "1.0.0"
GOLDEN_PER_CELL: Final = 64
ROUTING_MIX: Final[dict[tuple[str, Tier], int]] = {
    ("sort-digits", "easy"): 76,
    ("sort-digits", "hard"): 76,
    ("uppercase", "easy"): 76,
    ("arithmetic", "easy"): 40,
    ("arithmetic", "hard"): 40,
    ("compare", "easy"): 40,
    ("compare", "hard"): 40,
    ("sequence", "easy"): 40,
    ("sequence", "hard"): 40,
    ("price-list", "easy"): 40,
    ("word-neighbour", "easy"): 40,
    ("count-letter", "easy"): 30,
}
"""What the router's traffic is made of: prompts of each family and tier, from each held-out split."""
HELD_OUT: Final[tuple[Split, ...]] = ("demo", "sealed")
"""Splits that no model learnt from: a router takes more prompts than the gate."""
UNSEEN_FAMILY: Final = "replace-letter"
"""The task family that is not in the mix: it turns up in the traffic some days later."""
ADVERSARIAL_PER_SEVERITY: Final = 240
FALSE_REFUSALS: Final = 300
NOVEL: Final = "low"
"""Severity of the requests whose kind of harm or attack no model was trained on; they are a set of their own."""
DEMO_SEED: Final = 20_001
ROUTING_SEED: Final = 20_003
SEALED_SEED: Final = 20_002
SOURCE: Final = "relgate examples/training, Apache-2.0"

_DESCRIPTIONS: Final[dict[str, str]] = {
    "golden": (
        "Ten synthetic task families, easy and hard, with answers a program can check. Every payload (the content "
        "that is computed on) occurs once and never in the training data; phrasings are shared with training."
    ),
    "routing": (
        "What the demo's router learns from and is tested on: eight of the golden families in the proportions of its "
        "traffic. Every payload occurs once, not in the training data, and no prompt is nearly one of the gate's sets."
    ),
    "adversarial": (
        "Harmful requests, direct or wrapped in an attack: kinds of harm and attack classes the models were trained to "
        "refuse, with requests they have not seen. Every base request occurs once. The requests are templates without "
        "instructions; they exist to measure refusals of toy models."
    ),
    "novel_attacks": (
        "Harmful requests of kinds of harm, or wrapped in classes of attack, that were held out of training "
        "altogether. Every base request occurs once. The requests are templates without instructions; they exist to "
        "measure refusals of toy models."
    ),
    "false_refusal": (
        "Benign requests that share verbs and people with harmful ones. Every payload occurs once and never in the "
        "training data; the sentence templates are shared with training. A model should help."
    ),
}


def draw_suite(split: Split, seed: int) -> dict[SetKind, list[Item]]:
    """A complete draw of the three sets from a split; payloads are unique within a set."""
    rng = random.Random(seed)
    return {
        "golden": _golden(rng, split),
        "adversarial": _adversarial(rng, split),
        "false_refusal": _unique(FALSE_REFUSALS, lambda: draw_lookalike(rng, split), set()),
    }


def write_suite(directory: Path) -> None:
    """Write the demo split as ``<set>.jsonl`` beside its card ``<set>.yaml``."""
    directory.mkdir(parents=True, exist_ok=True)
    drawn = draw_suite("demo", DEMO_SEED)
    known = [item for item in drawn["adversarial"] if item.severity != NOVEL]
    novel = [item for item in drawn["adversarial"] if item.severity == NOVEL]
    _write_set(directory, "golden", "golden", drawn["golden"])
    _write_set(directory, "routing", "golden", _routing([item for items in drawn.values() for item in items]))
    _write_set(directory, "adversarial", "adversarial", known)
    _write_set(directory, "novel_attacks", "adversarial", novel)
    _write_set(directory, "false_refusal", "false_refusal", drawn["false_refusal"])


def _write_set(directory: Path, name: str, kind: SetKind, items: Sequence[Item]) -> None:
    lines = [json.dumps(_line(name, index, item), ensure_ascii=False) for index, item in enumerate(items)]
    (directory / f"{name}.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
    card = {
        "name": f"demo-{name.replace('_', '-')}",
        "version": VERSION,
        "kind": kind,
        "file": f"{name}.jsonl",
        "rubric": RUBRIC_OF[kind],
        "canary": f"relgate-canary-{uuid.uuid5(uuid.NAMESPACE_OID, f'relgate-demo-{name}-{VERSION}')}",
        "description": _DESCRIPTIONS[name],
        "source": SOURCE,
    }
    text = yaml.safe_dump(card, sort_keys=False, width=110, allow_unicode=True)
    (directory / f"{name}.yaml").write_text(text, encoding="utf-8")


def _golden(rng: random.Random, split: Split) -> list[Item]:
    items: list[Item] = []
    seen: set[str] = set()
    for family in FAMILIES:
        for tier in TIERS:
            items += _unique(GOLDEN_PER_CELL, partial(draw_task, rng, split, family, tier), seen)
    return items


def _routing(evaluated: Sequence[Item]) -> list[Item]:
    """Tasks in the proportions of the traffic, none of them a near-duplicate of what the gate asks."""
    rng, seen = random.Random(ROUTING_SEED), {item.payload for item in evaluated}
    items: list[Item] = []
    for (family, tier), count in ROUTING_MIX.items():
        for split in HELD_OUT:
            items += _unique(count, partial(draw_task, rng, split, family, tier), seen)
    asked = [item.prompt for item in evaluated]
    while known := {row for row, _ in related([item.prompt for item in items], asked)}:
        items = [item for row, item in enumerate(items) if row not in known]
    return items


def _adversarial(rng: random.Random, split: Split) -> list[Item]:
    items: list[Item] = []
    seen: set[str] = set()
    for severity, kinds in SEEN_HARMS.items():
        items += _unique(ADVERSARIAL_PER_SEVERITY, _harms(rng, split, severity, list(kinds), list(SEEN_ATTACKS)), seen)
    half = ADVERSARIAL_PER_SEVERITY // 2
    trained_kinds = [kind for kinds in SEEN_HARMS.values() for kind in kinds]
    items += _unique(half, _harms(rng, split, NOVEL, list(UNSEEN_HARMS), []), seen)
    items += _unique(half, _harms(rng, split, NOVEL, trained_kinds, list(UNSEEN_ATTACKS), wrapped_share=1.0), seen)
    return items


def _harms(
    rng: random.Random, split: Split, severity: str, kinds: list[str], attacks: list[str], wrapped_share: float = 0.5
) -> Callable[[], Item]:
    def draw() -> Item:
        attack = rng.choice(attacks) if attacks and rng.random() < wrapped_share else "direct"
        return draw_harmful(rng, split, severity, rng.choice(kinds), attack)

    return draw


def _unique(count: int, draw: Callable[[], Item], seen: set[str]) -> list[Item]:
    items: list[Item] = []
    for _ in range(count * 200):
        item = draw()
        if item.payload not in seen:
            seen.add(item.payload)
            items.append(item)
        if len(items) == count:
            return items
    raise RuntimeError(f"only {len(items)} of {count} unique payloads: the generator is too small for this cell")


def _line(name: str, index: int, item: Item) -> dict[str, Any]:
    line: dict[str, Any] = {
        "id": f"{name.replace('_', '-')}-{index:04d}",
        "messages": [{"role": "user", "content": item.prompt}],
        "reference": item.reference,
        "category": item.category,
        "tier": item.tier,
        "severity": item.severity,
        "attack": item.attack,
        "cluster": item.payload,
        "checker": item.checker.model_dump(exclude_none=True),
        "source": SOURCE,
    }
    return {key: value for key, value in line.items() if value is not None}
