"""``relgate registry sign|waive|record``: who consents to what, here or on a machine of their own."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from golden_sets.documents import write_whole
from golden_sets.errors import InputError
from pipelines.cli.options import ProjectOption, StoreOption
from pipelines.cli.output import Json, emit, line, stdout
from pipelines.cli.registry.common import ChannelOption, StageOption, open_workspace

if TYPE_CHECKING:
    from gates.decision import Decision
    from gates.signing.keys import SigningKey
    from gates.signing.predicates import Act
    from pipelines.workspace import Workspace

KeyOption = Annotated[
    Path | None, typer.Option("--key", help="Private key to sign with.", envvar="RELGATE_KEY", show_default=False)
]
PrepareOption = Annotated[
    Path | None,
    typer.Option("--prepare", help="Write what is to be signed to this file, unsigned.", show_default=False),
]
PersonOption = Annotated[
    str | None, typer.Option("--person", help="With --prepare: who is to sign it.", show_default=False)
]


def sign(
    what: Annotated[
        str | None, typer.Argument(help="A version (its newest decision) or a decision.", show_default=False)
    ] = None,
    *,
    role: Annotated[
        str | None,
        typer.Option("--role", help="submitter, ml-owner, safety-reviewer or release-manager.", show_default=False),
    ] = None,
    key: KeyOption = None,
    channel: ChannelOption = None,
    stage: StageOption = None,
    expires: Annotated[
        str | None,
        typer.Option("--expires", help="Life of the approval: 72h, 7d; default: 72h at most.", show_default=False),
    ] = None,
    comment: Annotated[str, typer.Option("--comment", help="For the log.", show_default=False)] = "",
    prepare: PrepareOption = None,
    person: PersonOption = None,
    file: Annotated[
        Path | None,
        typer.Option("--file", help="Sign what --prepare wrote, without a registry.", show_default=False),
    ] = None,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="With --file: the signed envelope.", show_default=False)
    ] = None,
    project: ProjectOption = Path(),
    store: StoreOption = None,
    as_json: Json = False,
) -> None:
    """Sign a decision: as submitter to vouch for it, in another role to let it move one stage once.

    An approval is for the stage as it is now, and expires. Who submitted, registered, evaluated or decided is no
    approver.
    Without access to the registry: --prepare writes what is to be signed, --file signs it, and 'record' takes it in.
    """
    from pipelines.signing import SUBMITTER, decision_behind, hours, prepare_approval, prepare_submission

    if file is not None:
        _sign_file(file, required_key(key), output, as_json=as_json)
        return
    if what is None or role is None:
        raise InputError("what is signed, and in which role?", do="sign VERSION --role ROLE --key KEY")
    workspace = open_workspace(project, store)
    registry, told = workspace.registry, workspace.project.file
    decision = decision_behind(registry, what)
    signer = Signer.of(workspace, key, prepare, person)
    act: Act = (
        prepare_submission(registry, decision, signer.person)
        if role == SUBMITTER
        else prepare_approval(
            registry,
            decision,
            person=signer.person,
            role=role,
            channel=channel or told.channel,
            stage=stage or told.stage,
            life_h=None if expires is None else hours(expires),
            comment=comment,
        )
    )
    place = (channel or told.channel, stage or told.stage)
    signer.finish(act, as_json=as_json, missing=(decision.digest, *place))


def waive(
    what: Annotated[str, typer.Argument(help="A version (its newest decision) or a decision.", show_default=False)],
    *,
    check: Annotated[str, typer.Option("--check", help="Check, with or without its cell.", show_default=False)],
    reason: Annotated[str, typer.Option("--reason", help="Why.", show_default=False)],
    scope: Annotated[str, typer.Option("--scope", help="For whom or what it holds.", show_default=False)],
    control: Annotated[
        str, typer.Option("--control", help="What makes up for the check meanwhile.", show_default=False)
    ],
    expires: Annotated[str, typer.Option("--expires", help="Life of the waiver: 72h, 30d.", show_default=False)],
    on_expiry: Annotated[
        str, typer.Option("--on-expiry", help="demote: the stage goes back; block: nothing follows on it.")
    ] = "demote",
    key: KeyOption = None,
    channel: ChannelOption = None,
    stage: StageOption = None,
    prepare: PrepareOption = None,
    person: PersonOption = None,
    project: ProjectOption = Path(),
    store: StoreOption = None,
    as_json: Json = False,
) -> None:
    """Lift one check of a decision that did not pass, for one move, until it expires: only its owner may.

    What the policy calls not waivable nobody lifts, nor why evidence cannot be promoted on at all.
    """
    from pipelines.signing import decision_behind, hours, prepare_waiver

    if on_expiry not in ("demote", "block"):
        raise InputError(f"--on-expiry takes demote or block, not '{on_expiry}'")
    workspace = open_workspace(project, store)
    registry, told = workspace.registry, workspace.project.file
    decision = decision_behind(registry, what)
    signer = Signer.of(workspace, key, prepare, person)
    act = prepare_waiver(
        registry,
        decision,
        person=signer.person,
        check=check,
        reason=reason,
        scope=scope,
        control=control,
        channel=channel or told.channel,
        stage=stage or told.stage,
        life_h=hours(expires),
        on_expiry="block" if on_expiry == "block" else "demote",
    )
    signer.finish(act, as_json=as_json, missing=(decision.digest, channel or told.channel, stage or told.stage))


def record(
    envelopes: Annotated[list[Path], typer.Argument(help="Signed envelopes, in this order.", show_default=False)],
    *,
    project: ProjectOption = Path(),
    store: StoreOption = None,
    as_json: Json = False,
) -> None:
    """Record what was signed elsewhere: keys, pinned policies, submissions, approvals and waivers."""
    from gates.registry.registry import default_actor
    from gates.signing.envelopes import open_envelope
    from gates.verifier.authority import act_of

    registry = open_workspace(project, store).registry
    recorded = []
    read = [(path, read_envelope(path)) for path in envelopes]
    for path, envelope in read:  # all of them, before the first is recorded
        with naming(path):
            act_of(open_envelope(envelope))
    for path, envelope in read:
        with naming(path):
            event = registry.record_act(envelope, actor=default_actor())
        recorded.append(event.to_json())
        if not as_json:
            print(f"{path}: event {event.position}, {event.type} by {event.payload['person']}")
    if as_json:
        emit({"recorded": recorded})


class Signer:
    """Who signs an act, and whether here or elsewhere."""

    def __init__(self, workspace: Workspace, person: str, key: SigningKey | None, prepared: Path | None) -> None:
        self._workspace = workspace
        self.person = person
        """Whom the act names."""
        self._key = key
        self._prepared = prepared

    @classmethod
    def of(cls, workspace: Workspace, key: Path | None, prepare: Path | None, person: str | None) -> Signer:
        """Take the options apart.

        Raises:
            InputError: no key and nothing to prepare, or nobody to prepare it for.
        """
        from pipelines.signing import person_of

        if prepare is not None:
            if person is None:
                raise InputError("who is to sign what is prepared?", do="add --person NAME")
            return cls(workspace, person, None, prepare)
        loaded = required_key(key)
        return cls(workspace, person_of(workspace.registry, loaded), loaded, None)

    def finish(self, act: Act, *, as_json: bool, missing: tuple[str, str, str] | None = None) -> None:
        """Sign and record it, or write it for whoever signs; tell what is done and what a move still lacks.

        Args:
            act: what is signed.
            as_json: how it is told.
            missing: decision, channel and stage of the move.
        """
        from gates.signing.envelopes import seal_act
        from gates.verifier.promotion import refusals
        from pipelines.signing import record_signed

        registry = self._workspace.registry
        if self._key is None:
            assert self._prepared is not None  # noqa: S101 - one of the two is there
            write_envelope(self._prepared, seal_act(act, ()))
            told: dict[str, Any] = {"prepared": str(self._prepared)}
        else:
            event = record_signed(registry, act, self._key)
            told = {"event": event.position, "envelope": event.payload["envelope"]}
        if missing is not None:
            decision, channel, stage = missing
            told["missing"] = [one.text for one in refusals(registry.case(channel, stage, decision))]
        if as_json:
            emit({**told, "kind": act.kind, "statement": act.to_json()})
            return
        show_act(act)
        console = stdout()
        if self._key is None:
            line(console, f"to be signed: {self._prepared}")
            line(console, f"  by {act.person}: relgate registry sign --file {self._prepared} --key KEY -o SIGNED")
        else:
            line(console, f"recorded as event {told['event']}")
        if missing is not None:
            where, lacks = f"{missing[1]}/{missing[2]}", "; ".join(told["missing"])
            line(console, f"still missing for {where}: {lacks}" if lacks else f"{where} may be moved")
            if not lacks:
                line(console, f"  {promotion_command(registry.decision(missing[0]), *missing[1:])}")


def promotion_command(decision: Decision, channel: str, stage: str) -> str:
    """The command that moves a stage by a decision; one that did not pass is named, all its open checks are waived."""
    named = "" if decision.verdict.value == "promote" else f" --decision {decision.digest[7:19]}"
    return f"relgate registry promote {decision.subject_digest[7:19]} --channel {channel} --stage {stage}{named}"


def show_act(act: Act) -> None:
    """An act in words, for whoever signs it."""
    from pipelines.cli.registry.words import in_words

    console = stdout()
    for label, value in in_words(act):
        line(console, f"{label + ':':<11}{value}")


def read_envelope(path: Path) -> bytes:
    """An envelope's file.

    Raises:
        InputError: it cannot be read.
    """
    try:
        return path.read_bytes().rstrip(b"\r\n")  # which editors and mail add
    except OSError as error:
        raise InputError(
            f"the envelope cannot be read ({error.strerror})", where=path, do="name a file that was prepared or signed"
        ) from error


@contextmanager
def naming(path: Path) -> Iterator[None]:
    """Errors about a file's contents name the file."""
    try:
        yield
    except InputError as error:
        raise InputError(error.what, where=path, do=error.do) from error


