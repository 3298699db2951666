"""``relgate registry checkpoint|prove``: what the log is, in files to be kept where its operators cannot go."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from golden_sets.documents import json_text, write_whole
from pipelines.cli.options import ProjectOption, StoreOption
from pipelines.cli.output import Json, emit, line, stdout
from pipelines.cli.registry.common import open_workspace
from pipelines.cli.registry.signing import KeyOption

Output = Annotated[Path | None, typer.Option("--output", "-o", help="File to write.", show_default=False)]


def checkpoint(
    *,
    output: Output = None,
    key: KeyOption = None,
    project: ProjectOption = Path(),
    store: StoreOption = None,
    as_json: Json = False,
) -> None:
    """Write down what the log is now: against it, 'verify --checkpoint FILE' shows later that nothing was removed or
    rewritten.

    With a key it is signed, and kept beside the log as well. Keep it where nobody who can write to the registry can.
    """
    from gates.signing.keys import SigningKey

    registry = open_workspace(project, store).registry
    by: tuple[str, ...] = ()
    if key is None:
        plain = registry.checkpoint()
        said, document = plain.to_json(), json_text(plain.to_json()).encode()
    else:
        signed = registry.sign_checkpoint([SigningKey.load(key)])
        said, document, by = signed.state.to_json(), signed.envelope + b"\n", signed.key_ids
    if output is not None:
        write_whole(output, document)
    if as_json:
        emit({**said, "keys": list(by), "file": None if output is None else str(output)})
        return
    line(stdout(), f"{said['size']} events, root {said['root']}, {said['time']}")
    line(stdout(), f"signed with key {by[0][:12]}" if by else "not signed: add --key KEY")
    line(stdout(), "not written: add -o FILE" if output is None else f"keep it elsewhere: {output}")


def prove(
    position: Annotated[int, typer.Argument(help="The event's place in the log.", show_default=False)],
    *,
    output: Annotated[Path, typer.Option("--output", "-o", help="The receipt.", show_default=False)],
    key: KeyOption = None,
    project: ProjectOption = Path(),
    store: StoreOption = None,
    as_json: Json = False,
) -> None:
    """Write a receipt: an event, and the proof that it is in the log that a checkpoint speaks of.

    'verify --receipt FILE' checks it with no registry. The checkpoint is signed with the key; without one, it is the
    newest signed one that covers the event, and where there is none, one that is not signed.
    """
    from gates.signing.keys import SigningKey

    registry = open_workspace(project, store).registry
    receipt = registry.prove(position, keys=[] if key is None else [SigningKey.load(key)])
    write_whole(output, json_text(receipt.to_json()).encode())
    signers = [one.id for one in receipt.keys]
    if as_json:
        emit(
            {"receipt": str(output), "event": receipt.event.to_json(), "size": receipt.checkpoint.size, "keys": signers}
        )
        return
    line(stdout(), f"event {position} ({receipt.event.type}) among {receipt.checkpoint.size}: {output}")
    line(stdout(), f"signed with key {signers[0][:12]}" if signers else "its checkpoint is not signed: add --key KEY")
