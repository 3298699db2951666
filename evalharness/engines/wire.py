"""The OpenAI-compatible chat protocol on the wire: request bodies, server-sent events, error replies.

Only what relgate reads is declared; unknown keys are skipped without being parsed into objects.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

import msgspec

from evalharness.candidate import Sampling
from evalharness.generation_records import ErrorKind

MAX_EVENT_BYTES = 8 * 2**20
"""A longer event is no chat completion."""


@dataclass(frozen=True, slots=True)
class ChatRequest:
    """One chat completion to ask for."""

    model: str
    """Model id as served."""
    messages: Sequence[tuple[str, str]]
    """(role, content) of every message."""
    sampling: Sampling
    """Sampling parameters."""
    seed: int | None = None
    """Seed of this request (:func:`request_seed`)."""
    stream: bool = True
    """Server-sent events; without them there is no time to first token."""
    top_logprobs: int | None = None
    """0 ... 20: ask for the log-probabilities of the tokens and of so many alternatives to each; None: do not ask."""
    extra: Mapping[str, Any] = field(default_factory=dict)
    """Further keys of the body (``response_format``...)."""

    def body(self) -> bytes:
        """The request as JSON."""
        sampling = self.sampling
        body: dict[str, Any] = {
            "model": self.model,
            "messages": [{"role": role, "content": content} for role, content in self.messages],
            "max_tokens": sampling.max_tokens,
            "temperature": sampling.temperature,
            "top_p": sampling.top_p,
        }
        if sampling.stop:
            body["stop"] = list(sampling.stop)
        if self.seed is not None:
            body["seed"] = self.seed
        if self.top_logprobs is not None:
            body["logprobs"] = True
            body["top_logprobs"] = self.top_logprobs
        if self.stream:
            body["stream"] = True
            body["stream_options"] = {"include_usage": True}
        body.update(self.extra)
        return msgspec.json.encode(body)


def request_seed(sampling: Sampling, repeat: int, run: str = "") -> int | None:
    """Seed of repeat k: the base seed + k, so that no cache can return one answer for all repeats.

    Without a base seed the first repeat has none, and repeat k > 0 has seed k. Where sampling is random, a run with a
    name draws anew: its seeds are moved by a number made of the name, modulo 2^31 (what every server takes).
    """
    if run and sampling.temperature > 0:
        moved = int.from_bytes(hashlib.sha256(run.encode()).digest()[:4], "big")
        return ((sampling.seed or 0) + repeat + moved) % 2**31
    if sampling.seed is None:
        return repeat or None
    return sampling.seed + repeat


class TopLogprob(msgspec.Struct, gc=False):
    """One alternative to a token."""

    token: str
    logprob: float


class TokenLogprobs(msgspec.Struct, gc=False):
    """A token of the answer with its log-probability and the most probable alternatives (itself among them)."""

    token: str
    logprob: float
    top_logprobs: list[TopLogprob] = msgspec.field(default_factory=list)


class Usage(msgspec.Struct, gc=False):
    """Token counts as the server gives them."""

    prompt_tokens: int | None = None
    completion_tokens: int | None = None


class _Logprobs(msgspec.Struct, gc=False):
    content: list[TokenLogprobs] | None = None


class _Delta(msgspec.Struct, gc=False):
    content: str | None = None
    reasoning_content: str | None = None
    reasoning: str | None = None


class Choice(msgspec.Struct, gc=False):
    """One choice of an event (``delta``) or of a whole reply (``message``)."""

    delta: _Delta | None = None
    message: _Delta | None = None
    logprobs: _Logprobs | None = None
    finish_reason: str | None = None


class Event(msgspec.Struct, gc=False):
    """One server-sent event, or a whole reply that was not streamed."""

    choices: list[Choice] = msgspec.field(default_factory=list)
    usage: Usage | None = None
    error: Any = None


decode_event = msgspec.json.Decoder(Event).decode
"""bytes -> :class:`Event`; raises ``msgspec.DecodeError`` (or its subclass ``ValidationError``)."""


class EventLines:
    """Cuts a byte stream into the payloads of its ``data:`` lines, whatever the chunks look like.

    Chat completions put each event on one line, so an event ends with its line. Comments (keep-alives), other fields
    and blank lines are skipped.
    """

    __slots__ = ("_rest",)

    def __init__(self) -> None:
        self._rest = b""

    def feed(self, data: bytes) -> list[bytes]:
        """Payloads completed by ``data``.

        Raises:
            ValueError: one line is longer than :data:`MAX_EVENT_BYTES`.
        """
        lines = (self._rest + data if self._rest else data).split(b"\n")
        self._rest = lines.pop()
        if len(self._rest) > MAX_EVENT_BYTES:
            raise ValueError(f"an event of more than {MAX_EVENT_BYTES} bytes")
        return [line[5:].strip() for line in lines if line.startswith(b"data:")]


_OUT_OF_MEMORY = re.compile(r"out[ _]of[ _]memory|outofmemory|\boom\b", re.IGNORECASE)
_POLICY = re.compile(r"content[_ -]?(filter|policy|management)|safety[_ -]?(system|policy)|moderation", re.IGNORECASE)


def error_of_status(status: int, reply: str) -> ErrorKind:
    """What an HTTP status other than 200 means.

    408 is a timeout and 429 a rate limit: both are the server's. Of the other client errors those that name a content
    policy are refusals by the server. A server error that speaks of memory is out-of-memory.
    """
    if status == 408:
        return ErrorKind.TIMEOUT
    if status == 429:
        return ErrorKind.RATE_LIMITED
    if 400 <= status < 500:
        return ErrorKind.REFUSED_BY_SERVER if _POLICY.search(reply) else ErrorKind.HTTP_4XX
    if status >= 500:
        return ErrorKind.OOM if _OUT_OF_MEMORY.search(reply) else ErrorKind.HTTP_5XX
    return ErrorKind.MALFORMED


def error_of_event(error: Any) -> tuple[ErrorKind, str]:
    """What an ``{"error": ...}`` event in the middle of a stream means, and its text."""
    text = str(error.get("message", error)) if isinstance(error, dict) else str(error)
    code = error.get("code") if isinstance(error, dict) else None
    status = code if isinstance(code, int) and 400 <= code < 600 else 500
    return error_of_status(status, text), text


def parse_retry_after(value: str | None) -> float | None:
    """Seconds in a ``Retry-After`` header: a number or an HTTP date (RFC 9110, 10.2.3); None: absent or unreadable."""
    if value is None:
        return None
    try:
        return max(0.0, float(value))
    except ValueError:
        pass
    try:
        moment = parsedate_to_datetime(value)
    except ValueError:
        return None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return max(0.0, (moment - datetime.now(UTC)).total_seconds())
