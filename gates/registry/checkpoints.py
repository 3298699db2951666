"""Signed checkpoints and receipts in the registry: taken, kept beside the log, and handed out."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import Connection, insert, select

from gates.registry import ledger
from gates.registry.acts import load_authority
from gates.registry.reader import RegistryReader
from gates.registry.tables import CHECKPOINTS, LEDGER
from gates.registry.transactions import reading, writing
from gates.signing.checkpoints import SignedCheckpoint, open_checkpoint, sign_checkpoint
from gates.signing.keys import SigningKey
from gates.signing.predicates import LogState
from gates.verifier.checkpoints import signers
from gates.verifier.events import Checkpoint
from gates.verifier.merkle import verify_consistency
from gates.verifier.receipt import Receipt
from golden_sets.digests import digest_bytes
from golden_sets.errors import InputError


class WitnessedRegistry(RegistryReader):
    """The part of :class:`gates.registry.Registry` that takes and keeps signed checkpoints, and hands out receipts."""

    def log_state(self) -> LogState:
        """What the log is now: what a signed checkpoint says."""
        with reading(self._engine) as connection:
            return _state(connection)

    def sign_checkpoint(self, keys: Sequence[SigningKey]) -> SignedCheckpoint:
        """Sign what the log is now, and keep it beside the log; keep it also where the operators cannot reach it.

        Raises:
            InputError: an empty log, no key, or one that is not enrolled or signs no more.
        """
        with writing(self._engine) as connection:
            signed = open_checkpoint(sign_checkpoint(_state(connection), keys))
            _require_signed(connection, signed)
            _keep(connection, signed)
        return signed

    def record_checkpoint(self, envelope: bytes) -> SignedCheckpoint:
        """Keep a checkpoint that was signed elsewhere.

        Raises:
            InputError: no signed checkpoint, one of another log, one that this log does not continue, or no enrolled
                key signed it.
        """
        signed = open_checkpoint(envelope)
        with writing(self._engine) as connection:
            _require_signed(connection, signed)
            now = _state(connection)
            if signed.state.log != now.log:
                raise InputError("it is a checkpoint of another log")
            if not _continues(connection, signed, now):
                raise InputError(f"this log does not continue the one of {signed.size} events that was signed")
            _keep(connection, signed)
        return signed

    def signed_checkpoints(self) -> list[SignedCheckpoint]:
        """The signed checkpoints that are kept beside the log, the longest log first."""
        with reading(self._engine) as connection:
            rows = connection.execute(
                select(CHECKPOINTS.c.envelope).order_by(CHECKPOINTS.c.size.desc(), CHECKPOINTS.c.digest)
            )
            return [open_checkpoint(bytes(envelope)) for envelope in rows.scalars()]

    def prove(self, position: int, *, keys: Sequence[SigningKey] = ()) -> Receipt:
        """A receipt: an event, and the proof that it is in the log that a checkpoint speaks of.

        Args:
            position: the event's place in the log.
            keys: who signs the checkpoint; none: the newest signed checkpoint that covers the event is taken, and
                where there is none, one without a signature.

        Raises:
            InputError: there is no such event, or a key that may not sign.
        """
        if keys and 0 <= position < self.checkpoint().size:
            self.sign_checkpoint(keys)
        with reading(self._engine) as connection:
            size = ledger.checkpoint(connection).size
            if not 0 <= position < size:
                raise InputError(f"there is no event {position} among the first {size}", do="see relgate registry log")
            covering = select(CHECKPOINTS.c.envelope).where(CHECKPOINTS.c.size > position)
            kept = connection.execute(covering.order_by(CHECKPOINTS.c.size.desc(), CHECKPOINTS.c.digest)).scalar()
            checkpoint: SignedCheckpoint | Checkpoint
            checkpoint = ledger.checkpoint(connection) if kept is None else open_checkpoint(bytes(kept))
            proof = ledger.inclusion_proof(connection, position, checkpoint.size)
            event = ledger.event_from_row(connection.execute(select(LEDGER).where(LEDGER.c.position == position)).one())
            keys_there = load_authority(connection).keys
        signing = () if isinstance(checkpoint, Checkpoint) else checkpoint.key_ids
        keys_named = tuple(keys_there[id_].key for id_ in signing if id_ in keys_there)
        return Receipt(event, tuple(proof), checkpoint, keys_named)


def _state(connection: Connection) -> LogState:
    found = ledger.checkpoint(connection)
    return LogState(log=ledger.log_id(connection), size=found.size, root=found.root, time=ledger.now(connection))


def _require_signed(connection: Connection, signed: SignedCheckpoint) -> None:
    authority = load_authority(connection)
    able = {key.key.id for key in signers(signed, authority) if key.signs}
    if not signed.key_ids or able != set(signed.key_ids):
        other = ", ".join(id_[:12] for id_ in signed.key_ids if id_ not in able) or "nobody"
        raise InputError(
            f"a checkpoint is signed with enrolled keys, this one by {other}",
            do="see relgate registry key list; enrol a key with relgate registry key enrol",
        )


def _continues(connection: Connection, old: SignedCheckpoint, now: LogState) -> bool:
    if old.size > now.size:
        return False
    proof = ledger.consistency_proof(connection, old.size, now.size)
    return verify_consistency(old.size, _raw(old.root), now.size, _raw(now.root), proof)


def _raw(root: str) -> bytes:
    return bytes.fromhex(root.removeprefix("sha256:"))


def _keep(connection: Connection, signed: SignedCheckpoint) -> None:
    digest = digest_bytes(signed.envelope)
    if connection.execute(select(CHECKPOINTS.c.digest).where(CHECKPOINTS.c.digest == digest)).first() is None:
        connection.execute(
            insert(CHECKPOINTS).values(
                digest=digest, size=signed.size, root=signed.root, time=signed.time, envelope=signed.envelope
            )
        )
