"""One request, asked once: timings from the stream, the answer, and what went wrong. Retrying is done elsewhere."""

from __future__ import annotations

import time
from dataclasses import dataclass
from types import TracebackType
from typing import Self

import aiohttp
import msgspec

from evalharness.engines.wire import (
    ChatRequest,
    Event,
    EventLines,
    TokenLogprobs,
    decode_event,
    error_of_event,
    error_of_status,
    parse_retry_after,
)
from evalharness.generation_records import ErrorKind

__all__ = ["ChatClient", "ChatRequest", "RawCompletion", "TokenLogprobs"]

CONNECT_TIMEOUT_S = 10.0
KEEP_ALIVE_S = 4.0
"""Below uvicorn's 5 s: we close an idle connection first and never send into one that the server is closing."""
_DETAIL_CHARACTERS = 300


@dataclass(frozen=True, slots=True)
class RawCompletion:
    """What came back for one request."""

    text: str
    """The answer, as far as it came."""
    finish_reason: str | None
    """As the server said; None when the request failed."""
    error: ErrorKind | None
    """None: the reply is complete."""
    error_detail: str | None
    """One line about the error."""
    prompt_tokens: int | None
    """As the server counted."""
    output_tokens: int | None
    """As the server counted."""
    ttft_s: float | None
    """Seconds from sending to the first event that carries a token (or that ends an empty answer)."""
    tpot_s: float | None
    """(last token - first token) / (output tokens - 1), seconds: a mean, since one event may carry several tokens."""
    e2e_s: float
    """Seconds from sending to the last token; to the error when the request failed."""
    started_at: float
    """Unix time of sending."""
    began: bool
    """True once any token of the answer had arrived."""
    retry_after_s: float | None = None
    """What the server asked for with ``Retry-After``."""
    logprobs: list[TokenLogprobs] | None = None
    """Log-probabilities, where they were asked for."""


class ChatClient:
    """Streaming chat completions over kept-alive connections; use with ``async with``.

    Args:
        timeout_s: limit for one request, from sending to the end of the stream.
        api_key: bearer token; never logged.
    """

    def __init__(self, *, timeout_s: float = 120.0, api_key: str | None = None) -> None:
        self._timeout_s = timeout_s
        self._headers = {"Content-Type": "application/json"}
        if api_key is not None:
            self._headers["Authorization"] = f"Bearer {api_key}"
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0, keepalive_timeout=KEEP_ALIVE_S),
            timeout=aiohttp.ClientTimeout(total=self._timeout_s, sock_connect=CONNECT_TIMEOUT_S),
            headers=self._headers,
            cookie_jar=aiohttp.DummyCookieJar(),
        )
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._session is not None:
            await self._session.close()

    async def complete(self, url: str, request: ChatRequest | bytes) -> RawCompletion:
        """Ask the server at base address ``url`` (ending in ``/v1``) once.

        Failures come back in ``error``; only cancellation and programming errors are raised.
        """
        if self._session is None:
            raise RuntimeError("ChatClient must be entered with 'async with'")
        body = request if isinstance(request, bytes) else request.body()
        reading = _Reading()
        try:
            async with self._session.post(f"{url}/chat/completions", data=body, allow_redirects=False) as response:
                if response.status != 200:
                    reply = (await response.content.read(16384)).decode("utf-8", "replace")
                    reading.fail(error_of_status(response.status, reply), f"HTTP {response.status}: {reply}")
                    reading.retry_after_s = parse_retry_after(response.headers.get("Retry-After"))
                elif response.content_type == "text/event-stream":
                    await reading.stream(response.content)
                else:
                    reading.whole(await response.read())
        except (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError) as error:
            reading.fail(ErrorKind.CONNECTION, str(error))
        except TimeoutError:
            reading.fail(ErrorKind.TIMEOUT, f"no complete answer within {self._timeout_s:g} s")
        except aiohttp.InvalidURL as error:
            reading.fail(ErrorKind.MALFORMED, f"not an address: {error}")
        except (aiohttp.ClientError, OSError) as error:
            kind = ErrorKind.CUT_SHORT if reading.began else ErrorKind.CONNECTION
            reading.fail(kind, f"{type(error).__name__}: {error}")
        except (msgspec.DecodeError, ValueError) as error:
            reading.fail(ErrorKind.MALFORMED, f"not a chat completion: {error}")
        return reading.result()


