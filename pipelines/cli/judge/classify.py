"""``relgate judge classify``: what answers do with a request, told without a language model."""

from __future__ import annotations

import json
import sys
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from pipelines.cli.judge.options import ColumnOption, FileArgument, WhereOption
from pipelines.cli.options import pairs
from pipelines.cli.output import Json, emit

if TYPE_CHECKING:
    from evalharness.refusals.classes import RefusalVerdict


def classify(
    file: FileArgument,
    *,
    column: ColumnOption = None,
    where: WhereOption = None,
    detector: Annotated[
        Path | None,
        typer.Option("--detector", help="Detector of fit-refusals; default: the shipped one.", show_default=False),
    ] = None,
    as_json: Json = False,
) -> None:
    """Classify every answer of a file: full compliance, partial refusal, full refusal, empty or broken.

    Fields: text, and optionally id and finish_reason ("length" where the token limit was met). Prints JSONL, a line an
    answer in the order of the file; with --json one document that also counts the classes.
    """
    from evalharness.refusals import RefusalDetector
    from evalharness.refusals.answers_file import read_answers

    answers = read_answers(file, columns=pairs(column, "--column"), where=pairs(where, "--where"))
    chosen = RefusalDetector.shipped() if detector is None else RefusalDetector.load(detector)
    verdicts = chosen.classify(answers.texts, truncated=answers.truncated)
    rows = [_row(name, verdict) for name, verdict in zip(answers.ids, verdicts, strict=True)]
    if as_json:
        counts = Counter(row["class"] for row in rows)
        emit({"file": str(file), "detector": chosen.digest, "classes": dict(sorted(counts.items())), "answers": rows})
    else:
        sys.stdout.writelines(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)


def _row(name: str | None, verdict: RefusalVerdict) -> dict[str, Any]:
    return {
        "id": name,
        "class": verdict.label.value,
        "probability": _rounded(verdict.probability),
        "partial": _rounded(verdict.partial),
        "broken": verdict.broken,
    }


def _rounded(probability: float | None) -> float | None:
    return None if probability is None else round(probability, 4)
