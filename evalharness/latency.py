"""The latency pass: both arms at a declared load, in turns on the same host, and nothing else at the same time.

**Open loop** (the default): requests arrive as a Poisson process at the declared rate whatever the server does, and
time counts from the moment a request *should* have been sent. So a slow answer cannot hold back the requests behind
it and hide its own effect ("coordinated omission": G. Tene, "How NOT to Measure Latency", 2013). **Closed loop**: a
fixed number of requests in flight; it says how the server behaves at that concurrency, and nothing about a queue.

The arms take turns in blocks, in an order drawn for each pair of blocks, so that drift of the host meets both alike;
both get the same prompts with the same gaps between arrivals. A block starts when the one before has been answered in
full: one arm never loads the other's host, and the first requests of a block meet an idle server. Nothing is retried:
a failure is a failure. Prompts that come back (a bucket with fewer prompts than requests) may be answered from the
server's prefix cache, for both alike.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections import defaultdict
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace

from evalharness.candidate import Candidate
from evalharness.engines.client import ChatClient
from evalharness.engines.pool import EndpointPool
from evalharness.engines.served import ServedModel
from evalharness.engines.workers import run_workers
from evalharness.generation import Progress, chat_request, to_generation
from evalharness.generation_records import Generation
from evalharness.outcomes import Arm
from evalharness.plan import LatencyLoad
from evalharness.samples import SampleStore
from golden_sets.digests import Digest
from golden_sets.errors import InputError
from golden_sets.records import Prompt

BUCKET = "length_bucket"
"""The dimension that latency is reported by."""


@dataclass(frozen=True, slots=True)
class _Turn:
    """One request of the pass: the same for both arms."""

    prompt: Prompt
    repeat: int
    gap_s: float
    """Seconds between the arrival before it and its own."""

    @property
    def key(self) -> tuple[Digest, int]:
        """What the store knows it by."""
        return self.prompt.request_digest, self.repeat


async def measure_latency(
    arms: Mapping[Arm, tuple[Candidate, ServedModel]],
    prompts: Sequence[Prompt],
    load: LatencyLoad,
    store: SampleStore,
    *,
    run: str,
    seed: int = 0,
    timeout_s: float = 120.0,
    progress: Progress | None = None,
) -> dict[Arm, list[Generation]]:
    """Measure one or both arms under ``load``.

    Args:
        arms: candidate and where it is served, per arm.
        prompts: what to ask, drawn from in equal numbers per ``length_bucket``.
        load: the declared load.
        store: every request is stored under the run ``<run>/<arm>``, apart from all answers.
        run: name of this pass on this host. A pass of the same name that was interrupted goes on where it stopped:
            requests that are stored, failed ones too, are not sent again. A new measurement needs a new name.
        seed: of the order of prompts, the arrivals and the order of turns.
        timeout_s: limit for one request.
        progress: told (requests done, requests wanted), warm-up left out.

    Returns:
        Per arm one generation per request, in the same order for both. ``repeat`` numbers the requests of one prompt.
        Times of open-loop requests count from the scheduled arrival.

    Raises:
        InputError: a load without its rate or concurrency, no prompt, or no name for the run.
        InfrastructureError: a whole block failed and no server answers any more, or the store cannot be written.
    """
    _check(prompts, load, run)
    chance = random.Random(seed)  # noqa: S311 - a reproducible schedule, not a secret
    turns = _schedule(prompts, load, chance)
    blocks = [turns[i : i + load.block] for i in range(0, len(turns), load.block)]
    order = [chance.sample(list(arms), len(arms)) for _ in blocks]
    done = {arm: _stored(store, candidate, turns, _run_of(run, arm)) for arm, (candidate, _) in arms.items()}
    total = len(turns) * len(arms)
    async with AsyncExitStack() as stack:
        writer = await stack.enter_async_context(store.writer())
        askers = {}
        for arm, (candidate, served) in arms.items():
            client = await stack.enter_async_context(ChatClient(timeout_s=timeout_s, api_key=served.api_key))
            askers[arm] = _Asker(candidate, served, client, _run_of(run, arm))
        send_block = _open_loop if load.mode == "open" else _closed_loop(load.concurrency or 1)
        if sum(map(len, done.values())) < total:
            for asker in askers.values():
                await send_block(asker.ask, turns[: load.warmup])
        for block, arms_in_turn in zip(blocks, order, strict=True):
            for arm in arms_in_turn:
                missing = [turn for turn in block if turn.key not in done[arm]]
                generations = await send_block(askers[arm].ask, missing)
                for generation in generations:
                    writer.put(generation)
                    done[arm][generation.request_digest, generation.repeat] = generation
                if progress is not None:
                    progress(sum(map(len, done.values())), total)
                if missing and all(g.error is not None for g in generations):
                    await arms[arm][1].check_alive()
    return {arm: [done[arm][turn.key] for turn in turns] for arm in arms}


def _run_of(run: str, arm: Arm) -> str:
    """Arms are kept apart, since in an A/A pass both are the same candidate."""
    return f"{run}/{arm}"


def _stored(
    store: SampleStore, candidate: Candidate, turns: Sequence[_Turn], run: str
) -> dict[tuple[Digest, int], Generation]:
    repeats = 1 + max(turn.repeat for turn in turns)
    return store.generations(candidate.digest, (turn.prompt.request_digest for turn in turns), repeats=repeats, run=run)


def _check(prompts: Sequence[Prompt], load: LatencyLoad, run: str) -> None:
    where = "latency load"
    if load.mode == "open" and load.rate is None:
        raise InputError("an open loop needs a rate", where=where, do="set latency.rate, requests per second")
    if load.mode == "closed" and load.concurrency is None:
        raise InputError("a closed loop needs a concurrency", where=where, do="set latency.concurrency")
    if not prompts:
        raise InputError("there is no prompt to measure latency with", where=where)
    if not run:
        raise InputError("a latency pass needs a name of its own", where=where)


def _schedule(prompts: Sequence[Prompt], load: LatencyLoad, chance: random.Random) -> list[_Turn]:
    """``requests_per_bucket`` prompts from each bucket, all buckets mixed, with exponential gaps between arrivals."""
    buckets: dict[str, dict[Digest, Prompt]] = defaultdict(dict)
    for prompt in prompts:
        buckets[prompt.dimensions.get(BUCKET, "")].setdefault(prompt.request_digest, prompt)
    drawn: list[tuple[Prompt, int]] = []
    for name in sorted(buckets):
        members = list(buckets[name].values())
        chance.shuffle(members)
        drawn += [(members[i % len(members)], i // len(members)) for i in range(load.requests_per_bucket)]
    chance.shuffle(drawn)
    rate = load.rate or 1.0
    return [_Turn(prompt, repeat, chance.expovariate(rate)) for prompt, repeat in drawn]


class _Asker:
    """Asks one arm, once per turn."""

    def __init__(self, candidate: Candidate, served: ServedModel, client: ChatClient, run: str) -> None:
        self._candidate = candidate
        self._digest = candidate.digest
        self._served = served
        self._client = client
        self._pool = EndpointPool(served.urls)
        self._run = run

    async def ask(self, turn: _Turn, late_by: Callable[[], float]) -> Generation:
        """One request; ``late_by()`` says, at the moment of sending, how late that is, seconds."""
        request = chat_request(turn.prompt, self._candidate, self._served.model_id, turn.repeat).body()
        endpoint = self._pool.acquire_now()
        late = late_by()
        try:
            raw = await self._client.complete(endpoint.url, request)
        finally:
            self._pool.release(endpoint)
        generation = to_generation(raw, self._digest, turn.prompt.request_digest, turn.repeat, run=self._run)
        return replace(
            generation,
            ttft_s=None if generation.ttft_s is None else generation.ttft_s + late,
            e2e_s=generation.e2e_s + late,
            started_at=generation.started_at - late,
        )


Ask = Callable[[_Turn, Callable[[], float]], Awaitable[Generation]]


async def _open_loop(ask: Ask, turns: Sequence[_Turn]) -> list[Generation]:
    """Send each request at its arrival time; wait for all answers."""
    async with asyncio.TaskGroup() as group:
        tasks = []
        due = time.perf_counter()
        for turn in turns:
            due += turn.gap_s
            await asyncio.sleep(due - time.perf_counter())
            tasks.append(group.create_task(_ask_due(ask, turn, due)))
    return [task.result() for task in tasks]


async def _ask_due(ask: Ask, turn: _Turn, due: float) -> Generation:
    return await ask(turn, lambda: time.perf_counter() - due)


def _closed_loop(concurrency: int) -> Callable[[Ask, Sequence[_Turn]], Awaitable[list[Generation]]]:
    """Keep ``concurrency`` requests in flight until the block is done."""

    async def send(ask: Ask, turns: Sequence[_Turn]) -> list[Generation]:
        answers: dict[int, Generation] = {}
        queue = iter(enumerate(turns))

        async def work() -> None:
            for index, turn in queue:
                answers[index] = await ask(turn, lambda: 0.0)

        await run_workers(min(concurrency, len(turns)), work)
        return [answers[i] for i in range(len(turns))]

    return send
