"""Contents by digest, wherever they come from: hashed again, and read only in their one canonical form."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

from golden_sets.digests import Digest, canonical_json, digest_bytes, short
from golden_sets.errors import InputError
from golden_sets.records import Record

RecordType = TypeVar("RecordType", bound=Record)

Fetch = Callable[[Digest], bytes | None]
"""The contents stored under a digest, not to be trusted; None: there are none."""


@dataclass(frozen=True)
class Contents:
    """What a log names by digest."""

    fetch: Fetch
    """Where it is kept."""

    def find(self, digest: Digest) -> bytes | None:
        """The contents of a digest; None: not there.

        Raises:
            InputError: what is stored under the digest has another.
        """
        data = self.fetch(digest)
        if data is not None and digest_bytes(data) != digest:
            raise InputError(f"the contents stored under {digest} were changed")
        return data

    def get(self, digest: Digest) -> bytes:
        """The contents of a digest.

        Raises:
            InputError: not there, or changed.
        """
        data = self.find(digest)
        if data is None:
            raise InputError(f"the contents {digest} are missing")
        return data

    def record(self, digest: Digest, type_: type[RecordType]) -> RecordType:
        """A record by its digest.

        Raises:
            InputError: not there, changed, another type of record, or not in canonical form: one record has one form,
                which says nothing twice. (Records that were written before a field was added lack it.)
        """
        data = self.get(digest)
        try:
            found = type_.model_validate_json(data)
            canonical = canonical_json(json.loads(data)) == data
        except ValueError as error:
            raise InputError(f"{short(digest)} is no record of type {type_.__name__}") from error
        if not canonical:
            raise InputError(f"{short(digest)} is no {type_.__name__} in canonical form")
        return found

    def document(self, digest: Digest) -> dict[str, Any] | None:
        """JSON contents as plain data; None: not there.

        Raises:
            InputError: changed, or no JSON object.
        """
        data = self.find(digest)
        if data is None:
            return None
        try:
            found = json.loads(data)
        except (ValueError, RecursionError) as error:
            raise InputError(f"{short(digest)} is no JSON") from error
        if not isinstance(found, dict):
            raise InputError(f"{short(digest)} is no record")
        return found
