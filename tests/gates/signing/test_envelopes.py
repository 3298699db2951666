"""Envelopes: the bytes that are signed, one form only, and nothing in them that can be changed unseen."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from typing import Any

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from securesystemslib.dsse import Envelope

from gates.signing.envelopes import PAYLOAD_TYPE, add_signature, open_envelope, seal, seal_act
from gates.signing.keys import SigningKey
from gates.signing.predicates import Approval, PolicyPin, Waiver
from golden_sets.digests import canonical_json
from golden_sets.errors import InputError
from tests.support.acts import approval, enrolment, pin

KEY = SigningKey.generate()


def signed_bytes(payload_type: bytes, payload: bytes) -> bytes:
    """Pre-authentication encoding, written from the text of the DSSE protocol, version 1.0.0."""
    parts = (b"DSSEv1", payload_type, payload)
    return b" ".join((parts[0], *(b" ".join((str(len(p)).encode(), p)) for p in parts[1:])))


def test_what_is_signed_is_the_encoding_of_the_specification() -> None:
    # The test vector of the DSSE protocol.
    vector = b"DSSEv1 29 http://example.com/HelloWorld 11 hello world"
    assert Envelope(b"hello world", "http://example.com/HelloWorld", {}).pae() == vector
    assert signed_bytes(b"http://example.com/HelloWorld", b"hello world") == vector


def test_a_signature_verifies_without_any_of_our_code() -> None:
    act = approval("ann")
    envelope = json.loads(seal_act(act, [KEY]))
    payload = base64.b64decode(envelope["payload"])
    (signature,) = envelope["signatures"]
    public = Ed25519PublicKey.from_public_bytes(bytes.fromhex(KEY.public.public))
    public.verify(base64.b64decode(signature["sig"]), signed_bytes(envelope["payloadType"].encode(), payload))
    statement = json.loads(payload)
    assert envelope["payloadType"] == "application/vnd.in-toto+json"
    assert (statement["_type"], statement["predicateType"]) == (
        "https://in-toto.io/Statement/v1",
        "urn:relgate:approval/v1",
    )
    assert {s["name"]: "sha256:" + s["digest"]["sha256"] for s in statement["subject"]} == act.subjects
    assert statement["predicate"] == act.to_json()
    with pytest.raises(InvalidSignature):
        public.verify(base64.b64decode(signature["sig"]), payload)  # the bare payload is not what is signed


def test_an_act_comes_back_as_it_was_signed() -> None:
    act = approval("ann", comment="fine — ✓")
    opened = open_envelope(seal_act(act, [KEY]))
    assert opened.act(Approval) == act
    assert opened.key_ids == (KEY.public.id,)
    assert opened.signed_by(KEY.public)
    assert not opened.signed_by(SigningKey.generate().public)


def test_people_may_sign_one_after_the_other_in_any_order() -> None:
    other, act = SigningKey.generate(), enrolment(KEY, "ann")
    together = seal_act(act, [KEY, other])
    assert seal_act(act, [other, KEY]) == together
    assert add_signature(seal_act(act, [KEY]), other) == add_signature(seal_act(act, [other]), KEY) == together
    with pytest.raises(InputError, match="signed it already"):
        add_signature(together, KEY)


def changed(envelope: bytes, change: Callable[[dict[str, Any], dict[str, Any]], None]) -> bytes:
    """An envelope with its statement, or itself, changed; canonical again, under the old signatures."""
    document = json.loads(envelope)
    statement = json.loads(base64.b64decode(document["payload"]))
    change(document, statement)
    document.setdefault("payload", None)
    document["payload"] = base64.b64encode(canonical_json(statement)).decode()
    return canonical_json(document)


TAMPERED: dict[str, Callable[[dict[str, Any], dict[str, Any]], None]] = {
    "stage": lambda _, s: s["predicate"].update(stage="canary"),
    "generation": lambda _, s: s["predicate"].update(generation=2),
    "expiry": lambda _, s: s["predicate"].update(expires="2099-01-01T00:00:00.000000Z"),
    "person": lambda _, s: s["predicate"].update(person="bob"),
}


@pytest.mark.parametrize("name", TAMPERED)
def test_a_changed_predicate_is_signed_by_nobody(name: str) -> None:
    opened = open_envelope(changed(seal_act(approval("ann"), [KEY]), TAMPERED[name]))
    opened.act(Approval)
    assert not opened.signed_by(KEY.public)


NOT_AN_ACT: dict[str, Callable[[dict[str, Any], dict[str, Any]], None]] = {
    "another subject": lambda _, s: s["subject"][0]["digest"].update(sha256="0" * 64),
    "a subject less": lambda _, s: s["subject"].pop(),
    "an unknown field": lambda _, s: s["predicate"].update(more=1),
    "a field less": lambda _, s: s["predicate"].pop("nonce"),
    "true in place of 1": lambda _, s: s["predicate"].update(generation=True),
    "text in place of 1": lambda _, s: s["predicate"].update(generation="1"),
    "no nonce": lambda _, s: s["predicate"].update(nonce=""),
    "a moment that never comes": lambda _, s: s["predicate"].update(expires="2030-13-45T99:99:99.000000Z"),
    "a moment in other digits": lambda _, s: s["predicate"].update(expires="٢٠٣٠-01-01T00:00:00.000000Z"),
    "a moment without microseconds": lambda _, s: s["predicate"].update(expires="2030-01-01T00:00:00Z"),
    "a digest that is none": lambda _, s: s["predicate"].update(incumbent="v1"),
    "a name with an escape": lambda _, s: s["predicate"].update(person="an\u001b[8mn"),
    "a name that ends in a space": lambda _, s: s["predicate"].update(person="ann "),
    "a name with a joiner": lambda _, s: s["predicate"].update(person="a\u200bnn"),
    "an unknown channel": lambda _, s: s["predicate"].update(channel="Flagship"),
}


@pytest.mark.parametrize("name", NOT_AN_ACT)
def test_what_is_not_written_as_the_act_is_refused(name: str) -> None:
    envelope = changed(seal_act(approval("ann"), [KEY]), NOT_AN_ACT[name])
    with pytest.raises(InputError, match=r"not a approval|not written as a approval"):
        open_envelope(envelope).act(Approval)


NOT_CANONICAL: dict[str, Callable[[dict[str, Any], dict[str, Any]], None]] = {
    "another payload type": lambda d, _: d.update(payloadType="application/json"),
    "another statement type": lambda _, s: s.update(_type="https://in-toto.io/Statement/v0.1"),
    "a field beside the statement's": lambda _, s: s.update(note=""),
    "a field beside the envelope's": lambda d, _: d.update(note=""),
    "a field beside a signature": lambda d, _: d["signatures"][0].update(cert=""),
    "a second digest of a subject": lambda _, s: s["subject"][0]["digest"].update(sha512=""),
    "a subject twice": lambda _, s: s["subject"].append(s["subject"][0]),
    "subjects in another order": lambda _, s: s["subject"].reverse(),
    "a key twice": lambda d, _: d["signatures"].append(dict(d["signatures"][0])),
    "signatures in another order": lambda d, _: d["signatures"].reverse(),
    "no signatures": lambda d, _: d.pop("signatures"),
    "a predicate that is none": lambda _, s: s.update(predicate=[]),
}


@pytest.mark.parametrize("name", NOT_CANONICAL)
def test_there_is_one_form_of_an_envelope(name: str) -> None:
    good = seal_act(approval("ann"), [KEY, SigningKey.generate()])
    open_envelope(good)
    with pytest.raises(InputError, match="envelope"):
        open_envelope(changed(good, NOT_CANONICAL[name]))


def duplicate(data: bytes) -> bytes:
    return data.replace(b'{"payload":', b'{"payload":"","payload":', 1)


def duplicate_inside(data: bytes) -> bytes:
    document = json.loads(data)
    payload = base64.b64decode(document["payload"]).replace(b'"role":"ml-owner"', b'"role":"x","role":"ml-owner"')
    document["payload"] = base64.b64encode(payload).decode()
    return canonical_json(document)


def unpadded(data: bytes) -> bytes:
    document = json.loads(data)
    document["signatures"][0]["sig"] = document["signatures"][0]["sig"].rstrip("=")
    return canonical_json(document)


@pytest.mark.parametrize(
    "data", [b"[" * 100_000, b"{}", b"", b"null", b'{"payload":"","payloadType":"","signatures":[]}']
)
def test_what_is_nothing_of_the_kind_is_no_envelope(data: bytes) -> None:
    with pytest.raises(InputError, match="there: is no DSSE envelope"):
        open_envelope(data, where="there")


@pytest.mark.parametrize(
    "change",
    [
        lambda data: data + b"\n",
        lambda data: b" " + data,
        lambda data: json.dumps(json.loads(data)).encode(),
        lambda data: json.loads(data)["payload"].encode(),
        lambda data: data.decode().encode("utf-16"),
        lambda data: data[:-1],
        duplicate,
        duplicate_inside,
        unpadded,
    ],
)
def test_other_bytes_are_no_envelope(change: Callable[[bytes], bytes]) -> None:
    with pytest.raises(InputError, match="envelope"):
        open_envelope(change(seal_act(approval("ann"), [KEY])), where="there")


def test_a_statement_of_another_type_is_no_such_act() -> None:
    opened = open_envelope(seal_act(pin("olga"), [KEY]))
    assert opened.act(PolicyPin).channel == "flagship"
    with pytest.raises(InputError, match="is of type urn:relgate:policy-pin/v1, not urn:relgate:waiver/v1"):
        opened.act(Waiver)


def test_a_signature_under_another_keys_id_is_nobodys() -> None:
    other = SigningKey.generate()
    envelope = json.loads(seal_act(approval("ann"), [KEY]))
    envelope["signatures"][0]["keyid"] = other.public.id
    opened = open_envelope(canonical_json(envelope))
    assert not opened.signed_by(other.public)
    assert not opened.signed_by(KEY.public)


def test_a_signature_is_for_its_payload_type() -> None:
    """What was signed as something else is not taken for an in-toto statement."""
    opened = open_envelope(seal_act(approval("ann"), ()))
    other = Envelope(opened.envelope.payload, "application/vnd.other+json", {})
    other.sign(KEY.signer)
    moved = Envelope(opened.envelope.payload, PAYLOAD_TYPE, other.signatures)
    assert not open_envelope(canonical_json(moved.to_dict())).signed_by(KEY.public)


def test_any_statement_can_be_sealed() -> None:
    opened = open_envelope(seal("urn:other", {"a": 1.5}, {"b": "sha256:" + "0" * 64}, [KEY]))
    assert (opened.predicate_type, opened.predicate) == ("urn:other", {"a": 1.5})
    assert opened.signed_by(KEY.public)
