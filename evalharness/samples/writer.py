"""The one writer of a run: takes samples without waiting, stores them in batches on a thread of its own."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from types import TracebackType
from typing import Self

from evalharness.generation_records import Generation, Judgment

FLUSH_INTERVAL_S = 0.1
"""A sample waits at most this long (plus one commit) before it is on the disk."""
FLUSH_SIZE = 512
"""So many waiting samples are written at once, without waiting for the interval."""

Sample = Generation | Judgment


class SampleWriter:
    """Batches samples into one transaction per interval; use with ``async with``.

    A process killed at any moment loses at most what was put during the last interval; a later run repeats that and
    nothing else. Leaving the context stores whatever is left, also after an exception or a cancellation.

    Args:
        write: stores one batch, all or nothing (:meth:`evalharness.samples.SampleStore.write`); called on one thread.
    """

    def __init__(self, write: Callable[[Sequence[Sample]], None]) -> None:
        self._write = write
        self._waiting: list[Sample] = []
        self._full = asyncio.Event()
        self._failure: BaseException | None = None
        self._closing = False
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="sample-writer")
        self._task: asyncio.Task[None] | None = None

    def put(self, sample: Sample) -> None:
        """Hand over one sample. Never blocks.

        Raises:
            InfrastructureError: an earlier batch could not be stored.
        """
        if self._failure is not None:
            raise self._failure
        self._waiting.append(sample)
        if len(self._waiting) >= FLUSH_SIZE:
            self._full.set()

    async def __aenter__(self) -> Self:
        self._task = asyncio.create_task(self._flush_regularly(), name="sample-writer")
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._closing = True
        self._full.set()
        try:
            if self._task is not None:
                await asyncio.shield(self._task)
        finally:
            self._thread.shutdown(wait=True)
        if self._failure is not None and error is None:
            raise self._failure

    async def _flush_regularly(self) -> None:
        """The writer's loop. It ends when the context is left or a batch fails; the failure is raised to the caller."""
        loop = asyncio.get_running_loop()
        while self._waiting or not self._closing:
            if not self._closing:
                await self._interval()
            batch, self._waiting = self._waiting, []
            self._full.clear()
            if not batch:
                continue
            try:
                await loop.run_in_executor(self._thread, self._write, batch)
            except Exception as error:  # noqa: BLE001 - whatever it was, it is raised where samples are put
                self._failure = error
                return

    async def _interval(self) -> None:
        try:
            async with asyncio.timeout(FLUSH_INTERVAL_S):
                await self._full.wait()
        except TimeoutError:
            pass
