"""A tiny OpenAI-compatible server whose every reply a test can decide, with small candidates and prompts to ask it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest
from aiohttp import web

from evalharness.candidate import Candidate, Engine, Manifest, Runtime, Sampling
from evalharness.engines import ServedModel
from evalharness.samples import SampleStore
from golden_sets.records import Message, Prompt

Reply = Callable[[web.Request], Awaitable[web.StreamResponse]]
"""Answers one request."""


class FakeServer:
    """Serves ``/v1/chat/completions`` and ``/v1/models``; ``reply(number, body)`` decides about each request."""

    def __init__(self) -> None:
        self.bodies: list[dict[str, Any]] = []
        self.headers: list[dict[str, str]] = []
        self.arrivals: list[float] = []
        self.in_flight = 0
        self.most_in_flight = 0
        self.models = ["fake"]
        self.reply: Callable[[int, dict[str, Any]], Reply] = lambda _number, body: answer(echo(body))
        self.url = ""
        self._runner: web.AppRunner | None = None

    async def start(self) -> None:
        app = web.Application()
        app.router.add_post("/v1/chat/completions", self._chat)
        app.router.add_get("/v1/models", self._models)
        self._runner = web.AppRunner(app, shutdown_timeout=0.1)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        self.url = f"http://127.0.0.1:{self._runner.addresses[0][1]}/v1"

    async def stop(self) -> None:
        if self._runner is not None:
            runner, self._runner = self._runner, None
            await runner.cleanup()

    async def _chat(self, request: web.Request) -> web.StreamResponse:
        body = await request.json()
        number = len(self.bodies)
        self.bodies.append(body)
        self.headers.append(dict(request.headers))
        self.arrivals.append(asyncio.get_running_loop().time())
        self.in_flight += 1
        self.most_in_flight = max(self.most_in_flight, self.in_flight)
        try:
            return await self.reply(number, body)(request)
        finally:
            self.in_flight -= 1

    async def _models(self, _request: web.Request) -> web.StreamResponse:
        return web.json_response({"object": "list", "data": [{"id": m, "object": "model"} for m in self.models]})


def echo(body: dict[str, Any]) -> str:
    """The answer that the fake model gives: it depends on the last message and the seed, as a real one's would."""
    return f"answer to {body['messages'][-1]['content']} seed {body.get('seed')}"


def event(data: Any) -> bytes:
    """One server-sent event."""
    return b"data: " + json.dumps(data).encode() + b"\n\n"


def delta(content: str | None = None, finish: str | None = None, **more: Any) -> bytes:
    """One event of a chat completion."""
    content_part = {} if content is None else {"content": content}
    return event({"choices": [{"index": 0, "delta": content_part, "finish_reason": finish, **more}]})


def usage(prompt_tokens: int, completion_tokens: int) -> bytes:
    """The event with the token counts."""
    return event({"choices": [], "usage": {"prompt_tokens": prompt_tokens, "completion_tokens": completion_tokens}})


DONE = b"data: [DONE]\n\n"


def stream(*parts: bytes | float, broken: bool = False) -> Reply:
    """Send the parts as they are; a number is a pause in seconds; ``broken`` tears the connection down at the end."""

    async def reply(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        for part in parts:
            if isinstance(part, bytes):
                await response.write(part)
            else:
                await asyncio.sleep(part)
        if broken:
            assert request.transport is not None
            request.transport.abort()
        else:
            await response.write_eof()
        return response

    return reply


def answer(text: str, *, delay_s: float = 0.0) -> Reply:
    """A proper answer in two tokens."""
    half = len(text) // 2
    return stream(delay_s, delta(""), delta(text[:half]), delta(text[half:]), delta("", "stop"), usage(7, 3), DONE)


def status(code: int, text: str = "", headers: dict[str, str] | None = None) -> Reply:
    """A plain reply with this status."""

    async def reply(_request: web.Request) -> web.StreamResponse:
        return web.Response(status=code, text=text, headers=headers)

    return reply


@pytest.fixture
async def fake_server() -> AsyncIterator[FakeServer]:
    """A running fake server."""
    server = FakeServer()
    await server.start()
    yield server
    await server.stop()


@pytest.fixture
async def second_server() -> AsyncIterator[FakeServer]:
    """Another one."""
    server = FakeServer()
    await server.start()
    yield server
    await server.stop()


@pytest.fixture
def fake() -> Any:
    """The reply builders of this module, for tests that script a server."""
    import types

    names = ("DONE", "answer", "delta", "echo", "event", "status", "stream", "usage")
    return types.SimpleNamespace(**{name: globals()[name] for name in names})


@pytest.fixture
def make_candidate() -> Callable[..., Candidate]:
    """``make_candidate(urls=(), system_prompt=None, name="fake", **sampling)``."""

    def make(
        urls: tuple[str, ...] = (), system_prompt: str | None = None, name: str = "fake", **sampling: Any
    ) -> Candidate:
        values = {"temperature": 0.0, "max_tokens": 16, "seed": 0, **sampling}
        manifest = Manifest(
            model={},
            declared_weights=name,
            system_prompt=system_prompt,
            sampling=Sampling(**values),
            engine=Engine(kind="endpoints"),
        )
        return Candidate(name=name, manifest=manifest, runtime=Runtime(urls=urls))

    return make


@pytest.fixture
def make_prompts() -> Callable[..., list[Prompt]]:
    """``make_prompts(count, **dimensions)``: different questions."""

    def make(count: int, start: int = 0, **dimensions: str) -> list[Prompt]:
        return [
            Prompt(id=f"p{i}", messages=(Message(role="user", content=f"question {i}"),), dimensions=dimensions)
            for i in range(start, start + count)
        ]

    return make


@pytest.fixture
def served(fake_server: FakeServer) -> ServedModel:
    """The fake server as a served model."""
    return ServedModel(name="fake", model_id="fake", urls=(fake_server.url,))


@pytest.fixture
def store(tmp_path: Any) -> SampleStore:
    """An empty sample store on disk."""
    from evalharness.database import open_database

    return SampleStore(open_database(f"sqlite:///{tmp_path}/samples.db"))
