"""How long a router takes: one prompt at a time, encoding and head apart and together, by prompt length.

Times are wall-clock times of single calls, one after another, in a warm process. The lengths take turns, so that a
machine whose speed drifts meets all of them alike. Beside them stands the share of a core that the thread got: where
other processes compete for it, the high quantiles are theirs.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final, Literal

import numpy as np
import numpy.typing as npt
from pydantic import Field

from evalharness.statistics.quantiles import quantile_interval
from golden_sets.digests import Digest
from golden_sets.errors import InputError
from golden_sets.records import Record
from router_training.latency_prompts import LENGTHS, in_rounds, prompts_in_turns
from router_training.progress import Advance
from router_training.records import EncoderPin
from router_training.router import Router

Floats = npt.NDArray[np.float64]
Advice = Literal["classify in the request", "above the target", "classify at queue insertion"]
"""Up to 10 ms at P99; up to 15 ms; beyond."""

TARGET_MS: Final = 10.0
"""P99 within which a router may decide while the request waits."""
QUEUE_MS: Final = 15.0
"""P99 beyond which prompts are better classified when they enter the queue."""

_WARM_UP = 20
_BATCH = 600


class Timing(Record):
    """Quantiles of wall-clock times, milliseconds."""

    n: int
    """Calls."""
    p50_ms: float
    """Median."""
    p99_ms: float
    """99th percentile: an order statistic, no interpolation."""
    p99_high_ms: float | None
    """Its one-sided upper bound at 95 %; None below 299 calls."""


class SettingLatency(Record):
    """One number of threads and one class of lengths."""

    threads: int
    """Threads that work on one prompt."""
    tokens: int | None
    """Prompts of at most this many tokens, and of more than the class below; None: longer ones."""
    n: int
    """Calls."""
    p50_ms: float
    """Median of the whole decision: `Router.route` of one prompt."""
    p99_ms: float
    """99th percentile of the whole decision."""
    p99_high_ms: float | None
    """Its one-sided upper bound at 95 %; None below 299 calls."""
    encode: Timing | None
    """Tokens and embedding alone; None for a router without an encoder."""
    head: Timing | None
    """Features, head and calibration alone; None for a router without one."""


class Throughput(Record):
    """A batch in one call."""

    workers: int
    """Prompts that are worked on at once, one thread each."""
    prompts: int
    """Prompts in the batch."""
    prompts_per_s: float
    """Decided per second."""
    prompts_per_s_per_core: float
    """The same for each core in use."""


class RouterLatency(Record):
    """What was measured of one router on one machine."""

    router: Digest
    """The router's digest."""
    encoder: EncoderPin | None
    """Its encoder."""
    prompts: str
    """What was asked: the file, or how the built-in prompts are made."""
    settings: tuple[SettingLatency, ...]
    """By threads and prompt length."""
    n: int
    """Calls behind the overall numbers: all lengths, with the fewest threads."""
    p50_ms: float
    """Median of the whole decision."""
    p99_ms: float
    """99th percentile of the whole decision."""
    p99_high_ms: float | None
    """Its one-sided upper bound at 95 %; None below 299 calls."""
    to_128_tokens: Timing | None
    """The same for prompts of at most 128 tokens; None where there were none."""
    throughput: tuple[Throughput, ...]
    """Batches, with one worker and with as many as there are cores."""
    core_share: float = Field(gt=0)
    """Share of a core that the single thread got: well below 1, other processes slowed it down."""
    cores: int
    """Cores that this process may use."""
    cpu: str
    """What the machine calls its processor."""
    recommendation: Advice
    """What the overall P99 recommends."""


@dataclass(frozen=True, eq=False)
class _Times:
    """Seconds of every call, shape (calls,)."""

    whole: Floats
    encode: Floats | None
    head: Floats | None
    core_share: float


