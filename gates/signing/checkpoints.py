"""Signed checkpoints: what the log was at one moment, vouched for by whoever holds a key."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from pydantic import ValidationError

from gates.signing.envelopes import Opened, open_envelope, seal
from gates.signing.keys import SigningKey
from gates.signing.predicates import CHECKPOINT_TYPE, LogState, PublicKey
from golden_sets.digests import Digest
from golden_sets.errors import InputError


@dataclass(frozen=True)
class SignedCheckpoint:
    """A signed checkpoint. Whose signatures it holds, :meth:`signed_by` tells."""

    state: LogState
    """What the log was."""
    opened: Opened
    """The envelope, taken apart."""
    envelope: bytes
    """The envelope itself: what a checkpoint file holds."""

    @property
    def size(self) -> int:
        """Number of events."""
        return self.state.size

    @property
    def root(self) -> Digest:
        """Root of the Merkle tree over them."""
        return self.state.root

    @property
    def time(self) -> str:
        """When it was taken."""
        return self.state.time

    @property
    def key_ids(self) -> tuple[str, ...]:
        """Ids of the keys that are said to have signed it; whether they did, :meth:`signed_by` tells."""
        return tuple(self.opened.envelope.signatures)

    def signed_by(self, key: PublicKey) -> bool:
        """Whether a key signed it."""
        return self.opened.signed_by(key)


def sign_checkpoint(state: LogState, keys: Sequence[SigningKey]) -> bytes:
    """A checkpoint as an envelope, signed by each key. Its subject is the log's root."""
    return seal(CHECKPOINT_TYPE, state.to_json(), {"log": state.root}, keys)


def open_checkpoint(data: bytes, *, where: str | None = None) -> SignedCheckpoint:
    """Take a signed checkpoint apart; no signature is checked.

    Raises:
        InputError: no canonical envelope around a checkpoint.
    """
    opened = open_envelope(data, where=where)
    if opened.predicate_type != CHECKPOINT_TYPE:
        raise InputError(f"the statement is of type {opened.predicate_type}, not {CHECKPOINT_TYPE}", where=where)
    try:
        state = LogState.model_validate(opened.predicate)
    except ValidationError as error:
        first = error.errors()[0]
        said = f"{'.'.join(map(str, first['loc']))}: {first['msg']}"
        raise InputError(f"not a checkpoint: {said}", where=where) from error
    if sign_checkpoint(state, ()) != opened.unsigned:
        raise InputError("the statement does not say what its subjects say", where=where)
    return SignedCheckpoint(state, opened, data)
