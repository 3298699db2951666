"""DSSE envelopes around in-toto statements: made, opened and checked.

Everything is canonical JSON (RFC 8785), the statement inside as well as the envelope around it, and signatures stand in
the order of their keys' ids, so that one thing that was signed has one form: an envelope that is not written so is
refused.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, TypeVar

from pydantic import ValidationError
from securesystemslib.dsse import Envelope
from securesystemslib.exceptions import UnverifiedSignatureError
from securesystemslib.signer._key import SSlibKey

from gates.signing.keys import SigningKey, is_weak
from gates.signing.predicates import Act, PublicKey
from golden_sets.digests import Digest, canonical_json
from golden_sets.errors import InputError

PAYLOAD_TYPE = "application/vnd.in-toto+json"
STATEMENT_TYPE = "https://in-toto.io/Statement/v1"
ENVELOPE_MEDIA_TYPE = "application/vnd.dsse.envelope.v1+json"

ActType = TypeVar("ActType", bound=Act)

_AS_WRITTEN = "take the file as it was written, unchanged"


@dataclass(frozen=True)
class Opened:
    """An envelope that was taken apart. That nobody signed it in vain, :meth:`signed_by` tells."""

    predicate_type: str
    """Type of the predicate."""
    predicate: Mapping[str, Any]
    """What is said, plain JSON data."""
    subjects: Mapping[str, Digest]
    """What it is about: digests by name."""
    envelope: Envelope
    """The envelope itself."""

    @property
    def key_ids(self) -> tuple[str, ...]:
        """Ids of the keys that are said to have signed; whether they did, :meth:`signed_by` tells."""
        return tuple(self.envelope.signatures)

    @cached_property
    def unsigned(self) -> bytes:
        """The same statement as an envelope that nobody signed: equal for all that say the same."""
        return canonical_json(Envelope(self.envelope.payload, self.envelope.payload_type, {}).to_dict())

    def signed_by(self, key: PublicKey) -> bool:
        """Whether a key signed it; a weak key (:func:`gates.signing.keys.is_weak`) signs nothing."""
        signature = self.envelope.signatures.get(key.id)
        if signature is None or is_weak(key):
            return False
        known = SSlibKey(key.id, "ed25519", key.scheme, {"public": key.public})
        try:
            known.verify_signature(signature, self.envelope.pae())
        except UnverifiedSignatureError:
            return False
        return True

    def act(self, type_: type[ActType]) -> ActType:
        """What is said as a record.

        Raises:
            InputError: another type of statement, or its subjects are not those that the predicate speaks of.
        """
        if self.predicate_type != type_.predicate_type():
            raise InputError(f"the statement is of type {self.predicate_type}, not {type_.predicate_type()}")
        try:
            act = type_.model_validate(self.predicate)
        except ValidationError as error:
            first = error.errors()[0]
            raise InputError(f"not a {type_.kind}: {'.'.join(map(str, first['loc']))}: {first['msg']}") from error
        # The bytes: in Python 1 == True, in what was signed it is not.
        if seal_act(act, ()) != self.unsigned:
            raise InputError(f"the statement is not written as a {type_.kind}, or its subjects are not its own")
        return act


def seal_act(act: Act, keys: Sequence[SigningKey]) -> bytes:
    """An act as an envelope, signed by each key."""
    return seal(act.predicate_type(), act.to_json(), act.subjects, keys)


def seal(
    predicate_type: str, predicate: Mapping[str, Any], subjects: Mapping[str, Digest], keys: Sequence[SigningKey]
) -> bytes:
    """A statement as an envelope, signed by each key.

    Args:
        predicate_type: type of the predicate.
        predicate: what is said, plain JSON data.
        subjects: what it is about: digests (``sha256:<hex>``) by name.
        keys: who signs.

    Raises:
        InputError: a text that is none, such as bytes of a shell that are no UTF-8.
    """
    try:
        statement = _statement(predicate_type, predicate, subjects)
    except ValueError as error:
        raise InputError(f"this cannot be signed: {error}", do="write it in UTF-8") from error
    return _signed(Envelope(statement, PAYLOAD_TYPE, {}), keys)


def add_signature(envelope: bytes, key: SigningKey, *, where: str | None = None) -> bytes:
    """The same envelope with one signature more: people who share a statement may sign one after the other.

    Raises:
        InputError: no canonical envelope, or the key signed it already.
    """
    opened = open_envelope(envelope, where=where)
    if key.public.id in opened.envelope.signatures:
        raise InputError(f"the key {key.public.id[:12]} signed it already", where=where)
    return _signed(opened.envelope, (key,))


def open_envelope(data: bytes, *, where: str | None = None) -> Opened:
    """Take an envelope apart; no signature is checked.

    Raises:
        InputError: no DSSE envelope around an in-toto statement, or not in canonical form.
    """
    try:
        envelope = Envelope.from_dict(json.loads(data))
        statement = json.loads(envelope.payload)
        subjects = {one["name"]: "sha256:" + one["digest"]["sha256"] for one in statement["subject"]}
        opened = Opened(statement["predicateType"], statement["predicate"], subjects, envelope)
        canonical = (
            _written(envelope) == data
            and _statement(opened.predicate_type, opened.predicate, subjects) == envelope.payload
            and envelope.payload_type == PAYLOAD_TYPE
        )
    except Exception as error:
        raise InputError("is no DSSE envelope around an in-toto statement", where=where, do=_AS_WRITTEN) from error
    if not canonical:
        raise InputError("is no canonical DSSE envelope around an in-toto statement", where=where, do=_AS_WRITTEN)
    return opened


def _statement(predicate_type: str, predicate: Mapping[str, Any], subjects: Mapping[str, Digest]) -> bytes:
    return canonical_json(
        {
            "_type": STATEMENT_TYPE,
            "subject": [
                {"name": name, "digest": {"sha256": digest.removeprefix("sha256:")}}
                for name, digest in sorted(subjects.items())
            ],
            "predicateType": predicate_type,
            "predicate": dict(predicate),
        }
    )


def _signed(envelope: Envelope, keys: Sequence[SigningKey]) -> bytes:
    for key in keys:
        envelope.sign(key.signer)
    return _written(envelope)


def _written(envelope: Envelope) -> bytes:
    """The one form of an envelope: canonical, signatures by key, each an id and a signature and nothing else."""
    ordered = {id_: envelope.signatures[id_] for id_ in sorted(envelope.signatures)}
    if any(signature.unrecognized_fields for signature in ordered.values()):
        raise InputError("a signature says more than its key and itself")
    return canonical_json(Envelope(envelope.payload, envelope.payload_type, ordered).to_dict())
