"""Whose keys are whose: enrolments, rotations and revocations, made from what the registry holds.

Each is checked here in the words of the log's own rules (:mod:`gates.verifier.authority`) before it is recorded.
"""

from __future__ import annotations

import re
from pathlib import Path

from pydantic import ValidationError

from gates.registry import Event, Registry
from gates.signing.envelopes import add_signature, open_envelope, seal_act
from gates.signing.keys import SigningKey, read_public_key
from gates.signing.predicates import KeyEnrolment, KeyRevocation, PublicKey
from gates.signing.statements import new_nonce
from gates.verifier.authority import Authority, Enrolled
from golden_sets.digests import Digest
from golden_sets.errors import InputError

_BEGINNING = re.compile(r"[0-9a-f]{6,64}")


def request_enrolment(key: SigningKey, *, log: Digest | None, person: str, root: bool = False) -> bytes:
    """What a person sends to whoever holds a root key: their key is theirs, signed with it.

    Args:
        key: the new key.
        log: which log it is for; None: an empty one.
        person: whose it is.
        root: whether it may enrol and revoke the keys of others.

    Raises:
        InputError: a name that cannot be a person's.
    """
    return seal_act(_enrolment(key.public, log, person, root=root), [key])


def enrol(registry: Registry, request: bytes, root: SigningKey | None, *, where: str | None = None) -> Event:
    """Record an enrolment, countersigned with a root key; the log's first needs none, it is the root itself.

    Args:
        registry: the registry.
        request: from :func:`request_enrolment`.
        root: a root key; None: only where no key is enrolled.
        where: the request's file, for errors.

    Raises:
        InputError: no request, no root key, or a key that may not be enrolled.
    """
    act = open_envelope(request, where=where).act(KeyEnrolment)
    if registry.authority().keys:
        if root is None:
            raise InputError("a root key must countersign this", where=where, do="add --by ROOTKEY")
        request = add_signature(request, root, where=where)
    return registry.record_act(request, actor=act.person)


def rotate(registry: Registry, old: SigningKey, new: SigningKey) -> Event:
    """Put a new key in the place of an old one: signed with both. What the old one signed goes on counting.

    Raises:
        InputError: the old key is not enrolled or signs no more, or the new one is enrolled already.
    """
    authority = registry.authority()
    now = authority.keys.get(old.public.id)
    if now is None or not now.signs:
        raise InputError(f"the key {old.public.id[:12]} cannot be replaced: it signs nothing now", do=_SEE)
    act = _enrolment(new.public, authority.log, now.person, root=now.root, replaces=old.public.id)
    return registry.record_act(seal_act(act, [old, new]), actor=now.person)


def revoke(registry: Registry, key: Enrolled, by: SigningKey, *, reason: str) -> Event:
    """Let a key count no more, for whatever happens from now on.

    Args:
        registry: the registry.
        key: the key, from :func:`key_behind`.
        by: a root key, or a key of the same person.
        reason: why.

    Raises:
        InputError: no reason, a key that may not revoke it, or the last root key.
    """
    authority = registry.authority()
    signer = authority.keys.get(by.public.id)
    if signer is None or not signer.signs:
        raise InputError(f"the key {by.public.id[:12]} signs nothing in this registry", do=_SEE)
    if not reason.strip():
        raise InputError("a revocation needs a reason", do='add --reason "..."')
    act = KeyRevocation(
        log=authority.log, person=signer.person, nonce=new_nonce(), key=key.key.id, public=key.key, reason=reason
    )
    return registry.record_act(seal_act(act, [by]), actor=signer.person)


def consequences(authority: Authority, key: str) -> tuple[str, ...]:
    """What a revocation leaves to be done, for people.

    Args:
        authority: the log's, after it.
        key: id of the revoked key.
    """
    told = [
        f"its successor {one.key.id[:12]} of '{one.person}' goes on signing: revoke it too if the key was stolen"
        for one in authority.successors(key)
        if one.signs
    ]
    for channel in authority.pins:
        pin = authority.pinned(channel)
        if pin is not None and pin.void and pin.key == key:
            told.append(f"channel '{channel}' moves no more until an owner pins its policy again")
    return tuple(told)


def key_behind(authority: Authority, reference: str) -> Enrolled:
    """An enrolled key by its id, the beginning of it (six digits or more) or the file of its public key.

    Raises:
        InputError: none, or several.
    """
    id_ = read_public_key(Path(reference)).id if Path(reference).is_file() else reference
    found = [key for known, key in authority.keys.items() if _BEGINNING.fullmatch(id_) and known.startswith(id_)]
    if len(found) != 1:
        what = "no key is" if not found else f"{len(found)} keys are"
        named = "name it by six digits or more of its id, or by its .pub file; relgate registry key list tells them"
        raise InputError(f"{what} enrolled under '{reference}'", do=named)
    return found[0]


def _enrolment(
    key: PublicKey, log: Digest | None, person: str, *, root: bool, replaces: str | None = None
) -> KeyEnrolment:
    try:
        return KeyEnrolment(
            log=log, person=person, nonce=new_nonce(), key=key.id, public=key, root=root, replaces=replaces
        )
    except ValidationError as error:
        raise InputError(
            f"'{person}' cannot be a person's name", do="one line of text, with no spaces around it"
        ) from error


_SEE = "see relgate registry key list"
