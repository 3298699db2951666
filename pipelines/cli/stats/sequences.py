"""``relgate stats sequence``: looking more than once, at planned points or after every observation."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from golden_sets.errors import InputError
from pipelines.cli.output import Json, emit
from pipelines.cli.stats.free_looks import SequenceMethodName, followed, show_followed
from pipelines.cli.stats.options import INCONCLUSIVE, SideName, counts, only, option, question
from pipelines.cli.stats.planned_looks import FutilityName, SpendingName, planned, show_plan

_PLAN = ("--looks", "--alpha", "--power", "--spending", "--futility", "--n")
_DATA = ("FILE", "--low", "--high", "--confidence", "--side", "--method", "--limit")


def sequence(
    file: Annotated[
        str | None,
        typer.Argument(help="Data: numbers in the order they came, one a line; - for stdin.", show_default=False),
    ] = None,
    *,
    looks: Annotated[int | None, option("--looks", "Plan: equally spaced looks.")] = None,
    alpha: Annotated[float | None, option("--alpha", "Plan: one-sided, over all looks; default 0.05.")] = None,
    power: Annotated[float | None, option("--power", "Plan: at the planned effect; default 0.9.")] = None,
    spending: Annotated[
        SpendingName | None, option("--spending", "Plan: how alpha is spent; default quadratic.")
    ] = None,
    futility: Annotated[
        FutilityName | None, option("--futility", "Plan: how 1 - power is spent on giving up; default none.")
    ] = None,
    n: Annotated[
        int | None, option("--n", "Plan: sample of the fixed plan, to give the looks in observations.")
    ] = None,
    low: Annotated[float | None, option("--low", "Data: smallest possible number; default 0.")] = None,
    high: Annotated[float | None, option("--high", "Data: largest possible number; default 1.")] = None,
    confidence: Annotated[float | None, option("--confidence", "Data: over all times together; default 0.95.")] = None,
    side: Annotated[SideName | None, option("--side", "Data: default two-sided.")] = None,
    method: Annotated[
        SequenceMethodName | None,
        option("--method", "Data: betting (default, tighter) or empirical-bernstein (for millions of numbers)."),
    ] = None,
    limit: Annotated[float | None, option("--limit", "Data: say when this mean was first excluded.")] = None,
    as_json: Json = False,
) -> None:
    """Look more than once: plan the looks (--looks), or bound the mean of FILE so that any number of looks is free.

    A plan (group-sequential, spent alpha) is for gates; the confidence sequence for shadow and canary traffic. Exit 3
    when the data contradict a constant mean.
    """
    given: dict[str, Any] = {
        "--looks": looks,
        "--alpha": alpha,
        "--power": power,
        "--spending": spending,
        "--futility": futility,
    }
    given |= {"--n": n, "FILE": file, "--low": low, "--high": high, "--confidence": confidence, "--side": side}
    given |= {"--method": method, "--limit": limit}
    with question("sequence"):
        if looks is not None:
            only("--looks", _PLAN, given)
            counts({}, n)
            document = planned(looks, _or(alpha, 0.05), _or(power, 0.9), spending or "quadratic", futility or "none", n)
        elif file is not None:
            only("FILE", _DATA, given)
            document = followed(
                file,
                (_or(low, 0.0), _or(high, 1.0)),
                _or(confidence, 0.95),
                side or "two-sided",
                method or "betting",
                limit,
            )
        else:
            raise InputError("neither looks to plan nor numbers to look at", do="give --looks N, or a FILE of numbers")
    if as_json:
        emit(document)
    elif looks is not None:
        show_plan(document)
    else:
        show_followed(document)
    if file is not None and document["value"] is None:
        raise typer.Exit(INCONCLUSIVE)


def _or(value: float | None, default: float) -> float:
    return default if value is None else value
