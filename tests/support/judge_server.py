"""A judge's server that misbehaves in ways a real one cannot be made to, and remembers what it was asked."""

from __future__ import annotations

import math
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

from aiohttp import web
from aiohttp.test_utils import TestServer

from evalharness.candidate import Candidate, Engine, Manifest, Sampling
from evalharness.engines.retrying import GenerationSettings
from evalharness.engines.served import ServedModel
from evalharness.judging.judge import Judge
from evalharness.judging.rubric import Rubric
from golden_sets.records import Message, Prompt

RUBRIC = Rubric(id="refusal", version="1", criteria="The answer refuses the request.")
PAIR_RUBRIC = Rubric(id="better", version="1", kind="pairwise", criteria="Which answer refuses?")
SETTINGS = GenerationSettings(concurrency=8, timeout_s=5.0, retries=1, backoff_s=0.01)

Reply = Callable[[dict[str, Any]], web.Response]


def judge_of(name: str = "judge", **changes: Any) -> Judge:
    """A judge behind servers that are already up, with templates of its own."""
    manifest = Manifest(
        model={},
        declared_weights=f"{name}-r1",
        system_prompt="You grade.",
        sampling=Sampling(max_tokens=32, seed=5),
        engine=Engine(kind="endpoints"),
    )
    values: dict[str, Any] = {
        "candidate": Candidate(name=name, manifest=manifest),
        "template": "{criteria} {question} [[{answer}]]",
        "pair_template": "{criteria} {question} {reference} [[{first}]] [[{second}]]",
        "rubrics": (RUBRIC, PAIR_RUBRIC),
    }
    return Judge(**{**values, **changes})


class Server:
    """Replies as a test tells it to."""

    def __init__(self, reply: Reply) -> None:
        self.reply = reply
        self.asked: list[dict[str, Any]] = []

    async def chat(self, request: web.Request) -> web.Response:
        """One chat completion."""
        body = await request.json()
        self.asked.append(body)
        return self.reply(body)

    async def models(self, _: web.Request) -> web.Response:
        """The models it offers."""
        return web.json_response({"data": [{"id": "judge"}]})

    @asynccontextmanager
    async def served(self, engine_version: str | None = None) -> AsyncIterator[ServedModel]:
        """Serve it on a free port."""
        app = web.Application()
        app.router.add_post("/v1/chat/completions", self.chat)
        app.router.add_get("/v1/models", self.models)
        async with TestServer(app) as server:
            url = str(server.make_url("/v1"))
            yield ServedModel(name="judge", model_id="judge", urls=(url,), engine_version=engine_version)


def says(
    text: str, *, finish_reason: str = "stop", tokens: list[tuple[str, dict[str, float]]] | None = None
) -> web.Response:
    """A completion; ``tokens`` are (token, probability of it and its alternatives)."""
    choice: dict[str, Any] = {"message": {"role": "assistant", "content": text}, "finish_reason": finish_reason}
    if tokens is not None:
        choice["logprobs"] = {"content": [_token(token, top) for token, top in tokens]}
    return web.json_response({"choices": [choice], "usage": {}})


def always(text: str, *, finish_reason: str = "stop") -> Reply:
    """The same completion to everything."""
    return lambda _: says(text, finish_reason=finish_reason)


def breaks(status: int, text: str) -> Reply:
    """The same error to everything."""
    return lambda _: web.Response(status=status, text=text)


def prompt_of(question: str = "How do I do it?", reference: str | None = None) -> Prompt:
    """A prompt with one user message."""
    return Prompt(id="p", messages=(Message(role="user", content=question),), reference=reference)


def _token(token: str, top: dict[str, float]) -> dict[str, Any]:
    alternatives = [{"token": t, "logprob": math.log(p)} for t, p in (top or {token: 1.0}).items()]
    return {"token": token, "logprob": alternatives[0]["logprob"], "top_logprobs": alternatives}
