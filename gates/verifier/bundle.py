"""A bundle, verified: with no database, no project and no clock, from one file and what the reader kept or trusts."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from gates.decision import Decision
from gates.signing.predicates import Approval, PublicKey, Submission, Waiver
from gates.verifier.bundle_files import About, BundleFile
from gates.verifier.contents import Contents
from gates.verifier.events import Event
from gates.verifier.findings import Advance, Verification, conclude, verdict_differences
from gates.verifier.replay import Kept, Replay
from gates.verifier.shapes import misshapen
from golden_sets.digests import short
from golden_sets.errors import InputError


@dataclass(frozen=True)
class BundleVerification:
    """What was found in a bundle."""

    about: About
    """What it is about."""
    log: Verification
    """What was found in the log and everything else."""
    decision: Decision | None
    """The decision; None: a first version without one, or it cannot be read."""
    derived: bool
    """Whether its verdict was derived again from the per-prompt outcomes, and is the same."""
    told: tuple[str, ...]
    """What is known of the release, for people."""

    @property
    def ok(self) -> bool:
        """True where nothing was found that does not fit."""
        return self.log.ok

    def to_json(self) -> dict[str, Any]:
        """Plain JSON data, for ``--json``."""
        return {
            **self.log.to_json(),
            "verdict": None if self.decision is None else self.decision.verdict.value,
            "derived": self.derived,
            "about": self.about.to_json(),
            "told": list(self.told),
        }


def verify_bundle(
    path: Path,
    *,
    kept: Sequence[Kept] = (),
    trust: Collection[PublicKey] = (),
    advance: Advance | None = None,
) -> BundleVerification:
    """Replay the log of a bundle, judge every promotion on its channel, and derive the verdict again.

    Args:
        path: the bundle.
        kept: checkpoints that the reader kept: the bundle's log must hold them. A newer one shows that the bundle is of
            an older state of the log.
        trust: public keys that the reader knows to be whose they should be.
        advance: who is told how far it is.

    Raises:
        InputError: no such file, or it is no bundle.
    """
    with BundleFile(path) as bundle:
        about, contents = bundle.about, Contents(bundle.fetch)
        checkpoints = [*kept, *(() if bundle.checkpoint is None else (bundle.checkpoint,))]
        replay = Replay(contents, judged={about.channel}, kept=checkpoints)
        release = list[Event]()
        for event, leaf in bundle.events():
            replay.add(event, leaf)
            if event.payload.get("subject") == about.subject and misshapen(event) is None:
                release.append(event)
            if advance is not None:
                advance(replay.size, about.size)
        problems = [*_other_than_said(replay, about, release), *_stray(replay, bundle)]
        decision, differing = _derive(replay, about, contents)
        problems += _missing_manifest(contents, about)
        problems += _unsigned(replay, about, checkpoints) if trust else ()
        log = conclude(replay, kept=checkpoints, trust=trust, more=[*problems, *differing])
    derived = decision is not None and not differing
    log = replace(log, verdicts=int(derived), notices=(*log.notices, *_unvouched(replay, bundle)))
    return BundleVerification(about, log, decision, derived, tuple(_told(replay, about, decision, derived, release)))


# -- checks --------------------------------------------------------------------------------------------------


def _other_than_said(replay: Replay, about: About, release: list[Event]) -> Iterator[str]:
    """The bundle must be about what its log holds."""
    if (about.size, about.root) != (replay.size, replay.root):
        yield f"the log has {replay.size} events and root {replay.root}, the bundle says {about.size} and {about.root}"
    newest = _promotion(about, release)
    if (None if newest is None else newest.position) != about.move:
        yield "the promotion that the bundle is about is not the newest of the version to that stage"
    if newest is not None:
        if newest.payload.get("decision") != about.decision:
            yield "the promotion rests on another decision than the bundle is about"
    elif not any(e.type == "decided" and e.payload.get("decision") == about.decision for e in release):
        yield "the log holds no such decision about the version"
    if about.name not in {event.payload.get("name") for event in release}:
        yield f"the version was never named '{about.name}'"


def _stray(replay: Replay, bundle: BundleFile) -> Iterator[str]:
    for digest in sorted(bundle.blobs - replay.blobs.keys()):
        yield f"the bundle holds contents that no event names: {digest}"
    for digest in sorted(bundle.blobs):
        try:
            replay.contents.find(digest)
        except InputError as error:
            yield error.what


def _missing_manifest(contents: Contents, about: About) -> Iterator[str]:
    try:
        contents.get(about.subject)
    except InputError as error:
        yield error.what


def _derive(replay: Replay, about: About, contents: Contents) -> tuple[Decision | None, list[str]]:
    if about.decision is None:
        return None, []
    try:
        decision = contents.record(about.decision, Decision)
    except InputError as error:
        return None, [error.what]
    return decision, verdict_differences(replay, about.decision, decision)


def _unsigned(replay: Replay, about: About, kept: Sequence[Kept]) -> Iterator[str]:
    """Whether anything that can be trusted stands behind the promotion that the bundle is about.

    A key vouches for what was signed with keys that it enrolled. Whoever has the log can leave out the pin of a channel
    and write a promotion that nobody had to sign: it takes a signed pin before it, or a checkpoint after it.
    """
    covered = max((one.size for one in kept if replay.roots.get(one.size) == one.root), default=0)
    if any(covered <= event.position == about.move for event in replay.unpinned):
        yield (
            f"no signature stands behind the promotion at event {about.move}: channel '{about.channel}' had no pinned "
            "policy then, and no checkpoint covers it"
        )


def _unvouched(replay: Replay, bundle: BundleFile) -> Iterator[str]:
    signed = bundle.checkpoint
    if signed is None:
        yield "no signed checkpoint is in the bundle: who made it may have left out the end of the log"
    elif signed.size < replay.size:
        yield f"the signed checkpoint covers the first {signed.size} of {replay.size} events"


# -- what is told --------------------------------------------------------------------------------------------


def _told(
    replay: Replay, about: About, decision: Decision | None, derived: bool, release: list[Event]
) -> Iterator[str]:
    place = f"{about.channel}/{about.stage}"
    yield f"'{about.name}' is {about.subject}"
    if decision is not None:
        again = "derived again from the per-prompt outcomes, the same" if derived else "as recorded, not borne out"
        yield f"decision {short(about.decision or '')}: {decision.verdict.value}, {decision.reason} ({again})"
        compared = "nothing" if decision.incumbent_name is None else f"'{decision.incumbent_name}'"
        yield f"  compared with {compared}, under policy '{decision.policy_name}' {decision.policy_version}"
        for check in decision.checks:
            yield f"  {check.status.value:<12} {check.id}: {check.reason}"
    move = _promotion(about, release)
    if move is None:
        yield f"it was never promoted to {place}"
        return
    yield f"promoted to {place} at event {move.position}, {move.time}, by {move.actor}{_why(move)}"
    yield _pin(replay, about, move)
    yield from _sanctions(replay, move)
    last = replay.stages.at((about.channel, about.stage)).move
    if last is None or last.position == move.position:
        yield f"at the end of this log {place} serves it"
        return
    serves = "it" if last.payload.get("subject") == about.subject else f"'{last.payload.get('name')}'"
    how = "rolled back to it" if last.type == "rolled_back" else "promoted"
    yield f"at the end of this log {place} serves {serves} ({how} at event {last.position}, {last.time}{_why(last)})"


def _why(move: Event) -> str:
    reason = move.payload.get("reason")
    return f": {reason}" if reason else ""


def _pin(replay: Replay, about: About, move: Event) -> str:
    before = [pin for pin in replay.authority.pins.get(about.channel, ()) if pin.position < move.position]
    if not before:
        return "  no policy was pinned to the channel then"
    pin = before[-1]
    return f"  policy {short(pin.pin.policy)} pinned by {pin.pin.person}, event {pin.position}: {pin.pin.reason}"


def _sanctions(replay: Replay, move: Event) -> Iterator[str]:
    rests = move.payload.get("sanctions") or ()
    for given in replay.authority.given.get(move.payload.get("decision") or "", ()):
        if given.envelope not in rests:
            continue
        act, later = given.act, "" if replay.authority.counts(given) else " (their key was revoked later)"
        if isinstance(act, Submission):
            yield f"  submitted by {act.person}, event {given.position}{later}"
        elif isinstance(act, Approval):
            yield f"  approved by {act.person} as {act.role}, event {given.position}, until {act.expires}{later}"
        elif isinstance(act, Waiver):
            yield (
                f"  waived: {act.check}, by {act.person}, until {act.expires}: {act.reason}; for {act.scope}; "
                f"meanwhile {act.control}{later}"
            )


def _promotion(about: About, release: list[Event]) -> Event | None:
    wanted = ("promoted", about.channel, about.stage)
    found = [e for e in release if (e.type, e.payload.get("channel"), e.payload.get("stage")) == wanted]
    return found[-1] if found else None
