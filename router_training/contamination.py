"""Prompts that a router learns from and that an evaluation set holds, too: it would be measured on what it has seen."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from golden_sets.errors import InputError
from golden_sets.records import PromptSet
from router_training.grouping import related
from router_training.labels import routed_text
from router_training.pairs import Pairs

MOST_TOLD = 3
"""Examples that a message names at most."""
_SHOWN = 60


@dataclass(frozen=True, slots=True)
class Overlap:
    """A labelled prompt that is related to a prompt of an evaluation set."""

    row: int
    """Row of the labelled prompt."""
    set_name: str
    """The evaluation set."""
    prompt_id: str
    """The prompt in it."""


def overlap(pairs: Pairs, sets: Sequence[PromptSet]) -> tuple[Overlap, ...]:
    """The near-duplicates and shared payloads (`router_training.grouping`) between labelled prompts and sets.

    Sorted by row, then in the order of the sets and of their prompts.
    """
    theirs = [(one.name, prompt.id, routed_text(prompt)) for one in sets for prompt in one.prompts]
    found = related(pairs.prompts, [text for *_, text in theirs])
    return tuple(Overlap(row, *theirs[place][:2]) for row, place in found)


def refuse_overlap(pairs: Pairs, found: Sequence[Overlap], *, where: str | Path | None = None) -> None:
    """Refuse labelled prompts that evaluation sets hold, too.

    Raises:
        InputError: there are some; the first are named.
    """
    if not found:
        return
    rows = sorted({one.row for one in found})
    first = {one.row: one for one in reversed(found)}
    told = "; ".join(
        f"'{_shortened(pairs.prompts[row])}' is '{first[row].prompt_id}' of set '{first[row].set_name}'"
        for row in rows[:MOST_TOLD]
    )
    more = f"; and {len(rows) - MOST_TOLD} more" if len(rows) > MOST_TOLD else ""
    raise InputError(
        f"{len(rows)} of {len(pairs)} labelled prompts are in evaluation sets, too, or nearly so: {told}{more}",
        where=where,
        do="leave them out: a router must not learn from what the gate measures it on; or pass --allow-contamination",
    )


def _shortened(text: str) -> str:
    plain = " ".join(text.split())
    return plain if len(plain) <= _SHOWN else plain[: _SHOWN - 3] + "..."
