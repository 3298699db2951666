"""Answers older than the plan: asked again where a run must not rest on them, counted where it does."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest

from evalharness.candidate import Candidate, Sampling
from evalharness.engines import ServedModel
from evalharness.engines.wire import request_seed
from evalharness.freshness import Freshness, older_than
from evalharness.generation import GenerationSettings, generate
from evalharness.generation_records import ErrorKind, Generation
from evalharness.samples import SampleStore
from golden_sets.records import Prompt

if TYPE_CHECKING:
    from tests.evalharness.conftest import FakeServer

QUICK = GenerationSettings(concurrency=8, timeout_s=5.0, retries=0, backoff_s=0.01)


def release(plan: str, plan_index: int, events: int | None = None) -> Freshness:
    """What a release asks under a plan at this place of a ledger that holds so many events."""
    return Freshness.under(plan, plan_index=plan_index, ledger_index=events or plan_index + 1, reuse_older=False)


def evaluation(plan: str, plan_index: int) -> Freshness:
    """The same for an evaluation, which reuses everything."""
    return Freshness.under(plan, plan_index=plan_index, ledger_index=plan_index + 1, reuse_older=True)


class Asking:
    """Asks the fake server for the first prompts, at temperature 1 unless the candidate says otherwise."""

    def __init__(self, server: FakeServer, served: ServedModel, store: SampleStore, candidate: Candidate) -> None:
        self.server, self.served, self.store, self.candidate = server, served, store, candidate
        self.make_prompts: Callable[..., list[Prompt]]

    async def __call__(self, count: int, *freshness: Freshness, repeats: int = 1) -> list[Generation]:
        options: dict[str, Any] = {"freshness": freshness[0]} if freshness else {}
        return await generate(
            self.make_prompts(count),
            self.candidate,
            self.served,
            self.store,
            settings=QUICK,
            repeats=repeats,
            **options,
        )

    @property
    def asked(self) -> int:
        return len(self.server.bodies)


@pytest.fixture
def ask(
    fake_server: FakeServer,
    served: ServedModel,
    store: SampleStore,
    make_candidate: Callable[..., Candidate],
    make_prompts: Callable[..., list[Prompt]],
) -> Asking:
    asking = Asking(fake_server, served, store, make_candidate(temperature=1.0, seed=10))
    asking.make_prompts = make_prompts
    return asking


async def test_answers_are_stamped_with_the_size_of_the_ledger(ask: Asking) -> None:
    assert {g.ledger_index for g in await ask(2)} == {None}
    found = await ask(4, Freshness(ledger_index=8))
    assert [g.ledger_index for g in found] == [None, None, 8, 8], "what was there keeps its stamp"
    assert ask.asked == 4


async def test_answers_from_before_the_plan_are_asked_again_beside_the_older_ones(ask: Asking) -> None:
    older = await ask(3, Freshness(ledger_index=5))
    fresh = await ask(5, release("sha256:plan", plan_index=5))
    assert ask.asked == 3 + 5
    assert {g.ledger_index for g in fresh} == {6}
    assert [g.run for g in fresh] == ["asked again under sha256:plan"] * 3 + [""] * 2
    assert older_than(fresh, 5) == 0
    assert await ask(3) == older, "the older answers stay what they were"
    assert ask.asked == 8


async def test_answers_of_an_unknown_age_count_as_older(ask: Asking) -> None:
    unknown = await ask(2)
    assert older_than(unknown, 0) == 2
    await ask(2, release("sha256:plan", plan_index=0))
    assert ask.asked == 4


@pytest.mark.parametrize(("events", "older"), [(4, 3), (5, 3), (6, 0), (9, 0)])
async def test_an_answer_is_older_unless_the_plan_was_recorded_when_its_run_began(
    ask: Asking, events: int, older: int
) -> None:
    """With five events in the ledger the plan at place 5 was not there yet; with six it was the newest."""
    stored = await ask(3, Freshness(ledger_index=events))
    assert older_than(stored, 5) == older
    await ask(3, release("sha256:plan", plan_index=5, events=10))
    assert ask.asked == 3 + older


async def test_an_evaluation_under_the_very_same_plan_is_reused(ask: Asking) -> None:
    evaluated = await ask(3, evaluation("sha256:plan", plan_index=5))
    assert await ask(3, release("sha256:plan", plan_index=5, events=9)) == evaluated
    assert ask.asked == 3


async def test_an_evaluation_reuses_everything_and_its_older_answers_can_be_counted(ask: Asking) -> None:
    await ask(2, evaluation("sha256:one", plan_index=3))
    found = await ask(5, evaluation("sha256:two", plan_index=8))
    assert ask.asked == 5
    assert older_than(found, 8) == 2
    released = await ask(5, release("sha256:two", plan_index=8, events=12))
    assert ask.asked == 5 + 2, "only what was older is asked again"
    assert await ask(5, evaluation("sha256:two", plan_index=8)) == released, "the fresh ones are preferred"
    assert ask.asked == 7


async def test_what_was_asked_again_is_never_asked_twice_also_after_a_crash(ask: Asking, fake: Any) -> None:
    await ask(20, Freshness(ledger_index=1))

    plan = release("sha256:plan", plan_index=4)
    ask.server.reply = lambda _number, body: fake.answer(fake.echo(body), delay_s=0.05)
    task = asyncio.create_task(ask(20, plan))
    while ask.asked < 20 + 10:  # noqa: ASYNC110 - the server counts, nothing can be awaited
        await asyncio.sleep(0.01)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    prompts = [p.request_digest for p in ask.make_prompts(20)]
    kept = ask.store.generations(ask.candidate.digest, prompts, run=plan.run)
    assert 0 < len(kept) < 20
    before = ask.asked
    found = await ask(20, replace(plan, ledger_index=9))
    assert ask.asked - before == 20 - len(kept)
    assert {g.request_digest for g in found if g.ledger_index == 5} == {digest for digest, _ in kept}
    assert await ask(20, plan) == found
    assert ask.asked - before == 20 - len(kept)


async def test_another_plan_asks_once_more(ask: Asking) -> None:
    await ask(2, Freshness(ledger_index=1))
    await ask(2, release("sha256:one", plan_index=2))
    await ask(2, release("sha256:two", plan_index=6))
    assert ask.asked == 6
    await ask(2, release("sha256:one", plan_index=2, events=9))
    assert ask.asked == 6, "the first plan still has its own answers"


async def test_an_older_failure_is_asked_again_in_its_own_place(ask: Asking, fake: Any) -> None:
    ask.server.reply = lambda _number, _body: fake.status(400)
    await ask(1, Freshness(ledger_index=1))
    ask.server.reply = lambda _number, body: fake.answer(fake.echo(body))
    (found,) = await ask(1, release("sha256:plan", plan_index=3))
    assert (found.error, found.run, found.ledger_index) == (None, "", 4)
    assert await ask(1) == [replace(found, attempts=2)], "stored, with the failed request counted"
    assert ask.asked == 2


async def test_a_failure_asked_again_does_not_hide_the_older_answer_from_an_evaluation(ask: Asking, fake: Any) -> None:
    older = await ask(1, Freshness(ledger_index=1))
    ask.server.reply = lambda _number, _body: fake.status(400)
    (failed,) = await ask(1, release("sha256:plan", plan_index=3))
    assert failed.error is not None
    assert await ask(1, evaluation("sha256:plan", plan_index=3)) == older
    assert ask.asked == 2


async def test_what_is_asked_again_is_drawn_again(ask: Asking) -> None:
    older = await ask(2, Freshness(ledger_index=1), repeats=3)
    once = await ask(2, release("sha256:one", plan_index=2), repeats=3)
    twice = await ask(2, release("sha256:two", plan_index=6), repeats=3)
    seeds = [body["seed"] for body in ask.server.bodies]
    assert len({g.text for g in [*older, *once, *twice]}) == 18
    assert len(set(seeds)) == 9
    assert all(0 <= seed < 2**31 for seed in seeds)


async def test_greedy_answers_are_asked_with_the_seed_they_always_had(
    ask: Asking, make_candidate: Callable[..., Candidate]
) -> None:
    ask.candidate = make_candidate(temperature=0.0, seed=10)
    await ask(1, Freshness(ledger_index=1))
    await ask(1, release("sha256:plan", plan_index=2))
    assert [body["seed"] for body in ask.server.bodies] == [10, 10]


def test_unseeded_sampling_drawn_again_has_a_seed_other_than_any_before() -> None:
    unseeded = Sampling(temperature=1.0, max_tokens=8, seed=None)
    assert [request_seed(unseeded, k) for k in range(3)] == [None, 1, 2]
    again = [request_seed(unseeded, k, "a run") for k in range(3)]
    assert len({None, 1, 2, *again}) == 6
    assert again == [request_seed(unseeded, k, "a run") for k in range(3)], "the same after a crash"


@pytest.mark.parametrize(
    "options", [{"since": 3, "ledger_index": 4}, {"since": 3, "run": "r"}, {"since": 3, "ledger_index": 3, "run": "r"}]
)
def test_a_run_that_would_ask_answers_older_than_its_plan_is_a_mistake(options: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="begun after the plan"):
        Freshness(**options)


def test_a_request_that_failed_in_a_completed_run_is_an_outcome() -> None:
    """Asking until it succeeds would wash reliability and pass rate."""
    failed = Generation(
        candidate_digest="sha256:c",
        request_digest="sha256:r",
        repeat=0,
        text="",
        finish_reason=None,
        error=ErrorKind.TIMEOUT,
        error_detail=None,
        prompt_tokens=None,
        output_tokens=None,
        ttft_s=None,
        tpot_s=None,
        e2e_s=1.0,
        attempts=3,
        started_at=0.0,
        ledger_index=8,
    )
    under = partial(Freshness.under, "sha256:plan", plan_index=6, ledger_index=9)
    for reuse_older in (True, False):
        assert not under(reuse_older=reuse_older).allows(failed)
        assert under(reuse_older=reuse_older, completed=True).allows(failed)
        assert not under(reuse_older=reuse_older, completed=True).allows(replace(failed, ledger_index=5))