def measure_latency(
    directory: Path,
    prompts: Sequence[str] | None = None,
    *,
    source: str | None = None,
    threads: Sequence[int] = (1, 2),
    calls: int = 500,
    seed: int = 0,
    progress: Advance | None = None,
) -> RouterLatency:
    """Measure a router on this machine.

    Args:
        directory: the router.
        prompts: what to ask, as often as it takes, in random order; None: built-in prompts of `LENGTHS` tokens.
        source: where ``prompts`` are from, for the record.
        threads: threads per prompt, one setting each.
        calls: timed calls per number of threads and length; of given prompts, as many for each of `LENGTHS` together.
        seed: of the order, and of the built-in prompts.
        progress: told (calls done, calls in all).

    Raises:
        InputError: not a router, no prompts, or numbers that make no sense.
        InfrastructureError: a package is missing.
    """
    if calls < 1 or not threads or min(threads) < 1:
        raise InputError("latency needs at least one call and one thread")
    if prompts is not None and not prompts:
        raise InputError("there are no prompts to measure with")
    asked = (
        prompts_in_turns(calls, seed=seed) if prompts is None else in_rounds(prompts, calls * len(LENGTHS), seed=seed)
    )
    total = len(asked) * len(threads)
    by_threads: dict[int, _Times] = {}
    for count in sorted(set(threads)):
        done = len(asked) * len(by_threads)
        tick = None if progress is None else partial(_tell, progress, done, total)
        by_threads[count] = _time(Router.load(directory, threads=count), asked, tick)
    router = Router.load(directory)
    lengths = np.array([len(prompt) for prompt in asked]) if router.embedder is None else router.embedder.tokens(asked)
    least = by_threads[min(by_threads)]
    overall = _timing(least.whole)
    short = lengths <= 128
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return RouterLatency(
        router=router.digest,
        encoder=router.manifest.encoder,
        prompts=source or (f"{len(set(asked))} made of common words" if prompts is None else "given"),
        settings=tuple(setting for count, times in by_threads.items() for setting in _by_length(count, times, lengths)),
        **overall.to_json(),
        to_128_tokens=_timing(least.whole[short]) if short.any() else None,
        throughput=tuple(_throughput(directory, asked, workers) for workers in sorted({1, cores})),
        core_share=least.core_share,
        cores=cores,
        cpu=_cpu(),
        recommendation=_advice(overall.p99_ms),
    )


def _tell(progress: Advance, before: int, total: int, done: int) -> None:
    progress(before + done, total)


def time_prompts(router: Router, prompts: Sequence[str]) -> Floats:
    """Seconds that a router takes to decide each prompt, one at a time, shape (n,); the process is warmed up first."""
    for prompt in prompts[:_WARM_UP]:
        router.route(prompt)
    return np.array([_clocked(router, prompt) for prompt in prompts], dtype=np.float64)


def _time(router: Router, prompts: Sequence[str], tick: Callable[[int], None] | None) -> _Times:
    """Time every prompt twice: stage by stage, and as a whole."""
    embedder, n = router.embedder, len(prompts)
    whole, encode, head = np.empty(n), np.empty(n), np.empty(n)
    for prompt in prompts[:_WARM_UP]:
        router.route(prompt)
    if embedder is not None:
        for row, prompt in enumerate(prompts):
            start = time.perf_counter()
            vectors = embedder.embed([prompt])
            between = time.perf_counter()
            router.score(router.features([prompt], vectors))
            encode[row], head[row] = between - start, time.perf_counter() - between
            if tick and row % 100 == 0:
                tick(row // 2)
    cpu = time.thread_time()
    for row, prompt in enumerate(prompts):
        whole[row] = _clocked(router, prompt)
        if tick and row % 100 == 0:
            tick((n + row) // 2)
    share = (time.thread_time() - cpu) / max(float(whole.sum()), 1e-9)
    if embedder is None:
        return _Times(whole, None, None, share)
    return _Times(whole, encode, head, share)


def _clocked(router: Router, prompts: str | Sequence[str]) -> float:
    start = time.perf_counter()
    router.route(prompts)
    return time.perf_counter() - start


def _by_length(threads: int, times: _Times, lengths: npt.NDArray[np.int64]) -> Iterator[SettingLatency]:
    classes = np.searchsorted(LENGTHS, lengths)
    for place, tokens in enumerate((*LENGTHS, None)):
        rows = classes == place
        if rows.any():
            yield SettingLatency(
                threads=threads,
                tokens=tokens,
                **_timing(times.whole[rows]).to_json(),
                encode=None if times.encode is None else _timing(times.encode[rows]),
                head=None if times.head is None else _timing(times.head[rows]),
            )


def _timing(seconds: Floats) -> Timing:
    p50, p99 = (quantile_interval(seconds, q, side="upper") for q in (0.5, 0.99))
    assert p50.value is not None  # noqa: S101 - there are values
    assert p99.value is not None  # noqa: S101
    high = None if p99.high is None else 1e3 * p99.high
    return Timing(n=seconds.size, p50_ms=1e3 * p50.value, p99_ms=1e3 * p99.value, p99_high_ms=high)


def _throughput(directory: Path, prompts: Sequence[str], workers: int) -> Throughput:
    router, batch = Router.load(directory, workers=workers), prompts[:_BATCH]
    router.route(batch[:_WARM_UP])
    rate = len(batch) / _clocked(router, batch)
    return Throughput(workers=workers, prompts=len(batch), prompts_per_s=rate, prompts_per_s_per_core=rate / workers)


def _advice(p99_ms: float) -> Advice:
    if p99_ms > QUEUE_MS:
        return "classify at queue insertion"
    return "classify in the request" if p99_ms <= TARGET_MS else "above the target"


def _cpu() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return "unknown"
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "unknown")
