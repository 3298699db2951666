"""``relgate judge pairwise``: two answers judged in both orders."""

from __future__ import annotations

from dataclasses import fields
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from golden_sets.errors import InputError
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
from pipelines.cli.options import pairs as named
from pipelines.cli.output import Json, emit, line, stdout, table

if TYPE_CHECKING:
    from evalharness.judging.pair_agreement import PairReport

_MOSTLY = 0.5
"""Share of verdicts that turn with the order from which on the reader is asked whether places are meant."""


def pairwise(
    file: FileArgument,
    *,
    column: ColumnOption = None,
    where: WhereOption = None,
    swapped_names: Annotated[
        Literal["answer", "place"],
        typer.Option("--swapped-names", help="What 1 and 2 mean in swapped_order: the answer, or the place."),
    ] = "answer",
    min_kappa: MinKappaOption = None,
    max_turned: Annotated[
        float | None,
        typer.Option("--max-turned", help="Trust no judge with more verdicts that turn.", show_default=False),
    ] = None,
    max_position_bias: Annotated[
        float | None,
        typer.Option("--max-position-bias", help="Trust no judge that leans further to a place.", show_default=False),
    ] = None,
    confidence: ConfidenceOption = 0.95,
    as_json: Json = False,
) -> None:
    """Measure a pairwise judge: wins, ties and losses, agreement with people, position and verbosity bias.

    Fields: first_order (answer 1 was shown first) and swapped_order (answer 2 was): 1 or 2 for the answer that is
    preferred, 0 for a tie, nothing for an unreadable verdict; and optionally id, label (what people prefer), cluster,
    length_1, length_2. Where the orders disagree, the verdict is a tie. A win is one of answer 1. Exit 3 when a
    threshold is not met, or when judge and people agree less than chance.
    """
    from evalharness.judging.pair_agreement import judge_pairs
    from evalharness.judging.pair_file import read_judged_pairs

    _check({"--max-turned": max_turned, "--max-position-bias": max_position_bias}, min_kappa)
    pairs = read_judged_pairs(
        file,
        columns=named(column, "--column"),
        where=named(where, "--where"),
        by_place=swapped_names == "place",
    )
    found = judge_pairs(pairs, confidence=confidence)
    reasons = _reasons(found, min_kappa, max_turned, max_position_bias)
    notes = [*pairs.notes, *_notes(found, swapped_names)]
    if as_json:
        asked = found.labels is not None or max_turned is not None or max_position_bias is not None
        trusted = {
            "trusted": not reasons if asked or reasons else None,
            "reason": "; ".join(reasons) or None,
            "reasons": reasons,
        }
        emit({"file": str(file), **trusted, **_plain(found), "notes": notes})
    else:
        _show(found, reasons, notes)
    if reasons:
        raise typer.Exit(INCONCLUSIVE)


def _check(shares: dict[str, float | None], min_kappa: float | None) -> None:
    for option, value in shares.items():
        if value is not None and not 0 <= value <= 1:
            raise InputError(f"a share lies between 0 and 1, got {value}", where=option, do="write 10 % as 0.1")
    if min_kappa is not None and not -1 <= min_kappa <= 1:
        raise InputError(f"a kappa lies between -1 and 1, got {min_kappa}", where="--min-kappa")


def _reasons(
    found: PairReport, min_kappa: float | None, max_turned: float | None, max_position_bias: float | None
) -> list[str]:
    """Why the judge is not to be trusted: its estimates against the thresholds."""
    from evalharness.judging.trust import ROUNDING

    reasons = []
    labels, position = found.labels, found.position
    if not position.pairs:
        reasons.append("no pair has a verdict in both orders")
    if labels is not None and labels.polarity_flipped:
        reasons.append(
            f"polarity flipped: judge and people agree less than chance (kappa {shown(labels.kappa_decided, decimal)})"
        )
    if min_kappa is not None:
        if labels is None:
            raise InputError("--min-kappa needs labels", do="map the column 'label'")
        if labels.kappa.value is None or labels.kappa.value < min_kappa - ROUNDING:
            reasons.append(f"kappa {shown(labels.kappa, decimal)} is below {min_kappa:g}")
    turned = None if position.turned is None else position.turned.value
    if max_turned is not None and (turned is None or turned > max_turned + ROUNDING):
        reasons.append(f"{shown(position.turned, share)} of the verdicts turn with the order, more than {max_turned:g}")
    bias = None if position.bias is None else position.bias.value
    if max_position_bias is not None and (bias is None or abs(bias) > max_position_bias + ROUNDING):
        reasons.append(f"position bias {shown(position.bias, decimal)} is beyond {max_position_bias:g}")
    return reasons


def _notes(found: PairReport, swapped_names: str) -> list[str]:
    position = found.position
    turned = position.first_shown + position.second_shown
    if position.pairs and turned > _MOSTLY * position.pairs:
        other = "place" if swapped_names == "answer" else "answer"
        return [
            f"{turned} of {position.pairs} verdicts turn with the order: if swapped_order names the {other}, "
            f"say --swapped-names {other}"
        ]
    return []


def _plain(record: Any) -> dict[str, Any]:
    """A record of counts, estimates and such records as plain JSON data."""

    def value(x: Any) -> Any:
        return x.to_json() if hasattr(x, "to_json") else _plain(x) if hasattr(x, "__dataclass_fields__") else x

    return {field.name: value(getattr(record, field.name)) for field in fields(record)}


def _show(found: PairReport, reasons: list[str], notes: list[str]) -> None:
    console = stdout()
    for reason in reasons:
        line(console, f"NOT TRUSTED: {reason}", style="bold red")
    unscored = f", {found.unscored} unscored ({found.unparsed} unparsed verdicts)" if found.unscored else ""
    line(console, f"{found.pairs} pairs: {found.wins} wins, {found.ties} ties, {found.losses} losses{unscored}")
    rows = [
        ("wins minus losses", shown(found.difference, decimal), found.difference.method),
        ("win rate, ties half", shown(found.win_rate, share), found.win_rate.method),
    ]
    if found.labels is not None:
        labels = found.labels
        rows += [
            (f"agreement with {labels.labelled} labels", shown(labels.agreement, share), labels.agreement.method),
            (
                "the same without ties",
                shown(labels.decided, share),
                "" if not labels.decided else labels.decided.method,
            ),
            ("the same, one order asked", shown(labels.single_orders, share), labels.single_orders.method),
            ("kappa", shown(labels.kappa, decimal), labels.kappa.method),
            ("kappa without ties", shown(labels.kappa_decided, decimal), ""),
        ]
    position = found.position
    for name, interval, wording in (
        ("verdicts that turn with the order", position.turned, share),
        ("position bias (0: none, 1: always first)", position.bias, decimal),
        ("first place among those that follow the place", position.first_preferred, share),
    ):
        rows.append((name, shown(interval, wording), "" if interval is None else interval.method))
    verbosity = found.verbosity
    if verbosity is not None:
        for name, interval, wording in (
            ("win rate with lengths known", verbosity.win_rate, share),
            ("win rate, length-controlled", verbosity.length_controlled, share),
            ("what length gives answer 1", verbosity.difference, decimal),
            ("longer answer preferred", verbosity.longer_preferred, share),
            ("the same by people", verbosity.longer_by_people, share),
            ("judge beyond people", verbosity.excess, decimal),
        ):
            rows.append((name, shown(interval, wording), "" if interval is None else interval.method))
    console.print(table(None, ("", "estimate", "method"), rows))
    for note in notes:
        line(console, f"note: {note}")
