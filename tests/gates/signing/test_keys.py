"""Keys in files, and keys that are none."""

from __future__ import annotations

import base64
import errno
import os
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from gates.signing.envelopes import open_envelope, seal_act
from gates.signing.keys import PASSPHRASE_VARIABLE, SigningKey, is_weak, key_id, public_key, read_public_key
from gates.signing.predicates import PublicKey
from golden_sets.digests import canonical_json
from golden_sets.errors import InfrastructureError, InputError
from tests.support.acts import approval

FIELD = 2**255 - 19
D = -121665 * pow(121666, -1, FIELD) % FIELD


@pytest.fixture(autouse=True)
def no_passphrase(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(PASSPHRASE_VARIABLE, raising=False)


def test_a_key_is_written_for_its_owner_alone_and_read_again(tmp_path: Path) -> None:
    key, path = SigningKey.generate(), tmp_path / "keys" / "ann"
    key.write(path)
    assert path.stat().st_mode & 0o777 == 0o600
    assert SigningKey.load(path).public == key.public == read_public_key(tmp_path / "keys" / "ann.pub")
    assert key_id(key.public) == key.public.id


@pytest.mark.parametrize("there", ["ann", "ann.pub"])
def test_no_file_is_overwritten_and_none_is_left_half_done(tmp_path: Path, there: str) -> None:
    (tmp_path / there).write_text("something")
    with pytest.raises(InputError, match="there is a file already"):
        SigningKey.generate().write(tmp_path / "ann")
    assert [(p.name, p.read_text()) for p in tmp_path.iterdir()] == [(there, "something")]


@pytest.mark.parametrize("full_at", [1, 2])
def test_a_disk_that_is_full_leaves_neither_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, full_at: int) -> None:
    written, sync = 0, os.fsync

    def no_space(descriptor: int) -> None:
        nonlocal written
        written += 1
        if written == full_at:
            raise OSError(errno.ENOSPC, "No space left on device")
        sync(descriptor)

    monkeypatch.setattr("os.fsync", no_space)
    with pytest.raises(InfrastructureError, match="No space left"):
        SigningKey.generate().write(tmp_path / "ann")
    assert list(tmp_path.iterdir()) == []
    SigningKey.generate().write(tmp_path / "ann")


def test_a_folder_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(InfrastructureError, match="cannot be written"):
        SigningKey.generate().write(tmp_path / "file" / "ann")


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o666])
def test_a_key_that_others_may_read_is_refused(tmp_path: Path, mode: int) -> None:
    SigningKey.generate().write(tmp_path / "ann")
    (tmp_path / "ann").chmod(mode)
    with pytest.raises(InputError, match="others may read this key"):
        SigningKey.load(tmp_path / "ann")


def test_an_encrypted_key_wants_its_passphrase(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    key, path = SigningKey.generate(), tmp_path / "ann"
    monkeypatch.setenv(PASSPHRASE_VARIABLE, "correct horse")
    key.write(path)
    assert b"ENCRYPTED" in path.read_bytes()
    assert SigningKey.load(path).public == key.public
    monkeypatch.setenv(PASSPHRASE_VARIABLE, "wrong")
    with pytest.raises(InputError, match="the passphrase is wrong"):
        SigningKey.load(path)
    monkeypatch.delenv(PASSPHRASE_VARIABLE)
    with pytest.raises(InputError, match="encrypted"):
        SigningKey.load(path)


def test_other_keys_are_refused(tmp_path: Path) -> None:
    other = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    pem = serialization.Encoding.PEM
    (tmp_path / "rsa").write_bytes(
        other.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    (tmp_path / "rsa.pub").write_bytes(
        other.public_key().public_bytes(pem, serialization.PublicFormat.SubjectPublicKeyInfo)
    )
    (tmp_path / "text").write_text("no key")
    for path in tmp_path.iterdir():
        path.chmod(0o600)
    with pytest.raises(InputError, match="no Ed25519 key"):
        SigningKey.load(tmp_path / "rsa")
    with pytest.raises(InputError, match="no Ed25519 key"):
        read_public_key(tmp_path / "rsa.pub")
    for read in (SigningKey.load, read_public_key):
        with pytest.raises(InputError, match="in PEM"):
            read(tmp_path / "text")
        with pytest.raises(InputError, match="cannot be read"):
            read(tmp_path / "nothing")


# -- keys of low order ---------------------------------------------------------------------------------------

Point = tuple[int, int]


def added(p: Point, q: Point) -> Point:
    """Sum of two points of edwards25519 (RFC 8032, section 5.1.4, in affine coordinates)."""
    product = D * p[0] * q[0] * p[1] * q[1]
    x = (p[0] * q[1] + q[0] * p[1]) * pow(1 + product, -1, FIELD)
    return x % FIELD, (p[1] * q[1] + p[0] * q[0]) * pow(1 - product, -1, FIELD) % FIELD


def root(square: int) -> int | None:
    found = pow(square, (FIELD + 3) // 8, FIELD)
    for candidate in (found, found * pow(2, (FIELD - 1) // 4, FIELD) % FIELD):
        if candidate * candidate % FIELD == square % FIELD:
            return candidate
    return None


def low_order_points() -> set[Point]:
    """All points whose order divides 8: the multiples of one of order 8, where d y**4 + 2 y**2 = 1."""
    square = root(1 + D)
    assert square is not None
    heights = [root((-1 + sign * square) * pow(D, -1, FIELD)) for sign in (1, -1)]
    y = next(height for height in heights if height is not None)
    x = root((y * y - 1) * pow(D * y * y + 1, -1, FIELD))
    assert x is not None
    found, point = {(0, 1)}, (x, y)
    while point not in found:
        found.add(point)
        point = added(point, (x, y))
    return found


def encoded(point: Point) -> bytes:
    return (point[1] | (point[0] & 1) << 255).to_bytes(32, "little")


def key_of(raw: bytes) -> PublicKey:
    return public_key(Ed25519PublicKey.from_public_bytes(raw))


def test_the_eight_points_of_low_order_are_weak_and_others_are_not() -> None:
    points = low_order_points()
    assert len(points) == 8
    assert all(is_weak(key_of(encoded(point))) for point in points)
    assert not any(is_weak(SigningKey.generate().public) for _ in range(50))


def test_a_key_that_is_not_written_canonically_is_weak() -> None:
    for y in (FIELD, FIELD + 1, FIELD + 5, 2**255 - 1):
        for sign in (0, 1 << 255):
            assert is_weak(key_of((y | sign).to_bytes(32, "little")))


def test_a_signature_that_anybody_can_make_with_a_weak_key_counts_for_nothing(tmp_path: Path) -> None:
    identity = (1).to_bytes(32, "little")
    forged = identity + bytes(32)  # R is the identity, S is 0: S B = R + k A whatever was signed
    weak = key_of(identity)
    envelope = open_envelope(seal_act(approval("ann"), ())).envelope
    Ed25519PublicKey.from_public_bytes(identity).verify(forged, envelope.pae())  # the library takes it
    document = envelope.to_dict()

    document["signatures"] = [{"keyid": weak.id, "sig": base64.b64encode(forged).decode()}]
    assert not open_envelope(canonical_json(document)).signed_by(weak)

    pem = Ed25519PublicKey.from_public_bytes(identity).public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    (tmp_path / "weak.pub").write_bytes(pem)
    with pytest.raises(InputError, match="weak key"):
        read_public_key(tmp_path / "weak.pub")
