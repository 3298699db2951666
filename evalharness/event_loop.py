"""Running a coroutine to its end: on uvloop where it is installed (it comes with vLLM), else on asyncio's own loop."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

T = TypeVar("T")


def run_async(main: Coroutine[Any, Any, T]) -> T:
    """As ``asyncio.run``: Ctrl-C cancels ``main``, which can still put things in order."""
    results: list[T] = []

    # The result does not go through the task: to restore the handler of Ctrl-C, Python 3.11 writes out the task's whole
    # ``repr``, which takes minutes for the answers of a run.
    async def keep() -> None:
        results.append(await main)

    try:
        import uvloop
    except ImportError:
        asyncio.run(keep())
    else:
        uvloop.run(keep())
    return results[0]
