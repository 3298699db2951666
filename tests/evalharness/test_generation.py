from __future__ import annotations

import asyncio
import os
import signal
import sqlite3
import sys
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy import event

from evalharness.candidate import Candidate
from evalharness.database import open_database
from evalharness.engines import ServedModel
from evalharness.generation import GenerationSettings, generate
from evalharness.generation_records import ErrorKind
from evalharness.samples import SampleStore
from golden_sets.errors import InfrastructureError
from golden_sets.records import Message, Prompt

if TYPE_CHECKING:
    from tests.evalharness.conftest import FakeServer

MakeCandidate = Callable[..., Candidate]
MakePrompts = Callable[..., list[Prompt]]
ROOT = Path(__file__).parents[2]
QUICK = GenerationSettings(concurrency=8, timeout_s=5.0, retries=3, backoff_s=0.01)


def questions(server: FakeServer) -> Counter[str]:
    return Counter(body["messages"][-1]["content"] for body in server.bodies)


async def test_every_prompt_is_answered_in_order_and_stored(
    fake_server: FakeServer, served: ServedModel, store: SampleStore, make_candidate: MakeCandidate,
    make_prompts: MakePrompts,
) -> None:  # fmt: skip
    prompts, seen = make_prompts(50), []
    generations = await generate(
        prompts,
        make_candidate(),
        served,
        store,
        settings=QUICK,
        progress=lambda done, total: seen.append((done, total)),
    )
    assert [g.text for g in generations] == [f"answer to question {i} seed 0" for i in range(50)]
    assert [g.request_digest for g in generations] == [p.request_digest for p in prompts]
    assert all((g.output_tokens, g.attempts, g.error) == (3, 1, None) for g in generations)
    assert seen == [(i, 50) for i in range(51)]
    assert fake_server.most_in_flight <= 8
    stored = store.generations(make_candidate().digest, (p.request_digest for p in prompts))
    assert stored == {(g.request_digest, g.repeat): g for g in generations}


async def test_a_second_run_asks_nothing_and_gives_the_same(
    fake_server: FakeServer, served: ServedModel, store: SampleStore, make_candidate: MakeCandidate,
    make_prompts: MakePrompts,
) -> None:  # fmt: skip
    first = await generate(make_prompts(20), make_candidate(), served, store, settings=QUICK)
    again = await generate(make_prompts(20), make_candidate(name="renamed, same manifest").model_copy(
        update={"manifest": make_candidate().manifest}), served, store, settings=QUICK)  # fmt: skip
    assert again == first
    assert len(fake_server.bodies) == 20
    await generate(make_prompts(25), make_candidate(), served, store, settings=QUICK)
    assert len(fake_server.bodies) == 25
    await generate(make_prompts(5), make_candidate(temperature=0.5), served, store, settings=QUICK)
    assert len(fake_server.bodies) == 30, "another manifest is another candidate"


async def test_prompts_with_the_same_messages_are_asked_once(
    fake_server: FakeServer, served: ServedModel, store: SampleStore, make_candidate: MakeCandidate,
    make_prompts: MakePrompts,
) -> None:  # fmt: skip
    twins = [make_prompts(1)[0], make_prompts(1, tier="hard")[0]]
    generations = await generate(twins, make_candidate(), served, store, settings=QUICK)
    assert len(fake_server.bodies) == 1
    assert generations[0] == generations[1]


async def test_repeats_are_independent_requests_with_seeds_of_their_own(
    fake_server: FakeServer, served: ServedModel, store: SampleStore, make_candidate: MakeCandidate,
    make_prompts: MakePrompts,
) -> None:  # fmt: skip
    candidate = make_candidate(temperature=1.0, seed=10)
    generations = await generate(make_prompts(2), candidate, served, store, repeats=3, settings=QUICK)
    assert [(g.text, g.repeat) for g in generations] == [
        (f"answer to question {i} seed {10 + k}", k) for i in range(2) for k in range(3)
    ]
    more = await generate(make_prompts(2), candidate, served, store, repeats=4, settings=QUICK)
    assert len(fake_server.bodies) == 8, "only the fourth repeat is new"
    assert more[:3] == generations[:3]


async def test_the_system_prompt_comes_first_and_joins_the_prompts_own(
    fake_server: FakeServer, served: ServedModel, store: SampleStore, make_candidate: MakeCandidate,
    make_prompts: MakePrompts,
) -> None:  # fmt: skip
    own = Prompt(id="s", messages=(Message(role="system", content="be brief"), Message(role="user", content="hi")))
    candidate = make_candidate(system_prompt="be kind")
    await generate([*make_prompts(1), own], candidate, served, store, settings=replace(QUICK, concurrency=1))
    assert [body["messages"] for body in fake_server.bodies] == [
        [{"role": "system", "content": "be kind"}, {"role": "user", "content": "question 0"}],
        [{"role": "system", "content": "be kind\n\nbe brief"}, {"role": "user", "content": "hi"}],
    ]


