"""``relgate registry key``: who may sign, with which key, since when."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from golden_sets.errors import InputError
from pipelines.cli.options import ProjectOption, StoreOption
from pipelines.cli.output import Json, emit, line, stdout, table
from pipelines.cli.registry.common import open_workspace
from pipelines.cli.registry.signing import KeyOption, read_envelope, required_key, write_envelope

if TYPE_CHECKING:
    from gates.registry import Event, Registry
    from gates.verifier.authority import Enrolled

app = typer.Typer(help="Keys: make, enrol, rotate, revoke and list them.", no_args_is_help=True)

PersonOption = Annotated[str | None, typer.Option("--person", help="Whose the key is.", show_default=False)]
RootOption = Annotated[bool, typer.Option("--root", help="It may enrol and revoke the keys of others.")]
ByOption = Annotated[
    Path | None,
    typer.Option("--by", help="Root key that countersigns.", envvar="RELGATE_KEY", show_default=False),
]


@app.command("new")
def new(
    file: Annotated[Path, typer.Argument(help="Where the private key goes; FILE.pub beside it.", show_default=False)],
    *,
    as_json: Json = False,
) -> None:
    """Make a key: the private one in FILE, which nobody else may read, the public one in FILE.pub.

    With RELGATE_KEY_PASSPHRASE in the environment the private key is encrypted.
    """
    import os

    from gates.signing.keys import PASSPHRASE_VARIABLE, PUBLIC_SUFFIX, SigningKey

    key = SigningKey.generate()
    key.write(file)
    encrypted = bool(os.environ.get(PASSPHRASE_VARIABLE))
    public = f"{file}{PUBLIC_SUFFIX}"
    if as_json:
        emit({"key": key.public.id, "file": str(file), "public": public, "encrypted": encrypted})
        return
    line(stdout(), f"key {key.public.id}")
    line(stdout(), f"private: {file}{'' if encrypted else f' (not encrypted: set {PASSPHRASE_VARIABLE} for that)'}")
    line(stdout(), f"public:  {public}")


@app.command("request")
def request(
    file: Annotated[Path, typer.Argument(help="The private key.", show_default=False)],
    *,
    person: Annotated[str, typer.Option("--person", help="Whose the key is.", show_default=False)],
    output: Annotated[Path, typer.Option("--output", "-o", help="The request.", show_default=False)],
    root: RootOption = False,
    log: Annotated[
        str | None,
        typer.Option("--log", help="Which log (key list tells); default: the project's.", show_default=False),
    ] = None,
    project: ProjectOption = Path(),
    store: StoreOption = None,
    as_json: Json = False,
) -> None:
    """Ask for a key to be enrolled: signed with it, so that its holder shows that they hold it.

    Whoever holds a root key takes it in with 'key enrol --request FILE'. With --log no registry is needed.
    """
    from gates.signing.keys import SigningKey
    from pipelines.keys import request_enrolment

    key = SigningKey.load(file)
    of = log or open_workspace(project, store).registry.authority().log
    write_envelope(output, request_enrolment(key, log=of, person=person, root=root))
    if as_json:
        emit({"request": str(output), "key": key.public.id, "person": person, "root": root, "log": of})
        return
    line(stdout(), f"request to enrol key {key.public.id[:12]} as '{person}': {output}")


@app.command("enrol")
def enrol(
    file: Annotated[Path | None, typer.Argument(help="The private key to enrol.", show_default=False)] = None,
    *,
    person: PersonOption = None,
    root: RootOption = False,
    request: Annotated[
        Path | None, typer.Option("--request", help="What 'key request' wrote, instead.", show_default=False)
    ] = None,
    by: ByOption = None,
    project: ProjectOption = Path(),
    store: StoreOption = None,
    as_json: Json = False,
) -> None:
    """Enrol a key as a person's, countersigned with a root key.

    The log's first key needs no other: it is the root key, and whoever trusts the log trusts its holder. Either the key
    itself is at hand, or its holder made a request.
    """
    from gates.signing.envelopes import open_envelope
    from gates.signing.keys import SigningKey
    from gates.signing.predicates import KeyEnrolment
    from pipelines.cli.registry.signing import show_act
    from pipelines.keys import enrol as enrol_key
    from pipelines.keys import request_enrolment

    registry = open_workspace(project, store).registry
    first = not (authority := registry.authority()).keys
    if request is not None:
        if file is not None or person is not None or root:
            raise InputError("a request says itself whose key it is", do="leave out KEY, --person and --root")
        asked = read_envelope(request)
    elif file is None or person is None:
        raise InputError("which key is to be enrolled, as whose?", do="key enrol KEY --person NAME, or --request FILE")
    else:
        asked = request_enrolment(SigningKey.load(file), log=authority.log, person=person, root=root or first)
    countersigning = None if first or by is None else SigningKey.load(by)
    if not as_json:
        show_act(open_envelope(asked, where=None if request is None else str(request)).act(KeyEnrolment))
    event = enrol_key(registry, asked, countersigning, where=None if request is None else str(request))
    _told(registry, event, as_json=as_json)


@app.command("rotate")
def rotate(
    old: Annotated[Path, typer.Argument(help="The private key that is replaced.", show_default=False)],
    new: Annotated[Path, typer.Argument(help="The private key that takes its place.", show_default=False)],
    *,
    project: ProjectOption = Path(),
    store: StoreOption = None,
    as_json: Json = False,
) -> None:
    """Put a new key in the place of an old one, of the same person and with the same rights.

    What the old key signed goes on counting. Where it was lost or stolen, revoke it instead.
    """
    from gates.signing.keys import SigningKey
    from pipelines.keys import rotate as rotate_key

    registry = open_workspace(project, store).registry
    _told(registry, rotate_key(registry, SigningKey.load(old), SigningKey.load(new)), as_json=as_json)


@app.command("revoke")
def revoke(
    which: Annotated[
        str, typer.Argument(metavar="KEY", help="Its id or the beginning of it, or its .pub file.", show_default=False)
    ],
    *,
    reason: Annotated[str, typer.Option("--reason", help="Why, for the log.", show_default=False)],
    key: KeyOption = None,
    project: ProjectOption = Path(),
    store: StoreOption = None,
    as_json: Json = False,
) -> None:
    """Revoke a key, with a root key or another key of the same person: nothing it ever signed counts from now on.

    What was moved before stays where it is. Keys that took its place go on signing, and are named.
    """
    from pipelines.keys import consequences, key_behind
    from pipelines.keys import revoke as revoke_key

    registry = open_workspace(project, store).registry
    found = key_behind(registry.authority(), which)
    event = revoke_key(registry, found, required_key(key), reason=reason)
    _told(registry, event, as_json=as_json, warnings=consequences(registry.authority(), found.key.id))


@app.command("list")
def list_(*, project: ProjectOption = Path(), store: StoreOption = None, as_json: Json = False) -> None:
    """List every key that was ever enrolled, and which log it is."""
    authority = open_workspace(project, store).registry.authority()
    keys = list(authority.keys.values())
    if as_json:
        emit({"log": authority.log, "keys": [_as_json(key) for key in keys]})
        return
    if not keys:
        line(stdout(), "no key is enrolled yet: relgate registry key new FILE, then key enrol FILE --person NAME")
        return
    rows = [(k.key.id[:12], k.person, "root" if k.root else "", str(k.since), _state(k)) for k in keys]
    stdout().print(table(None, ("key", "person", "rights", "since event", "state"), rows))
    line(stdout(), f"log {authority.log or '(empty)'}")


def _told(registry: Registry, event: Event, *, as_json: bool, warnings: tuple[str, ...] = ()) -> None:
    key = registry.authority().keys[event.payload["key"]]
    if as_json:
        emit({"event": event.position, **_as_json(key), "warnings": list(warnings)})
        return
    line(stdout(), f"event {event.position}: key {key.key.id[:12]} of '{key.person}' {_state(key)}")
    if event.position == key.since and key.root and sum(k.root for k in registry.authority().keys.values()) == 1:
        line(stdout(), "  it is the root of trust: give its public half to whoever is to verify (--trust)")
    for warning in warnings:
        line(stdout(), f"warning: {warning}")


def _state(key: Enrolled) -> str:
    if key.revoked is not None:
        return f"was revoked by event {key.revoked}"
    if key.retired is not None:
        return f"was replaced by event {key.retired}"
    return "signs" + (", as a root key" if key.root else "")


def _as_json(key: Enrolled) -> dict[str, Any]:
    return {
        "key": key.key.id,
        "public": key.key.public,
        "person": key.person,
        "root": key.root,
        "since": key.since,
        "replaces": key.replaces,
        "retired": key.retired,
        "revoked": key.revoked,
        "signs": key.signs,
    }
