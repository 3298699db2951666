"""Who may say what: keys, pins and acts, event by event, and everything that a forger might try."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from gates.signing.envelopes import add_signature, open_envelope, seal, seal_act
from gates.signing.keys import SigningKey, is_weak, public_key
from gates.signing.predicates import Act, KeyEnrolment, PublicKey, Submission
from gates.signing.statements import open_summary, seal_submission
from gates.verifier.authority import Authority, act_of, payload_of
from gates.verifier.events import Event
from golden_sets.digests import canonical_json, digest_bytes
from golden_sets.errors import InputError
from tests.support.acts import LOG, POLICY, approval, enrolment, pin, revocation
from tests.support.submissions import submission

NOW = "2026-01-01T00:00:00.000000Z"
OTHER_POLICY = digest_bytes(b"another policy")


class Log:
    """A log that holds acts, told to the authority as they come."""

    def __init__(self) -> None:
        self.authority = Authority()
        self.keys: dict[str, SigningKey] = {}
        self.size = 0

    def add(self, act: Act, *keys: SigningKey | str) -> str | None:
        """Sign an act (default: by whom it names) and take it in; why it should not be there."""
        signers = [self.keys[key] if isinstance(key, str) else key for key in keys or (act.person,)]
        return self.take(seal_act(act, signers), act)

    def take(self, envelope: bytes, act: Act, /, **changes: Any) -> str | None:
        event = Event(self.size, NOW, act.event, "somebody", {**payload_of(act, envelope), **changes})
        problem = self.authority.apply(event, envelope)
        if problem is None:
            self.size += 1
            self.authority.log = LOG
        return problem

    def enrol(self, person: str, *, root: bool = False, key: SigningKey | None = None) -> str | None:
        """Enrol a new key of a person, countersigned by ``olga``."""
        key = key or SigningKey.generate()
        log = LOG if self.size else None
        problem = self.add(enrolment(key, person, log, root=root), key, *(["olga"] if self.size else []))
        if problem is None:
            self.keys[person] = key
        return problem

    def revoke(self, person: str, by: str = "olga") -> str | None:
        return self.add(revocation(self.keys[person], by))

    @property
    def signing(self) -> set[str]:
        return {key.person for key in self.authority.keys.values() if key.signs}


@pytest.fixture
def log() -> Log:
    """``olga`` holds the root key, ``ann`` and ``bob`` others."""
    log = Log()
    assert log.enrol("olga", root=True) is None
    assert log.enrol("ann") is None
    assert log.enrol("bob") is None
    return log


# -- keys ----------------------------------------------------------------------------------------------------


def test_the_first_key_is_a_root_key_and_stands_for_itself() -> None:
    key = SigningKey.generate()
    assert Log().add(enrolment(key, "olga", None), key) == "the first key of a log is a root key"
    assert Log().add(enrolment(key, "olga", None, root=True, replaces="0" * 64), key) is not None
    assert Log().add(enrolment(key, "olga", LOG, root=True), key) == "it was signed for another log"
    log = Log()
    assert log.add(enrolment(key, "olga", None, root=True), key) is None
    assert log.authority.keys[key.public.id].root


def test_nobody_enrols_a_key_that_they_do_not_hold(log: Log) -> None:
    theirs = SigningKey.generate()
    assert log.add(enrolment(theirs, "mallory"), "olga") == (
        "the key itself did not sign: nobody shows that they hold it"
    )
    assert log.enrol("mallory", key=theirs) is None


def test_nobody_enrols_a_key_without_a_root_key(log: Log) -> None:
    key = SigningKey.generate()
    for signers in ([key], [key, log.keys["ann"]], [key, SigningKey.generate()]):
        assert log.add(enrolment(key, "mallory"), *signers) == "no root key signed it"
    assert log.add(enrolment(key, "mallory", root=True), key, "ann") == "no root key signed it"
    assert log.signing == {"olga", "ann", "bob"}


def test_a_key_is_one_persons_once_and_for_all(log: Log) -> None:
    assert log.enrol("bea", key=log.keys["ann"]) == "the key is enrolled already, as 'ann''s"
    assert log.enrol("ann", key=log.keys["ann"]) == "the key is enrolled already, as 'ann''s"
    assert log.revoke("ann") is None
    assert log.enrol("ann", key=log.keys["ann"]) == "the key is enrolled already, as 'ann''s"


def test_a_key_has_its_own_id(log: Log) -> None:
    key, other = SigningKey.generate(), SigningKey.generate()
    forged = PublicKey(id=other.public.id, public=key.public.public)
    act = enrolment(key, "mallory").model_copy(update={"public": forged, "key": forged.id})
    assert log.add(act, key, other, "olga") == "the key's id is not its own"
    act = enrolment(key, "mallory").model_copy(update={"key": other.public.id})
    assert log.add(act, key, other, "olga") == "the key's id is not its own"


def test_a_weak_key_is_not_enrolled(log: Log) -> None:
    """With the identity point as key, 32 bytes of identity and 32 of zeros are a signature of anything."""
    identity = (1).to_bytes(32, "little")
    weak = public_key(Ed25519PublicKey.from_public_bytes(identity))
    assert is_weak(weak)
    act = enrolment(SigningKey.generate(), "ann").model_copy(update={"public": weak, "key": weak.id})
    document = json.loads(seal_act(act, [log.keys["olga"]]))
    forged = {"keyid": weak.id, "sig": base64.b64encode(identity + bytes(32)).decode()}
    document["signatures"] = sorted([*document["signatures"], forged], key=lambda s: str(s["keyid"]))
    assert log.take(canonical_json(document), act) == "it is a weak key: anybody can sign with it"


@pytest.mark.parametrize("name", ["Ann", "ANN", "ａｎｎ"])  # the last in full-width letters
def test_two_people_do_not_look_the_same(log: Log, name: str) -> None:
    assert log.enrol(name) == f"'{name}' looks like 'ann', who is somebody else"
    assert log.enrol("anna") is None


def test_a_person_may_have_several_keys_and_root_ones_among_them(log: Log) -> None:
    second = SigningKey.generate()
    assert log.add(enrolment(second, "ann", root=True), second, "olga") is None
    assert len(log.authority.keys_of("ann")) == 2
    act = revocation(log.keys["bob"], "ann")
    assert log.add(act, "ann", second) is None  # with both: the root key is what counts


# -- rotation ------------------------------------------------------------------------------------------------


def rotation(log: Log, person: str, key: SigningKey, **fields: Any) -> KeyEnrolment:
    return enrolment(key, person, replaces=log.keys[person].public.id, **fields)


def test_a_rotated_key_signs_no_more_and_what_it_signed_still_counts(log: Log) -> None:
    act, key, old = approval("ann"), SigningKey.generate(), log.keys["ann"]
    assert log.add(act) is None
    assert log.add(rotation(log, "ann", key), key, "ann") is None
    (given,) = log.authority.given[act.decision]
    assert log.authority.counts(given)
    assert log.add(approval("ann"), old) == f"the key {old.public.id[:12]} of 'ann' was replaced"
    assert log.add(approval("ann"), key) is None
    again = SigningKey.generate()
    assert log.add(rotation(log, "ann", again), again, old) == "'ann' has no such key to replace, with the same rights"


def test_a_rotation_takes_both_keys_of_the_same_person_and_gives_no_more_rights(log: Log) -> None:
    key = SigningKey.generate()
    assert log.add(rotation(log, "ann", key), key) == "the key that is replaced did not sign"
    assert log.add(rotation(log, "ann", key), key, "olga") == "the key that is replaced did not sign"
    assert log.add(rotation(log, "ann", key), "ann") == "the key itself did not sign: nobody shows that they hold it"
    wrong = "has no such key to replace, with the same rights"
    assert str(log.add(rotation(log, "ann", key, root=True), key, "ann")).endswith(wrong)
    assert str(log.add(rotation(log, "olga", key), key, "olga")).endswith(wrong)
    taken = enrolment(key, "bob", replaces=log.keys["ann"].public.id)
    assert str(log.add(taken, key, "ann")).endswith(wrong)
    assert log.signing == {"olga", "ann", "bob"}


def test_successors_are_named_one_after_the_other(log: Log) -> None:
    first, second, third = log.keys["ann"], SigningKey.generate(), SigningKey.generate()
    for key in (second, third):
        assert log.add(rotation(log, "ann", key), key, "ann") is None
        log.keys["ann"] = key
    found = [one.key.id for one in log.authority.successors(first.public.id)]
    assert found == [second.public.id, third.public.id]
    assert log.authority.successors(third.public.id) == []


# -- revocation ----------------------------------------------------------------------------------------------


def test_what_a_revoked_key_signed_counts_no_more(log: Log) -> None:
    act, other = approval("ann"), approval("bob")
    assert log.add(act) is None
    assert log.add(other) is None
    assert log.revoke("ann") is None
    counting = [log.authority.counts(given) for given in log.authority.given[act.decision]]
    assert counting == [False, True]
    assert log.add(approval("ann")) == f"the key {log.keys['ann'].public.id[:12]} of 'ann' was revoked"


def test_a_replaced_key_can_still_be_revoked_with_all_that_it_signed(log: Log) -> None:
    act, key, old = approval("ann"), SigningKey.generate(), log.keys["ann"]
    assert log.add(act) is None
    assert log.add(rotation(log, "ann", key), key, old) is None
    assert log.add(revocation(old, "ann"), key) is None
    assert not log.authority.counts(log.authority.given[act.decision][0])
    assert log.add(approval("ann"), key) is None


def test_people_revoke_their_own_keys_and_root_keys_any(log: Log) -> None:
    assert log.revoke("ann", by="bob") == "'bob' holds no root key: they may revoke only their own"
    assert log.revoke("ann", by="ann") is None
    assert log.revoke("bob", by="olga") is None
    assert log.revoke("bob", by="olga") == "there is no such key to revoke"
    assert log.signing == {"olga"}


def test_a_revocation_names_the_key_itself(log: Log) -> None:
    act = revocation(log.keys["ann"], "olga")
    assert log.add(act.model_copy(update={"public": log.keys["bob"].public})) == "there is no such key to revoke"
    assert log.add(revocation(SigningKey.generate(), "olga")) == "there is no such key to revoke"


def test_the_last_root_key_stays(log: Log) -> None:
    assert log.revoke("olga") == "it is the last root key: enrol another first"
    assert log.enrol("otto", root=True) is None
    assert log.revoke("olga", by="otto") is None
    assert log.revoke("otto", by="otto") == "it is the last root key: enrol another first"
    key = SigningKey.generate()
    assert log.add(enrolment(key, "mallory"), key, "olga") == "no root key signed it"


# -- pins ----------------------------------------------------------------------------------------------------


def test_the_first_policy_takes_a_root_key_and_the_next_an_owner(log: Log) -> None:
    assert log.add(pin("ann")) == "the first policy of a channel is pinned with a root key"
    assert log.add(pin("olga", owners=("ann",))) is None
    next_ = {"previous": POLICY, "policy": OTHER_POLICY}
    assert log.add(pin("olga", **next_)) == "'olga' does not own the policy of 'flagship'"
    assert log.add(pin("bob", **next_)) == "'bob' does not own the policy of 'flagship'"
    assert log.add(pin("ann", policy=OTHER_POLICY)) == (
        "channel 'flagship' has another policy now than the one that is replaced"
    )
    assert log.add(pin("ann", **next_)) is None
    assert log.add(pin("ann", **next_)) == "channel 'flagship' has another policy now than the one that is replaced"
    now = log.authority.pinned("flagship")
    assert now is not None
    assert (now.pin.policy, now.void) == (OTHER_POLICY, False)
    assert log.authority.pinned("small") is None


def test_a_pin_by_a_revoked_key_is_void_and_who_owned_it_before_owns_it_again(log: Log) -> None:
    """A thief with an owner's key loosens the policy and makes himself its owner."""
    assert log.add(pin("olga", owners=("ann",))) is None
    assert log.add(pin("ann", previous=POLICY, policy=OTHER_POLICY, owners=("mallory",))) is None
    assert log.authority.owners("flagship") == ("mallory",)
    assert log.revoke("ann") is None
    now = log.authority.pinned("flagship")
    assert now is not None
    assert now.void
    assert log.authority.owners("flagship") == ("ann",)
    assert log.enrol("mallory") is None
    assert log.add(pin("mallory", previous=OTHER_POLICY)) == "'mallory' does not own the policy of 'flagship'"
    key = SigningKey.generate()
    assert log.add(enrolment(key, "ann"), key, "olga") is None
    assert log.add(pin("ann", previous=OTHER_POLICY), key) is None
    now = log.authority.pinned("flagship")
    assert now is not None
    assert (now.pin.policy, now.void) == (POLICY, False)


