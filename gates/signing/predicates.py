"""What people sign: the predicates of relgate's in-toto statements, as frozen records.

Each is the predicate of a statement (https://github.com/in-toto/attestation/blob/main/spec/v1/statement.md) whose
subjects are the contents it is about, by digest. The statement travels in a DSSE envelope
(https://github.com/secure-systems-lab/dsse). The ledger's event about it has the predicate's fields as payload, and the
envelope's digest beside them: verification demands that the two agree.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Annotated, Any, ClassVar, Literal

from pydantic import AfterValidator, Field, model_validator

from gates.promotion_rules import Role, Stage
from golden_sets.digests import Digest
from golden_sets.records import Record

NAMESPACE = "urn:relgate:"
"""What the types of relgate's own predicates begin with."""


_MOMENT = "%Y-%m-%dT%H:%M:%S.%fZ"


def _moment(text: str) -> str:
    """A text is a moment only in the one form that sorts as moments do: not every text that looks like one is."""
    if datetime.strptime(text, _MOMENT).replace(tzinfo=UTC).strftime(_MOMENT) != text:
        raise ValueError("a moment is written as 2026-01-31T23:59:59.000000Z")
    return text


def _name(text: str) -> str:
    if text != text.strip() or not text.isprintable():
        raise ValueError("a name is one line of text, with no spaces around it and nothing invisible in it")
    return text


Moment = Annotated[str, Field(pattern=r"^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9:.]{15}Z$"), AfterValidator(_moment)]
"""UTC, ISO 8601 with microseconds: such texts sort as the moments do."""
Person = Annotated[str, Field(min_length=1, max_length=200), AfterValidator(_name)]
"""A person's name as their key is enrolled: one line of text, without spaces around it or anything invisible in it."""
Sha256 = Annotated[Digest, Field(pattern=r"^sha256:[0-9a-f]{64}$")]
"""A digest, in what is signed: nothing else will do."""
Channel = Literal["flagship", "small", "router"]
"""What a line of versions is served as."""


class PublicKey(Record):
    """A public key."""

    id: str = Field(pattern=r"^[0-9a-f]{64}$")
    """The key's id, as securesystemslib derives it from the key itself."""
    scheme: Literal["ed25519"] = "ed25519"
    """The signature scheme."""
    public: str = Field(pattern=r"^[0-9a-f]{64}$")
    """The key: 32 bytes, hexadecimal."""


class Act(Record):
    """Something that one person signs, once, for one log."""

    kind: ClassVar[str]
    """Name and version of the predicate."""
    event: ClassVar[str]
    """Type of the ledger's event about it."""

    log: Sha256 | None
    """Which log it is for: hash of its first leaf; None where it is to be the first event itself."""
    person: Person
    """Who signs, as their key is enrolled."""
    nonce: str = Field(pattern=r"^[0-9a-f]{32}$")
    """Random; a log takes each once."""

    @classmethod
    def predicate_type(cls) -> str:
        """The statement's ``predicateType``."""
        return NAMESPACE + cls.kind

    @property
    @abstractmethod
    def subjects(self) -> dict[str, Digest]:
        """The contents it is about, by name: the statement's subjects."""


class KeyEnrolment(Act):
    """A key is a person's from now on. ``person`` is whose it is.

    Signed by the key itself and, unless it is the log's first, by a root key; a key that replaces another of the same
    person is signed by that one instead, which from then on signs no more.
    """

    kind: ClassVar[str] = "key-enrolment/v1"
    event: ClassVar[str] = "key_enrolled"

    key: str
    """Id of the key."""
    public: PublicKey
    """The key."""
    root: bool = False
    """Whether it may enrol and revoke the keys of others, and pin the first policy of a channel."""
    replaces: str | None = None
    """Id of the key of the same person that it replaces (rotation)."""

    @property
    def subjects(self) -> dict[str, Digest]:
        """The public key."""
        return {"key": self.public.digest}


class KeyRevocation(Act):
    """A key counts no more: signed by a root key or another key of the same person. ``person`` is who signs."""

    kind: ClassVar[str] = "key-revocation/v1"
    event: ClassVar[str] = "key_revoked"

    key: str
    """Id of the revoked key."""
    public: PublicKey
    """The key."""
    reason: str = Field(min_length=1)
    """Why."""

    @property
    def subjects(self) -> dict[str, Digest]:
        """The public key."""
        return {"key": self.public.digest}


