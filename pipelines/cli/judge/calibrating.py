"""``relgate judge calibrate``: a judge's verdicts against people's labels."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from pipelines.cli.judge.options import (
    INCONCLUSIVE,
    ColumnOption,
    ConfidenceOption,
    FileArgument,
    MinKappaOption,
    WhereOption,
    decimal,
    share,
    shown,
)
from pipelines.cli.options import pairs
from pipelines.cli.output import Json, emit, line, stdout, table

if TYPE_CHECKING:
    from evalharness.judging.file_calibration import FileCalibration
    from evalharness.judging.labelled_file import LabelledAnswers
    from evalharness.judging.trust import Trust


def calibrate(
    file: FileArgument,
    *,
    column: ColumnOption = None,
    where: WhereOption = None,
    positive: Annotated[
        list[str] | None, typer.Option("--positive", help="A label that means yes; repeatable.", show_default=False)
    ] = None,
    negative: Annotated[
        list[str] | None,
        typer.Option("--negative", help="A label that means no; repeatable. Default: every other.", show_default=False),
    ] = None,
    min_kappa: MinKappaOption = None,
    min_labels: Annotated[int, typer.Option("--min-labels", help="Labelled answers that it takes at least.")] = 50,
    confidence: ConfidenceOption = 0.95,
    as_json: Json = False,
) -> None:
    """Measure a judge against people: kappa, sensitivity, specificity, and the rate that its verdicts hide.

    Fields: human and judge (labels; an empty human is an answer that nobody labelled, an empty judge a verdict that
    could not be read), and optionally id, cluster, arm, length, weight (1 / the probability that a label was drawn).
    Exit 3 when the judge is too poor to correct, has too few labels or a kappa below --min-kappa.
    """
    from evalharness.judging.file_calibration import calibrate_answers
    from evalharness.judging.labelled_file import read_labelled_answers
    from evalharness.judging.trust import trust

    answers = read_labelled_answers(
        file,
        columns=pairs(column, "--column"),
        where=pairs(where, "--where"),
        positive=positive or (),
        negative=negative or (),
    )
    found = calibrate_answers(answers, confidence=confidence)
    verdict = trust(found, min_kappa=min_kappa, min_labels=min_labels)
    if as_json:
        emit({"file": str(file), **_document(answers, found, verdict)})
    else:
        _show(answers, found, verdict)
    if not verdict.trusted:
        raise typer.Exit(INCONCLUSIVE)


def _document(answers: LabelledAnswers, found: FileCalibration, verdict: Trust) -> dict[str, Any]:
    return {
        "trusted": verdict.trusted,
        "reason": "; ".join(verdict.reasons) or None,
        "reasons": list(verdict.reasons),
        "labels_needed": verdict.labels_needed,
        "positive_labels": list(answers.positive),
        "negative_labels": list(answers.negative),
        **found.overall.to_json(),
        "arms": {name: arm.to_json() for name, arm in found.arms.items()},
        "arm_differences": [
            {"arm": one.arm, "rate": one.rate, "difference": one.difference.to_json()} for one in found.differences
        ],
        "notes": _notes(answers, found),
    }


def _notes(answers: LabelledAnswers, found: FileCalibration) -> list[str]:
    different = [
        f"the judge's {one.rate} on arm '{one.arm}' is not that on the others "
        f"(difference {shown(one.difference, decimal)}): correct each arm by its own labels"
        for one in found.different_arms
    ]
    return [*answers.notes, *different]


def _show(answers: LabelledAnswers, found: FileCalibration, verdict: Trust) -> None:
    console = stdout()
    line(
        console, "trusted" if verdict.trusted else "NOT TRUSTED", style="bold green" if verdict.trusted else "bold red"
    )
    for reason in verdict.reasons:
        line(console, f"- {reason}")
    line(console, f"positive: {', '.join(answers.positive)}; negative: {', '.join(answers.negative)}")
    parts = {"all": found.overall, **found.arms}
    judge_table = table(
        "The judge against people",
        ("", "labelled", "unparsed", "agreement", "kappa", "sensitivity", "specificity"),
        [
            (
                name,
                str(part.labelled),
                str(part.unparsed),
                shown(part.agreement, share),
                shown(part.kappa, decimal),
                shown(part.sensitivity, share),
                shown(part.specificity, share),
            )
            for name, part in parts.items()
        ],
    )
    rates = table(
        "Positive rate",
        ("", "answers", "the judge's word", "labels alone", "corrected", "by", "Rogan-Gladen"),
        [
            (
                name,
                str(part.rows),
                shown(part.judge_rate, share),
                shown(part.human_rate, share),
                shown(part.corrected, share),
                part.corrected.method,
                shown(part.rogan_gladen, share),
            )
            for name, part in parts.items()
        ],
    )
    console.print(judge_table)
    console.print(rates)
    if found.overall.length_bias is not None:
        line(
            console,
            f"odds of a positive verdict on an answer twice as long, at equal truth: "
            f"{shown(found.overall.length_bias, decimal)} (1 is no bias)",
        )
    for note in _notes(answers, found):
        line(console, f"note: {note}")