def test_where_no_pin_counts_any_more_a_root_key_pins_the_first_one_again(log: Log) -> None:
    assert log.enrol("otto", root=True) is None
    assert log.add(pin("olga", owners=("ann",))) is None
    assert log.revoke("olga", by="otto") is None
    assert log.authority.owners("flagship") == ()
    assert log.add(pin("ann", previous=POLICY)) == "the first policy of a channel is pinned with a root key"
    assert log.add(pin("otto", previous=POLICY)) is None


# -- acts ----------------------------------------------------------------------------------------------------


def test_an_act_is_signed_by_whom_it_names(log: Log) -> None:
    assert log.add(approval("ann"), "bob") == "it is not signed with a key of 'ann'"
    assert log.add(approval("ann"), SigningKey.generate()) == "it is not signed with a key of 'ann'"
    assert log.add(approval("eve"), "olga") == "it is not signed with a key of 'eve'"
    assert log.take(seal_act(act := approval("ann"), ()), act) == "it is not signed with a key of 'ann'"


def test_an_act_carries_no_signature_that_nobody_asked_for(log: Log) -> None:
    act, stranger = approval("ann"), SigningKey.generate()
    envelope = seal_act(act, [log.keys["ann"]])
    for key in (stranger, log.keys["bob"], log.keys["olga"]):
        assert log.take(add_signature(envelope, key), act) == (
            f"it carries a signature of {key.public.id[:12]}, which is not asked for or not genuine"
        )
    document = json.loads(add_signature(envelope, log.keys["olga"]))
    document["signatures"] = [{**s, "sig": document["signatures"][0]["sig"]} for s in document["signatures"]]
    assert log.take(canonical_json(document), act) is not None
    assert log.take(envelope, act) is None


