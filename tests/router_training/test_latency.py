"""What is said about a router's time is what was measured, prompt by prompt."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import pytest

from golden_sets.errors import InputError
from router_training import Router
from router_training.latency import measure_latency, time_prompts
from router_training.latency_prompts import LENGTHS, in_rounds, prompts_in_turns, prompts_of_length, read_prompts
from tests.support.routers import write_small_router


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("latency") / "router"
    write_small_router(out, layers=2, max_tokens=256)
    return out


def test_every_length_and_thread_is_measured(directory: Path) -> None:
    told: list[tuple[int, int]] = []
    found = measure_latency(directory, calls=30, progress=lambda done, total: told.append((done, total)))
    assert [(s.threads, s.tokens, s.n) for s in found.settings] == [(t, n, 30) for t in (1, 2) for n in LENGTHS]
    assert (found.n, found.router, found.encoder) == (
        180,
        Router.load(directory).digest,
        Router.load(directory).manifest.encoder,
    )
    assert found.to_128_tokens is not None
    assert found.to_128_tokens.n == 150
    assert told[-1] == (360, 360)
    assert [done for done, _ in told] == sorted(done for done, _ in told)


def test_times_are_in_order_and_add_up(directory: Path) -> None:
    found = measure_latency(directory, calls=60, threads=[1])
    computed = {setting.tokens: setting.cpu for setting in found.settings}
    for setting in found.settings:
        assert setting.encode is not None
        assert setting.head is not None
        assert setting.cpu is not None
        assert 0 < setting.head.p50_ms < setting.p50_ms
        assert 0 < setting.cpu.p50_ms <= 1.05 * setting.p50_ms
        for timing in (setting, setting.encode, setting.head, setting.cpu):
            assert 0 < timing.p50_ms <= timing.p99_ms
            assert timing.p99_high_ms is None  # 60 calls bound no 99th percentile
    short, long = computed[8], computed[256]
    assert short is not None
    assert long is not None
    assert long.p50_ms > 3 * short.p50_ms
    assert 0 < found.core_share <= 1.05


def test_the_99th_percentile_has_a_bound_from_299_calls(directory: Path) -> None:
    found = measure_latency(directory, ["why?"], calls=50, threads=[1])
    assert found.n == 300
    assert found.p99_high_ms is not None
    assert found.p99_high_ms >= found.p99_ms


def test_given_prompts_fall_into_classes_of_length(directory: Path) -> None:
    prompts = ["why?", *prompts_of_length(20, 1), *prompts_of_length(400, 1)]
    found = measure_latency(directory, prompts, source="traffic.csv", calls=5, threads=[2])
    assert [(s.threads, s.tokens, s.n, s.cpu) for s in found.settings] == [(2, n, 10, None) for n in (8, 32, None)]
    assert found.prompts == "traffic.csv"
    assert found.to_128_tokens is not None
    assert found.to_128_tokens.n == 20


def test_batches_are_timed_with_one_worker_and_with_every_core(directory: Path) -> None:
    found = measure_latency(directory, ["why?", "how?"], calls=4, threads=[1])
    assert [batch.workers for batch in found.throughput] == sorted({1, found.cores})
    for batch in found.throughput:
        assert batch.prompts == 24
        assert batch.prompts_per_s_per_core == pytest.approx(batch.prompts_per_s / batch.workers)
        assert batch.prompts_per_s > 10


@pytest.mark.parametrize("slowed_s", [0.0, 0.0105, 0.016])
def test_a_slow_router_belongs_before_the_queue(
    directory: Path, monkeypatch: pytest.MonkeyPatch, slowed_s: float
) -> None:
    route = Router.route

    def slowed(self: Router, prompts: str) -> object:
        time.sleep(slowed_s)
        return route(self, prompts)

    monkeypatch.setattr(Router, "route", slowed)
    found = measure_latency(directory, ["why?"], calls=2, threads=[1])
    assert found.p99_ms > 1e3 * slowed_s
    if found.p99_ms > 15:
        expected = "classify at queue insertion"
    else:
        expected = "classify in the request" if found.p99_ms <= 10 else "above the target"
    assert found.recommendation == expected


def test_a_router_that_learnt_nothing_is_timed_too(tmp_path: Path) -> None:
    from router_training import router_files
    from router_training.always_flagship import always_flagship

    router_files.write_router(tmp_path / "router", always_flagship().manifest, {})
    found = measure_latency(tmp_path / "router", calls=5, threads=[1])
    (setting,) = found.settings
    assert (setting.tokens, setting.n, setting.encode, setting.head) == (None, 30, None, None)
    assert (found.encoder, found.to_128_tokens) == (None, None)
    assert found.p50_ms > 0


def test_prompts_are_timed_one_by_one(directory: Path) -> None:
    seconds = time_prompts(Router.load(directory), ["why?", *prompts_of_length(250, 1)] * 20)
    assert seconds.shape == (40,)
    assert np.median(seconds[1::2]) > np.median(seconds[::2]) > 0


def test_built_in_prompts_have_exactly_their_length(directory: Path) -> None:
    embedder = Router.load(directory).embedder
    assert embedder is not None
    prompts = prompts_in_turns(7)
    assert embedder.tokens(prompts).tolist() == list(LENGTHS) * 7
    assert len(set(prompts)) == len(prompts)
    assert prompts == prompts_in_turns(7)
    assert prompts != prompts_in_turns(7, seed=1)


def test_prompts_come_round_equally_often() -> None:
    found = in_rounds(["a", "b", "c"], 8)
    assert sorted(found[:3]) == sorted(found[3:6]) == ["a", "b", "c"]
    assert len(found) == 8


def test_prompts_are_read_from_a_file(tmp_path: Path) -> None:
    path = tmp_path / "traffic.csv"
    path.write_text("text,team\nwhy?,a\nhow?,b\nwho?,a\n")
    assert read_prompts(path, columns={"prompt": "text"}, where={"team": "a"}) == ["why?", "who?"]
    path.write_text("text\nwhy?\n")
    with pytest.raises(InputError, match=r"traffic\.csv: there is no column 'prompt'"):
        read_prompts(path)
    path.write_text('prompt,n\nwhy?,1\n"",2\n')
    with pytest.raises(InputError, match=r"traffic\.csv:3: prompt is empty"):
        read_prompts(path)


@pytest.mark.parametrize(("prompts", "calls", "threads"), [([], 5, [1]), (None, 0, [1]), (None, 5, []), (None, 5, [0])])
def test_nothing_to_measure_is_refused(
    directory: Path, prompts: list[str] | None, calls: int, threads: list[int]
) -> None:
    with pytest.raises(InputError):
        measure_latency(directory, prompts, calls=calls, threads=threads)


def test_no_router_no_latency(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="there is no router here"):
        measure_latency(tmp_path)


def test_a_prompt_without_words_cannot_be_made() -> None:
    with pytest.raises(InputError, match="holds no word"):
        prompts_of_length(2, 1)
