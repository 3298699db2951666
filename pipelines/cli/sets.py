"""``relgate sets``: look at prompt sets before they are used."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Annotated, Any

import typer

from golden_sets.reading import LoadedSet, read_set
from pipelines.cli.output import Json, emit, stdout, table

app = typer.Typer(help="Validate, digest and describe prompt sets.", no_args_is_help=True)
Cards = Annotated[list[Path], typer.Argument(help="Cards (YAML) of the sets.", show_default=False)]


@app.command()
def validate(cards: Cards, *, as_json: Json = False) -> None:
    """Read sets and report every problem with file and line; exit 2 when there is an error."""
    loaded = [read_set(card) for card in cards]
    if as_json:
        emit({"valid": True, "sets": [describe(one) for one in loaded]})
        return
    rows = [
        (one.prompt_set.name, one.prompt_set.kind.value, str(len(one.prompt_set.prompts)), _cells(one))
        for one in loaded
    ]
    console = stdout()
    console.print(table(None, ("set", "kind", "prompts", "cells"), rows))
    for one in loaded:
        for problem in one.warnings:
            console.print(f"{problem.severity}: {problem.where}: {problem.what}", markup=False, highlight=False)


@app.command()
def digest(cards: Cards, *, as_json: Json = False) -> None:
    """Print the content digest of each set; it does not depend on the order of the prompts."""
    loaded = [read_set(card) for card in cards]
    if as_json:
        emit({"sets": [{"name": one.prompt_set.name, "digest": one.prompt_set.digest} for one in loaded]})
        return
    for one in loaded:
        print(f"{one.prompt_set.digest}  {one.prompt_set.name} {one.prompt_set.version}")


def describe(loaded: LoadedSet) -> dict[str, Any]:
    """A set as plain JSON data."""
    prompts = loaded.prompt_set.prompts
    names = sorted({name for p in prompts for name in p.dimensions})
    return {
        "name": loaded.prompt_set.name,
        "version": loaded.prompt_set.version,
        "kind": loaded.prompt_set.kind.value,
        "digest": loaded.prompt_set.digest,
        "prompts": len(prompts),
        "clusters": len({p.unit for p in prompts}),
        "dimensions": {name: dict(Counter(p.dimensions.get(name, "") for p in prompts)) for name in names},
        "warnings": [{"where": p.where, "what": p.what, "do": p.do} for p in loaded.warnings],
    }


def _cells(loaded: LoadedSet) -> str:
    found = describe(loaded)["dimensions"]
    return "; ".join(f"{name}: {', '.join(f'{v} {n}' for v, n in sorted(c.items()))}" for name, c in found.items())