def test_an_enrolment_carries_no_signature_of_a_stranger(log: Log) -> None:
    key = SigningKey.generate()
    act = enrolment(key, "eve")
    refused = "which is not asked for or not genuine"
    assert str(log.add(act, key, "olga", SigningKey.generate())).endswith(refused)
    assert log.revoke("bob") is None
    assert str(log.add(act, key, "olga", "bob")).endswith(refused)
    assert log.add(act, key, "olga") is None


def test_an_act_counts_once_in_one_log(log: Log) -> None:
    act = approval("ann")
    envelope = seal_act(act, [log.keys["ann"]])
    assert log.take(envelope, act) is None
    assert log.take(envelope, act) == "it was recorded before: its nonce is used"
    other = revocation(log.keys["ann"], "ann").model_copy(update={"nonce": act.nonce})
    assert log.add(other) == "it was recorded before: its nonce is used"
    assert log.add(approval("ann", log=digest_bytes(b"another log"))) == "it was signed for another log"
    assert log.add(approval("ann", log=None)) == "it was signed for another log"
    assert len(log.authority.given[act.decision]) == 1


def test_an_event_says_what_was_signed(log: Log) -> None:
    act = approval("ann")
    envelope = seal_act(act, [log.keys["ann"]])
    said = "the event does not say what was signed"
    assert log.take(envelope, act, person="bob") == said
    assert log.take(envelope, act, more="") == said
    assert log.take(envelope, act, generation=True) == said  # in Python 1 == True
    assert log.take(envelope, act, envelope=digest_bytes(b"")) == said
    event = Event(log.size, NOW, "waived", "somebody", payload_of(act, envelope))
    assert log.authority.apply(event, envelope) == said
    assert log.authority.given == {}