@pytest.mark.parametrize("kind", ["500", "reset", "cut"])
async def test_a_passing_failure_is_retried(
    fake_server: FakeServer, served: ServedModel, store: SampleStore, make_candidate: MakeCandidate,
    make_prompts: MakePrompts, fake: Any, kind: str,
) -> None:  # fmt: skip
    failures = {
        "500": fake.status(500),
        "reset": fake.stream(broken=True),
        "cut": fake.stream(fake.delta("half"), 0.02, broken=True),
    }
    fake_server.reply = lambda number, body: failures[kind] if number < 2 else fake.answer(fake.echo(body))
    (generation,) = await generate(make_prompts(1), make_candidate(), served, store, settings=QUICK)
    assert (generation.text, generation.error, generation.attempts) == ("answer to question 0 seed 0", None, 3)


async def test_a_rate_limit_is_waited_out_as_long_as_the_server_asks(
    fake_server: FakeServer, served: ServedModel, store: SampleStore, make_candidate: MakeCandidate,
    make_prompts: MakePrompts, fake: Any,
) -> None:  # fmt: skip
    limit = fake.status(429, headers={"Retry-After": "0.6"})
    fake_server.reply = lambda number, body: limit if number == 0 else fake.answer(fake.echo(body))
    settings = replace(QUICK, concurrency=1)
    generations = await generate(make_prompts(2), make_candidate(), served, store, settings=settings)
    assert [g.attempts for g in generations] == [2, 1]
    assert fake_server.arrivals[1] - fake_server.arrivals[0] >= 0.6


async def test_a_rate_limit_longer_than_we_wait_is_a_failure(
    fake_server: FakeServer, served: ServedModel, store: SampleStore, make_candidate: MakeCandidate,
    make_prompts: MakePrompts, fake: Any,
) -> None:  # fmt: skip
    fake_server.reply = lambda _number, _body: fake.status(429, headers={"Retry-After": "3600"})
    (generation,) = await generate(make_prompts(1), make_candidate(), served, store, settings=QUICK)
    assert (generation.error, generation.attempts) == (ErrorKind.RATE_LIMITED, 1)


@pytest.mark.parametrize(("code", "kind"), [(400, ErrorKind.HTTP_4XX), (302, ErrorKind.MALFORMED)])
async def test_a_final_failure_is_not_retried(
    fake_server: FakeServer, served: ServedModel, store: SampleStore, make_candidate: MakeCandidate,
    make_prompts: MakePrompts, fake: Any, code: int, kind: ErrorKind,
) -> None:  # fmt: skip
    fake_server.reply = lambda _number, _body: fake.status(code)
    (generation,) = await generate(make_prompts(1), make_candidate(), served, store, settings=QUICK)
    assert (generation.error, generation.attempts, len(fake_server.bodies)) == (kind, 1, 1)


async def test_unseeded_sampling_is_not_drawn_again_after_a_partial_answer(
    fake_server: FakeServer, served: ServedModel, store: SampleStore, make_candidate: MakeCandidate,
    make_prompts: MakePrompts, fake: Any,
) -> None:  # fmt: skip
    fake_server.reply = lambda _number, _body: fake.stream(fake.delta("half"), fake.DONE)
    unseeded = make_candidate(temperature=1.0, seed=None)
    (generation,) = await generate(make_prompts(1), unseeded, served, store, settings=QUICK)
    assert (generation.error, generation.attempts, generation.text) == (ErrorKind.CUT_SHORT, 1, "half")
    seeded = make_candidate(temperature=1.0, seed=1)
    (generation,) = await generate(make_prompts(1), seeded, served, store, settings=QUICK)
    assert (generation.error, generation.attempts) == (ErrorKind.CUT_SHORT, 4)
    fake_server.reply = lambda _number, _body: fake.status(503)
    (generation,) = await generate(make_prompts(1, start=5), unseeded, served, store, settings=QUICK)
    assert generation.attempts == 4, "no token had come: nothing was chosen"


