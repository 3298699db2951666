"""A model directory: the digest of every file in it, and the checks that spare an engine a hopeless start."""

from __future__ import annotations

import json
import os
import stat
import struct
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from golden_sets.digests import Digest, digest_file
from golden_sets.errors import InfrastructureError, InputError

PICKLE_SUFFIXES = (".bin", ".pt", ".pth", ".ckpt", ".pkl", ".pickle", ".dill", ".joblib")
"""Files that run code when they are loaded."""

_CACHE_NAME = "model-digests.json"
_SETTLED_NS = 2_000_000_000
_Stamp = tuple[int, int, int, int]


def hash_directory(directory: Path, *, cache_dir: Path | None = None) -> dict[str, Digest]:
    """Digest of every file below a directory by its relative path; nothing is ignored.

    A symlink is followed only inside one snapshot cache as Hugging Face lays it out (``snapshots/REVISION/FILE``
    pointing into the ``blobs`` beside ``snapshots``).

    Args:
        directory: the directory; may itself be a symlink.
        cache_dir: where digests are remembered between runs, by path, size, times and inode; None: read everything.

    Raises:
        InputError: no such directory, no file in it, another symlink, a device, a name that is not UTF-8, or a file
            that changed meanwhile.
        InfrastructureError: a file cannot be read.
    """
    if not directory.is_dir():
        raise InputError("there is no such directory", where=directory, do="check the path")
    root = directory.resolve()
    try:
        files = dict(sorted(_files(root, root)))
        if not files:
            raise InputError("the directory is empty", where=directory)
        cache = _Cache(cache_dir)
        with ThreadPoolExecutor(max_workers=min(8, os.cpu_count() or 1)) as pool:
            digests = dict(zip(files, pool.map(cache.digest, files.values()), strict=True))
        cache.save()
    except OSError as error:
        raise InfrastructureError(f"cannot be read: {error}", where=directory) from error
    return digests


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


def _files(directory: Path, root: Path) -> Iterator[tuple[str, Path]]:
    for entry in directory.iterdir():
        name = entry.relative_to(root).as_posix()
        try:
            name.encode()
        except UnicodeEncodeError as error:
            raise InputError(f"the name {name!r} is not UTF-8", where=root, do="rename the file") from error
        mode = entry.lstat().st_mode
        if stat.S_ISLNK(mode):
            yield name, _followed(entry, root)
        elif stat.S_ISDIR(mode):
            yield from _files(entry, root)
        elif stat.S_ISREG(mode):
            yield name, entry
        else:
            raise InputError(f"'{name}' is neither a file nor a directory", where=root, do="remove it")


def _followed(link: Path, root: Path) -> Path:
    target = link.resolve()
    snapshots = next((p for p in (root, *root.parents) if p.parent.name == "snapshots"), None)
    if snapshots is not None and target.is_relative_to(snapshots.parent.parent / "blobs") and target.is_file():
        return target
    raise InputError(
        f"'{link.relative_to(root)}' is a symlink to {target}",
        where=root,
        do="links are followed only inside a Hugging Face snapshot cache; copy the file instead",
    )


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


class _Cache:
    """Digests by path, trusted while size, times and inode stay the same.

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
        before = _stamp(path)
        known = self._known.get(str(path))
        if known is not None and tuple(known[:4]) == before:
            return str(known[4])
        digest = digest_file(path)
        if _stamp(path) != before:
            raise InputError("the file changed while it was read", where=path, do="wait until it is complete")
        if time.time_ns() - max(before[1], before[2]) > _SETTLED_NS:
            self._new[str(path)] = [*before, digest]
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
    return {path: entry for path, entry in data.items() if isinstance(entry, list) and len(entry) == 5}


def _stamp(path: Path) -> _Stamp:
    status = path.stat()
    return status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino
