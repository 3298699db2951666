"""The registry: everything a release rests on, recorded once and for good.

Every method that writes is one transaction: its blobs, its event and its pointer are all there or none is. Recording
the same thing twice writes nothing the second time.
"""

from __future__ import annotations

import getpass
import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal, TypeVar

from sqlalchemy import Connection, Engine

from evalharness.candidate import Candidate
from evalharness.evidence import Evidence
from evalharness.plan import Plan
from gates.decision import Decision
from gates.registry import channels, ledger
from gates.registry.blobs import PARQUET, get_blob, put_blob, put_record
from gates.registry.channels import CHANNEL_NAMES, STAGES, ChannelState
from gates.registry.ledger import Checkpoint, Event
from gates.registry.transactions import prepare, reading, writing
from gates.registry.verification import Verification, verify
from gates.registry.versions import Version, digest_of, name_of, read_version, require_name, resolve
from golden_sets.digests import Digest, short
from golden_sets.errors import InputError
from golden_sets.records import Record

if TYPE_CHECKING:
    from evalharness.outcomes import OutcomeTable
    from gates.policy import Policy

RecordType = TypeVar("RecordType", bound=Record)


class Registry:
    """The registry in one database. Safe to use from several threads and processes at once.

    Args:
        engine: from :func:`evalharness.database.open_database`; the tables are created where they are missing.

    Raises:
        InputError: a database that is neither SQLite nor PostgreSQL.
        InfrastructureError: from any method, when the database fails; what the method was to write is not there then.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        prepare(engine)

    # -- recording -------------------------------------------------------------------------------------------

    def register_candidate(self, candidate: Candidate, *, actor: str | None = None) -> Digest:
        """Register a candidate's manifest under its name; its name then points to this version.

        Raises:
            InputError: a name that looks like a digest.
        """
        details = {
            "family": candidate.family,
            "price": None if candidate.price is None else candidate.price.to_json(),
        }
        return self.register(candidate.name, candidate.manifest, details=details, actor=actor)

    def register(
        self,
        name: str,
        manifest: Record,
        *,
        kind: Literal["model", "router"] = "model",
        details: Mapping[str, Any] | None = None,
        actor: str | None = None,
    ) -> Digest:
        """Register any manifest under a name. A name may point to several versions in turn, the newest counts.

        Raises:
            InputError: a name that looks like a digest.
        """
        require_name(name)
        who = actor or default_actor()
        with writing(self._engine) as connection:
            digest = put_record(connection, manifest)
            if not ledger.find_events(connection, ("registered",), {"subject": digest}):
                payload = {"subject": digest, "name": name, "kind": kind, "details": dict(details or {})}
                ledger.append(connection, "registered", who, payload)
            elif digest_of(connection, name) != digest:
                ledger.append(connection, "named", who, {"subject": digest, "name": name})
        return digest

    def record_policy(self, policy: Policy, *, actor: str | None = None) -> int:
        """Record a policy; returns its place in the ledger."""
        payload = {"policy": policy.digest, "name": policy.name, "version": policy.version}
        with writing(self._engine) as connection:
            put_record(connection, policy)
            return _append_once(connection, "policy_recorded", "policy", payload, actor)

    def record_plan(self, plan: Plan, *, actor: str | None = None) -> int:
        """Record a plan before its run; returns its place in the ledger.

        Raises:
            InputError: its policy is not recorded.
        """
        payload = {
            "plan": plan.digest,
            "name": plan.name,
            "lineage": plan.lineage,
            "policy": plan.policy_digest,
            "incumbent": plan.incumbent_digest,
        }
        with writing(self._engine) as connection:
            _require_recorded(connection, "policy_recorded", "policy", plan.policy_digest)
            put_record(connection, plan)
            return _append_once(connection, "planned", "plan", payload, actor)

    def record_evidence(self, evidence: Evidence, outcomes: bytes, *, actor: str | None = None) -> int:
        """Record evidence with its outcomes (the Parquet blob it names); returns its place in the ledger.

        Raises:
            InputError: the blob is not the one the evidence names, or the plan was not recorded before.
        """
        payload = {
            "evidence": evidence.digest,
            "outcomes": evidence.outcomes,
            "subject": evidence.subject_digest,
            "name": evidence.subject_name,
            "incumbent": evidence.incumbent_digest,
            "plan": evidence.plan_digest,
            "sets": dict(evidence.set_digests),
            "judge": evidence.judge_digest,
        }
        with writing(self._engine) as connection:
            if evidence.plan_digest is not None:
                _require_recorded(connection, "planned", "plan", evidence.plan_digest)
            put_blob(connection, outcomes, media_type=PARQUET, expected=evidence.outcomes)
            put_record(connection, evidence)
            return _append_once(connection, "evaluated", "evidence", payload, actor)

    def record_decision(self, decision: Decision, *, actor: str | None = None) -> int:
        """Record a decision; returns its place in the ledger.

        Raises:
            InputError: its policy or evidence is not recorded, or the evidence is about something else.
        """
        payload = {
            "decision": decision.digest,
            "verdict": decision.verdict.value,
            "subject": decision.subject_digest,
            "name": decision.subject_name,
            "policy": decision.policy_digest,
            "evidence": decision.evidence_digest,
            "plan": decision.plan_digest,
            "incumbent": decision.incumbent_digest,
        }
        with writing(self._engine) as connection:
            _require_recorded(connection, "policy_recorded", "policy", decision.policy_digest)
            _require_recorded(connection, "evaluated", "evidence", decision.evidence_digest)
            evidence = Evidence.model_validate_json(get_blob(connection, decision.evidence_digest))
            named = (decision.subject_digest, decision.plan_digest)
            if (evidence.subject_digest, evidence.plan_digest) != named:
                raise InputError(
                    f"the decision about '{decision.subject_name}' names evidence about '{evidence.subject_name}', "
                    "or of another plan",
                    do="gate the evidence again",
                )
            put_record(connection, decision)
            return _append_once(connection, "decided", "decision", payload, actor)

    # -- moving channels -------------------------------------------------------------------------------------

    def promote(
        self,
        channel: str,
        stage: str,
        digest: Digest,
        *,
        decision_digest: Digest | None,
        expected_generation: int,
        reason: str = "",
        actor: str | None = None,
    ) -> ChannelState:
        """Move a stage to a registered version. Where it is served already, nothing is written.

        Args:
            channel: ``flagship``, ``small`` or ``router``.
            stage: ``shadow``, ``canary`` or ``production``.
            digest: the version.
            decision_digest: a recorded decision with the verdict promote about this version against what is served
                now; None only for the first version of a channel (a seed), which needs a reason instead.
            expected_generation: generation of the stage that the caller looked at (:meth:`channel`).
            reason: why, for people.
            actor: who; default :func:`default_actor`.

        Raises:
            InputError: unknown names, a version that is not registered, a stale generation, no passing decision.
        """
        with writing(self._engine) as connection:
            state = channels.read_channel(connection, channel, stage)
            channels.require_generation(state, expected_generation)
            name = name_of(connection, digest)
            if state.digest == digest:
                return state
            channels.promote(
                connection,
                state,
                digest,
                name,
                decision_digest=decision_digest,
                actor=actor or default_actor(),
                reason=reason,
            )
            return channels.read_channel(connection, channel, stage)

    def rollback(
        self,
        channel: str,
        stage: str,
        digest: Digest,
        *,
        expected_generation: int,
        reason: str,
        actor: str | None = None,
    ) -> ChannelState:
        """Move a stage back to a version that was promoted there before.

        Raises:
            InputError: unknown names, never promoted there, served already, no reason, a stale generation.
        """
        with writing(self._engine) as connection:
            state = channels.read_channel(connection, channel, stage)
            channels.require_generation(state, expected_generation)
            channels.rollback(connection, state, digest, actor=actor or default_actor(), reason=reason)
            return channels.read_channel(connection, channel, stage)

    def channel(self, channel: str, stage: str) -> ChannelState:
        """What a stage serves now, with its generation and history.

        Raises:
            InputError: an unknown channel or stage.
        """
        with reading(self._engine) as connection:
            return channels.read_channel(connection, channel, stage)

    def channels(self) -> list[ChannelState]:
        """Every stage that ever served something."""
        with reading(self._engine) as connection:
            states = [channels.read_channel(connection, c, s) for c in CHANNEL_NAMES for s in STAGES]
        return [state for state in states if state.generation > 0]

    # -- looking up ------------------------------------------------------------------------------------------

    def find_decision(
        self,
        *,
        subject_digest: Digest,
        plan_digest: Digest | None,
        policy_digest: Digest,
        incumbent_digest: Digest | None,
        evidence_digest: Digest | None = None,
    ) -> Decision | None:
        """The newest recorded decision on the same inputs, if there is one; None is a value here, not a wildcard.

        Only ``evidence_digest`` may be left out: any evidence then.
        """
        terms = {"subject": subject_digest, "policy": policy_digest, "plan": plan_digest, "evidence": evidence_digest}
        with reading(self._engine) as connection:
            for event in ledger.find_events(connection, ("decided",), terms):
                if (event.payload["plan"], event.payload["incumbent"]) == (plan_digest, incumbent_digest):
                    return _read(connection, event.payload["decision"], Decision)
        return None

    def resolve(self, reference: str) -> Digest:
        """The version behind a name, a digest or the beginning of one (six digits or more).

        Raises:
            InputError: unknown, or several versions begin with it.
        """
        with reading(self._engine) as connection:
            return resolve(connection, reference)

    def show(self, reference: str) -> Version:
        """A registered version by name, digest or the beginning of one.

        Raises:
            InputError: unknown, or several versions begin with it.
        """
        with reading(self._engine) as connection:
            return read_version(connection, resolve(connection, reference))

    def versions(self) -> list[Version]:
        """Every registered version, newest first."""
        with reading(self._engine) as connection:
            events = ledger.find_events(connection, ("registered",), {})
            return [read_version(connection, event.payload["subject"]) for event in events]

    def decision(self, digest: Digest) -> Decision:
        """A recorded decision.

        Raises:
            InputError: not recorded, or not a decision.
        """
        return self._record(digest, Decision)

    def evidence(self, digest: Digest) -> Evidence:
        """Recorded evidence.

        Raises:
            InputError: not recorded, or not evidence.
        """
        return self._record(digest, Evidence)

    def newest_evidence(self, subject: Digest) -> Evidence | None:
        """The newest recorded evidence about a subject, if there is any."""
        with reading(self._engine) as connection:
            for event in ledger.find_events(connection, ("evaluated",), {"subject": subject}):
                return _read(connection, event.payload["evidence"], Evidence)
        return None

    def outcomes(self, evidence: Evidence) -> OutcomeTable:
        """The per-prompt outcomes that recorded evidence names.

        Raises:
            InputError: the registry does not hold them.
        """
        from evalharness.outcomes import OutcomeTable  # brings pandas with it: a rollback must not wait for that

        return OutcomeTable.from_parquet(self.blob(evidence.outcomes), expected=evidence.outcomes)

    def recorded_decision(self, reference: str) -> Decision:
        """A recorded decision by digest or its beginning (six digits or more).

        Raises:
            InputError: unknown, or several decisions begin with it.
        """
        with reading(self._engine) as connection:
            events = ledger.find_events(connection, ("decided",), {})
            wanted = reference.removeprefix("sha256:")
            found = {d for e in events if len(wanted) >= 6 and (d := e.payload["decision"])[7:].startswith(wanted)}
            if len(found) != 1:
                known = ", ".join(short(e.payload["decision"]) for e in events[:5]) or "none"
                problem = "no decision" if not found else f"{len(found)} decisions"
                raise InputError(f"{problem} recorded under '{reference}'", do=f"the newest are: {known}")
            return _read(connection, found.pop(), Decision)

    def plan(self, digest: Digest) -> Plan:
        """A recorded plan.

        Raises:
            InputError: not recorded, or not a plan.
        """
        return self._record(digest, Plan)

    def policy(self, digest: Digest) -> Policy:
        """A recorded policy.

        Raises:
            InputError: not recorded, or not a policy.
        """
        from gates.policy import Policy  # brings the metrics with it: a rollback must not wait for those

        return self._record(digest, Policy)

    def blob(self, digest: Digest) -> bytes:
        """The bytes behind a digest, hashed again on the way out.

        Raises:
            InputError: the registry does not hold them.
        """
        with reading(self._engine) as connection:
            return get_blob(connection, digest)

    def log(self, limit: int | None = None) -> list[Event]:
        """The ledger, or its last events, oldest first."""
        with reading(self._engine) as connection:
            return ledger.all_events(connection, last=limit)

    # -- proving ---------------------------------------------------------------------------------------------

    def checkpoint(self) -> Checkpoint:
        """Size and root of the log now: keep it where the database's operators cannot reach it."""
        with reading(self._engine) as connection:
            return ledger.checkpoint(connection)

    def inclusion_proof(self, position: int, size: int) -> list[bytes]:
        """Hashes that prove an event to be in the log of the first ``size`` events.

        Raises:
            InputError: there is no such event, or the log is shorter.
        """
        with reading(self._engine) as connection:
            return ledger.inclusion_proof(connection, position, size)

    def consistency_proof(self, old: int, new: int) -> list[bytes]:
        """Hashes that prove the first ``old`` events to be unchanged in the log of the first ``new``.

        Raises:
            InputError: the log is shorter, or ``old`` is beyond ``new``.
        """
        with reading(self._engine) as connection:
            return ledger.consistency_proof(connection, old, new)

    def verify(self, *, checkpoint: Checkpoint | None = None) -> Verification:
        """Recompute everything from the rows; against a checkpoint, that nothing before it was changed."""
        with reading(self._engine) as connection:
            return verify(connection, checkpoint=checkpoint)

    def _record(self, digest: Digest, type_: type[RecordType]) -> RecordType:
        with reading(self._engine) as connection:
            return _read(connection, digest, type_)


def default_actor() -> str:
    """Who acts: the environment's RELGATE_ACTOR, else the operating system's user."""
    if named := os.environ.get("RELGATE_ACTOR", "").strip():
        return named
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return f"uid:{os.getuid()}"


def _append_once(connection: Connection, type_: str, key: str, payload: Mapping[str, Any], actor: str | None) -> int:
    known = ledger.find_events(connection, (type_,), {key: payload[key]})
    if known:
        return known[-1].position
    return ledger.append(connection, type_, actor or default_actor(), payload).position


def _require_recorded(connection: Connection, type_: str, field: str, digest: Digest) -> None:
    if not ledger.find_events(connection, (type_,), {field: digest}):
        raise InputError(f"{field} {short(digest)} is not recorded in this registry", do=f"record the {field} first")


def _read(connection: Connection, digest: Digest, type_: type[RecordType]) -> RecordType:
    try:
        return type_.model_validate_json(get_blob(connection, digest))
    except ValueError as error:
        raise InputError(f"{short(digest)} is not a record of type {type_.__name__}") from error
