"""Content-addressed blobs: manifests, plans, policies, evidence, outcomes and decisions, each under its digest."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TypeVar

from sqlalchemy import Connection, bindparam, insert, select

from gates.registry.tables import BLOBS
from golden_sets.digests import Digest, canonical_json, digest_bytes, short
from golden_sets.errors import InfrastructureError, InputError
from golden_sets.records import Record

RecordType = TypeVar("RecordType", bound=Record)

JSON = "application/json"
PARQUET = "application/vnd.apache.parquet"

_FEW = 16
"""Blobs in memory at once: outcomes may be large."""

# Made once: putting a statement together costs more than running it.
_ADD = insert(BLOBS)
_DIGEST = select(BLOBS.c.digest).where(BLOBS.c.digest == bindparam("wanted"))
_DATA = select(BLOBS.c.data).where(BLOBS.c.digest == bindparam("wanted"))


def put_blob(connection: Connection, data: bytes, *, media_type: str, expected: Digest | None = None) -> Digest:
    """Store bytes under their digest; storing the same bytes again changes nothing.

    Raises:
        InputError: the bytes do not have the expected digest.
    """
    digest = digest_bytes(data)
    if expected is not None and digest != expected:
        raise InputError(
            f"the contents have digest {digest}, expected was {expected}",
            do="the file was changed after the record that names it was written; make both again",
        )
    if not has_blob(connection, digest):
        connection.execute(_ADD, {"digest": digest, "media_type": media_type, "size": len(data), "data": data})
    return digest


def put_record(connection: Connection, record: Record) -> Digest:
    """Store a record as canonical JSON: its blob has the record's own digest."""
    return put_blob(connection, canonical_json(record.to_json()), media_type=JSON, expected=record.digest)


def get_blob(connection: Connection, digest: Digest) -> bytes:
    """The bytes behind a digest, hashed again before they are handed out.

    Raises:
        InputError: there is no such blob.
        InfrastructureError: the stored bytes do not have the digest they are stored under.
    """
    data = stored_bytes(connection, digest)
    if data is None:
        raise InputError(f"the registry holds nothing with digest {digest}", do="see relgate registry list and log")
    if digest_bytes(data) != digest:
        raise InfrastructureError(
            f"the contents stored under {digest} were changed",
            do="run relgate registry verify and restore the database from a backup",
        )
    return data


def stored_bytes(connection: Connection, digest: Digest) -> bytes | None:
    """What is stored under a digest, as it is there: whoever asks hashes it. None: nothing."""
    data = connection.execute(_DATA, {"wanted": digest}).scalar()
    return None if data is None else bytes(data)


def read_record(connection: Connection, digest: Digest, type_: type[RecordType]) -> RecordType:
    """The record behind a digest.

    Raises:
        InputError: not there, or another type of record.
    """
    try:
        return type_.model_validate_json(get_blob(connection, digest))
    except ValueError as error:
        raise InputError(f"{short(digest)} is not a record of type {type_.__name__}") from error


def has_blob(connection: Connection, digest: Digest) -> bool:
    """True where the registry holds the contents."""
    return connection.execute(_DIGEST, {"wanted": digest}).first() is not None


def damaged_blobs(connection: Connection) -> Iterator[Digest]:
    """Digests whose stored bytes or size do not fit; reads every blob, a few at a time."""
    rows = select(BLOBS.c.digest, BLOBS.c.data, BLOBS.c.size).order_by(BLOBS.c.digest)
    for row in connection.execute(rows.execution_options(yield_per=_FEW)):
        if digest_bytes(row.data) != row.digest or row.size != len(row.data):
            yield row.digest


def blob_digests(connection: Connection) -> Iterable[Digest]:
    """Digest of every blob, sorted."""
    return connection.execute(select(BLOBS.c.digest).order_by(BLOBS.c.digest)).scalars().all()
