"""Running a coroutine to its end: on uvloop where it is installed (it comes with vLLM), else on asyncio's own loop."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

T = TypeVar("T")


def run_async(main: Coroutine[Any, Any, T]) -> T:
    """As ``asyncio.run``: Ctrl-C cancels ``main``, which can still put things in order."""
    try:
        import uvloop
    except ImportError:
        return asyncio.run(main)
    return uvloop.run(main)