async def test_a_failure_stays_in_the_result_and_is_asked_again_by_the_next_run(
    fake_server: FakeServer, served: ServedModel, store: SampleStore, make_candidate: MakeCandidate,
    make_prompts: MakePrompts, fake: Any,
) -> None:  # fmt: skip
    fake_server.reply = lambda _number, body: (
        fake.status(500, "boom") if body["messages"][-1]["content"] == "question 3" else fake.answer(fake.echo(body))
    )
    first = await generate(make_prompts(6), make_candidate(), served, store, settings=QUICK)
    assert [g.error for g in first] == [None] * 3 + [ErrorKind.HTTP_5XX] + [None] * 2
    assert "boom" in (first[3].error_detail or "")
    assert first[3].attempts == 4
    assert store.counts()["failed_generations"] == 1
    fake_server.reply = lambda _number, body: fake.answer(fake.echo(body))
    second = await generate(make_prompts(6), make_candidate(), served, store, settings=QUICK)
    assert [g.error for g in second] == [None] * 6
    assert store.counts() == {"generations": 6, "failed_generations": 0, "judgments": 0, "failed_judgments": 0}
    assert questions(fake_server)["question 3"] == 5


async def test_requests_go_to_the_server_with_the_fewest_outstanding(
    fake_server: FakeServer, second_server: FakeServer, store: SampleStore, make_candidate: MakeCandidate,
    make_prompts: MakePrompts, fake: Any,
) -> None:  # fmt: skip
    fake_server.reply = lambda _number, body: fake.answer(fake.echo(body), delay_s=0.2)
    served = ServedModel("fake", "fake", (fake_server.url, second_server.url))
    generations = await generate(make_prompts(60), make_candidate(), served, store, settings=QUICK)
    assert all(g.error is None for g in generations)
    assert len(second_server.bodies) > 2 * len(fake_server.bodies) > 0


async def test_a_dead_server_among_several_does_not_draw_the_requests(
    fake_server: FakeServer, second_server: FakeServer, store: SampleStore, make_candidate: MakeCandidate,
    make_prompts: MakePrompts, fake: Any,
) -> None:  # fmt: skip
    served = ServedModel("fake", "fake", (fake_server.url, second_server.url))
    await fake_server.stop()
    second_server.reply = lambda _number, body: fake.answer(fake.echo(body), delay_s=0.01)
    generations = await generate(make_prompts(60), make_candidate(), served, store, settings=QUICK)
    assert all(g.error is None for g in generations)
    assert sum(g.attempts - 1 for g in generations) < 20


async def test_a_server_that_dies_half_way_stops_the_run_and_nothing_finished_is_lost(
    fake_server: FakeServer, second_server: FakeServer, served: ServedModel, store: SampleStore,
    make_candidate: MakeCandidate, make_prompts: MakePrompts, fake: Any,
) -> None:  # fmt: skip
    def reply(number: int, body: dict[str, Any]) -> Any:
        if number == 40:
            asyncio.get_running_loop().create_task(fake_server.stop())
        return fake.answer(fake.echo(body), delay_s=0.02)

    fake_server.reply = reply
    with pytest.raises(InfrastructureError, match=r"no server of 'fake' answers.*run again to go on"):
        await generate(make_prompts(200), make_candidate(), served, store, settings=QUICK)
    counts = store.counts()
    finished = counts["generations"] - counts["failed_generations"]
    assert 30 <= finished < 60
    healthy = ServedModel("fake", "fake", (second_server.url,))
    generations = await generate(make_prompts(200), make_candidate(), healthy, store, settings=QUICK)
    assert all(g.error is None for g in generations)
    assert len(second_server.bodies) == 200 - finished
    assert store.counts()["generations"] == 200


async def test_a_server_that_fails_every_request_stops_the_run(
    fake_server: FakeServer, served: ServedModel, store: SampleStore, make_candidate: MakeCandidate,
    make_prompts: MakePrompts, fake: Any,
) -> None:  # fmt: skip
    fake_server.reply = lambda _number, _body: fake.status(500, "no weights")
    with pytest.raises(InfrastructureError, match=r"all failed \(http_5xx: HTTP 500: no weights\)"):
        await generate(make_prompts(500), make_candidate(), served, store, settings=replace(QUICK, retries=0))
    assert len(fake_server.bodies) < 50


async def test_our_own_bad_requests_do_not_count_as_a_broken_server(
    fake_server: FakeServer, served: ServedModel, store: SampleStore, make_candidate: MakeCandidate,
    make_prompts: MakePrompts, fake: Any,
) -> None:  # fmt: skip
    fake_server.reply = lambda _number, _body: fake.status(400, "too long")
    generations = await generate(make_prompts(100), make_candidate(), served, store, settings=QUICK)
    assert all(g.error is ErrorKind.HTTP_4XX for g in generations)


