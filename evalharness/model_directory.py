"""A model directory: the digest of every file in it, and the checks that spare an engine a hopeless start."""

from __future__ import annotations

import hashlib
import json
import os
import stat
import struct
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

from evalharness.directory_listing import Listing, Stamp, list_directory, stamp_of
from golden_sets.digests import Digest
from golden_sets.errors import InfrastructureError, InputError

PICKLE_SUFFIXES = (".bin", ".pt", ".pth", ".ckpt", ".pkl", ".pickle", ".dill", ".joblib")
"""Files that run code when they are loaded."""
SETTLED_NS = 2_000_000_000
"""Age from which a file's times tell it from a later version: ticks of the kernel and of common file systems are
finer."""

_BLOCK = 1 << 20
_MOST_THREADS = 16
_CACHE_NAME = "model-digests.json"
_CACHE_FIELDS = 6


def hash_directory(directory: Path, *, cache_dir: Path | None = None) -> dict[str, Digest]:
    """Digest of every file below a directory by its relative path; nothing is ignored.

    A symlink is followed only inside one snapshot cache as Hugging Face lays it out
    (:func:`~evalharness.directory_listing.list_directory`).

    Args:
        directory: the directory; may itself be a symlink.
        cache_dir: where digests are remembered between runs, by path, device, inode, size and times; None: read
            everything. Whoever can write there decides what is remembered, so nothing that is loaded or promoted
            rests on it.

    Raises:
        InputError: no such directory, no file in it, another symlink, a device, a name that is not UTF-8, or a file
            that changed meanwhile.
        InfrastructureError: a file cannot be read.
    """
    return hash_listing(list_directory(directory), cache_dir=cache_dir)


def hash_listing(listing: Listing, *, cache_dir: Path | None = None) -> dict[str, Digest]:
    """Digest of every file of a listing, as :func:`hash_directory` gives them."""
    cache = _Cache(cache_dir)
    # The largest first: no thread is left alone with a large file at the end.
    paths = sorted(set(listing.files.values()), key=lambda path: -listing.stamps[str(path)][2])
    try:
        with ThreadPoolExecutor(max_workers=min(_MOST_THREADS, os.cpu_count() or 1)) as pool:
            digests = dict(zip(paths, pool.map(cache.digest, paths), strict=True))
        cache.save()
    except OSError as error:
        raise InfrastructureError(f"cannot be read: {error}", where=listing.root) from error
    return {name: digests[path] for name, path in listing.files.items()}


def check_model(directory: Path) -> None:
    """Check that a directory holds a model that can be served: config, safetensors weights, all shards, all bytes.

    Raises:
        InputError: what is missing, cut short or refused (pickled weights), and what to do.
        InfrastructureError: a file cannot be read.
    """
    if not (directory / "config.json").is_file():
        raise InputError("no config.json: this is not a model directory", where=directory, do="check 'model'")
    check_weights(directory)


def check_weights(directory: Path) -> None:
    """Check the weights of a model or adapter directory.

    Raises:
        InputError: no safetensors file, a missing shard, a file cut short, or pickled weights.
        InfrastructureError: a file cannot be read.
    """
    try:
        pickles = sorted(p.name for p in directory.rglob("*") if p.suffix in PICKLE_SUFFIXES)
        if pickles:
            raise InputError(
                f"'{pickles[0]}' is a pickle, which can run code when it is loaded",
                where=directory,
                do="convert weights to safetensors (model.save_pretrained writes them) and remove it",
            )
        weights = sorted(directory.glob("*.safetensors"))
        if not weights:
            raise InputError("no weights: there is no *.safetensors file", where=directory, do="complete the directory")
        for path in weights:
            _check_safetensors(path)
        for index in directory.glob("*.safetensors.index.json"):
            _check_shards(index)
    except OSError as error:
        raise InfrastructureError(f"cannot be read: {error}", where=directory) from error


