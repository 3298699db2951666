"""Acts that people sign, made by hand for tests of signatures."""

from __future__ import annotations

import secrets
from typing import Any

from gates.signing.keys import SigningKey
from gates.signing.predicates import Approval, KeyEnrolment, KeyRevocation, PolicyPin
from golden_sets.digests import digest_bytes

LOG = digest_bytes(b"the first leaf")
POLICY = digest_bytes(b"policy")


def about(person: str, log: str | None = LOG) -> dict[str, Any]:
    """What every act says first."""
    return {"log": log, "person": person, "nonce": secrets.token_hex(16)}


def enrolment(key: SigningKey, person: str, log: str | None = LOG, **fields: Any) -> KeyEnrolment:
    """A key is a person's."""
    return KeyEnrolment(**about(person, log), key=key.public.id, public=key.public, **fields)


def revocation(key: SigningKey, by: str) -> KeyRevocation:
    """A key counts no more."""
    return KeyRevocation(**about(by), key=key.public.id, public=key.public, reason="lost")


def pin(person: str, **fields: Any) -> PolicyPin:
    """Channel ``flagship`` moves under a policy alone."""
    said = {"channel": "flagship", "policy": POLICY, "previous": None, "owners": (person,), "reason": "agreed"}
    return PolicyPin(**about(person), **{**said, **fields})


def approval(person: str, **fields: Any) -> Approval:
    """Consent to one move."""
    said = {
        "subject": digest_bytes(b"manifest"),
        "evidence": digest_bytes(b"evidence"),
        "decision": digest_bytes(b"decision"),
        "policy": POLICY,
        "name": "v2",
        "channel": "flagship",
        "stage": "production",
        "incumbent": None,
        "generation": 1,
        "expires": "2030-01-01T00:00:00.000000Z",
        "role": "ml-owner",
    }
    return Approval(**{**about(person), **said, **fields})
