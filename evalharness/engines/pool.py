"""Which of several addresses the next request goes to: the one with the fewest requests outstanding."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence

from evalharness.generation_records import ErrorKind

_FIRST_REST_S = 0.25
_LONGEST_REST_S = 8.0


class Endpoint:
    """One address with what is known of its state."""

    __slots__ = ("failures", "outstanding", "resting_until", "url")

    def __init__(self, url: str) -> None:
        self.url = url
        self.outstanding = 0
        self.failures = 0
        self.resting_until = 0.0


class EndpointPool:
    """Balances requests over addresses by outstanding requests.

    An address that refuses connections would have the fewest outstanding requests of all and draw every request to
    itself. So it rests, twice as long after each further failure; one that asks for time (``Retry-After``) gets it.
    """

    def __init__(self, urls: Sequence[str]) -> None:
        if not urls:
            raise ValueError("a pool needs at least one address")
        self._endpoints = [Endpoint(url) for url in urls]
        self._resting = False

    async def acquire(self) -> Endpoint:
        """The best address, counted as having one more request outstanding; waits while every address rests."""
        if self._resting:
            await self._wait_for_one()
        return self.acquire_now()

    def acquire_now(self) -> Endpoint:
        """As :meth:`acquire`, without ever waiting: resting addresses are used when there is no other."""
        if len(self._endpoints) == 1:
            best = self._endpoints[0]
        else:
            now = time.monotonic()
            best = min(self._endpoints, key=lambda e: (e.resting_until > now, e.outstanding))
        best.outstanding += 1
        return best

    def release(self, endpoint: Endpoint) -> None:
        """A request to ``endpoint`` ended."""
        endpoint.outstanding -= 1

    def note(self, endpoint: Endpoint, error: ErrorKind | None, retry_after_s: float | None = None) -> None:
        """Learn from how a request to ``endpoint`` ended."""
        if retry_after_s is not None:
            self._rest(endpoint, retry_after_s)
        elif error is None:
            endpoint.failures = 0
        elif error is ErrorKind.CONNECTION and endpoint.resting_until <= time.monotonic():
            self._rest(endpoint, min(_LONGEST_REST_S, _FIRST_REST_S * 2.0**endpoint.failures))
            endpoint.failures += 1  # failures of requests that were under way together count once

    def _rest(self, endpoint: Endpoint, seconds: float) -> None:
        endpoint.resting_until = max(endpoint.resting_until, time.monotonic() + seconds)
        self._resting = True

    async def _wait_for_one(self) -> None:
        while True:
            now = time.monotonic()
            wait = min(e.resting_until for e in self._endpoints) - now
            if wait <= 0:
                self._resting = any(e.resting_until > now for e in self._endpoints)
                return
            await asyncio.sleep(wait)
