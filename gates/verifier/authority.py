"""Who may say what: keys, pinned policies and what was signed, as the log tells it in its own order.

One state machine for those who write and those who verify: the registry asks it before it appends an act, verification
feeds it every act there is. It knows no clock: what comes first in the log came first.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from gates.signing.envelopes import Opened, open_envelope
from gates.signing.keys import key_id
from gates.signing.predicates import (
    ACTS,
    Act,
    Approval,
    KeyEnrolment,
    KeyRevocation,
    PolicyPin,
    PublicKey,
    Submission,
    Waiver,
)
from gates.verifier.events import Event
from golden_sets.digests import Digest, digest_bytes
from golden_sets.errors import InputError

ACT_EVENTS = tuple(dict.fromkeys(act.event for act in ACTS))
"""Types of the events that tell of an act."""


@dataclass(frozen=True)
class Enrolled:
    """A key and whose it is. Places are positions in the log."""

    key: PublicKey
    person: str
    root: bool
    since: int
    """From this event on it signs."""
    retired: int | None = None
    """Since this event another key of the person takes its place: what it signed before still counts."""
    revoked: int | None = None
    """Since this event nothing that it signed counts any more, for whatever happens after."""

    @property
    def signs(self) -> bool:
        """Whether it may sign now."""
        return self.retired is None and self.revoked is None


@dataclass(frozen=True)
class Pinned:
    """A pinned policy."""

    pin: PolicyPin
    key: str
    """Id of the key that signed it."""
    position: int
    time: str


@dataclass(frozen=True)
class Given:
    """An act about a decision, as it was recorded."""

    act: Submission | Approval | Waiver
    key: str
    """Id of the key that signed it."""
    position: int
    time: str
    """When it was recorded, as the log says."""
    envelope: Digest
    """Digest of its envelope."""


@dataclass
class Authority:
    """What the acts of a log add up to, one after the other."""

    log: Digest | None = None
    """Hash of the log's first leaf; None while it is empty."""
    keys: dict[str, Enrolled] = field(default_factory=dict)
    """Every key that was ever enrolled, by id."""
    pins: dict[str, list[Pinned]] = field(default_factory=dict)
    """Every pin of each channel, oldest first."""
    given: dict[Digest, list[Given]] = field(default_factory=dict)
    """Submissions, approvals and waivers by decision, oldest first."""
    nonces: set[str] = field(default_factory=set)
    """Nonces that were used."""

    def pinned(self, channel: str) -> Pinned | None:
        """The policy that a channel moves under now; None: any recorded policy."""
        pins = self.pins.get(channel)
        return pins[-1] if pins else None

    def keys_of(self, person: str) -> list[Enrolled]:
        """The keys with which a person may sign now."""
        return [key for key in self.keys.values() if key.person == person and key.signs]

    def counts(self, given: Given) -> bool:
        """Whether what was signed still counts: its key was not revoked since."""
        return self.keys[given.key].revoked is None

    def apply(self, event: Event, envelope: bytes) -> str | None:
        """Take in an event that tells of an act.

        Args:
            event: the event; others than those of acts are not for here.
            envelope: the contents that it names.

        Returns:
            Why it should not be in the log; None: it is in order. What is not in order changes nothing.
        """
        try:
            opened = open_envelope(envelope)
            act = act_of(opened)
        except InputError as error:
            return error.what
        if act.event != event.type or event.payload != payload_of(act, envelope):
            return "the event does not say what was signed"
        problem = self.problem_of(act, opened)
        if problem is None:
            self._take(act, self.signer(act, opened), event, digest_bytes(envelope))
        return problem

    def problem_of(self, act: Act, opened: Opened) -> str | None:
        """Why an act may not be recorded now; None: it may."""
        if act.log != self.log:
            return "it was signed for another log"
        if act.nonce in self.nonces:
            return "it was recorded before: its nonce is used"
        if isinstance(act, KeyEnrolment):
            return self._enrolment_problem(act, opened)
        signer = self.signer(act, opened)
        if signer is None:
            return self._unsigned(act, opened)
        if isinstance(act, KeyRevocation):
            return self._revocation_problem(act, signer)
        if isinstance(act, PolicyPin):
            return self._pin_problem(act, signer)
        return None

    def signer(self, act: Act, opened: Opened) -> Enrolled | None:
        """The key with which whoever the act names signed it, where that key may sign now."""
        if isinstance(act, KeyEnrolment):
            return Enrolled(act.public, act.person, act.root, since=0)
        return next((key for key in self.keys_of(act.person) if opened.signed_by(key.key)), None)

    def _unsigned(self, act: Act, opened: Opened) -> str:
        for id_ in opened.envelope.signatures:
            key = self.keys.get(id_)
            if key is not None and key.person == act.person and not key.signs:
                return (
                    f"the key {id_[:12]} of '{act.person}' was {'revoked' if key.revoked is not None else 'replaced'}"
                )
        return f"it is not signed with a key of '{act.person}'"

    def _enrolment_problem(self, act: KeyEnrolment, opened: Opened) -> str | None:
        if not act.key == act.public.id == key_id(act.public):
            return "the key's id is not its own"
        if act.key in self.keys:
            return f"the key is enrolled already, as '{self.keys[act.key].person}''s"
        if not opened.signed_by(act.public):
            return "the key itself did not sign: nobody shows that they hold it"
        if not self.keys:
            return None if act.root and act.replaces is None else "the first key of a log is a root key"
        if act.replaces is not None:
            old = self.keys.get(act.replaces)
            if old is None or not old.signs or (old.person, old.root) != (act.person, act.root):
                return f"'{act.person}' has no such key to replace, with the same rights"
            return None if opened.signed_by(old.key) else "the key that is replaced did not sign"
        return None if self._by_root(opened) else "no root key signed it"

    def _revocation_problem(self, act: KeyRevocation, signer: Enrolled) -> str | None:
        key = self.keys.get(act.key)
        if key is None or key.revoked is not None or key.key != act.public:
            return "there is no such key to revoke"
        if not signer.root and signer.person != key.person:
            return f"'{act.person}' holds no root key: they may revoke only their own"
        if key.root and key.signs and not any(k.root and k.signs and k is not key for k in self.keys.values()):
            return "it is the last root key: enrol another first"
        return None

    def _pin_problem(self, act: PolicyPin, signer: Enrolled) -> str | None:
        now = self.pinned(act.channel)
        if act.previous != (None if now is None else now.pin.policy):
            return f"channel '{act.channel}' has another policy now than the one that is replaced"
        if now is None:
            return None if signer.root else "the first policy of a channel is pinned with a root key"
        return None if act.person in now.pin.owners else f"'{act.person}' does not own the policy of '{act.channel}'"

    def _by_root(self, opened: Opened) -> bool:
        return any(key.root and key.signs and opened.signed_by(key.key) for key in self.keys.values())

    def _take(self, act: Act, signer: Enrolled | None, event: Event, envelope: Digest) -> None:
        assert signer is not None  # noqa: S101 - problem_of found one
        self.nonces.add(act.nonce)
        if isinstance(act, KeyEnrolment):
            if act.replaces is not None:
                self.keys[act.replaces] = replace(self.keys[act.replaces], retired=event.position)
            self.keys[act.key] = replace(signer, since=event.position)
        elif isinstance(act, KeyRevocation):
            self.keys[act.key] = replace(self.keys[act.key], revoked=event.position)
        elif isinstance(act, PolicyPin):
            self.pins.setdefault(act.channel, []).append(Pinned(act, signer.key.id, event.position, event.time))
        elif isinstance(act, (Submission, Approval, Waiver)):
            given = Given(act, signer.key.id, event.position, event.time, envelope)
            self.given.setdefault(act.decision, []).append(given)


def act_of(opened: Opened) -> Act:
    """The act that an envelope holds, whichever it is.

    Raises:
        InputError: none of relgate's.
    """
    for type_ in ACTS:
        if opened.predicate_type == type_.predicate_type():
            return opened.act(type_)
    raise InputError(f"the statement is of the unknown type {opened.predicate_type}")


def payload_of(act: Act, envelope: bytes) -> Mapping[str, object]:
    """The payload of the event about an act: what it says, and the digest of its envelope."""
    return {**act.to_json(), "envelope": digest_bytes(envelope)}