class PolicyPin(Act):
    """From now on a channel moves under this policy alone: signed by one of the channel's owners (first: a root)."""

    kind: ClassVar[str] = "policy-pin/v1"
    event: ClassVar[str] = "policy_pinned"

    channel: Channel
    """The channel."""
    policy: Sha256
    """The policy."""
    previous: Sha256 | None
    """The policy pinned before; None: none."""
    owners: tuple[Person, ...] = Field(min_length=1)
    """Who may pin the next."""
    sets: Mapping[str, Sha256] = Field(default_factory=dict)
    """Digests of the sets that evidence must rest on, by name; empty: not pinned."""
    judge: Sha256 | None = None
    """The judge that evidence must rest on; None: not pinned."""
    reason: str = Field(min_length=1)
    """Why."""

    @property
    def subjects(self) -> dict[str, Digest]:
        """The policy."""
        return {"policy": self.policy}


class DecisionAct(Act):
    """What every act about a decision is bound to."""

    subject: Sha256
    """The version's manifest."""
    evidence: Sha256
    """The evidence."""
    decision: Sha256
    """The decision."""
    policy: Sha256
    """The policy."""

    @property
    def subjects(self) -> dict[str, Digest]:
        """Manifest, evidence, decision and policy."""
        return {
            "manifest": self.subject,
            "evidence": self.evidence,
            "decision": self.decision,
            "policy": self.policy,
        }


class Inference(Record):
    """What a check inferred: the numbers behind its status."""

    id: str
    """The check and its cell."""
    status: str
    """``pass``, ``fail`` or ``inconclusive``."""
    metric: str
    """What was measured."""
    test: str
    """How it was compared."""
    method: str
    """Statistical method."""
    n: int
    """Sample size."""
    value: float | None
    """Point estimate."""
    low: float | None
    """Lower bound."""
    high: float | None
    """Upper bound."""
    limit: float
    """What the bound must clear: threshold, margin or ratio."""
    alpha: float
    """One-sided error rate that was spent."""


class Submission(DecisionAct):
    """A decision, vouched for by whoever submits it: relgate's own predicate, beside a SLSA verification summary."""

    kind: ClassVar[str] = "decision/v1"
    event: ClassVar[str] = "signed"

    role: Literal["submitter"] = "submitter"
    """The role."""
    verdict: Literal["promote", "block", "inconclusive"]
    """The verdict."""
    incumbent: Sha256 | None
    """Whom it was compared with."""
    plan: Sha256 | None
    """The plan committed to before the run."""
    attempt: int | None
    """Which attempt of its lineage it was."""
    inference: tuple[Inference, ...]
    """Every check in every cell."""
    summary: Mapping[str, Any] | None = None
    """A SLSA verification summary, as a DSSE envelope of its own that the same key signed; None: none was made."""


class Sanction(DecisionAct):
    """What an approval and a waiver are bound to: one move of one stage, for a while."""

    name: str
    """The version's name, for people."""
    channel: Channel
    """The channel."""
    stage: Stage
    """The stage."""
    incumbent: Sha256 | None
    """What the stage serves now."""
    generation: int = Field(ge=0)
    """The stage's generation now: the move makes it one more, so it serves for one move."""
    expires: Moment
    """From then on it does not count."""
    role: Role
    """The role in which it is signed."""


class Approval(Sanction):
    """Consent to one move."""

    kind: ClassVar[str] = "approval/v1"
    event: ClassVar[str] = "signed"

    comment: str = ""
    """In the words of who signs."""


class Waiver(Sanction):
    """One check is lifted for one move, and only until it expires."""

    kind: ClassVar[str] = "waiver/v1"
    event: ClassVar[str] = "waived"

    check: str
    """Id of the check with its cell's values, or of the policy's check: then all its cells."""
    reason: str = Field(min_length=1)
    """Why."""
    scope: str = Field(min_length=1)
    """For whom or what it holds: a tenant, a share of the traffic, a region."""
    control: str = Field(min_length=1)
    """What makes up for the check meanwhile."""
    on_expiry: Literal["demote", "block"] = "demote"
    """What the next check does once it has expired and the version is still served: ``demote`` moves the stage back,
    ``block`` leaves it and lets nothing follow on it."""


class LogState(Record):
    """A signed checkpoint of the log."""

    log: Sha256 | None
    """Which log: hash of its first leaf; None: an empty one."""
    size: int = Field(ge=0)
    """Number of events."""
    root: Sha256
    """Root of the Merkle tree over them."""
    time: Moment
    """When it was taken."""

    @model_validator(mode="after")
    def _of_a_log(self) -> LogState:
        if (self.log is None) != (self.size == 0):
            raise ValueError("a log has a first leaf exactly where it has events")
        return self


CHECKPOINT_TYPE = NAMESPACE + "checkpoint/v1"
"""The ``predicateType`` of a checkpoint's statement."""
VSA_TYPE = "https://slsa.dev/verification_summary/v1"
"""The ``predicateType`` of a SLSA verification summary."""

ACTS: tuple[type[Act], ...] = (KeyEnrolment, KeyRevocation, PolicyPin, Submission, Approval, Waiver)
"""Everything that people sign, checkpoints apart."""
