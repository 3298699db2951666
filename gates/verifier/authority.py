"""Who may say what: keys, pinned policies and what was signed, as the log tells it in its own order.

One state machine for those who write and those who verify: the registry asks it before it appends an act, verification
feeds it every act there is. It knows no clock: what comes first in the log came first.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from gates.signing.envelopes import Opened, open_envelope
from gates.signing.keys import is_weak, key_id
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
from gates.signing.statements import open_summary
from gates.verifier.events import Event
from golden_sets.digests import Digest, canonical_json, digest_bytes
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
    replaces: str | None = None
    """Id of the person's key whose place it took."""
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
    void: bool = False
    """Whether its key was revoked since: nothing moves until an owner pins the policy again."""


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
        """The last pin of a channel, void where its key was revoked since; None: it moves under any recorded policy."""
        pins = self.pins.get(channel)
        return replace(pins[-1], void=self._revoked(pins[-1].key)) if pins else None

    def owners(self, channel: str) -> tuple[str, ...]:
        """Who may pin the next policy of a channel, by the last pin whose key still counts; empty: whoever holds a
        root key."""
        return next((one.pin.owners for one in reversed(self.pins.get(channel, [])) if not self._revoked(one.key)), ())

    def keys_of(self, person: str) -> list[Enrolled]:
        """The keys with which a person may sign now."""
        return [key for key in self.keys.values() if key.person == person and key.signs]

    def counts(self, given: Given) -> bool:
        """Whether what was signed still counts: its key was not revoked since."""
        return not self._revoked(given.key)

    def successors(self, key: str) -> list[Enrolled]:
        """The keys that took the place of a key, one after the other: they go on signing when that one is revoked."""
        found: list[Enrolled] = []
        while (after := next((one for one in self.keys.values() if one.replaces == key), None)) is not None:
            found.append(after)
            key = after.key.id
        return found

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
        if act.event != event.type or canonical_json(dict(event.payload)) != canonical_json(payload_of(act, envelope)):
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
            return self._enrolment_problem(act, opened) or self._strangers(opened, {**self.keys, act.key: _new(act)})
        signer = self.signer(act, opened)
        if signer is None:
            return self._unsigned(act, opened)
        if isinstance(act, KeyRevocation):
            problem = self._revocation_problem(act, signer)
        elif isinstance(act, PolicyPin):
            problem = self._pin_problem(act, signer)
        else:
            problem = _summary_problem(act, signer) if isinstance(act, Submission) else None
        return problem or self._strangers(opened, {key.key.id: key for key in self.keys_of(act.person)})

    def signer(self, act: Act, opened: Opened) -> Enrolled | None:
        """The key with which whoever the act names signed it, where that key may sign now; a root key before others."""
        if isinstance(act, KeyEnrolment):
            return _new(act)
        able = sorted(self.keys_of(act.person), key=lambda key: not key.root)
        return next((key for key in able if opened.signed_by(key.key)), None)

    def _revoked(self, key: str) -> bool:
        return self.keys[key].revoked is not None

    def _strangers(self, opened: Opened, expected: Mapping[str, Enrolled]) -> str | None:
        """Every signature must be one of those that are asked for: what was signed has one form."""
        for id_ in opened.key_ids:
            if id_ not in expected or not expected[id_].signs or not opened.signed_by(expected[id_].key):
                return f"it carries a signature of {id_[:12]}, which is not asked for or not genuine"
        return None

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
        if is_weak(act.public):
            return "it is a weak key: anybody can sign with it"
        if other := next((k.person for k in self.keys.values() if _alike(k.person, act.person)), None):
            return f"'{act.person}' looks like '{other}', who is somebody else"
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
        owners = self.owners(act.channel)
        if not owners:
            return None if signer.root else "the first policy of a channel is pinned with a root key"
        return None if act.person in owners else f"'{act.person}' does not own the policy of '{act.channel}'"

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


def _new(act: KeyEnrolment) -> Enrolled:
    return Enrolled(act.public, act.person, act.root, since=0, replaces=act.replaces)


def _alike(person: str, other: str) -> bool:
    """Whether two names are not the same and a reader might take them for it."""

    def seen(name: str) -> str:
        return unicodedata.normalize("NFKC", name).casefold()

    return person != other and seen(person) == seen(other)


def _summary_problem(act: Submission, signer: Enrolled) -> str | None:
    try:
        summary = open_summary(act)
    except InputError as error:
        return error.what
    if summary is not None and (summary.key_ids != (signer.key.id,) or not summary.signed_by(signer.key)):
        return "its SLSA verification summary is not signed with the key that signed the submission"
    return None


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