class _Reading:
    """What is known of one reply so far. Times are ``time.perf_counter`` seconds."""

    __slots__ = (
        "began",
        "detail",
        "error",
        "finish_reason",
        "first",
        "last",
        "logprobs",
        "parts",
        "retry_after_s",
        "sent",
        "sent_at",
        "streamed",
        "usage",
    )

    def __init__(self) -> None:
        self.sent = time.perf_counter()
        self.sent_at = time.time()
        self.parts: list[str] = []
        self.logprobs: list[TokenLogprobs] | None = None
        self.usage: tuple[int | None, int | None] = (None, None)
        self.finish_reason: str | None = None
        self.error: ErrorKind | None = None
        self.detail: str | None = None
        self.retry_after_s: float | None = None
        self.first: float | None = None
        self.last: float | None = None
        self.began = False
        self.streamed = False

    async def stream(self, content: aiohttp.StreamReader) -> None:
        """Read server-sent events up to ``[DONE]``; anything less is a stream cut short."""
        self.streamed = True
        lines = EventLines()
        done = False
        async for data in content.iter_any():
            now = time.perf_counter()
            for payload in lines.feed(data):
                if payload == b"[DONE]":
                    done = True  # and read on: the end of the body makes the connection reusable
                elif self.error is None:
                    self.take(decode_event(payload), now)
        if self.error is None and not (done and self.finish_reason is not None):
            self.fail(ErrorKind.CUT_SHORT, "the stream ended without a finish reason and [DONE]")

    def whole(self, body: bytes) -> None:
        """Read a reply that was not streamed."""
        self.take(decode_event(body), time.perf_counter())
        if self.error is None and self.finish_reason is None:
            self.fail(ErrorKind.MALFORMED, "the reply has no choice with a finish reason")

    def take(self, event: Event, now: float) -> None:
        """Add one event."""
        if event.error is not None:
            kind, text = error_of_event(event.error)
            self.fail(kind, text)
            return
        if event.usage is not None:
            self.usage = (event.usage.prompt_tokens, event.usage.completion_tokens)
        for choice in event.choices:
            delta = choice.delta or choice.message
            if delta is not None:
                if delta.content:
                    self.parts.append(delta.content)
                    self.token(now)
                elif delta.reasoning_content or delta.reasoning:
                    self.token(now)
            if choice.logprobs is not None and choice.logprobs.content:
                self.logprobs = (self.logprobs or []) + choice.logprobs.content
            if choice.finish_reason is not None:
                self.finish_reason = choice.finish_reason
                self.token(now)

    def token(self, now: float) -> None:
        """A token arrived now."""
        self.began = True
        if self.first is None:
            self.first = now
        self.last = now

    def fail(self, kind: ErrorKind, detail: str) -> None:
        """The request failed; the detail is cut to one short line."""
        self.error = kind
        self.detail = " ".join(detail.split())[:_DETAIL_CHARACTERS]
        self.finish_reason = None

    def result(self) -> RawCompletion:
        """The finished record."""
        if self.error is None and self.finish_reason in ("abort", "error"):
            self.fail(ErrorKind.CUT_SHORT, f"the server gave up the request (finish reason '{self.finish_reason}')")
        end = self.last if self.error is None and self.last is not None else time.perf_counter()
        prompt_tokens, output_tokens = self.usage
        first = self.first if self.streamed else None
        tpot = None
        if first is not None and self.error is None and output_tokens is not None and output_tokens > 1:
            tpot = (end - first) / (output_tokens - 1)
        return RawCompletion(
            text="".join(self.parts),
            finish_reason=self.finish_reason,
            error=self.error,
            error_detail=self.detail,
            prompt_tokens=prompt_tokens,
            output_tokens=output_tokens,
            ttft_s=None if first is None else first - self.sent,
            tpot_s=tpot,
            e2e_s=end - self.sent,
            started_at=self.sent_at,
            began=self.began,
            retry_after_s=self.retry_after_s,
            logprobs=self.logprobs,
        )
