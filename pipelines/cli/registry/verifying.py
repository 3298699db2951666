"""``relgate registry verify``: recompute everything, and say what does not fit; here, or offline from a bundle."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from golden_sets.errors import InfrastructureError, InputError
from pipelines.cli.options import ProjectOption, StoreOption
from pipelines.cli.output import Json, emit, line, stdout
from pipelines.cli.registry.common import open_workspace
from pipelines.progress import Progress

if TYPE_CHECKING:
    from gates.registry import Registry
    from gates.signing.predicates import PublicKey
    from gates.verifier.findings import Verification
    from gates.verifier.replay import Kept
    from pipelines.project import Project


def verify(
    *,
    offline: Annotated[
        Path | None,
        typer.Option("--offline", help="Verify this bundle: no project, no database.", show_default=False),
    ] = None,
    receipt: Annotated[
        Path | None,
        typer.Option("--receipt", help="Verify this receipt of one event: nothing else is read.", show_default=False),
    ] = None,
    checkpoint: Annotated[
        list[Path] | None,
        typer.Option("--checkpoint", help="A checkpoint that was kept elsewhere; may be repeated.", show_default=False),
    ] = None,
    trust: Annotated[
        list[Path] | None,
        typer.Option("--trust", help="Public key that you know; may be repeated.", show_default=False),
    ] = None,
    verdicts: Annotated[
        bool,
        typer.Option("--verdicts/--no-verdicts", help="Derive the verdicts again on which promotions rest."),
    ] = True,
    mirror: Annotated[bool, typer.Option("--mirror/--no-mirror", help="Compare the MLflow mirror.")] = True,
    project: ProjectOption = Path(),
    store: StoreOption = None,
    as_json: Json = False,
) -> None:
    """Recompute everything from what is stored: exit 0 when all of it fits, 1 otherwise.

    The log is replayed event by event: hashes, signatures, attempts, and every promotion by its rules; verdicts are
    derived again from the per-prompt outcomes. A checkpoint that was kept elsewhere shows that nothing was removed or
    rewritten since; a key that you trust, that this is the log of those it says.
    """
    if offline is not None and receipt is not None:
        raise InputError("--offline and --receipt verify one thing each", do="name one of them")
    kept, trusted = _kept(checkpoint or ()), _trusted(trust or ())
    if receipt is not None:
        _receipt(receipt, kept, trusted, as_json=as_json)
    if offline is not None:
        _offline(offline, kept, trusted, as_json=as_json)
    workspace = open_workspace(project, store)
    with Progress(quiet=as_json).bar("verdicts derived again", None) as advance:
        found = workspace.registry.verify(kept=kept, trust=trusted, verdicts=verdicts, advance=advance)
    diverging, notices = _mirror(workspace.project, workspace.registry) if mirror else ((), ())
    _finish(
        found,
        [*found.problems, *diverging],
        [*found.notices, *notices],
        {"mirror": list(diverging)},
        as_json=as_json,
    )


def _offline(path: Path, kept: Sequence[Kept], trust: Sequence[PublicKey], *, as_json: bool) -> None:
    from gates.verifier.bundle import verify_bundle

    with Progress(quiet=as_json).bar("events replayed", None) as advance:
        found = verify_bundle(path, kept=kept, trust=trust, advance=advance)
    if not as_json:
        for told in found.told:
            line(stdout(), told)
    more = {key: value for key, value in found.to_json().items() if key not in found.log.to_json()}
    _finish(found.log, list(found.log.problems), list(found.log.notices), more, as_json=as_json)


def _receipt(path: Path, kept: Sequence[Kept], trust: Sequence[PublicKey], *, as_json: bool) -> None:
    from gates.verifier.receipt import check_receipt, read_receipt

    found = check_receipt(read_receipt(path), trust=trust)
    event, checkpoint = found.receipt.event, found.receipt.checkpoint
    other = [one for one in kept if (one.size, one.root) != (checkpoint.size, checkpoint.root)]
    problems, notices = list(found.problems), list(found.notices)
    problems += [f"your checkpoint of {one.time} has another root" for one in other if one.size == checkpoint.size]
    notices += [
        f"your checkpoint of {one.time} has {one.size} events, the receipt's {checkpoint.size}: only the whole log "
        "tells whether they agree"
        for one in other
        if one.size != checkpoint.size
    ]
    if as_json:
        emit({**found.to_json(), "ok": not problems, "problems": problems, "notices": notices})
        raise typer.Exit(1 if problems else 0)
    line(stdout(), f"event {event.position} ({event.type}), {event.time}, by {event.actor}")
    _tell(problems, notices)
    state = f"log of {checkpoint.size} events, root {checkpoint.root}, {checkpoint.time}"
    line(stdout(), f"{state}: {'not shown to hold it' if problems else 'holds it'}")
    raise typer.Exit(1 if problems else 0)


def _finish(
    found: Verification, problems: list[str], notices: list[str], more: dict[str, Any], *, as_json: bool
) -> None:
    if as_json:
        emit({**found.to_json(), "ok": not problems, "problems": problems, "notices": notices, **more})
        raise typer.Exit(1 if problems else 0)
    _tell(problems, notices)
    console = stdout()
    if found.verdicts and not problems:
        line(
            console,
            f"{found.verdicts} verdict{'s' * (found.verdicts != 1)} derived again from the outcomes: the same",
        )
    trusted = {None: "", True: ", vouched for by a key you trust", False: ", vouched for by no key you trust"}
    verdict = "not as recorded" if problems else "nothing was changed"
    line(console, f"{found.size} events, root {found.root}{trusted[found.trusted]}: {verdict}")
    raise typer.Exit(1 if problems else 0)


def _tell(problems: Sequence[str], notices: Sequence[str]) -> None:
    console = stdout()
    for problem in problems:
        line(console, f"PROBLEM  {problem}", style="bold red")
    for notice in notices:
        line(console, f"notice   {notice}")


def _kept(paths: Sequence[Path]) -> list[Kept]:
    from gates.verifier.checkpoints import read_checkpoint

    return [read_checkpoint(path) for path in paths]


def _trusted(paths: Sequence[Path]) -> list[PublicKey]:
    from gates.signing.keys import read_public_key

    return [read_public_key(path) for path in paths]


def _mirror(project: Project, registry: Registry) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Where the MLflow mirror is not what the registry says, and what to know about it."""
    from pipelines.tracking_check import mirror_problems

    if project.mlflow_uri is None:
        return (), ()
    try:
        return tuple(f"mirror: {text}" for text in mirror_problems(project.mlflow_uri, registry)), ()
    except InfrastructureError as error:
        return (), (f"the MLflow mirror was not compared: {error.what}",)
