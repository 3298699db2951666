"""``relgate router train``: a router from labelled prompts, or from a project's two models."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from pipelines.cli.judge.options import share
from pipelines.cli.options import ProjectOption, StoreOption, pairs
from pipelines.cli.output import Json, emit, line, stdout, table
from pipelines.cli.router.options import (
    CacheOption,
    ColumnOption,
    DataOption,
    FlagshipOption,
    SetOption,
    SmallOption,
    WhereOption,
    cache_file,
    cores,
)

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

    from pipelines.router_training_run import RouterTraining
    from router_training.choosing import Choice

Precision = Literal["int8", "fp32"]


def train(
    *,
    out: Annotated[Path, typer.Option("--out", help="Directory of the router to write.", show_default=False)],
    data: DataOption = None,
    column: ColumnOption = None,
    where: WhereOption = None,
    small: SmallOption = None,
    flagship: FlagshipOption = None,
    sets: SetOption = None,
    project: ProjectOption = Path(),
    store: StoreOption = None,
    refit: Annotated[
        Path | None,
        typer.Option(
            "--refit",
            metavar="ROUTER",
            help="Keep this router's encoder and its frozen test; fit head, calibration and threshold anew.",
            show_default=False,
        ),
    ] = None,
    max_loss: Annotated[
        float | None,
        typer.Option(
            "--max-loss",
            help="Most mean quality given up against always asking the flagship, in (0, 1).",
            show_default="the project's, else 0.02",
        ),
    ] = None,
    confidence: Annotated[
        float | None,
        typer.Option("--confidence", help="Of the bound on it, in (0, 1).", show_default="the project's, else 0.95"),
    ] = None,
    precision: Annotated[
        Precision | None, typer.Option("--precision", help="Arithmetic of the encoder.", show_default="int8")
    ] = None,
    layers: Annotated[
        int | None,
        typer.Option("--layers", help="Layers of the encoder that are used.", show_default="2", min=0, max=6),
    ] = None,
    max_tokens: Annotated[
        int | None,
        typer.Option(
            "--max-tokens",
            help="Of longer prompts so many tokens are kept, half from each end.",
            show_default="64",
            min=8,
            max=512,
        ),
    ] = None,
    seed: Annotated[int, typer.Option("--seed", help="Of splits, folds and heads.", min=0)] = 0,
    allow_contamination: Annotated[
        bool,
        typer.Option("--allow-contamination", help="Learn even from prompts that the project's evaluation sets hold."),
    ] = False,
    cache: CacheOption = None,
    as_json: Json = False,
) -> None:
    """Train a router from labelled prompts, or from two models of a project.

    Half of the prompts train the head, a quarter calibrate it and prove its threshold, a quarter is a frozen test that
    'router eval' and 'router release' use; groups of near-duplicates stay together. A router for which no threshold is
    proven sends everything to the flagship, and says why.
    """
    from pipelines.progress import Progress
    from pipelines.router_data import Source
    from pipelines.router_training_run import Request, train_from

    chosen = {
        "max_loss": max_loss,
        "confidence": confidence,
        "precision": precision,
        "layers": layers,
        "max_tokens": max_tokens,
        "seed": seed,
    }
    request = Request(
        out=out,
        source=Source(
            data=tuple(data or ()),
            columns=pairs(column, "--column"),
            where=pairs(where, "--where"),
            small=small,
            flagship=flagship,
            sets=tuple(sets or ()),
            project=project,
            store=store,
        ),
        refit=refit,
        chosen={name: value for name, value in chosen.items() if value is not None},
        allow_contamination=allow_contamination,
        cache=cache_file(cache),
        workers=cores(),
    )
    found = train_from(request, Progress())
    if as_json:
        emit(found.to_json())
    else:
        _show(found, stdout())


def _show(found: RouterTraining, console: Console) -> None:
    document = found.to_json()
    data, sizes, point = document["data"], document["split"], found.trained.manifest.operating_point
    line(
        console,
        f"{data['prompts']} prompts in {data['groups']} groups: {sizes['training']} to learn from, "
        f"{sizes['calibration']} to calibrate on, {sizes['test']} in the frozen test",
    )
    line(
        console,
        f"small {share(data['small_quality'])}, flagship {share(data['flagship_quality'])}; "
        f"hard {share(data['hard'])}, ties {share(data['ties'])}, small better {share(data['small_better'])}",
    )
    if found.trained.choice is not None:
        console.print(_heads(found.trained.choice))
    if found.always_flagship is not None:
        line(console, f"ALWAYS FLAGSHIP: {found.always_flagship}", style="bold yellow")
    else:
        line(
            console,
            f"small model below P(hard) {point.threshold:.3f}: {share(1 - point.flagship_share)} of the calibration "
            f"prompts, giving up {100 * point.loss:.2f} points, at most {100 * point.loss_high:.2f} with "
            f"{100 * point.confidence:g} % confidence; band up to {point.band_high:.3f}",
            style="bold green",
        )
    for note in found.notes:
        line(console, f"note: {note}")
    line(console, f"router written to {found.out} in {found.seconds:.0f} s; evaluate it with 'relgate router eval'")


def _heads(choice: Choice) -> Table:
    """The best of every kind; ``training.json`` has all that was tried."""
    told = choice.to_json()
    tried: Any = told["tried"]
    best: dict[str, Any] = {}
    for one in tried:
        if one["features"] == list(choice.features) and _apgr(one) > _apgr(best.get(one["head"])):
            best[one["head"]] = one
    rows = [
        (
            one["head"],
            ", ".join(f"{key} {value:g}" for key, value in one["members"][0]["settings"].items())
            if len(one["members"]) == 1
            else "",
            f"{one['apgr']:.3f}",
            f"{one['squared_error']:.4f}",
            "chosen" if one == told["chosen"] else "",
        )
        for one in best.values()
    ]
    title = (
        f"Heads on folds of the training prompts, on the embedding and {len(choice.features) or 'no'} cheap features"
    )
    return table(title, ("", "settings", "APGR", "squared error", ""), rows)


def _apgr(trial: dict[str, Any] | None) -> float:
    return -math.inf if trial is None or trial["apgr"] is None else float(trial["apgr"])
