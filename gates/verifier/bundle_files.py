"""Bundles on disk: one zip file with everything that one release rests on, and the whole log around it.

=================== =======================================================================================
``bundle.json``      format and what it is about: version, channel, stage, decision, promotion, size and root
``events.jsonl``     every event of the log, canonical JSON, one a line: the leaves of the Merkle tree
``checkpoint.json``  a signed checkpoint (DSSE envelope), where there is one
``blobs/<sha256>``   contents by their digest
=================== =======================================================================================

The keys are in the events that enrolled them. The same log makes the same bytes. Reading takes nothing on trust: other
names, a name twice, and sizes beyond the bounds are refused before anything is unpacked, and nothing is ever written.
"""

from __future__ import annotations

import os
import re
import tempfile
import zipfile
import zlib
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import IO, Self

from pydantic import Field, ValidationError

from gates.signing.checkpoints import SignedCheckpoint, open_checkpoint
from gates.verifier import merkle
from gates.verifier.contents import Fetch
from gates.verifier.events import Event, read_canonical
from golden_sets.digests import Digest, canonical_json
from golden_sets.errors import InfrastructureError, InputError
from golden_sets.records import Record

FORMAT = "relgate-bundle-v1"

MOST_FILES = 100_000
MOST_BYTES = 4 * 2**30
"""Of all files together, unpacked."""
MOST_BYTES_OF_ONE = 2**30
"""Of one file but the events, unpacked."""
MOST_BYTES_OF_EVENT = 2**24

_MADE_BY = "name a file that relgate registry export VERSION -o FILE wrote"
_NAME = re.compile(r"bundle\.json|events\.jsonl|checkpoint\.json|blobs/[0-9a-f]{64}")
_BROKEN = (zipfile.BadZipFile, zlib.error, EOFError, OSError, NotImplementedError, RuntimeError, ValueError)
"""What reading a damaged or malicious zip file may raise."""
_STORED_FROM = b"PAR1"
"""Parquet is compressed already."""


class About(Record):
    """What a bundle is about."""

    format: str = FORMAT
    """The format's name."""
    subject: Digest
    """The version's manifest."""
    name: str
    """Its name, for people."""
    channel: str
    """The channel."""
    stage: str
    """The stage."""
    decision: Digest | None
    """The decision; None: the first version of a channel, which needs none."""
    move: int | None
    """Position of the newest promotion of the version to the stage; None: it was never promoted there."""
    size: int = Field(ge=0)
    """Number of events."""
    root: Digest
    """Root of the log."""