def write_envelope(path: Path, envelope: bytes) -> None:
    """Write an envelope, whole or not at all.

    Raises:
        InfrastructureError: it cannot be written.
    """
    write_whole(path, envelope)


def _sign_file(file: Path, key: SigningKey, output: Path | None, *, as_json: bool) -> None:
    from gates.signing.envelopes import add_signature, open_envelope
    from gates.signing.predicates import Submission
    from gates.verifier.authority import act_of
    from gates.verifier.events import utc_now
    from golden_sets.digests import digest_bytes
    from pipelines.signing import sealed

    if output is None:
        raise InputError("where does the signed envelope go?", do="add -o FILE")
    envelope = read_envelope(file)
    act = act_of(open_envelope(envelope, where=str(file)))
    alone = isinstance(act, Submission)  # its summary is signed with the same key, inside
    signed = sealed(act, key, time=utc_now()) if alone else add_signature(envelope, key, where=str(file))
    write_envelope(output, signed)
    if as_json:
        told = {"signed": str(output), "key": key.public.id, "envelope": digest_bytes(signed)}
        emit({**told, "kind": act.kind, "statement": act.to_json()})
        return
    show_act(act)
    line(stdout(), f"signed with key {key.public.id[:12]}: {output}")
    line(stdout(), f"  where the registry is: relgate registry record {output}")


def required_key(key: Path | None) -> SigningKey:
    """The key that signs.

    Raises:
        InputError: none is named, or it cannot be read.
    """
    from gates.signing.keys import SigningKey

    if key is None:
        raise InputError("which key signs?", do="add --key FILE, or set RELGATE_KEY")
    return SigningKey.load(key)
