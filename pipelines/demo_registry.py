"""The demo's people: each with a key of their own, they sign before a version moves; and an auditor checks it all."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gates.decision import Decision
from gates.registry import ChannelState, Registry
from gates.registry.channels import PRODUCTION
from gates.registry.history import one_back
from gates.signing.keys import PUBLIC_SUFFIX, SigningKey, read_public_key
from gates.verifier.bundle import BundleVerification, verify_bundle
from gates.verifier.checkpoints import read_checkpoint
from gates.verifier.findings import Verification
from golden_sets.digests import Digest
from golden_sets.documents import write_whole
from golden_sets.errors import InputError
from pipelines.demo_forgery import with_another_actor
from pipelines.keys import enrol, request_enrolment
from pipelines.progress import Progress
from pipelines.promotion import mirror_move
from pipelines.signing import KEY_VARIABLE, prepare_approval, prepare_pin, record_signed
from pipelines.tracking_check import mirror_problems
from pipelines.workspace import Workspace

CANARY = "canary"
SUBMITTER, ML_OWNER, SAFETY, MANAGER = "ci", "mia", "sara", "rita"
"""Who they are, as the demo's policy names them. The release manager holds the root key and owns the policy."""
DRILL = "a drill: the version before is one command away"
"""Why the demo rolls back."""


@dataclass(frozen=True)
class People:
    """The demo's people, their keys in files of a folder."""

    registry: Registry
    folder: Path

    def file(self, person: str) -> Path:
        """Where a person's key lies."""
        return self.folder / f"{person}.pem"

    def key(self, person: str) -> SigningKey:
        """A person's key; made where it is not there."""
        if not self.file(person).exists():
            SigningKey.generate().write(self.file(person))
        return SigningKey.load(self.file(person))

    def enrol(self) -> None:
        """Enrol every key that is not; the first is the root."""
        for person in (MANAGER, SUBMITTER, ML_OWNER, SAFETY):
            authority, key = self.registry.authority(), self.key(person)
            if key.public.id not in authority.keys:
                asked = request_enrolment(key, log=authority.log, person=person, root=person == MANAGER)
                enrol(self.registry, asked, self.key(MANAGER) if authority.keys else None)

    def approve(self, decision: Decision, person: str, role: str, channel: str, stage: str, comment: str) -> None:
        """Let a person approve the move that a decision would make now."""
        act = prepare_approval(
            self.registry, decision, person=person, role=role, channel=channel, stage=stage, comment=comment
        )
        record_signed(self.registry, act, self.key(person))

    @contextmanager
    def submitting(self) -> Iterator[None]:
        """Let releases be signed by the submitter, as in CI: the environment names the key."""
        before = os.environ.get(KEY_VARIABLE)
        os.environ[KEY_VARIABLE] = str(self.file(SUBMITTER))
        try:
            yield
        finally:
            if before is None:
                del os.environ[KEY_VARIABLE]
            else:
                os.environ[KEY_VARIABLE] = before


@dataclass(frozen=True)
class SignedOff:
    """What came of the signatures."""

    refused: tuple[str, ...]
    """What was tried and refused."""
    served: ChannelState
    """What production serves in the end."""
    rollback_s: float | None
    """How long the rollback took; None: an earlier run did all this."""


@dataclass(frozen=True)
class Audit:
    """What an auditor finds, who holds a public key and a checkpoint from the first day."""

    folder: Path
    """The auditor's."""
    registry: Verification
    """The registry itself."""
    mirror: tuple[str, ...]
    """Where MLflow does not say what the registry says."""
    bundle: BundleVerification
    """The exported release, without registry."""
    forged: BundleVerification
    """The same with one name in its log changed."""

    @property
    def surprises(self) -> tuple[str, ...]:
        """What is not as it must be; nothing in a sound run."""
        found = [f"registry verify: {problem}" for problem in (*self.registry.problems, *self.mirror)]
        found += [f"offline: {problem}" for problem in self.bundle.log.problems]
        if not self.bundle.derived or self.bundle.log.trusted is not True:
            found.append("the bundle's verdict was not derived again, or no trusted key vouches for it")
        if self.forged.ok:
            found.append("a forged bundle was not found out")
        return tuple(found)


@dataclass(frozen=True)
class DemoRegistry:
    """What came of the people and the auditor."""

    signed: SignedOff | None
    """None where the flagship did not pass, so that nobody signed."""
    audit: Audit

    @property
    def surprises(self) -> tuple[str, ...]:
        """What is not as it must be; nothing in a sound run."""
        return (*(("nobody was asked to sign",) if self.signed is None else ()), *self.audit.surprises)

    def to_json(self) -> dict[str, Any]:
        """The ``registry`` object of ``summary.json``."""
        signed = self.signed
        return {
            "refused": [] if signed is None else list(signed.refused),
            "rollback_s": None if signed is None or signed.rollback_s is None else round(signed.rollback_s, 3),
            "serves": None if signed is None else signed.served.to_json(),
            "events": self.audit.registry.size,
            "root": self.audit.registry.root,
            "verified": self.audit.registry.ok and not self.audit.mirror,
            "verified_offline": self.audit.bundle.ok,
            "forgery_found": list(self.audit.forged.log.problems),
            "auditor": str(self.audit.folder),
        }


