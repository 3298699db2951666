"""The fleet: served models, each started when it is first asked for and stopped when released or at the end."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from pathlib import Path
from types import TracebackType
from typing import Self

from evalharness.candidate import Candidate
from evalharness.engines import ServedModel, open_engine
from golden_sets.digests import Digest


class Fleet:
    """Served models by manifest digest. Use with ``async with``: whatever happens, every engine is stopped.

    Args:
        log_dir: where the engines' logs go.
    """

    def __init__(self, log_dir: Path) -> None:
        self._log_dir = log_dir
        self._running: dict[Digest, tuple[ServedModel, AsyncExitStack]] = {}
        self._locks: dict[Digest, asyncio.Lock] = {}

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await asyncio.gather(*(self._stop(digest) for digest in list(self._running)))

    async def get(self, candidate: Candidate) -> ServedModel:
        """The served model of a candidate, started if it is not up.

        Raises:
            InputError: its files are not those of its manifest, or were touched while they were loaded.
            InfrastructureError: it does not start, or the given servers do not answer.
        """
        async with self._locks.setdefault(candidate.digest, asyncio.Lock()):
            if candidate.digest not in self._running:
                stack = AsyncExitStack()
                served = await stack.enter_async_context(open_engine(candidate, log_dir=self._log_dir))
                self._running[candidate.digest] = (served, stack)
            return self._running[candidate.digest][0]

    async def require_same_files(self) -> None:
        """Make sure that the files of everything that is served are still what the manifests say.

        Raises:
            InputError: a file differs: an engine that reads one late may have read another than was registered.
        """
        for served, _ in list(self._running.values()):
            if served.files is not None:
                await asyncio.to_thread(served.files.require_same)

    async def release(self, candidate: Candidate) -> None:
        """Stop serving a candidate; nothing happens if it is not up."""
        async with self._locks.setdefault(candidate.digest, asyncio.Lock()):
            await self._stop(candidate.digest)

    async def _stop(self, digest: Digest) -> None:
        if digest in self._running:
            _, stack = self._running.pop(digest)
            await stack.aclose()
