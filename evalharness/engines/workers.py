"""Bounded concurrency without a task per request: a fixed number of workers that share one source of work."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable


async def run_workers(count: int, worker: Callable[[], Awaitable[None]]) -> None:
    """Run ``count`` workers until all have returned; the first exception stops the others and is raised.

    Cancelling the caller cancels the workers; in every case all of them have ended on return.
    """
    tasks = [asyncio.ensure_future(worker()) for _ in range(count)]
    try:
        await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