@pytest.mark.parametrize("data", [b"", b"{}", b"\xff" * 8, b"[" * 50_000])
def test_what_is_no_envelope_changes_nothing_and_stops_nothing(log: Log, data: bytes) -> None:
    act = approval("ann")
    assert "envelope" in str(log.take(data, act))
    assert log.take(seal_act(act, [log.keys["ann"]]), act) is None


def test_an_unknown_statement_is_no_act(log: Log) -> None:
    envelope = seal("urn:relgate:approval/v2", {}, {}, [log.keys["ann"]])
    assert log.take(envelope, approval("ann")) == "the statement is of the unknown type urn:relgate:approval/v2"
    with pytest.raises(InputError, match="unknown type"):
        act_of(open_envelope(envelope))


def test_a_submissions_summary_is_signed_with_the_same_key(log: Log) -> None:
    mine, theirs = submission("ann"), submission("ann")
    stolen = seal_submission(mine, log.keys["bob"], time=NOW)
    act = open_envelope(stolen).act(Submission)
    assert open_summary(act) is not None
    assert log.add(act) == "its SLSA verification summary is not signed with the key that signed the submission"
    moved = theirs.model_copy(update={"summary": act.summary, "verdict": "block"})
    assert log.add(moved) == "the SLSA verification summary does not say what the submission says"
    assert log.add(theirs.model_copy(update={"summary": {"signatures": []}})) is not None
    good = seal_submission(theirs, log.keys["ann"], time=NOW)
    assert log.take(good, open_envelope(good).act(Submission)) is None
    assert log.add(submission("ann")) is None  # without a summary, for who wants none
