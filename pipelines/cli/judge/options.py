"""Options and wording that the questions about judges share."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from evalharness.statistics.interval import Interval
    from pipelines.cli.stats.showing import Wording

INCONCLUSIVE = 3
"""Exit code where the judge is not to be trusted (docs/command-line.md)."""

FileArgument = Annotated[Path, typer.Argument(help="CSV or JSONL.", show_default=False)]
WhereOption = Annotated[
    list[str] | None, typer.Option("--where", help="COLUMN=VALUE: keep these rows only.", show_default=False)
]
ColumnOption = Annotated[
    list[str] | None,
    typer.Option(
        "--column",
        help="FIELD=COLUMN: which column holds a field; FIELD=ONE,OTHER where two together do.",
        show_default=False,
    ),
]
ConfidenceOption = Annotated[float, typer.Option("--confidence", help="Of the two-sided intervals, in (0, 1).")]
MinKappaOption = Annotated[
    float | None, typer.Option("--min-kappa", help="Trust no judge whose kappa is below this.", show_default=False)
]


def shown(interval: Interval | None, wording: Wording) -> str:
    """``73.2 % [68.7 %, 77.2 %]``."""
    if interval is None or interval.value is None:
        return "-"
    if interval.low is None or interval.high is None:
        return f"{wording(interval.value)} [-]"
    return f"{wording(interval.value)} [{wording(interval.low)}, {wording(interval.high)}]"


def decimal(x: float) -> str:
    """A number such as kappa with three decimals."""
    return f"{x:.3f}"


def share(x: float) -> str:
    """A rate in percent with one decimal."""
    return f"{100 * x:.1f} %"


def json_or_none(interval: Interval | None) -> dict[str, Any] | None:
    """An estimate for a JSON document."""
    return None if interval is None else interval.to_json()
