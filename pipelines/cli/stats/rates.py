"""``relgate stats interval``, ``paired`` and ``corrected``: rates, from counts."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from pipelines.cli.output import Json
from pipelines.cli.stats.options import (
    INCONCLUSIVE,
    Confidence,
    ProportionMethodName,
    SideName,
    SideOption,
    counts,
    option,
    question,
)

if TYPE_CHECKING:
    from evalharness.statistics.interval import Interval
    from pipelines.cli.stats.showing import Wording


def interval(
    *,
    successes: Annotated[int, option("--successes", "Successes among them.")],
    n: Annotated[int, option("--n", "Independent trials.")],
    confidence: Confidence = 0.95,
    side: SideOption = "two-sided",
    method: Annotated[
        ProportionMethodName | None,
        typer.Option(
            "--method",
            help="Default: wilson (at its level on average, for display) for two sides; clopper-pearson (exact, "
            "never below its level, what gates use) for one.",
            show_default=False,
        ),
    ] = None,
    as_json: Json = False,
) -> None:
    """Interval for one rate: so many successes of n independent trials."""
    from evalharness.statistics.proportions import proportion_interval
    from pipelines.cli.stats.showing import answer, claim, percent

    with question("interval"):
        counts({"--successes": successes}, n)
        found = proportion_interval(
            successes, n, confidence=confidence, side=side, method=method or _usual_method(side)
        )
    if side != "two-sided" and found.method == "wilson":
        found = replace(found, note="one-sided Wilson bounds are too narrow near 0 and 1; gates use clopper-pearson")
    answer(
        f"{successes} of {n}: {claim(found, 'the rate', percent)}.",
        {"rate": (found, percent)},
        {**found.to_json(), "side": side, "successes": successes},
        as_json=as_json,
    )


def paired(
    *,
    wins: Annotated[int, option("--wins", "Prompts only the candidate passes.")],
    losses: Annotated[int, option("--losses", "Prompts only the incumbent passes.")],
    n: Annotated[int, option("--n", "All prompts, those they agree on included.")],
    confidence: Confidence = 0.95,
    side: SideOption = "two-sided",
    method: Annotated[
        Literal["tango", "exact", "auto"],
        typer.Option(
            "--method",
            help="tango: score interval; exact: never below its level; auto: as gates, exact where few pairs decide.",
        ),
    ] = "tango",
    as_json: Json = False,
) -> None:
    """Interval for the difference of two pass rates on the same prompts: candidate minus incumbent."""
    from evalharness.statistics.paired import FEW_PAIRS, paired_interval
    from pipelines.cli.stats.showing import answer, claim, points

    with question("paired"):
        counts({"--wins": wins, "--losses": losses}, n)
        found = paired_interval(wins, losses, n, confidence=confidence, side=side, method=method)
    few = n - max(wins, losses, n - wins - losses)
    if method == "tango" and few < FEW_PAIRS:
        found = replace(found, note=f"only {few} pairs decide: gates then take the exact bound (--method exact)")
    answer(
        f"{wins} wins and {losses} losses on {n} prompts: {claim(found, 'the candidate minus the incumbent', points)}.",
        {"difference": (found, points)},
        {**found.to_json(), "side": side, "wins": wins, "losses": losses},
        as_json=as_json,
    )


def corrected(
    *,
    positives: Annotated[int, option("--positives", "Answers the judge passed.")],
    n: Annotated[int, option("--n", "Answers judged.")],
    true_positives: Annotated[int, option("--true-positives", "Labelled good answers that the judge passed.")],
    positives_labelled: Annotated[int, option("--positives-labelled", "Labelled good answers.")],
    true_negatives: Annotated[int, option("--true-negatives", "Labelled bad answers that the judge failed.")],
    negatives_labelled: Annotated[int, option("--negatives-labelled", "Labelled bad answers.")],
    confidence: Confidence = 0.95,
    side: SideOption = "two-sided",
    as_json: Json = False,
) -> None:
    """Pass rate behind an imperfect judge (Rogan-Gladen, both uncertainties added); exit 3 for too poor a judge.

    Too poor: fewer than 10 labels of a class, or not shown to be better than chance. Value and bounds are then null
    and the note says what it would take.
    """
    from evalharness.statistics.corrected import corrected_rate_interval
    from evalharness.statistics.proportions import proportion_interval
    from pipelines.cli.stats.showing import answer, claim, percent, plain

    with question("corrected"):
        calibration = {"--true-positives": true_positives, "--positives-labelled": positives_labelled}
        calibration |= {"--true-negatives": true_negatives, "--negatives-labelled": negatives_labelled}
        counts({"--positives": positives, **calibration}, n)
        labels = (true_positives, positives_labelled, true_negatives, negatives_labelled)
        found = corrected_rate_interval(positives, n, *labels, confidence=confidence, side=side)
        uncorrected = proportion_interval(positives, n, confidence=confidence, side=side, method=_usual_method(side))
        judge = {
            "sensitivity": _class_rate(true_positives, positives_labelled, confidence),
            "specificity": _class_rate(true_negatives, negatives_labelled, confidence),
            "j": _youden(*labels, confidence=confidence),
        }
    trusted = found.value is not None
    rows: dict[str, tuple[Interval, Wording]] = {"corrected": (found, percent), "uncorrected": (uncorrected, percent)}
    for name, one in judge.items():
        if one is not None:
            rows[name] = (one, plain if name == "j" else percent)
    document = {
        **found.to_json(),
        "side": side,
        "trusted": trusted,
        "uncorrected": uncorrected.to_json(),
        **{name: None if one is None else one.to_json() for name, one in judge.items()},
    }
    told = claim(found, "the true pass rate", percent)
    reason = "" if trusted else ": the judge is too poor to be corrected"
    answer(f"{positives} of {n} passed by the judge: {told}{reason}.", rows, document, as_json=as_json)
    if not trusted:
        raise typer.Exit(INCONCLUSIVE)


def _usual_method(side: SideName) -> ProportionMethodName:
    """Two-sided intervals are for display, one-sided bounds are what a gate would decide by."""
    return "wilson" if side == "two-sided" else "clopper-pearson"


def _class_rate(right: int, labelled: int, confidence: float) -> Interval | None:
    from evalharness.statistics.proportions import proportion_interval

    return proportion_interval(right, labelled, confidence=confidence) if labelled else None


def _youden(hits: int, passing: int, rejections: int, failing: int, *, confidence: float) -> Interval | None:
    """J = sensitivity + specificity - 1, two-sided by square-and-add; None without labels of a class."""
    from evalharness.statistics.corrected import youden_lower
    from evalharness.statistics.interval import Interval

    if not passing or not failing:
        return None
    tail = (1 + confidence) / 2
    low = youden_lower(hits, passing, rejections, failing, confidence=tail)
    # A judge that says the opposite has -J: its lower bound is the upper one of J.
    high = -youden_lower(passing - hits, passing, failing - rejections, failing, confidence=tail)
    value = hits / passing + rejections / failing - 1
    return Interval(value, low, high, confidence, "square-and-add", passing + failing)
