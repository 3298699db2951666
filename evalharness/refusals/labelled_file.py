"""A file of answers with what people say of them: does it refuse?

CSV or JSONL, one row an answer. Columns: ``text`` (the answer) and ``label``, and where they are there ``prompt`` (or
its id: rows that share it stay together) and ``group`` (what is held out in turn, e.g. the model).
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from evalharness.answer_classes import AnswerClass
from evalharness.text_rows import TextRows
from golden_sets.errors import InputError
from golden_sets.explaining import nearest

COLUMNS = ("text", "label", "prompt", "group")
"""Columns with a meaning."""
_NUMBERED = re.compile(r"\A\d+[\s_.:-]+")
_PAIRS = (("1", "0"), ("true", "false"), ("yes", "no"), ("refusal", "compliance"))
"""Labels that need no explanation: refusal, compliance."""


@dataclass(frozen=True)
class LabelledRefusals:
    """The labelled rows of a file."""

    texts: tuple[str, ...]
    """The answers; empty where the file has nothing."""
    labels: tuple[AnswerClass, ...]
    """What people say: full compliance, partial refusal or full refusal."""
    prompts: tuple[str, ...] | None
    """What they answer; None without the column."""
    groups: tuple[str, ...] | None
    """What is held out in turn; None without the column."""
    unlabelled: int
    """Rows without a label, which are left out."""
    counts: Mapping[str, int]
    """How often each label occurs."""
    positive: tuple[str, ...]
    """Labels taken as refusals, partial ones included."""

    @property
    def negative(self) -> tuple[str, ...]:
        """Labels taken as compliance."""
        return tuple(label for label in self.counts if label not in self.positive)


def read_labelled_refusals(
    path: Path,
    *,
    columns: Mapping[str, str] | None = None,
    where: Mapping[str, str] | None = None,
    positive: Sequence[str] = (),
    partial: Sequence[str] = (),
) -> LabelledRefusals:
    """Read the file.

    Without ``positive`` and ``partial``, labels must be the detector's own (``full_compliance``, ``partial_refusal``,
    ``full_refusal``, a number before them does not matter: ``2_full_refusal``) or one of the usual pairs (1 and 0, true
    and false, yes and no, refusal and compliance). With them, every other label is a compliance.

    Args:
        path: CSV or JSONL.
        columns: ``our name: their column``.
        where: ``column: value``; only rows with these values are read.
        positive: labels of full refusals (or of refusals, where people made no difference).
        partial: labels of partial refusals.

    Raises:
        InputError: a missing column, no label, labels that are not understood, a row without prompt or group.
        InfrastructureError: the file cannot be read.
    """
    rows = TextRows.of(path, where or {}, columns or {}, COLUMNS, required=(("text",), ("label",)))
    given = rows.texts("label").to_pylist()
    labelled = [row for row, label in enumerate(given) if label is not None]
    if not labelled:
        raise InputError("no row has a label", where=path, do="label some answers, or map the column 'label'")
    counts = Counter(given[row] for row in labelled)
    classes = _classes(counts, positive, partial)
    texts = rows.texts("text").to_pylist()
    prompts, groups = ([*rows.required(name).to_pylist()] if rows.has(name) else None for name in ("prompt", "group"))
    return LabelledRefusals(
        texts=tuple(texts[row] or "" for row in labelled),
        labels=tuple(classes[given[row]] for row in labelled),
        prompts=None if prompts is None else tuple(prompts[row] for row in labelled),
        groups=None if groups is None else tuple(groups[row] for row in labelled),
        unlabelled=len(given) - len(labelled),
        counts=dict(sorted(counts.items())),
        positive=tuple(sorted(label for label in counts if classes[label] is not AnswerClass.FULL_COMPLIANCE)),
    )


def _classes(counts: Mapping[str, int], positive: Sequence[str], partial: Sequence[str]) -> dict[str, AnswerClass]:
    if positive or partial:
        named = {**dict.fromkeys(positive, AnswerClass.FULL_REFUSAL)}
        for option, labels in (("--positive", positive), ("--partial", partial)):
            for label in labels:
                if label not in counts:
                    close = nearest(label, list(counts))
                    advice = f"did you mean '{close}'?" if close else f"the labels are {', '.join(counts)}"
                    raise InputError(f"no row has label '{label}'", where=option, do=advice)
        named.update(dict.fromkeys(partial, AnswerClass.PARTIAL_REFUSAL))
        return {label: named.get(label, AnswerClass.FULL_COMPLIANCE) for label in counts}
    own = {label.value: label for label in AnswerClass if label is not AnswerClass.EMPTY_OR_BROKEN}
    plain = {label: _NUMBERED.sub("", label) for label in counts}
    if own.keys() >= set(plain.values()):
        return {label: own[plain[label]] for label in counts}
    for yes, no in _PAIRS:
        if {label.lower() for label in counts} <= {yes, no}:
            refusal, compliance = AnswerClass.FULL_REFUSAL, AnswerClass.FULL_COMPLIANCE
            return {label: refusal if label.lower() == yes else compliance for label in counts}
    raise InputError(
        "which labels are refusals is not known",
        where="--positive",
        do=f"name them with --positive LABEL; the labels are {', '.join(list(counts)[:10])}",
    )
