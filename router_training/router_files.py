"""The directory of a router: written whole or not at all, every file checked against the manifest when it is read.

``router.json`` holds the manifest with its digest, and the manifest the digest of every other file. Tensors are
safetensors, the encoder is ONNX, the rest JSON: reading a router runs no code of its files.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

import numpy as np
import numpy.typing as npt

from golden_sets.digests import Digest, digest_bytes, digest_file
from golden_sets.documents import json_text, read_record
from golden_sets.errors import InfrastructureError, InputError
from router_training.records import RouterManifest

FORMAT = "relgate-router-v1"
"""What ``router.json`` says it is."""
MANIFEST = "router.json"
ENCODER = "encoder.onnx"
TOKENIZER = "tokenizer.json"
HEAD = "head.safetensors"
CLUSTERS = "clusters.safetensors"
BASELINES = "baselines.safetensors"
"""Heads that an evaluation compares the router with, fitted on the same prompts."""
SPLITS = "splits.json"
TRAINING = "training.json"

_FILES = (ENCODER, TOKENIZER, HEAD, CLUSTERS, BASELINES, SPLITS, TRAINING)
_LEARNT = (ENCODER, TOKENIZER, HEAD, CLUSTERS)
_AGAIN = "it was changed after it was written: take the original, or train it again"

Tensors = dict[str, npt.NDArray[np.float32]]


def check_place(out: Path) -> None:
    """Refuse a place where no router can be written, before anything is fitted.

    Raises:
        InputError: something else than a router is there, or nothing can be written where it would stand.
    """
    if out.name in ("", ".."):
        raise InputError(
            "cannot be replaced as a whole", where=out, do="name a folder for the router, such as ./router"
        )
    if out.is_symlink() or (out.exists() and not out.is_dir()):
        raise InputError("is not a folder", where=out, do="name a folder for the router")
    if out.is_dir() and (strangers := sorted({path.name for path in out.iterdir()} - {MANIFEST, *_FILES})):
        raise InputError(f"holds something else than a router: {strangers[0]}", where=out, do="name another folder")
    folder = next(parent for parent in out.absolute().parents if parent.exists())
    if not folder.is_dir() or not os.access(folder, os.W_OK | os.X_OK):
        raise InputError(f"nothing can be written in {folder}", where=out, do="name another place")


def write_router(out: Path, manifest: RouterManifest, files: Mapping[str, bytes | Path]) -> RouterManifest:
    """Write a router, whole or not at all; a router that was there is replaced.

    Args:
        out: the directory to make.
        manifest: what the router is; ``files`` is filled in here.
        files: contents of every file but the manifest, or where to copy them from.

    Returns:
        The manifest as it was written.

    Raises:
        InputError: something else than a router is there.
        InfrastructureError: the disk is full or the folder cannot be written.
    """
    check_place(out)
    unfinished: Path | None = None
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        unfinished = Path(tempfile.mkdtemp(prefix=f".{out.name}.", dir=out.parent))
        for name, content in files.items():
            _write(unfinished / name, content.read_bytes() if isinstance(content, Path) else content)
        written = manifest.model_copy(
            update={"files": {name: digest_file(unfinished / name) for name in sorted(files)}}
        )
        document = {"format": FORMAT, "digest": written.digest, "manifest": written.to_json()}
        _write(unfinished / MANIFEST, json_text(document).encode())
        unfinished.chmod(0o755)
        _put(unfinished, out)
    except OSError as error:
        what = f"cannot be written ({error.strerror})"
        raise InfrastructureError(what, where=out, do="free some space or choose another place") from error
    finally:
        if unfinished is not None:
            shutil.rmtree(unfinished, ignore_errors=True)
    return written


def read_manifest(directory: Path) -> RouterManifest:
    """The manifest of a router, every file of it checked.

    Raises:
        InputError: no router, or one that was changed after it was written.
    """
    if not (directory / MANIFEST).is_file():
        what = "there is no router here" if directory.is_dir() else "there is no such folder"
        raise InputError(what, where=directory, do="make one with 'relgate router train --out DIR'")
    manifest = read_record(directory / MANIFEST, FORMAT, "manifest", RouterManifest)
    needed = () if manifest.encoder is None else _LEARNT
    for name in needed:
        if name not in manifest.files:
            raise InputError(f"the manifest names no {name}", where=directory / MANIFEST, do=_AGAIN)
    for name, digest in manifest.files.items():
        _check(directory, name, digest)
    return manifest


def to_bytes(tensors: Mapping[str, npt.NDArray[np.floating]]) -> bytes:
    """Tensors as the bytes of a safetensors file, equal for equal tensors, each in its own precision."""
    from safetensors.numpy import save

    found: bytes = save({name: np.ascontiguousarray(tensors[name]) for name in sorted(tensors)})
    return found


def read_file(directory: Path, manifest: RouterManifest, name: str) -> bytes:
    """A file of a router: the very bytes whose digest is checked.

    Raises:
        InputError: the manifest names no such file, or it was changed.
    """
    path = directory / name
    if name not in manifest.files:
        raise InputError(f"the manifest names no {name}", where=directory / MANIFEST, do=_AGAIN)
    try:
        data = path.read_bytes()
    except OSError as error:
        raise InputError(f"cannot be read ({error.strerror})", where=path) from error
    if digest_bytes(data) != manifest.files[name]:
        raise InputError("is not the file that the manifest names", where=path, do=_AGAIN)
    return data


def read_tensors(directory: Path, manifest: RouterManifest, name: str) -> Tensors:
    """The tensors of a router's file.

    Raises:
        InputError: the manifest names no such file, it was changed, or a number in it is not finite.
    """
    from safetensors import SafetensorError
    from safetensors.numpy import load

    path = directory / name
    try:
        tensors: Tensors = load(read_file(directory, manifest, name))
    except SafetensorError as error:
        raise InputError(f"is no safetensors file: {error}", where=path, do=_AGAIN) from error
    except KeyError as error:  # a type that NumPy does not have
        raise InputError(f"holds numbers of type {error}, not F32", where=path, do=_AGAIN) from error
    if not all(np.isfinite(tensor).all() for tensor in tensors.values()):
        raise InputError("holds a number that is not finite", where=path, do="train it again")
    return tensors


def _check(directory: Path, name: str, digest: Digest) -> None:
    path = directory / name
    if name not in _FILES:  # also keeps every path inside the directory
        raise InputError(f"a router has no file '{name}'", where=directory / MANIFEST, do=_AGAIN)
    if path.is_symlink() or not path.is_file():
        raise InputError("is missing" if not path.exists() else "is no plain file", where=path, do=_AGAIN)
    try:
        found = digest_file(path)
    except OSError as error:
        raise InputError(f"cannot be read ({error.strerror})", where=path) from error
    if found != digest:
        raise InputError("is not the file that the manifest names", where=path, do=_AGAIN)


def _write(path: Path, data: bytes) -> None:
    with path.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def _put(unfinished: Path, out: Path) -> None:
    """Rename a finished directory to its place; what was there comes back if that fails."""
    if not out.exists():
        unfinished.rename(out)
        return
    before = Path(tempfile.mkdtemp(prefix=f".{out.name}.", dir=out.parent))
    try:
        out.rename(before / out.name)
        try:
            unfinished.rename(out)
        except OSError:
            with suppress(OSError):
                (before / out.name).rename(out)
            raise
    finally:
        shutil.rmtree(before, ignore_errors=True)
