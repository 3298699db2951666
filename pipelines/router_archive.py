"""Released routers, kept by digest: what a channel serves can be compared with, gone back to, and loaded by a gateway.

The registry holds a router's manifest, which names every file by digest. The files themselves lie here, in a folder
named by the manifest's digest; loading one checks every file, so a folder that was changed is no router any more.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Self

from golden_sets.digests import Digest, short
from golden_sets.errors import InfrastructureError, InputError
from router_training.always_flagship import always_flagship
from router_training.router import Router
from router_training.router_files import read_file, read_manifest, write_router


@dataclass(frozen=True)
class RouterArchive:
    """A folder of routers."""

    directory: Path

    @classmethod
    def of(cls, data: Path) -> Self:
        """The archive below the folder of what relgate writes."""
        return cls(data / "routers")

    def place(self, digest: Digest) -> Path:
        """Where the router with this digest lies, or would."""
        return self.directory / digest.removeprefix("sha256:")

    def keep(self, router: Router) -> Path:
        """Copy a router's files here, whole or not at all; nothing happens where they are, or where it has none.

        What is here but damaged is replaced.

        Raises:
            InputError: the router's files were changed since it was loaded.
            InfrastructureError: they cannot be written.
        """
        place, manifest = self.place(router.digest), router.manifest
        if router.digest == always_flagship().digest or _holds(place, router.digest):
            return place
        files = {name: read_file(router.directory, manifest, name) for name in manifest.files}
        try:
            write_router(place, manifest, files)
        except InfrastructureError:
            if not _holds(place, router.digest):  # else somebody else was faster
                raise
        return place

    def load(self, digest: Digest, name: str | None) -> Router:
        """The router with this digest, every file of it checked.

        Args:
            digest: its manifest's.
            name: its name, for messages.

        Raises:
            InputError: its files are gone, or were changed.
        """
        if (default := always_flagship()).digest == digest:
            return default
        place = self.place(digest)
        if not place.is_dir():
            raise InputError(
                f"the files of router '{name}' ({short(digest)}) are not here",
                where=place,
                do="restore them from where it was trained",
            )
        router = Router.load(place)
        if router.digest != digest:
            raise InputError(
                f"holds another router ({short(router.digest)})", where=place, do="restore the files from a backup"
            )
        return router


def _holds(place: Path, digest: Digest) -> bool:
    """Whether a router's files are in a folder, every one as its manifest says."""
    try:
        return read_manifest(place).digest == digest
    except InputError:
        return False
