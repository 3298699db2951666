"""DSSE envelopes around in-toto statements: made, opened and checked.

Everything is canonical JSON (RFC 8785), the statement inside as well as the envelope around it, so that one thing that
was signed has one form: an envelope that is not written so is refused.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from pydantic import ValidationError
from securesystemslib.dsse import Envelope
from securesystemslib.exceptions import UnverifiedSignatureError
from securesystemslib.signer._key import SSlibKey

from gates.signing.keys import SigningKey
from gates.signing.predicates import Act, PublicKey
from golden_sets.digests import Digest, canonical_json
from golden_sets.errors import InputError

PAYLOAD_TYPE = "application/vnd.in-toto+json"
STATEMENT_TYPE = "https://in-toto.io/Statement/v1"
ENVELOPE_MEDIA_TYPE = "application/vnd.dsse.envelope.v1+json"

ActType = TypeVar("ActType", bound=Act)


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

    def signed_by(self, key: PublicKey) -> bool:
        """Whether a key signed it."""
        signature = self.envelope.signatures.get(key.id)
        if signature is None:
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
        if act.subjects != dict(self.subjects) or act.to_json() != dict(self.predicate):
            raise InputError(f"the statement's subjects are not what its predicate ({type_.kind}) speaks of")
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
    """
    statement = {
        "_type": STATEMENT_TYPE,
        "subject": [
            {"name": name, "digest": {"sha256": digest.removeprefix("sha256:")}}
            for name, digest in sorted(subjects.items())
        ],
        "predicateType": predicate_type,
        "predicate": dict(predicate),
    }
    envelope = Envelope(canonical_json(statement), PAYLOAD_TYPE, {})
    for key in sorted(keys, key=lambda k: k.public.id):
        envelope.sign(key.signer)
    return canonical_json(envelope.to_dict())


def open_envelope(data: bytes, *, where: str | None = None) -> Opened:
    """Take an envelope apart; no signature is checked.

    Raises:
        InputError: no DSSE envelope around an in-toto statement, or not in canonical form.
    """
    try:
        envelope = Envelope.from_dict(json.loads(data))
        statement = json.loads(envelope.payload)
        canonical = canonical_json(envelope.to_dict()) == data and canonical_json(statement) == envelope.payload
        subjects = {one["name"]: "sha256:" + one["digest"]["sha256"] for one in statement["subject"]}
        opened = Opened(statement["predicateType"], statement["predicate"], subjects, envelope)
        sound = statement["_type"] == STATEMENT_TYPE and envelope.payload_type == PAYLOAD_TYPE
        sound = sound and isinstance(opened.predicate, dict) and len(subjects) == len(statement["subject"])
    except Exception as error:
        raise InputError("is no DSSE envelope around an in-toto statement", where=where) from error
    if not (canonical and sound):
        raise InputError("is no canonical DSSE envelope around an in-toto statement", where=where)
    return opened
