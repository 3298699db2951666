"""Reading the registry: channels, versions, records, the log, and what proves it."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy import Engine

from evalharness.evidence import Evidence
from evalharness.plan import Plan
from gates.decision import Decision
from gates.registry import attempts, channels, ledger
from gates.registry.blobs import RecordType, get_blob, has_blob, read_record
from gates.registry.channels import CHANNEL_NAMES, STAGES, ChannelState
from gates.registry.export import export_release
from gates.registry.standing import DecisionStanding, read_standing
from gates.registry.transactions import prepare, reading
from gates.registry.verification import verify
from gates.registry.versions import Version, read_version, resolve
from gates.signing.keys import SigningKey
from gates.signing.predicates import PublicKey
from gates.verifier.attempts import Attempt
from gates.verifier.bundle_files import About
from gates.verifier.events import Checkpoint, Event
from gates.verifier.findings import Advance, Verification
from gates.verifier.replay import Kept
from golden_sets.digests import Digest, short
from golden_sets.errors import InputError

if TYPE_CHECKING:
    from evalharness.outcomes import OutcomeTable
    from gates.policy import Policy


class RegistryReader:
    """The reading half of :class:`gates.registry.Registry`: every method sees one state of the database.

    Args:
        engine: from :func:`evalharness.database.open_database`; the tables are created where they are missing.

    Raises:
        InputError: a database that is neither SQLite nor PostgreSQL.
        InfrastructureError: from any method, when the database cannot be read.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        prepare(engine)

    # -- channels --------------------------------------------------------------------------------------------

    def channel(self, channel: str, stage: str) -> ChannelState:
        """What a stage serves now, with its generation and history.

        Raises:
            InputError: an unknown channel or stage.
        """
        with reading(self._engine) as connection:
            return channels.read_channel(connection, channel, stage)

    def incumbent(self, channel: str, stage: str) -> ChannelState:
        """What a version for a stage is compared with: what the stage serves, or production where it serves nothing.

        Raises:
            InputError: an unknown channel or stage.
        """
        with reading(self._engine) as connection:
            state = channels.read_channel(connection, channel, stage)
            return state if state.digest else channels.read_channel(connection, channel, channels.PRODUCTION)

    def channels(self) -> list[ChannelState]:
        """Every stage that ever served something."""
        with reading(self._engine) as connection:
            states = [channels.read_channel(connection, c, s) for c in CHANNEL_NAMES for s in STAGES]
        return [state for state in states if state.generation > 0]

    # -- attempts and exposure -------------------------------------------------------------------------------

    def attempt_number(self, lineage: str, sets: Mapping[str, Digest], subject: Digest | None, question: Digest) -> int:
        """The number an attempt has, or would get if it were begun now; nothing is written.

        Args:
            lineage: ``channel/line``.
            sets: digest of every set that is asked, by name.
            subject: digest of the subject's manifest; None: somebody new.
            question: digest of what is asked, without the attempt's number and what follows from it.
        """
        attempt = Attempt(lineage, sets, subject, question)
        with reading(self._engine) as connection:
            known = attempts.recorded_number(connection, attempt)
            return attempts.next_number(connection, attempt) if known is None else known

    def has_begun(self, plan: Plan, subject: Digest) -> bool:
        """Whether the attempt that a plan says it is was begun for a subject."""
        with reading(self._engine) as connection:
            return attempts.has_begun(connection, plan, subject)

    def exposures(self, set_digest: Digest) -> int:
        """How many subjects have recorded evidence on a set: the more, the more the set has been selected on."""
        with reading(self._engine) as connection:
            return attempts.exposures(connection, set_digest)

    # -- versions and records --------------------------------------------------------------------------------

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
                    return read_record(connection, event.payload["decision"], Decision)
        return None

    def find_decision_on(
        self,
        evidence_digest: Digest,
        policy_digest: Digest,
        *,
        incumbent_evidence_digest: Digest | None = None,
        anchor_evidence_digest: Digest | None = None,
    ) -> Decision | None:
        """The newest recorded decision on exactly this evidence under this policy, if there is one.

        Args:
            evidence_digest: the candidate's evidence.
            policy_digest: the policy.
            incumbent_evidence_digest: the incumbent's, where it was measured apart; None: it was not.
            anchor_evidence_digest: the anchor's, likewise.
        """
        apart = (incumbent_evidence_digest, anchor_evidence_digest)
        with reading(self._engine) as connection:
            terms = {"evidence": evidence_digest, "policy": policy_digest}
            for event in ledger.find_events(connection, ("decided",), terms):
                decision = read_record(connection, event.payload["decision"], Decision)
                if (decision.incumbent_evidence_digest, decision.anchor_evidence_digest) == apart:
                    return decision
        return None

    def planned_at(self, plan: Digest) -> int | None:
        """The place of a recorded plan in the ledger; None where it is not recorded."""
        with reading(self._engine) as connection:
            found = ledger.find_events(connection, ("planned",), {"plan": plan})
        return found[0].position if found else None

    def was_measured(self, plan: Digest, subject: Digest) -> bool:
        """Whether evidence about a subject under a plan is recorded: the plan was run for it, to its end."""
        with reading(self._engine) as connection:
            return bool(ledger.find_events(connection, ("evaluated",), {"plan": plan, "subject": subject}))

    def decisions_about(self, subject: Digest) -> list[Event]:
        """The events of all decisions about a version, newest first."""
        with reading(self._engine) as connection:
            return ledger.find_events(connection, ("decided",), {"subject": subject})

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
                return read_record(connection, event.payload["evidence"], Evidence)
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
            return read_record(connection, found.pop(), Decision)

    def standing(self, decision: Decision, channel: str, stage: str) -> DecisionStanding | None:
        """Where a decision stands: signatures, moves that rest on it, what stands against the next; None: unrecorded.

        Raises:
            InputError: an unknown channel or stage.
        """
        with reading(self._engine) as connection:
            return read_standing(connection, decision, channel, stage)

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

    def holds(self, digest: Digest) -> bool:
        """Whether the contents behind a digest are recorded."""
        with reading(self._engine) as connection:
            return has_blob(connection, digest)

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

    def verify(
        self,
        *,
        checkpoint: Checkpoint | None = None,
        kept: Sequence[Kept] = (),
        trust: Collection[PublicKey] = (),
        verdicts: bool = False,
        advance: Advance | None = None,
    ) -> Verification:
        """Recompute everything from the rows.

        Args:
            checkpoint: one taken earlier and kept elsewhere: nothing before it was changed.
            kept: more such, also signed ones.
            trust: public keys that the reader knows to be whose they should be.
            verdicts: derive again the verdicts on which promotions rest, from the per-prompt outcomes.
            advance: who is told how far that is.
        """
        checkpoints = (*kept, *(() if checkpoint is None else (checkpoint,)))
        with reading(self._engine) as connection:
            return verify(connection, kept=checkpoints, trust=trust, verdicts=verdicts, advance=advance)

    def export(
        self,
        subject: Digest,
        path: Path,
        *,
        channel: str | None = None,
        stage: str | None = None,
        key: SigningKey | None = None,
    ) -> About:
        """Write a version's release as a bundle that can be verified offline: :mod:`gates.registry.export`.

        Raises:
            InputError: nothing was ever decided about the version, or contents are missing.
            InfrastructureError: the file cannot be written.
        """
        with reading(self._engine) as connection:
            return export_release(connection, subject, path, channel=channel, stage=stage, key=key)

    def _record(self, digest: Digest, type_: type[RecordType]) -> RecordType:
        with reading(self._engine) as connection:
            return read_record(connection, digest, type_)
