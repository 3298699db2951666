"""Checkpoints as they are kept in files: signed envelopes, and the plain form without a signature."""

from __future__ import annotations

import json
from pathlib import Path

from gates.signing.checkpoints import SignedCheckpoint, open_checkpoint
from gates.verifier.authority import Authority, Enrolled
from gates.verifier.events import Checkpoint
from golden_sets.errors import InputError

_MADE_BY = "name a file that relgate registry checkpoint -o FILE wrote"


def read_checkpoint(path: Path) -> SignedCheckpoint | Checkpoint:
    """Read a checkpoint file, signed or not; no signature is checked.

    Raises:
        InputError: no such file, or no checkpoint.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise InputError(f"the checkpoint cannot be read ({error.strerror})", where=path, do=_MADE_BY) from error
    return parse_checkpoint(data, where=str(path))


def parse_checkpoint(data: bytes, *, where: str | None = None) -> SignedCheckpoint | Checkpoint:
    """A checkpoint from the bytes of its file, signed or not; no signature is checked.

    Raises:
        InputError: no checkpoint.
    """
    try:
        found = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise InputError("not a checkpoint: it is no JSON", where=where, do=_MADE_BY) from error
    if isinstance(found, dict) and "payload" in found:
        return open_checkpoint(data.rstrip(b"\n"), where=where)
    return Checkpoint.from_json(found, where=where)


def signers(checkpoint: SignedCheckpoint, authority: Authority) -> tuple[Enrolled, ...]:
    """The enrolled keys that signed a checkpoint and were not revoked."""
    known = (authority.keys.get(id_) for id_ in checkpoint.key_ids)
    return tuple(key for key in known if key is not None and key.revoked is None and checkpoint.signed_by(key.key))
