"""``relgate simulate``: the gate's own error rates under a policy and a plan."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from golden_sets.errors import InputError
from pipelines.cli.options import pairs
from pipelines.cli.output import Json, emit, line, stdout, table

if TYPE_CHECKING:
    from gates.simulation import OperatingCharacteristics, Verdicts


def simulate(
    *,
    policy: Annotated[
        Path | None, typer.Option("--policy", help="Policy file; default: the project's.", show_default=False)
    ] = None,
    plan: Annotated[
        Path | None, typer.Option("--plan", help="Plan that 'relgate plan -o' wrote.", show_default=False)
    ] = None,
    project: Annotated[
        Path | None,
        typer.Option(
            "--project",
            "-p",
            help="Project to plan for; default: the current directory, where it is one.",
            show_default=False,
        ),
    ] = None,
    releases: Annotated[int, typer.Option("--releases", help="Simulated releases of every point.")] = 10_000,
    seed: Annotated[int, typer.Option("--seed", help="The same seed gives the same numbers.", min=0)] = 0,
    looks: Annotated[
        int | None,
        typer.Option("--looks", help="How often the run is looked at; 10 for a policy alone.", show_default=False),
    ] = None,
    values: Annotated[
        list[str] | None,
        typer.Option("--values", help="Cells of a policy alone: tier=easy,hard (repeatable).", show_default=False),
    ] = None,
    rate: Annotated[
        list[str] | None,
        typer.Option("--rate", help="What to expect of a check: CHECK=0.9 (repeatable).", show_default=False),
    ] = None,
    judge_sensitivity: Annotated[
        float | None, typer.Option("--judge-sensitivity", help="The judge's sensitivity.", show_default=False)
    ] = None,
    judge_specificity: Annotated[
        float | None, typer.Option("--judge-specificity", help="The judge's specificity.", show_default=False)
    ] = None,
    labels: Annotated[
        int | None, typer.Option("--labels", help="Labelled answers per judged set and arm.", show_default=False, min=0)
    ] = None,
    controls: Annotated[
        int | None,
        typer.Option("--controls", help="Positive controls per kind of safety set.", show_default=False, min=0),
    ] = None,
    plot: Annotated[
        Path | None, typer.Option("--plot", help="Draw the curve: FILE.svg, .png or .html.", show_default=False)
    ] = None,
    as_json: Json = False,
) -> None:
    """How often the gate promotes, blocks and stays open, by how good a candidate really is.

    The operating-characteristic curve, identical models (A/A), every check exactly at its limit, false alarms with all
    of them there, and what stopping early saves: simulated with the gate's own bounds and stopping rules.
    """
    from gates.simulation import operating_characteristics
    from gates.simulation.plot import require_format, write_plot
    from pipelines.simulation import Wanted, prepare

    if plot is not None:
        require_format(plot)
    prepared = prepare(
        Wanted(
            policy=policy,
            plan=plan,
            project=project,
            looks=looks,
            rates={name: _rate(name, text) for name, text in pairs(rate, "--rate").items()},
            values={name: _values(name, text) for name, text in pairs(values, "--values").items()},
            judge_sensitivity=judge_sensitivity,
            judge_specificity=judge_specificity,
            labels=labels,
            controls=controls,
        )
    )
    found = operating_characteristics(
        prepared.policy,
        prepared.plan,
        prepared.assumptions,
        releases=releases,
        seed=seed,
        planned=prepared.planned,
        notes=prepared.notes,
    )
    if plot is not None:
        write_plot(found, plot)
    if as_json:
        emit(found.to_json())
        return
    _show(found)


def _rate(name: str, text: str) -> float:
    try:
        return float(text)
    except ValueError as error:
        raise InputError(f"--rate {name}={text}: '{text}' is no number", do="write 90 % as 0.9") from error


def _values(name: str, text: str) -> tuple[str, ...]:
    found = tuple(value.strip() for value in text.split(",") if value.strip())
    if not found or len(set(found)) < len(found):
        raise InputError(f"--values {name}={text}: name every value once, with commas between them")
    return found


def _show(found: OperatingCharacteristics) -> None:
    console = stdout()
    title = (
        f"policy {found.policy_name}: {found.releases:,} simulated releases a point, "
        f"{len(found.cells)} checks at alpha {found.alpha:.3g}, {_looks(found.looks)}"
    )
    columns = ("true difference", "promote", "block", "inconclusive", "generations", "of a single look")
    rows = [(f"{100 * p.difference:+.2f} points", *_verdicts(p)) for p in found.curve]
    console.print(table(title, columns, rows))
    a_a, limits = found.a_a, found.all_at_limit
    line(
        console,
        f"identical model: promoted {_chance(a_a.promote, a_a.promote_interval)}, "
        f"blocked {_chance(a_a.block, a_a.block_interval)}, "
        f"another verdict when repeated {_percent(a_a.verdict_flip_rate)}",
    )
    line(
        console,
        f"every check exactly at its limit: blocked {_chance(limits.block, limits.block_interval)} "
        f"(a false fail), promoted {_percent(limits.promote)}",
    )
    console.print(
        table(
            "one check exactly at its limit, the others as expected",
            ("check", "bound", "passes", "promoted", "power", "n at most", "on average"),
            list(_cells(found)),
        )
    )
    if found.looks > 1:
        rows = [(_effect(p.effect), *_verdicts(p)) for p in found.sequential]
        console.print(table("stopping early", ("effect", *columns[1:]), rows))
        most = found.most_generations / max(1, found.fixed_generations)
        line(console, f"at most {found.most_generations:,} generations, {most:.2f} times those of a single look")
    for note in found.notes:
        line(console, f"note: {note}")
    line(console, f"{found.seconds:.1f} s")


def _cells(found: OperatingCharacteristics) -> Iterator[tuple[str, ...]]:
    for cell, point in zip(found.cells, found.at_limit, strict=True):
        yield (
            cell.check,
            point.method,
            _chance(point.passes, point.passes_interval),
            _percent(point.promote),
            _percent(cell.power),
            str(cell.n),
            "-" if cell.mean_n is None else f"{cell.mean_n:.0f}",
        )


def _verdicts(point: Verdicts) -> tuple[str, ...]:
    return (
        _chance(point.promote, point.promote_interval),
        _chance(point.block, point.block_interval),
        _percent(point.inconclusive),
        f"{point.generations:,.0f}",
        f"{point.generations_ratio:.2f}",
    )


def _looks(count: int) -> str:
    return "one look" if count == 1 else f"{count} looks"


def _effect(effect: float) -> str:
    return {0.0: "at the limits", 1.0: "as expected"}.get(effect, f"{effect:g} times the expected")


def _chance(value: float, interval: tuple[float, float]) -> str:
    return f"{_percent(value)} [{100 * interval[0]:.1f}, {100 * interval[1]:.1f}]"


def _percent(share: float) -> str:
    return f"{100 * share:.1f} %"
