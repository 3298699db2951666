from __future__ import annotations

import asyncio
import statistics
from collections import Counter
from collections.abc import Callable
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import pytest

from evalharness.candidate import Candidate
from evalharness.engines import ServedModel
from evalharness.generation_records import ErrorKind
from evalharness.latency import measure_latency
from evalharness.plan import LatencyLoad
from evalharness.samples import SampleStore
from golden_sets.errors import InfrastructureError, InputError
from golden_sets.records import Prompt

if TYPE_CHECKING:
    from tests.evalharness.conftest import FakeServer

MakeCandidate = Callable[..., Candidate]
MakePrompts = Callable[..., list[Prompt]]
FAST = LatencyLoad(rate=400.0, requests_per_bucket=24, warmup=5, block=8)


@pytest.fixture
def two_buckets(make_prompts: MakePrompts) -> list[Prompt]:
    """10 short and 40 long prompts."""
    return [*make_prompts(10, length_bucket="le16"), *make_prompts(40, start=10, length_bucket="le64")]


@pytest.fixture
def second_served(second_server: FakeServer) -> ServedModel:
    return ServedModel("fake", "fake", (second_server.url,))


async def test_both_arms_get_the_same_requests_in_blocks_that_alternate(
    fake_server: FakeServer, second_server: FakeServer, served: ServedModel, second_served: ServedModel,
    store: SampleStore, make_candidate: MakeCandidate, two_buckets: list[Prompt], fake: Any,
) -> None:  # fmt: skip
    log: list[str] = []
    busy: Counter[str] = Counter()

    def watch(name: str, other: str) -> Callable[[int, dict[str, Any]], Any]:
        def reply(_number: int, body: dict[str, Any]) -> Any:
            log.append(name)

            async def answer(request: Any) -> Any:
                assert busy[other] == 0, "the arms never run at the same time"
                busy[name] += 1
                try:
                    return await fake.answer(fake.echo(body), delay_s=0.005)(request)
                finally:
                    busy[name] -= 1

            return answer

        return reply

    fake_server.reply, second_server.reply = watch("c", "i"), watch("i", "c")
    seen: list[tuple[int, int]] = []
    results = await measure_latency(
        {"candidate": (make_candidate(), served), "incumbent": (make_candidate(name="old"), second_served)},
        two_buckets, FAST, store, run="r1", progress=lambda done, total: seen.append((done, total)),
    )  # fmt: skip
    assert [(g.request_digest, g.repeat) for g in results["candidate"]] == [
        (g.request_digest, g.repeat) for g in results["incumbent"]
    ]
    assert all(g.error is None for arm in results.values() for g in arm)
    bucket = {p.request_digest: p.dimensions["length_bucket"] for p in two_buckets}
    assert Counter(bucket[g.request_digest] for g in results["candidate"]) == {"le16": 24, "le64": 24}
    short = [g for g in results["candidate"] if bucket[g.request_digest] == "le16"]
    assert len({(g.request_digest, g.repeat) for g in short}) == 24, "10 prompts, asked again as further repeats"
    assert {g.repeat for g in short} == {0, 1, 2}
    measured = "".join(log[10:])
    assert [len(set(measured[i : i + 8])) for i in range(0, 96, 8)] == [1] * 12, "blocks of eight"
    assert measured.count("c") == measured.count("i") == 48
    assert {measured[i] + measured[i + 8] for i in range(0, 96, 16)} <= {"ci", "ic"}, "each pair of blocks has both"
    assert seen[-1] == (96, 96)