def _check_safetensors(path: Path) -> None:
    """Compare the header with the file's length (format: https://huggingface.co/docs/safetensors)."""
    size = path.stat().st_size
    with path.open("rb") as file:
        start = file.read(8)
        length = struct.unpack("<Q", start)[0] if len(start) == 8 else size
        header = file.read(length) if 8 + length <= size else b""
    try:
        tensors = json.loads(header)
        end = max((t["data_offsets"][1] for name, t in tensors.items() if name != "__metadata__"), default=0)
    except (ValueError, TypeError, KeyError, IndexError, AttributeError):
        what = "is a Git LFS pointer, not the weights" if start == b"version " else "is not a safetensors file"
        raise InputError(what, where=path, do="download or copy the weights again") from None
    if 8 + length + end != size:
        what = f"holds {size} bytes, its header says {8 + length + end}"
        raise InputError(what, where=path, do="download or copy the weights again")


def _check_shards(index: Path) -> None:
    try:
        shards = set(json.loads(index.read_bytes())["weight_map"].values())
    except (ValueError, TypeError, KeyError, AttributeError):
        raise InputError("is not an index of safetensors shards", where=index) from None
    missing = sorted(s for s in shards if not (index.parent / s).is_file())
    if missing:
        what = f"{len(missing)} of {len(shards)} weight shards are missing, e.g. {missing[0]}"
        raise InputError(what, where=index, do="complete the directory")


def _digest(path: Path) -> tuple[Stamp, Digest]:
    """What a file was while it was read, and its digest; links are not followed, and a pipe is not waited for.

    Raises:
        InputError: it is no file, or it changed meanwhile.
    """
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    with os.fdopen(descriptor, "rb", buffering=0) as file:
        with suppress(OSError):
            # Pages that a program wrote through a memory map go out now: its next write sets the times again.
            os.fsync(descriptor)
        before = os.fstat(descriptor)
        block, hasher = memoryview(bytearray(_BLOCK)), hashlib.sha256()
        while stat.S_ISREG(before.st_mode) and (size := file.readinto(block)):
            hasher.update(block[:size])
        after = os.fstat(descriptor)
    if not stat.S_ISREG(before.st_mode) or not stamp_of(before) == stamp_of(after) == stamp_of(path.lstat()):
        raise InputError("the file changed while it was read", where=path, do="wait until it is complete")
    return stamp_of(after), "sha256:" + hasher.hexdigest()


class _Cache:
    """Digests by path, trusted while device, inode, size and times stay the same.

    A file that changed within the last two seconds is not remembered: a second change within the clock's tick would
    leave the same stamp.
    """

    def __init__(self, directory: Path | None) -> None:
        self._path = None if directory is None else directory / _CACHE_NAME
        self._known: dict[str, list[int | str]] = {}
        self._new: dict[str, list[int | str]] = {}
        if self._path is not None:
            self._known = _read_cache(self._path)

    def digest(self, path: Path) -> Digest:
        known = self._known.get(str(path))
        if known is not None and tuple(known[:-1]) == stamp_of(path.lstat()):
            return str(known[-1])
        stamp, digest = _digest(path)
        if time.time_ns() - max(stamp[-2:]) > SETTLED_NS:
            self._new[str(path)] = [*stamp, digest]
        return digest

    def save(self) -> None:
        if self._path is None or not self._new:
            return
        self._path.parent.mkdir(parents=True, exist_ok=True)
        part = self._path.with_suffix(f".{os.getpid()}.part")
        part.write_text(json.dumps({**_read_cache(self._path), **self._new}, indent=0), encoding="utf-8")
        part.replace(self._path)


def _read_cache(path: Path) -> dict[str, list[int | str]]:
    """What is remembered; a missing or damaged file remembers nothing."""
    try:
        data = json.loads(path.read_bytes())
    except (OSError, ValueError):
        return {}
    if not isinstance(data, dict):
        return {}
    return {path: entry for path, entry in data.items() if isinstance(entry, list) and len(entry) == _CACHE_FIELDS}