def write_bundle(
    path: Path,
    about: About,
    events: Iterable[Event],
    blobs: Mapping[Digest, None],
    fetch: Fetch,
    checkpoint: bytes | None,
) -> None:
    """Write a bundle; it appears whole or not at all.

    Args:
        path: the file; one that is there is replaced.
        about: what it is about.
        events: the whole log.
        blobs: digests of the contents that go into it.
        fetch: where these are found.
        checkpoint: a signed checkpoint of the log, if there is one.

    Raises:
        InputError: contents are missing, or it would be larger than can be read again.
        InfrastructureError: the disk is full or the folder cannot be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        try:
            with os.fdopen(handle, "wb") as file:
                with zipfile.ZipFile(file, "w") as bundle:
                    _write(bundle, "bundle.json", canonical_json(about.to_json()))
                    with bundle.open(_info("events.jsonl"), "w", force_zip64=True) as log:
                        for event in events:
                            log.write(event.leaf_data + b"\n")
                    if checkpoint is not None:
                        _write(bundle, "checkpoint.json", checkpoint)
                    for digest in sorted(blobs):
                        data = fetch(digest)
                        if data is None:
                            raise InputError(f"the contents {digest} are missing", do="run relgate registry verify")
                        _write(bundle, "blobs/" + digest.removeprefix("sha256:"), data)
                    _require_bounds(bundle, path)
                file.flush()
                os.fsync(file.fileno())
            Path(temporary).chmod(0o644)
            Path(temporary).replace(path)
        finally:
            Path(temporary).unlink(missing_ok=True)
    except OSError as error:
        raise InfrastructureError(f"the bundle cannot be written ({error.strerror})", where=path) from error


class BundleFile:
    """An open bundle. Use it as a context manager.

    Args:
        path: the file.

    Raises:
        InputError: no such file, or no bundle: nothing of it was unpacked.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        try:
            self._zip = zipfile.ZipFile(path)
        except OSError as error:
            raise InputError(f"cannot be read ({error.strerror})", where=path, do=_MADE_BY) from error
        except _BROKEN as error:
            raise InputError("is no bundle: not a zip file", where=path, do=_MADE_BY) from error
        try:
            self.blobs = _require_bounds(self._zip, path)
            self.about = self._about()
            self.checkpoint = self._checkpoint()
        except BaseException:
            self._zip.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._zip.close()

    def events(self) -> Iterator[tuple[Event, bytes]]:
        """Every event with the hash of its leaf, in the order of the file.

        Raises:
            InputError: a line that is no event in canonical form.
        """
        with self._open("events.jsonl") as file:
            number = 0
            while line := self._line(file):
                number += 1
                try:
                    data, canonical = read_canonical(line[:-1].decode())
                    event = Event.from_json(data)
                except (InputError, ValueError, RecursionError) as error:
                    raise InputError("is no event", where=f"{self._path}: events.jsonl:{number}") from error
                if not canonical:
                    raise InputError("is no event in canonical form", where=f"{self._path}: events.jsonl:{number}")
                yield event, merkle.leaf_hash(line[:-1])

    def fetch(self, digest: Digest) -> bytes | None:
        """The contents stored under a digest, not to be trusted; None: none.

        Raises:
            InputError: the file is damaged there.
        """
        if digest not in self.blobs:
            return None
        return self._read("blobs/" + digest.removeprefix("sha256:"))

    def _about(self) -> About:
        data = self._read("bundle.json")
        try:
            about = About.model_validate_json(data)
            sound = about.format == FORMAT and canonical_json(about.to_json()) == data
        except (ValidationError, ValueError) as error:
            raise InputError("bundle.json does not say what the bundle is about", where=self._path) from error
        if not sound:
            raise InputError(f"is no bundle of format {FORMAT}", where=self._path)
        return about

    def _checkpoint(self) -> SignedCheckpoint | None:
        if "checkpoint.json" not in self._zip.namelist():
            return None
        return open_checkpoint(self._read("checkpoint.json"), where=f"{self._path}: checkpoint.json")

    def _open(self, name: str) -> IO[bytes]:
        try:
            return self._zip.open(name)
        except (KeyError, *_BROKEN) as error:
            raise InputError(f"is no whole bundle: {name} cannot be read", where=self._path) from error

    def _read(self, name: str) -> bytes:
        with self._open(name) as file:
            try:
                return file.read()
            except _BROKEN as error:
                raise InputError(f"is damaged at {name}", where=self._path) from error

    def _line(self, file: IO[bytes]) -> bytes:
        try:
            line = file.readline(MOST_BYTES_OF_EVENT)
        except _BROKEN as error:
            raise InputError("is damaged at events.jsonl", where=self._path) from error
        if line and not line.endswith(b"\n"):
            raise InputError("ends within an event, or holds one that is too long", where=self._path)
        return line


def _require_bounds(bundle: zipfile.ZipFile, path: Path) -> frozenset[Digest]:
    """Refuse what no bundle holds; returns the digests of its blobs."""
    files = bundle.infolist()
    names = [file.filename for file in files]
    strange = [name for name in names if not _NAME.fullmatch(name)]
    if strange:
        raise InputError(f"is no bundle: it holds '{strange[0]}'", where=path)
    if len(set(names)) != len(names) or not {"bundle.json", "events.jsonl"} <= set(names):
        raise InputError("is no bundle: a file is there twice, or bundle.json or events.jsonl is not", where=path)
    if len(files) > MOST_FILES or sum(file.file_size for file in files) > MOST_BYTES:
        raise InputError(f"is larger than a bundle may be ({MOST_FILES} files, {MOST_BYTES} bytes)", where=path)
    large = [f.filename for f in files if f.file_size > MOST_BYTES_OF_ONE and f.filename != "events.jsonl"]
    if large:
        raise InputError(f"holds '{large[0]}', larger than {MOST_BYTES_OF_ONE} bytes", where=path)
    return frozenset("sha256:" + name.removeprefix("blobs/") for name in names if name.startswith("blobs/"))


def _write(bundle: zipfile.ZipFile, name: str, data: bytes) -> None:
    info = _info(name)
    if data.startswith(_STORED_FROM):
        info.compress_type = zipfile.ZIP_STORED
    bundle.writestr(info, data)


def _info(name: str) -> zipfile.ZipInfo:
    """Nothing of when, where and by whom: the same contents make the same file."""
    info = zipfile.ZipInfo(name, date_time=(1980, 1, 1, 0, 0, 0))
    info.compress_type = zipfile.ZIP_DEFLATED
    info.create_system = 3
    info.external_attr = 0o644 << 16
    return info
