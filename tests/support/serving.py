"""A server on the loopback interface that speaks the chat protocol: models that add numbers, rightly or not."""

from __future__ import annotations

import asyncio
import hashlib
import json
import re
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

_SUM = re.compile(r"What is (\d+) \+ (\d+)\?")


@dataclass
class AddingServer:
    """Serves models by name; each is right in a share of the questions, always the same ones for one seed."""

    share_right: Mapping[str, float]
    """How often each model is right."""
    asked: Counter[str] = field(default_factory=Counter)
    """Sums asked of each model so far."""
    seeds: dict[tuple[str, str], list[Any]] = field(default_factory=dict)
    """Seeds of the requests by model and question."""
    fails_after: int | None = None
    """From this many sums on every request fails; None: never."""
    otherwise: Callable[[str], str] = lambda _message: "Hello."
    """The answer to a message that asks for no sum: a judge's verdict, for example."""
    url: str = ""
    """Base address."""

    async def chat(self, request: web.Request) -> web.StreamResponse:
        """One chat completion, streamed as a single event."""
        body = await request.json()
        model, question, seed = body["model"], body["messages"][-1]["content"], body.get("seed")
        found = _SUM.fullmatch(question)
        if found is not None and not question.startswith("What is 17 + 25"):  # that one is a probe
            self.asked[model] += 1
            if self.fails_after is not None and self.asked.total() > self.fails_after:
                return web.Response(status=500)
            self.seeds.setdefault((model, question), []).append(seed)
        text = self._answer(model, question, seed) if found else self.otherwise(question)
        event = {"choices": [{"index": 0, "delta": {"content": text}, "finish_reason": "stop"}]}
        usage = {"choices": [], "usage": {"prompt_tokens": 8, "completion_tokens": 2}}
        data = b"".join(b"data: " + json.dumps(e).encode() + b"\n\n" for e in (event, usage)) + b"data: [DONE]\n\n"
        return web.Response(body=data, content_type="text/event-stream")

    async def models(self, _request: web.Request) -> web.Response:
        """The ids of all models."""
        return web.json_response({"data": [{"id": name} for name in self.share_right]})

    def _answer(self, model: str, question: str, seed: Any) -> str:
        found = _SUM.fullmatch(question)
        assert found is not None
        luck = hashlib.sha256(f"{model} {question} {seed}".encode()).digest()[0] / 256
        return str(int(found[1]) + int(found[2]) + (0 if luck < self.share_right[model] else 1))


@contextmanager
def adding_server(**share_right: float) -> Iterator[AddingServer]:
    """A running server, in a thread of its own."""
    server = AddingServer(share_right)
    loop = asyncio.new_event_loop()
    app = web.Application()
    app.router.add_post("/v1/chat/completions", server.chat)
    app.router.add_get("/v1/models", server.models)
    runner = web.AppRunner(app, shutdown_timeout=0.1)

    async def start() -> None:
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()

    loop.run_until_complete(start())
    server.url = f"http://127.0.0.1:{runner.addresses[0][1]}/v1"
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        asyncio.run_coroutine_threadsafe(runner.cleanup(), loop).result(timeout=10)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(timeout=10)
        loop.close()