async def test_nothing_is_ever_reused_and_every_request_is_stored(
    fake_server: FakeServer, served: ServedModel, store: SampleStore, make_candidate: MakeCandidate,
    two_buckets: list[Prompt],
) -> None:  # fmt: skip
    candidate = make_candidate()
    arms = {"candidate": (candidate, served), "incumbent": (candidate, served)}
    for run in ("r1", "r2"):
        await measure_latency(arms, two_buckets, FAST, store, run=run)  # type: ignore[arg-type]
    assert len(fake_server.bodies) == 2 * 2 * (48 + 5)
    assert store.counts()["generations"] == 2 * 2 * 48, "an A/A pass keeps the arms apart; warm-up is thrown away"
    digests = [p.request_digest for p in two_buckets]
    assert store.generations(candidate.digest, digests) == {}
    assert len(store.generations(candidate.digest, digests, repeats=9, run="r1/candidate")) == 48


async def test_an_interrupted_pass_goes_on_where_it_stopped(
    fake_server: FakeServer, served: ServedModel, store: SampleStore, make_candidate: MakeCandidate,
    two_buckets: list[Prompt], fake: Any,
) -> None:  # fmt: skip
    fake_server.reply = lambda number, body: fake.status(500) if number == 9 else fake.answer(fake.echo(body))
    arms: Any = {"candidate": (make_candidate(), served)}

    def interrupt(done: int, _total: int) -> None:
        if done == 24:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        await measure_latency(arms, two_buckets, FAST, store, run="r", progress=interrupt)
    assert store.counts()["generations"] == 24
    whole = await measure_latency(arms, two_buckets, FAST, store, run="r")
    assert len(fake_server.bodies) == 5 + 24 + 5 + 24
    assert Counter(g.error for g in whole["candidate"]) == {None: 47, ErrorKind.HTTP_5XX: 1}
    assert await measure_latency(arms, two_buckets, FAST, store, run="r") == whole
    assert len(fake_server.bodies) == 58, "a finished pass is not measured again under its name"


async def test_open_loop_times_count_from_the_scheduled_arrival(
    fake_server: FakeServer, served: ServedModel, store: SampleStore, make_candidate: MakeCandidate,
    make_prompts: MakePrompts, fake: Any,
) -> None:  # fmt: skip
    """A stall of our own process delays sending; the delay must show in the times instead of vanishing."""

    def reply(number: int, body: dict[str, Any]) -> Any:
        if number == 5:
            import time

            time.sleep(0.5)  # the fake server lives in this process: nothing can be sent meanwhile
        return fake.answer(fake.echo(body))

    fake_server.reply = reply
    load = LatencyLoad(rate=100.0, requests_per_bucket=20, warmup=0, block=20)
    results = await measure_latency(
        {"candidate": (make_candidate(), served)}, make_prompts(20, length_bucket="le16"), load, store, run="r"
    )
    waits = [g.e2e_s for g in results["candidate"]]
    assert sum(w > 0.2 for w in waits) >= 8, "the requests due during the stall, not just the one that met it"
    assert all(g.ttft_s is not None and g.ttft_s <= g.e2e_s for g in results["candidate"])


async def test_open_loop_arrivals_do_not_wait_for_answers(
    fake_server: FakeServer, served: ServedModel, store: SampleStore, make_candidate: MakeCandidate,
    make_prompts: MakePrompts, fake: Any,
) -> None:  # fmt: skip
    fake_server.reply = lambda _number, body: fake.answer(fake.echo(body), delay_s=0.5)
    load = LatencyLoad(rate=50.0, requests_per_bucket=200, warmup=0, block=200)
    results = await measure_latency(
        {"candidate": (make_candidate(), served)}, make_prompts(200, length_bucket="le16"), load, store, run="r"
    )
    assert fake_server.most_in_flight > 10
    started = sorted(g.started_at for g in results["candidate"])
    gaps = [b - a for a, b in pairwise(started)]
    assert statistics.mean(gaps) == pytest.approx(1 / 50, rel=0.35)
    assert statistics.stdev(gaps) == pytest.approx(1 / 50, rel=0.5), "exponential gaps: the deviation is the mean"


