"""Digests: ``sha256:<hex>`` over canonical JSON (RFC 8785) or over the bytes of a file."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import rfc8785

Digest = str
"""``sha256:`` followed by 64 lower-case hexadecimal digits."""


def canonical_json(value: Any) -> bytes:
    """Encode plain JSON data canonically (RFC 8785: sorted keys, shortest round-trip numbers, UTF-8).

    Raises:
        rfc8785.CanonicalizationError: a NaN, an infinity, an integer beyond 2**53 - 1 or an unknown type.
    """
    return rfc8785.dumps(value)


def digest_bytes(data: bytes) -> Digest:
    """Digest of raw bytes."""
    return "sha256:" + hashlib.sha256(data).hexdigest()


def digest_json(value: Any) -> Digest:
    """Digest of plain JSON data in its canonical form."""
    return digest_bytes(canonical_json(value))


def digest_file(path: Path) -> Digest:
    """Digest of a file's contents, read in blocks."""
    with path.open("rb") as file:
        return "sha256:" + hashlib.file_digest(file, "sha256").hexdigest()


def short(digest: Digest) -> str:
    """The first twelve hexadecimal digits: for people, never for identity."""
    return digest.removeprefix("sha256:")[:12]