async def test_a_dead_process_is_noticed_at_once(
    fake_server: FakeServer, store: SampleStore, make_candidate: MakeCandidate, make_prompts: MakePrompts
) -> None:
    def died() -> None:
        raise InfrastructureError("the vLLM server died")

    served = ServedModel("fake", "fake", (fake_server.url,), check_process=died)
    await fake_server.stop()
    with pytest.raises(InfrastructureError, match="vLLM server died"):
        await generate(make_prompts(100), make_candidate(), served, store, settings=QUICK)


async def test_a_full_disk_stops_the_run_and_keeps_what_was_stored(
    served: ServedModel, make_candidate: MakeCandidate, make_prompts: MakePrompts, fake_server: FakeServer,
    fake: Any, tmp_path: Path,
) -> None:  # fmt: skip
    fake_server.reply = lambda _number, _body: fake.answer("x" * 3000, delay_s=0.005)
    engine = open_database(f"sqlite:///{tmp_path}/small.db")

    @event.listens_for(engine, "connect")
    def _limit(connection: Any, _record: object) -> None:
        connection.execute("PRAGMA max_page_count = 150")

    engine.dispose()
    store = SampleStore(engine)
    with pytest.raises(InfrastructureError, match=r"full.*free space on the disk"):
        await generate(make_prompts(5000), make_candidate(), served, store, settings=QUICK)
    kept = store.counts()["generations"]
    assert kept > 0
    assert len(fake_server.bodies) < 5000


async def test_an_interrupted_run_keeps_everything_that_was_finished(
    fake_server: FakeServer, served: ServedModel, store: SampleStore, make_candidate: MakeCandidate,
    make_prompts: MakePrompts, fake: Any,
) -> None:  # fmt: skip
    fake_server.reply = lambda _number, body: fake.answer(fake.echo(body), delay_s=0.02)
    finished = 0
    some_finished = asyncio.Event()

    def progress(done: int, _total: int) -> None:
        nonlocal finished
        finished = done
        if done == 30:
            some_finished.set()

    run = asyncio.create_task(
        generate(make_prompts(500), make_candidate(), served, store, settings=QUICK, progress=progress)
    )
    await some_finished.wait()
    run.cancel()
    with pytest.raises(asyncio.CancelledError):
        await run
    assert store.counts()["generations"] == finished < 500


RESUMABLE = """
import asyncio, sys
from evalharness.candidate import Candidate, Engine, Manifest, Sampling
from evalharness.database import open_database
from evalharness.engines import ServedModel
from evalharness.generation import GenerationSettings, generate
from evalharness.samples import SampleStore
from golden_sets.records import Message, Prompt

url, database = sys.argv[1:]
manifest = Manifest(model={}, declared_weights="w", sampling=Sampling(seed=0), engine=Engine(kind="endpoints"))
prompts = [Prompt(id=str(i), messages=(Message(role="user", content=f"question {i}"),)) for i in range(400)]
store = SampleStore(open_database(f"sqlite:///{database}"))
served = ServedModel("fake", "fake", (url,))
asyncio.run(generate(prompts, Candidate(name="c", manifest=manifest), served, store,
                     settings=GenerationSettings(concurrency=8)))
"""


@pytest.mark.slow
async def test_a_run_killed_at_any_moment_resumes_without_losing_or_repeating_what_was_stored(
    fake_server: FakeServer, fake: Any, tmp_path: Path
) -> None:
    asked = {count: asyncio.Event() for count in (60, 180)}

    def reply(number: int, body: dict[str, Any]) -> Any:
        if number + 1 in asked:
            asked[number + 1].set()
        return fake.answer(fake.echo(body), delay_s=0.02)

    fake_server.reply = reply
    database = tmp_path / "samples.db"

    async def start() -> asyncio.subprocess.Process:
        environment = {**os.environ, "PYTHONPATH": str(ROOT)}
        return await asyncio.create_subprocess_exec(
            sys.executable, "-c", RESUMABLE, fake_server.url, str(database), env=environment
        )

    def stored() -> set[str]:
        with sqlite3.connect(database) as connection:
            assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
            rows = connection.execute("SELECT text FROM generations WHERE error IS NULL").fetchall()
        connection.close()
        assert len(rows) == len(set(rows))
        return {text.removeprefix("answer to ").removesuffix(" seed 0") for (text,) in rows}

    for moment in asked.values():
        process = await start()
        await moment.wait()
        process.send_signal(signal.SIGKILL)
        await process.wait()
        finished = stored()
        asked_before = questions(fake_server)
        lost = set(asked_before) - finished
        assert len(lost) <= 8 + 60, "in flight, or waiting for the writer's next batch"
    process = await start()
    assert await process.wait() == 0
    assert stored() == {f"question {i}" for i in range(400)}
    repeated = {q for q, times in (questions(fake_server) - asked_before).items() if q in finished and times}
    assert repeated == set()
