"""Ed25519 keys in files: private ones as PEM (PKCS #8) that nobody else may read, public ones as PEM.

Key ids and signatures are securesystemslib's, as in-toto and TUF use them.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Self

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from securesystemslib.signer._crypto_signer import CryptoSigner
from securesystemslib.signer._key import SSlibKey

from gates.signing.predicates import PublicKey
from golden_sets.errors import InfrastructureError, InputError

PASSPHRASE_VARIABLE = "RELGATE_KEY_PASSPHRASE"  # noqa: S105 - the name of a variable
"""Environment variable that holds the passphrase of an encrypted key."""

_MADE_BY = "make a key with relgate registry key new FILE"
PUBLIC_SUFFIX = ".pub"
"""What the file of a public key is called beside its private one: ``FILE.pub``."""

_FIELD = 2**255 - 19
_ORDER_8 = 0x7A03AC9277FDC74EC6CC392CFA53202A0F67100D760B3CBA4FD84D3D706A17C7
_LOW_ORDER = frozenset({0, 1, _FIELD - 1, _ORDER_8, _FIELD - _ORDER_8})


class SigningKey:
    """A private key, in memory. Never written anywhere but by :meth:`write`."""

    def __init__(self, private: Ed25519PrivateKey) -> None:
        self._private = private
        self.signer = CryptoSigner(private)
        self.public = public_key(private.public_key())

    @classmethod
    def generate(cls) -> Self:
        """A new key."""
        return cls(Ed25519PrivateKey.generate())

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read a key; an encrypted one with the passphrase of ``RELGATE_KEY_PASSPHRASE``.

        Raises:
            InputError: no such file, others may read it, no Ed25519 key, or a wrong passphrase.
        """
        try:
            if path.stat().st_mode & 0o077:
                raise InputError("others may read this key", where=path, do=f"chmod 600 {path}; better: revoke it")
            data = path.read_bytes()
        except OSError as error:
            raise InputError(f"the key cannot be read ({error.strerror})", where=path, do=_MADE_BY) from error
        passphrase = os.environ.get(PASSPHRASE_VARIABLE, "").encode() or None
        encrypted = b"ENCRYPTED" in data[:64]
        if encrypted and passphrase is None:
            raise InputError("the key is encrypted", where=path, do=f"set {PASSPHRASE_VARIABLE}")
        try:
            private = serialization.load_pem_private_key(data, passphrase if encrypted else None)
        except (ValueError, TypeError) as error:
            what = "the passphrase is wrong, or the file damaged" if encrypted else "is no private key in PEM"
            raise InputError(what, where=path, do="make one with 'relgate registry key new FILE'") from error
        if not isinstance(private, Ed25519PrivateKey):
            raise InputError("is no Ed25519 key", where=path, do="make one with 'relgate registry key new FILE'")
        return cls(private)

    def write(self, path: Path) -> None:
        """Write the key, and the public one beside it as ``FILE.pub``; nothing is overwritten, and both are written or
        none is.

        It is encrypted where ``RELGATE_KEY_PASSPHRASE`` is set.

        Raises:
            InputError: a file is there.
            InfrastructureError: the folder cannot be written.
        """
        passphrase = os.environ.get(PASSPHRASE_VARIABLE, "").encode()
        encryption: serialization.KeySerializationEncryption = (
            serialization.BestAvailableEncryption(passphrase) if passphrase else serialization.NoEncryption()
        )
        pem, pkcs8 = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8
        info = serialization.PublicFormat.SubjectPublicKeyInfo
        public = path.with_name(path.name + PUBLIC_SUFFIX)
        _write_new(public, self._private.public_key().public_bytes(pem, info), 0o644)
        try:
            _write_new(path, self._private.private_bytes(pem, pkcs8, encryption), 0o600)
        except (InputError, InfrastructureError):
            public.unlink()  # it was made just now
            raise


def public_key(key: Ed25519PublicKey) -> PublicKey:
    """A public key as a record, with its id."""
    known = SSlibKey.from_crypto(key)
    return PublicKey(id=known.keyid, public=known.keyval["public"])


def key_id(key: PublicKey) -> str:
    """The id that a public key has, whatever the record says."""
    raw = Ed25519PublicKey.from_public_bytes(bytes.fromhex(key.public))
    return str(SSlibKey.from_crypto(raw).keyid)


def is_weak(key: PublicKey) -> bool:
    """Whether signatures of a key show nothing: a point of low order, or one not written canonically.

    With a key of low order whoever likes makes signatures that verify, over whatever they like, and libraries take them
    (Chalkias, Garillot, Nikolaenko 2020, "Taming the many EdDSAs", sections 2 and 4). The encoding is that of RFC 8032,
    section 5.1.2: y, little-endian, and the sign of x in the highest bit.
    """
    y = int.from_bytes(bytes.fromhex(key.public), "little") & (2**255 - 1)
    return y >= _FIELD or y in _LOW_ORDER


def read_public_key(path: Path) -> PublicKey:
    """Read a public key (PEM, as ``FILE.pub`` beside every key).

    Raises:
        InputError: no such file, or no Ed25519 public key.
    """
    try:
        key = serialization.load_pem_public_key(path.read_bytes())
    except OSError as error:
        raise InputError(f"the key cannot be read ({error.strerror})", where=path, do=_MADE_BY) from error
    except ValueError as error:
        raise InputError("is no public key in PEM", where=path, do="name the .pub file beside a key") from error
    if not isinstance(key, Ed25519PublicKey):
        raise InputError("is no Ed25519 key", where=path)
    found = public_key(key)
    if is_weak(found):
        raise InputError("is a weak key: anybody can sign with it", where=path, do="make a new one")
    return found


def _write_new(path: Path, data: bytes, mode: int) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
        except BaseException:
            path.unlink()  # it was made just now
            raise
    except OSError as error:
        if isinstance(error, FileExistsError) and path.exists():
            do = "keys are never overwritten: name another"
            raise InputError("there is a file already", where=path, do=do) from error
        raise InfrastructureError(f"the key cannot be written ({error.strerror})", where=path) from error
