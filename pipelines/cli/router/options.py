"""Options that the commands about routers share."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer

from evalharness.evidence import Estimate

RouterArgument = Annotated[
    Path, typer.Argument(metavar="DIR", help="Directory that 'relgate router train' wrote.", show_default=False)
]
DataOption = Annotated[
    list[Path] | None,
    typer.Option(
        "--data",
        help="CSV or JSONL: prompt, small_score, flagship_score, and optionally id, group, family, small_usd, "
        "flagship_usd; repeatable.",
        show_default=False,
    ),
]
ColumnOption = Annotated[
    list[str] | None,
    typer.Option("--column", help="FIELD=COLUMN: which column holds a field.", show_default=False),
]
WhereOption = Annotated[
    list[str] | None, typer.Option("--where", help="COLUMN=VALUE: keep these rows only.", show_default=False)
]
SmallOption = Annotated[
    str | None,
    typer.Option("--small", help="Candidate, or its file; default: router.small of the project.", show_default=False),
]
FlagshipOption = Annotated[
    str | None,
    typer.Option(
        "--flagship", help="Candidate, or its file; default: router.flagship of the project.", show_default=False
    ),
]
SetOption = Annotated[
    list[Path] | None,
    typer.Option(
        "--set",
        help="Card of prompts that both models answer; repeatable. Default without --data: router.sets of the project.",
        show_default=False,
    ),
]
CacheOption = Annotated[
    Path | None,
    typer.Option(
        "--cache",
        help="Folder in which embeddings are kept, by digest.",
        show_default="$RELGATE_CACHE, else ~/.cache/relgate",
    ),
]


def cache_file(folder: Path | None) -> Path:
    """The file of embeddings in the folder that was asked for, or where caches are kept."""
    if folder is None:
        named, base = os.environ.get("RELGATE_CACHE"), os.environ.get("XDG_CACHE_HOME")
        folder = Path(named) if named else (Path(base) if base else Path.home() / ".cache") / "relgate"
    return folder / "embeddings.sqlite"


def cores() -> int:
    """Processor cores that this process may use."""
    return len(os.sched_getaffinity(0))


def percent(estimate: Estimate | None) -> str:
    """``73.2 % [68.7 %, 77.2 %]``."""
    return _shown(estimate, lambda x: f"{100 * x:.1f} %")


def decimals(estimate: Estimate | None) -> str:
    """``0.673 [0.652, 0.694]``."""
    return _shown(estimate, lambda x: f"{x:.3f}")


def _shown(estimate: Estimate | None, wording: Callable[[float], str]) -> str:
    if estimate is None or estimate.value is None:
        return "-"
    if estimate.low is None or estimate.high is None:
        return wording(estimate.value)
    return f"{wording(estimate.value)} [{wording(estimate.low)}, {wording(estimate.high)}]"
