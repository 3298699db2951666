"""``relgate judge fit-refusals``: a refusal detector from a user's own labels."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.progress import Progress

from pipelines.cli.judge.options import ColumnOption, FileArgument, WhereOption, decimal, share, shown
from pipelines.cli.options import pairs
from pipelines.cli.output import Json, emit, line, stdout, table

if TYPE_CHECKING:
    from evalharness.judging.file_calibration import Agreement
    from evalharness.refusals.labelled_file import LabelledRefusals
    from evalharness.refusals.refit import Refit


def fit_refusals(
    file: FileArgument,
    *,
    out: Annotated[Path, typer.Option("--out", help="Detector file to write.", show_default=False)],
    column: ColumnOption = None,
    where: WhereOption = None,
    positive: Annotated[
        list[str] | None,
        typer.Option("--positive", help="A label that means a refusal; repeatable.", show_default=False),
    ] = None,
    partial: Annotated[
        list[str] | None,
        typer.Option("--partial", help="A label that means a partial refusal; repeatable.", show_default=False),
    ] = None,
    group: Annotated[
        str | None,
        typer.Option("--group", help="Column whose values are held out in turn, e.g. model.", show_default=False),
    ] = None,
    as_json: Json = False,
) -> None:
    """Fit the refusal detector on labelled answers, and say how well it does on answers it has not seen.

    Fields: text and label, and optionally prompt (rows of one prompt stay on one side of a fold). The numbers are
    cross-validated over prompts, with --group on one group at a time by a fit on the others. The detector that ships
    with relgate is measured on the same answers. Where labels are named by --positive and --partial, every other one is
    a compliance; full_compliance, partial_refusal and full_refusal need not be named, nor do 1 and 0.
    """
    from evalharness.refusals.detector_files import check_place
    from evalharness.refusals.labelled_file import read_labelled_refusals
    from evalharness.refusals.refit import refit

    check_place(out)
    columns = pairs(column, "--column")
    if group is not None:
        columns["group"] = group
    labelled = read_labelled_refusals(
        file, columns=columns, where=pairs(where, "--where"), positive=positive or (), partial=partial or ()
    )
    with Progress(console=Console(stderr=True), transient=True, disable=as_json) as bar:
        task = bar.add_task("cross-validation", total=None)
        found = refit(labelled, source=file.name, progress=lambda done, of: bar.update(task, completed=done, total=of))
    found.detector.save(out)
    if as_json:
        emit({"file": str(file), "detector": str(out), **_document(labelled, found)})
    else:
        _show(labelled, found, out)


def _document(labelled: LabelledRefusals, found: Refit) -> dict[str, Any]:
    answers = found.answers
    return {
        "digest": found.detector.digest,
        "positive_labels": list(labelled.positive),
        "negative_labels": list(labelled.negative),
        "labels": dict(labelled.counts),
        "rows": len(answers.labels),
        "unlabelled": labelled.unlabelled,
        "broken": answers.broken,
        "refusals": int(answers.refusing.sum()),
        "partial_refusals": int(answers.partial.sum()),
        "prompts": int(answers.units.max()) + 1,
        "regularisation": {
            "penalty": found.detector.training.penalty,
            "embedding_scale": found.detector.training.embedding_scale,
        },
        **_agreement(found.overall),
        "groups": {name: _agreement(one) for name, one in found.groups.items()},
        "shipped": _agreement(found.shipped),
        "notes": _notes(found),
    }


def _agreement(found: Agreement) -> dict[str, Any]:
    told = ("kappa", "agreement", "sensitivity", "specificity", "labelled", "unparsed", "confusion")
    document = found.to_json()
    return {name: document[name] for name in told}


def _notes(found: Refit) -> list[str]:
    answers, notes = found.answers, []
    if (found.shipped.kappa.value or 0.0) >= (found.overall.kappa.value or 0.0):
        notes.append("the shipped detector does at least as well here: keep it, or label more answers")
    if answers.broken:
        notes.append(f"{answers.broken} answers are empty or broken: told by rules, neither fitted nor measured on")
    if not answers.has_prompts:
        notes.append("no column 'prompt': answers count as independent unless they are near-duplicates")
    if answers.groups is None:
        notes.append("no --group: the numbers hold for answers of the same models, not of new ones")
    return notes


def _show(labelled: LabelledRefusals, found: Refit, out: Path) -> None:
    console = stdout()
    line(console, f"refusals: {', '.join(labelled.positive)}; compliances: {', '.join(labelled.negative)}")
    parts = {"fitted, held out": found.overall, **found.groups, "as shipped": found.shipped}
    console.print(
        table(
            "The detector against people",
            ("", "answers", "kappa", "sensitivity", "specificity", "agreement"),
            [
                (
                    name,
                    str(one.labelled),
                    shown(one.kappa, decimal),
                    shown(one.sensitivity, share),
                    shown(one.specificity, share),
                    shown(one.agreement, share),
                )
                for name, one in parts.items()
            ],
        )
    )
    for note in _notes(found):
        line(console, f"note: {note}")
    line(console, f"detector written to {out}")
