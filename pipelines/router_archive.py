"""Released routers, kept by digest: what a channel serves can be compared with, gone back to, and loaded by a gateway.

The registry holds a router's manifest, which names every file by digest. The files themselves lie here, in a folder
named by the manifest's digest; loading one checks every file, so a folder that was changed is no router any more.
"""

from __future__ import annotations

import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from golden_sets.digests import Digest, short
from golden_sets.errors import InfrastructureError, InputError
from router_training.always_flagship import always_flagship
from router_training.router import Router


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

        Raises:
            InfrastructureError: they cannot be written.
        """
        place = self.place(router.digest)
        if place.exists() or not router.directory.is_dir():
            return place
        try:
            self.directory.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryDirectory(prefix=".keeping-", dir=self.directory) as unfinished:
                copied = Path(unfinished) / "router"
                shutil.copytree(router.directory, copied)
                copied.rename(place)
        except OSError as error:
            if place.is_dir():  # somebody else was faster
                return place
            raise InfrastructureError(
                f"the router cannot be kept ({error.strerror})", where=place, do="free some space and run it again"
            ) from error
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
