"""The registry: everything a release rests on, recorded once and for good.

Every method that writes is one transaction: its blobs, its event and its pointer are all there or none is. Recording
the same thing twice writes nothing the second time.
"""

from __future__ import annotations

import getpass
import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal

from sqlalchemy import Connection

from evalharness.candidate import Candidate
from evalharness.evidence import Evidence
from evalharness.plan import Plan
from gates.decision import Decision
from gates.registry import acts, attempts, channels, ledger, waivers
from gates.registry.attempts import Attempt
from gates.registry.blobs import PARQUET, put_blob, put_record, read_record
from gates.registry.channels import ChannelState
from gates.registry.checkpoints import WitnessedRegistry
from gates.registry.transactions import reading, writing
from gates.registry.versions import digest_of, name_of, require_name
from gates.registry.waivers import Expiry, StandingWaiver
from gates.verifier.authority import Authority, Pinned
from gates.verifier.events import Event
from gates.verifier.promotion import Case
from golden_sets.digests import Digest, short
from golden_sets.errors import InputError
from golden_sets.records import Record

if TYPE_CHECKING:
    from gates.policy import Policy


class Registry(WitnessedRegistry):
    """The registry in one database. Safe to use from several threads and processes at once.

    Args:
        engine: from :func:`evalharness.database.open_database`; the tables are created where they are missing.

    Raises:
        InputError: a database that is neither SQLite nor PostgreSQL.
        InfrastructureError: from any method, when the database fails; what the method was to write is not there then.
    """

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
            if ledger.first_event(connection, "registered", "subject", digest) is None:
                payload = {"subject": digest, "name": name, "kind": kind, "details": dict(details or {})}
                ledger.append(connection, "registered", who, payload)
            elif digest_of(connection, name) != digest:
                ledger.append(connection, "named", who, {"subject": digest, "name": name})
        return digest

    def begin_attempt(
        self,
        lineage: str,
        sets: Mapping[str, Digest],
        subject: Digest,
        question: Digest,
        *,
        name: str | None = None,
        actor: str | None = None,
    ) -> int:
        """Count an attempt before its run, and return its number; of several at once each gets its own.

        The same subject of the same lineage asking the same question is one attempt, however often it is begun:
        writing it again spends nothing. Anything else is another attempt. Its number is 1 + how many attempts of the
        lineage share a set with it.

        Args:
            lineage: ``channel/line``.
            sets: digest of every set that is asked, by name.
            subject: digest of the subject's manifest.
            question: digest of what is asked, without the attempt's number and what follows from it.
            name: the subject's name, for people.
            actor: who; default :func:`default_actor`.
        """
        attempt = Attempt(lineage, sets, subject, question)
        with writing(self._engine) as connection:
            return attempts.begin(connection, attempt, name=name, actor=actor or default_actor())

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
            InputError: its policy or evidence is not recorded, the evidence is about something else, or the attempt
                it says it was is not counted.
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
            evidence = read_record(connection, decision.evidence_digest, Evidence)
            named = (decision.subject_digest, decision.plan_digest)
            if (evidence.subject_digest, evidence.plan_digest) != named:
                raise InputError(
                    f"the decision about '{decision.subject_name}' names evidence about '{evidence.subject_name}', "
                    "or of another plan",
                    do="gate the evidence again",
                )
            if decision.attempt is not None:
                _require_attempt(connection, decision, evidence)
            put_record(connection, decision)
            return _append_once(connection, "decided", "decision", payload, actor)

    # -- signing ---------------------------------------------------------------------------------------------

    def record_act(self, envelope: bytes, *, actor: str | None = None) -> Event:
        """Record what somebody signed: a key, a pinned policy, a submission, an approval or a waiver.

        Args:
            envelope: from :func:`gates.signing.envelopes.seal_act`.
            actor: who brings it; default :func:`default_actor`.

        Raises:
            InputError: no envelope, an act that its signer may not do, or one that was recorded before.
        """
        with writing(self._engine) as connection:
            return acts.record_act(connection, envelope, actor=actor or default_actor())

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

    # -- what a move needs -----------------------------------------------------------------------------------

    def authority(self, decision: Digest | None = None) -> Authority:
        """Keys and pinned policies now, and what was signed about one decision."""
        with reading(self._engine) as connection:
            return acts.load_authority(connection, decision=decision)

    def pins(self) -> list[Pinned]:
        """The policy that each channel with one is pinned to."""
        pins = self.authority().pins
        return [pins[channel][-1] for channel in sorted(pins)]

    def now(self) -> str:
        """The latest moment that the clock or the log knows of: expiries are held against it."""
        with reading(self._engine) as connection:
            return ledger.now(connection)

    def case(self, channel: str, stage: str, decision: Digest) -> Case:
        """The facts about the move of a stage that a recorded decision would make now.

        Raises:
            InputError: unknown names, or the decision is not recorded.
        """
        with reading(self._engine) as connection:
            state = channels.read_channel(connection, channel, stage)
            subject = read_record(connection, decision, Decision).subject_digest
            return channels.case_of_move(connection, state, subject, name_of(connection, subject), decision)

    def due(self, channel: str | None = None, *, within_h: float = waivers.ANNOUNCED_H) -> list[StandingWaiver]:
        """Waivers that what is served rests on and that have expired, or will within some hours; the next first."""
        with reading(self._engine) as connection:
            return waivers.due(connection, channel, within_h=within_h)

    def expire(self, channel: str | None = None, *, actor: str | None = None) -> list[Expiry]:
        """Do what expired waivers ask for (demote or block), once each; nothing is written where nothing expired."""
        if not any(waiver.expired and not waiver.told for waiver in self.due(channel, within_h=0)):
            return []
        with writing(self._engine) as connection:
            return waivers.expire(connection, channel, actor=actor or default_actor())


def default_actor() -> str:
    """Who acts: the environment's RELGATE_ACTOR, else the operating system's user."""
    if named := os.environ.get("RELGATE_ACTOR", "").strip():
        return named
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return f"uid:{os.getuid()}"


def _append_once(connection: Connection, type_: str, key: str, payload: Mapping[str, Any], actor: str | None) -> int:
    known = ledger.first_event(connection, type_, key, payload[key])
    if known is not None:
        return known.position
    return ledger.append(connection, type_, actor or default_actor(), payload).position


def _require_recorded(connection: Connection, type_: str, field: str, digest: Digest) -> None:
    if ledger.first_event(connection, type_, field, digest) is None:
        raise InputError(f"{field} {short(digest)} is not recorded in this registry", do=f"record the {field} first")


def _require_attempt(connection: Connection, decision: Decision, evidence: Evidence) -> None:
    plan = read_record(connection, decision.plan_digest or "", Plan)
    if plan.attempt != decision.attempt or not attempts.has_begun(connection, plan, evidence.subject_digest):
        raise InputError(
            f"the decision about '{decision.subject_name}' says attempt {decision.attempt} of {plan.lineage}, "
            "which is not counted in this registry",
            do="evaluate it again with this registry as its --store",
        )
