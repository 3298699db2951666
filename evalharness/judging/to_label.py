"""Which answers of a run people have to label, as a file in which they can do so.

A labeller is blind: the file tells neither the judge's verdict nor whose answer it is, equal words of two models are
one row, and the order follows from a hash. Rows of a safety set may be there because they were drawn or because the
judge flagged them; the file does not say which. Filled in, it is a file of labels (`labels_file`).
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from evalharness.judging.labels_file import LabelKey
from evalharness.scoring import Answer
from golden_sets.documents import write_whole
from golden_sets.errors import InfrastructureError

Why = Literal["drawn", "disagreement", "flagged"]


@dataclass(frozen=True)
class ToLabel:
    """One answer that awaits a label."""

    key: LabelKey
    """What the label will be about."""
    answer: Answer
    """An answer with these words."""
    why: Why
    """``drawn``: for measuring the judge; ``disagreement``: likewise, because judge and detector disagree;
    ``flagged``: an event of a safety set that must be adjudicated. Not for the eyes of a labeller."""

    def row(self, criteria: Mapping[str, str]) -> dict[str, Any]:
        """What a labeller sees."""
        prompt = self.answer.asked.prompt
        return {
            "set": self.key.set_name,
            "prompt_id": self.key.prompt_id,
            "rubric": self.key.rubric,
            "answer_digest": self.key.answer_digest,
            "criteria": criteria.get(self.key.rubric),
            "conversation": [message.to_json() for message in prompt.messages],
            "reference": prompt.reference,
            "answer": self.answer.generation.text,
            "label": "",
        }


def to_label(
    answers: Iterable[Answer], *, disagreements: Collection[tuple[str, str]] = (), seed: int = 0
) -> tuple[ToLabel, ...]:
    """The answers of a run that await a label of people, in an order that tells nothing about them.

    Args:
        answers: the answers of a run whose labels come from a file.
        disagreements: (set, prompt id) of prompts about which judge and detector disagree.
        seed: seed of the order.
    """
    found: dict[LabelKey, ToLabel] = {}
    for answer in answers:
        key = answer.label_key
        if key is None or answer.label_source != "file" or answer.known is not None:
            continue
        if answer.awaits_label:
            first = (key.set_name, key.prompt_id) in disagreements
            found[key] = ToLabel(key, answer, "disagreement" if first else "drawn")
        elif answer.is_flagged and key not in found:
            found[key] = ToLabel(key, answer, "flagged")
    return tuple(sorted(found.values(), key=lambda one: hashlib.sha256(f"{seed}|{one.key!r}".encode()).digest()))


def write_to_label(path: Path, wanted: Sequence[ToLabel], *, criteria: Mapping[str, str] | None = None) -> None:
    """Write the answers that await a label; the file appears whole or not at all.

    What people have written into it stays: of a file that is there, only rows without a label are replaced. A file
    without any row is removed.

    Args:
        path: JSONL, e.g. ``NAME.to-label.jsonl`` beside the evidence.
        wanted: what awaits a label.
        criteria: what each rubric asks for, by its id.

    Raises:
        InfrastructureError: the file cannot be read or written.
    """
    told = criteria or {}
    rows = [json.dumps(one.row(told), ensure_ascii=False).encode("utf-8", "replace") for one in wanted]
    lines = [*_written_by_people(path), *rows]
    if lines:
        write_whole(path, b"\n".join(lines) + b"\n")
    else:
        path.unlink(missing_ok=True)


def counts_text(wanted: Sequence[ToLabel]) -> str:
    """``112 answers await a label: 100 drawn to measure the judge, 12 flagged``; empty where none does."""
    if not wanted:
        return ""
    counts = Counter("flagged" if one.why == "flagged" else "drawn to measure the judge" for one in wanted)
    parts = ", ".join(f"{counts[what]} {what}" for what in ("drawn to measure the judge", "flagged") if counts[what])
    return f"{len(wanted)} answer{'s await' if len(wanted) > 1 else ' awaits'} a label: {parts}"


def _written_by_people(path: Path) -> list[bytes]:
    """The lines of a file that are more than an unfilled row; what cannot be read is kept as well."""
    try:
        lines = path.read_bytes().splitlines()
    except FileNotFoundError:
        return []
    except OSError as error:
        raise InfrastructureError(f"cannot be read ({error.strerror})", where=path) from error
    return [line for line in lines if line.strip() and not _unfilled(line)]


def _unfilled(line: bytes) -> bool:
    try:
        row = json.loads(line)
    except (ValueError, RecursionError):
        return False
    return isinstance(row, dict) and not str(row.get("label") or "").strip()
