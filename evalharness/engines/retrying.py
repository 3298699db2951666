"""Asking until there is an answer: retries with backoff over all addresses of a served model.

What is retried. A request changes nothing on the server and only one answer is kept, so sending it again is safe as
such. But retrying must not choose among answers: with unseeded sampling, a stream that broke or timed out half-way
was broken by its own length as likely as by bad luck, and a second draw would favour short answers. Hence, once a
token has arrived, a request is sent again only if it would draw the same answer (temperature 0 or a seed). Client
errors and malformed replies are final.
"""

from __future__ import annotations

import asyncio
import random
from dataclasses import dataclass

from evalharness.engines.client import ChatClient, RawCompletion
from evalharness.engines.pool import EndpointPool
from evalharness.engines.served import ServedModel
from evalharness.engines.wire import ChatRequest
from evalharness.generation_records import ErrorKind

RETRIED = frozenset(
    {
        ErrorKind.CONNECTION,
        ErrorKind.RATE_LIMITED,
        ErrorKind.TIMEOUT,
        ErrorKind.HTTP_5XX,
        ErrorKind.OOM,
        ErrorKind.CUT_SHORT,
    }
)
"""Errors after which the same request may succeed."""


@dataclass(frozen=True, slots=True)
class GenerationSettings:
    """How a run asks; nothing here changes what is asked."""

    concurrency: int = 64
    """Requests in flight at most."""
    timeout_s: float = 120.0
    """Limit for one attempt, seconds."""
    retries: int = 3
    """Further attempts after the first."""
    backoff_s: float = 0.5
    """Upper bound of the first pause, seconds; it doubles from attempt to attempt, and the pause is drawn below it."""
    longest_pause_s: float = 60.0
    """A server that asks for a longer pause (``Retry-After``) is not asked again."""


class RetryingClient:
    """A client over all addresses of a served model, with retries as the module describes them.

    Args:
        client: open client.
        served: where to ask.
        settings: retries and pauses.
    """

    def __init__(self, client: ChatClient, served: ServedModel, settings: GenerationSettings) -> None:
        self._client = client
        self._check_process = served.check_process
        self._pool = EndpointPool(served.urls)
        self._settings = settings
        self._jitter = random.Random()  # noqa: S311 - only spreads retries over time

    async def complete(self, request: ChatRequest) -> tuple[RawCompletion, int]:
        """Ask until it succeeds, fails for good or the retries are used up: the last reply and the attempts made.

        Raises:
            InfrastructureError: our own server's process has died.
        """
        body = request.body()
        redrawn = request.seed is None and request.sampling.temperature > 0
        for attempt in range(1, self._settings.retries + 2):
            endpoint = await self._pool.acquire()
            try:
                raw = await self._client.complete(endpoint.url, body)
            finally:
                self._pool.release(endpoint)
            self._pool.note(endpoint, raw.error, raw.retry_after_s)
            if raw.error in (ErrorKind.CONNECTION, ErrorKind.CUT_SHORT) and self._check_process is not None:
                self._check_process()
            if raw.error is None or raw.error not in RETRIED or (redrawn and raw.began):
                break
            pause = self._pause(attempt, raw)
            if attempt > self._settings.retries or pause is None:
                break
            await asyncio.sleep(pause)
        return raw, attempt

    def _pause(self, attempt: int, raw: RawCompletion) -> float | None:
        """Full jitter (Brooker, "Exponential Backoff And Jitter", AWS blog, 2015), never below Retry-After."""
        pause = self._jitter.uniform(0.0, self._settings.backoff_s * 2.0 ** (attempt - 1))
        if raw.retry_after_s is None:
            return pause
        if raw.retry_after_s > self._settings.longest_pause_s:
            return None
        return raw.retry_after_s + pause