def set_up(workspace: Workspace, progress: Progress) -> People:
    """Make and enrol the keys, pin the project's policy to its channel, and give the auditor what they need.

    Raises:
        InputError: the policy names no people, because another version of relgate made the folder.
    """
    project, registry = workspace.project, workspace.registry
    policy, channel = project.policy.policy, project.file.channel
    if policy.promotion is None:
        raise InputError(
            "this demo was made by an older relgate: its policy asks for no signatures",
            where=project.directory,
            do="remove it (make clean-demo), or choose another directory with --dir",
        )
    people = People(registry, project.data / "keys")
    people.enrol()
    if registry.authority().pinned(channel) is None:
        registry.record_policy(policy)
        pin = prepare_pin(
            registry,
            policy,
            person=MANAGER,
            channel=channel,
            owners=[MANAGER],
            reason="what the team wants from now on",
            sets={one.prompt_set.name: one.prompt_set.digest for one in project.sets},
            judge=project.judge_digest,
        )
        record_signed(registry, pin, people.key(MANAGER))
        progress.say(f"keys of {SUBMITTER}, {ML_OWNER}, {SAFETY} and {MANAGER}; policy pinned to channel {channel}")
    auditor = _auditor(workspace)
    if not _kept(auditor).exists():
        auditor.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(f"{people.file(MANAGER)}{PUBLIC_SUFFIX}", _trusted(auditor))
        write_whole(_kept(auditor), registry.sign_checkpoint([people.key(MANAGER)]).envelope + b"\n")
    return people


def sign_off(workspace: Workspace, people: People, decision: Decision, progress: Progress) -> SignedOff:
    """Take a version that passed from canary to production, back and forth again, each move signed for.

    Raises:
        InputError: a move that ought to be allowed is refused.
    """
    registry, channel = workspace.registry, workspace.project.file.channel
    subject, name = decision.subject_digest, decision.subject_name
    before = registry.channel(channel, PRODUCTION)
    if before.digest == subject and any(move.kind == "rollback" for move in before.history):
        return SignedOff((), before, None)

    def approve(person: str, role: str, stage: str, comment: str) -> None:
        people.approve(decision, person, role, channel, stage, comment)

    def move(stage: str, reason: str) -> ChannelState:
        now = registry.channel(channel, stage)
        state = registry.promote(
            channel,
            stage,
            subject,
            decision_digest=decision.digest,
            expected_generation=now.generation,
            reason=reason,
            actor=SUBMITTER,
        )
        mirror_move(workspace.project, state)
        return state

    refused = [
        _refusal(lambda: approve(SUBMITTER, "release-manager", PRODUCTION, "")),
        _refusal(lambda: move(PRODUCTION, "in a hurry")),
    ]
    for text in refused:
        progress.say(f"  refused: {text}")
    if registry.channel(channel, CANARY).digest != subject:
        approve(ML_OWNER, "ml-owner", CANARY, "the failing prompts are the known ones")
        move(CANARY, "signed for")
        progress.say(f"  {ML_OWNER} signed: {name} serves {channel}/{CANARY}")
    _approve_production(approve)
    move(PRODUCTION, "signed for")
    progress.say(f"  {SAFETY} and {MANAGER} signed: {name} serves {channel}/{PRODUCTION}")
    seconds = _roll_back(workspace, channel)
    progress.say(f"  rolled back to {before.name} in {1000 * seconds:.0f} ms; the approvals are spent")
    refused.append(_refusal(lambda: move(PRODUCTION, "the drill is over")))
    progress.say(f"  refused: {refused[-1]}")
    _approve_production(approve)
    served = move(PRODUCTION, "the drill is over")
    progress.say(f"  signed again: {name} serves {channel}/{PRODUCTION}")
    return SignedOff(tuple(refused), served, seconds)


def audit(workspace: Workspace, people: People, subject: Digest, progress: Progress) -> Audit:
    """Verify the registry, and an exported release without it, with what the auditor keeps; and a forged copy of it.

    Raises:
        InputError: nothing was decided about the version.
    """
    registry, channel, folder = workspace.registry, workspace.project.file.channel, _auditor(workspace)
    kept, trust = [read_checkpoint(_kept(folder))], [read_public_key(_trusted(folder))]
    with progress.step("the registry is verified, verdicts derived again"):
        found = registry.verify(kept=kept, trust=trust, verdicts=True)
        uri = workspace.project.mlflow_uri
        mirror = () if uri is None else mirror_problems(uri, registry)
    bundle, forgery = folder / "release.zip", folder / "forged.zip"
    registry.export(subject, bundle, channel=channel, stage=PRODUCTION, key=people.key(MANAGER))
    with_another_actor(bundle, forgery)
    with progress.step("the exported release is verified with no registry, and so is a forged copy of it"):
        offline = verify_bundle(bundle, kept=kept, trust=trust)
        forged = verify_bundle(forgery, kept=kept, trust=trust)
    return Audit(folder, found, mirror, offline, forged)


def _approve_production(approve: Callable[[str, str, str, str], None]) -> None:
    approve(SAFETY, "safety-reviewer", PRODUCTION, "no new kind of violation")
    approve(MANAGER, "release-manager", PRODUCTION, "")


def _roll_back(workspace: Workspace, channel: str) -> float:
    registry = workspace.registry
    state = registry.channel(channel, PRODUCTION)
    earlier = one_back(state.history)
    assert earlier is not None  # noqa: S101 - the demo began with a version in production
    began = time.perf_counter()
    back = registry.rollback(
        channel, PRODUCTION, earlier.digest, expected_generation=state.generation, reason=DRILL, actor=MANAGER
    )
    seconds = time.perf_counter() - began
    mirror_move(workspace.project, back)
    return seconds


def _refusal(attempt: Callable[[], object]) -> str:
    """What a refused attempt is told.

    Raises:
        InputError: it was not refused.
    """
    try:
        attempt()
    except InputError as error:
        return error.what
    raise InputError("a move was allowed that must be refused", do="report this: it is a fault of relgate")


def _auditor(workspace: Workspace) -> Path:
    return workspace.project.data / "auditor"


def _kept(folder: Path) -> Path:
    return folder / "checkpoint.json"


def _trusted(folder: Path) -> Path:
    return folder / "root.pub"