async def test_the_closed_loop_keeps_the_declared_number_in_flight(
    fake_server: FakeServer, served: ServedModel, store: SampleStore, make_candidate: MakeCandidate,
    two_buckets: list[Prompt], fake: Any,
) -> None:  # fmt: skip
    fake_server.reply = lambda _number, body: fake.answer(fake.echo(body), delay_s=0.01)
    load = LatencyLoad(mode="closed", concurrency=4, requests_per_bucket=20, warmup=3, block=20)
    results = await measure_latency({"candidate": (make_candidate(), served)}, two_buckets, load, store, run="r")
    assert len(results["candidate"]) == 40
    assert fake_server.most_in_flight == 4


async def test_a_failure_is_a_failure(
    fake_server: FakeServer, served: ServedModel, store: SampleStore, make_candidate: MakeCandidate,
    two_buckets: list[Prompt], fake: Any,
) -> None:  # fmt: skip
    fake_server.reply = lambda number, body: fake.status(500) if number == 9 else fake.answer(fake.echo(body))
    results = await measure_latency({"candidate": (make_candidate(), served)}, two_buckets, FAST, store, run="r")
    assert Counter(g.error for g in results["candidate"]) == {None: 47, ErrorKind.HTTP_5XX: 1}
    assert len(fake_server.bodies) == 5 + 48, "and is not sent again"


async def test_a_dead_server_ends_the_pass(
    fake_server: FakeServer, served: ServedModel, store: SampleStore, make_candidate: MakeCandidate,
    two_buckets: list[Prompt],
) -> None:  # fmt: skip
    await fake_server.stop()
    with pytest.raises(InfrastructureError, match="no server of 'fake' answers"):
        await measure_latency({"candidate": (make_candidate(), served)}, two_buckets, FAST, store, run="r")


async def test_the_schedule_depends_on_the_seed_alone(
    fake_server: FakeServer, served: ServedModel, store: SampleStore, make_candidate: MakeCandidate,
    two_buckets: list[Prompt],
) -> None:  # fmt: skip
    orders = []
    for run, seed, prompts in (("a", 1, two_buckets), ("b", 1, two_buckets), ("c", 2, two_buckets)):
        arms = {"candidate": (make_candidate(), served)}
        results = await measure_latency(arms, prompts, FAST, store, run=run, seed=seed)  # type: ignore[arg-type]
        orders.append([(g.request_digest, g.repeat) for g in results["candidate"]])
    assert orders[0] == orders[1] != orders[2]


@pytest.mark.parametrize(
    ("load", "prompts", "run", "message"),
    [
        (LatencyLoad(mode="open"), 1, "r", "needs a rate"),
        (LatencyLoad(mode="closed"), 1, "r", "needs a concurrency"),
        (FAST, 0, "r", "no prompt"),
        (FAST, 1, "", "name of its own"),
    ],
)
async def test_a_pass_that_makes_no_sense_is_an_input_error(
    served: ServedModel, store: SampleStore, make_candidate: MakeCandidate, make_prompts: MakePrompts,
    load: LatencyLoad, prompts: int, run: str, message: str,
) -> None:  # fmt: skip
    with pytest.raises(InputError, match=message):
        await measure_latency({"candidate": (make_candidate(), served)}, make_prompts(prompts), load, store, run=run)


async def test_cancelling_a_pass_leaves_no_task_behind(
    fake_server: FakeServer, served: ServedModel, store: SampleStore, make_candidate: MakeCandidate,
    two_buckets: list[Prompt], fake: Any,
) -> None:  # fmt: skip
    fake_server.reply = lambda _number, body: fake.answer(fake.echo(body), delay_s=0.05)
    pass_task = asyncio.create_task(
        measure_latency({"candidate": (make_candidate(), served)}, two_buckets, FAST, store, run="r")
    )
    await asyncio.sleep(0.3)
    before = {t for t in asyncio.all_tasks() if "_ask_due" in repr(t.get_coro())}
    assert before
    pass_task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await pass_task
    assert all(t.done() for t in before)
