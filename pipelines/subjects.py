"""What a release is about: anything with a name and a digest, be it a model or a router."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

from golden_sets.digests import Digest


class Named(Protocol):
    """A version that can be put to a test."""

    @property
    def name(self) -> str:
        """Its name, for people."""
        ...

    @property
    def digest(self) -> Digest:
        """Digest of its manifest."""
        ...


@dataclass(frozen=True)
class Subject:
    """A version by name and digest, with what a tracking server shows of it."""

    name: str
    digest: Digest
    params: Mapping[str, object] = field(default_factory=dict)
