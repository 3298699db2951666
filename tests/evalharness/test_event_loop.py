"""Results come out of the loop as they are."""

from __future__ import annotations

import asyncio

import pytest

from evalharness.event_loop import run_async


class _LongToTell:
    def __repr__(self) -> str:
        raise AssertionError("nobody should write out the answers of a run")


def test_a_result_is_never_written_out() -> None:
    wanted = _LongToTell()

    async def main() -> _LongToTell:
        await asyncio.sleep(0)
        return wanted

    assert run_async(main()) is wanted


def test_errors_come_through() -> None:
    async def main() -> None:
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        run_async(main())
