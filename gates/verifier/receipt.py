"""Receipts: one event of the log, with the proof that it is in the log that a checkpoint speaks of.

Whoever was given a receipt needs no log and no database: the event is hashed again, the proof leads from its hash to
the checkpoint's root, and the checkpoint's signature leads to a key that they know.
"""

from __future__ import annotations

import json
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from gates.signing.checkpoints import SignedCheckpoint
from gates.signing.keys import key_id
from gates.signing.predicates import PublicKey
from gates.verifier import merkle
from gates.verifier.checkpoints import parse_checkpoint
from gates.verifier.events import Checkpoint, Event
from golden_sets.digests import canonical_json
from golden_sets.errors import InputError

FORMAT = "relgate-receipt-v1"
"""What a receipt's file says that it is."""
_LONGEST_PROOF = 64
"""Hashes of an inclusion proof in a log of 2**64 events."""


@dataclass(frozen=True)
class Receipt:
    """An event, and the proof that it is in a log."""

    event: Event
    """The event."""
    proof: tuple[bytes, ...]
    """Hashes that lead from the event to the checkpoint's root (RFC 6962, section 2.1.1)."""
    checkpoint: SignedCheckpoint | Checkpoint
    """The log's size and root, signed or not."""
    keys: tuple[PublicKey, ...] = ()
    """The keys that signed the checkpoint, for readers who know them by their ids."""

    def to_json(self) -> dict[str, Any]:
        """Plain JSON data, the form of a receipt's file."""
        kept = self.checkpoint
        return {
            "format": FORMAT,
            "event": self.event.to_json(),
            "proof": [step.hex() for step in self.proof],
            "checkpoint": json.loads(kept.envelope) if isinstance(kept, SignedCheckpoint) else kept.to_json(),
            "keys": [key.to_json() for key in self.keys],
        }


@dataclass(frozen=True)
class ReceiptCheck:
    """What a receipt shows."""

    receipt: Receipt
    """The receipt."""
    problems: tuple[str, ...]
    """What does not fit, for people; empty: the event is in the log that the checkpoint speaks of."""
    notices: tuple[str, ...]
    """What a reader must know, and is no problem."""
    trusted: bool | None
    """Whether a key that the reader trusts signed the checkpoint; None: no key was named."""

    @property
    def ok(self) -> bool:
        """True where nothing was found."""
        return not self.problems

    def to_json(self) -> dict[str, Any]:
        """Plain JSON data, for ``--json``."""
        checkpoint = self.receipt.checkpoint
        return {
            "ok": self.ok,
            "problems": list(self.problems),
            "notices": list(self.notices),
            "trusted": self.trusted,
            "event": self.receipt.event.to_json(),
            "size": checkpoint.size,
            "root": checkpoint.root,
            "time": checkpoint.time,
            "keys": [key.id for key in self.receipt.keys],
        }


def check_receipt(receipt: Receipt, *, trust: Collection[PublicKey] = ()) -> ReceiptCheck:
    """Check a receipt; nothing else is read.

    Args:
        receipt: from :func:`read_receipt`.
        trust: public keys that the reader knows to be whose they should be.
    """
    checkpoint, event, notices = receipt.checkpoint, receipt.event, []
    problems = []
    root = bytes.fromhex(checkpoint.root.removeprefix("sha256:"))
    if not merkle.verify_inclusion(event.leaf_hash, event.position, checkpoint.size, receipt.proof, root):
        problems.append(f"event {event.position} is not in the log of {checkpoint.size} events")
    trusted = None
    if isinstance(checkpoint, SignedCheckpoint):
        problems += _signature_problems(receipt, checkpoint)
        if event.position == 0 and checkpoint.state.log != "sha256:" + event.leaf_hash.hex():
            problems.append("the checkpoint is one of another log")
        if trust:
            trusted = any(checkpoint.signed_by(key) for key in trust)
        else:
            notices.append("no trusted key was named (--trust): the signature may be anybody's")
    else:
        notices.append("the checkpoint is not signed: compare its root with one that you kept")
        trusted = False if trust else None
    if trusted is False:
        problems.append("no key that you trust signed the checkpoint")
    return ReceiptCheck(receipt, tuple(problems), tuple(notices), trusted)


def _signature_problems(receipt: Receipt, checkpoint: SignedCheckpoint) -> list[str]:
    known = {key.id: key for key in receipt.keys}
    if not checkpoint.key_ids:
        return ["nobody signed the checkpoint"]
    if set(known) != set(checkpoint.key_ids):
        return ["the receipt does not hold the keys that signed the checkpoint"]
    return [
        f"the checkpoint is not signed by {id_[:12]}, whatever it says"
        for id_, key in known.items()
        if key_id(key) != id_ or not checkpoint.signed_by(key)
    ]


def read_receipt(path: Path) -> Receipt:
    """Read a receipt's file; nothing is checked but its form.

    Raises:
        InputError: no such file, or no receipt.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise InputError(f"the receipt cannot be read ({error.strerror})", where=path) from error
    try:
        found = json.loads(data)
        return _receipt(**found, where=str(path))
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError, ValidationError) as error:
        raise InputError(
            f"is no receipt ({FORMAT})", where=path, do="make one with relgate registry prove POSITION -o FILE"
        ) from error


def _receipt(*, format: str, event: Any, proof: Any, checkpoint: Any, keys: Any, where: str) -> Receipt:  # noqa: A002
    if format != FORMAT or len(proof) > _LONGEST_PROOF:
        raise ValueError("another format")
    return Receipt(
        _event(event),
        tuple(map(bytes.fromhex, proof)),
        parse_checkpoint(canonical_json(checkpoint), where=where),
        tuple(map(PublicKey.model_validate, keys)),
    )


def _event(found: dict[str, Any]) -> Event:
    event = Event(**found)
    texts = (event.time, event.type, event.actor)
    if type(event.position) is not int or not all(isinstance(text, str) for text in texts):
        raise TypeError("not an event")
    event.leaf_hash  # noqa: B018 - raises where it is not plain JSON
    return event
