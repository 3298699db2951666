"""How long a router takes: one prompt at a time, encoding and head apart and together, by prompt length.

Times are wall-clock times of single calls, one after another, in a warm process. The lengths take turns, so that a
machine whose speed drifts meets all of them alike. Beside them stands what the calling thread computed: where other
processes compete for its core, the high quantiles of the wall clock are theirs.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt

from evalharness.statistics.quantiles import quantile_interval
from golden_sets.errors import InputError
from router_training.latency_prompts import LENGTHS, in_rounds, prompts_in_turns
from router_training.latency_records import Advice, Decided, RouterLatency, SettingLatency, Throughput, Timing
from router_training.progress import Advance
from router_training.router import Router

Floats = npt.NDArray[np.float64]
Rows = npt.NDArray[np.intp]

TARGET_MS: Final = 10.0
"""P99 within which a router may decide while the request waits."""
QUEUE_MS: Final = 15.0
"""P99 beyond which prompts are better classified when they enter the queue."""

_SHORT = 128
_WARM_UP = 20
_BATCH = 600
_TICK = 100


@dataclass(frozen=True, eq=False)
class _Times:
    """Seconds of every call, shape (calls,)."""

    threads: int
    whole: Floats
    cpu: Floats
    encode: Floats | None
    head: Floats | None

    def decided(self, rows: Rows) -> Decided:
        """Quantiles of the whole decision over some calls."""
        cpu = _timing(self.cpu[rows]) if self.threads == 1 else None
        return Decided(**_timing(self.whole[rows]).model_dump(), cpu=cpu)


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
    total = len(asked) * len(set(threads))
    measured: list[_Times] = []
    for count in sorted(set(threads)):
        tick = partial(_tell, progress, len(asked) * len(measured), total)
        measured.append(_time(Router.load(directory, threads=count), count, asked, tick))
    router, least = Router.load(directory), measured[0]
    lengths = _lengths(router, asked)
    short = np.flatnonzero(lengths <= _SHORT)
    overall = least.decided(np.arange(len(asked)))
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return RouterLatency(
        **overall.model_dump(),
        router=router.digest,
        encoder=router.manifest.encoder,
        prompts=source or (f"{len(set(asked))} made of common words" if prompts is None else "given"),
        settings=tuple(setting for times in measured for setting in _by_length(times, lengths)),
        to_128_tokens=least.decided(short) if short.size else None,
        throughput=tuple(_throughput(directory, asked, workers) for workers in sorted({1, cores})),
        core_share=float(least.cpu.sum() / least.whole.sum()),
        cores=cores,
        processor=_processor(),
        recommendation=_advice(overall.p99_ms),
    )


def _tell(progress: Advance | None, before: int, total: int, done: int) -> None:
    if progress is not None:
        progress(before + done, total)


def time_prompts(router: Router, prompts: Sequence[str]) -> Floats:
    """Seconds of computing that each prompt takes a router, one at a time, shape (n,); the process is warmed up first.

    What a busy machine lets it wait for a processor is not counted: that is not the router's, and changes from run to
    run. It must have been loaded for one thread.
    """
    for prompt in prompts[:_WARM_UP]:
        router.route(prompt)
    return np.array([_clocked(router, prompt)[1] for prompt in prompts], dtype=np.float64)


def _time(router: Router, threads: int, prompts: Sequence[str], tick: Callable[[int], None]) -> _Times:
    """Time every prompt twice: stage by stage, and as a whole."""
    n = len(prompts)
    for prompt in prompts[:_WARM_UP]:
        router.route(prompt)
    stages = None
    if router.embedder is not None:
        stages = np.array([_stages(router, prompt) for prompt in _ticking(prompts, lambda done: tick(done // 2))])
    whole = np.array([_clocked(router, prompt) for prompt in _ticking(prompts, lambda done: tick((n + done) // 2))])
    return _Times(threads, *whole.T, *((None, None) if stages is None else stages.T))


def _ticking(prompts: Sequence[str], tick: Callable[[int], None]) -> Iterator[str]:
    for done, prompt in enumerate(prompts, 1):
        yield prompt
        if done % _TICK == 0 or done == len(prompts):
            tick(done)


def _stages(router: Router, prompt: str) -> tuple[float, float]:
    """Seconds of encoding and of the head."""
    assert router.embedder is not None  # noqa: S101 - asked only of routers that have one
    start = time.perf_counter()
    vectors = router.embedder.embed([prompt])
    between = time.perf_counter()
    router.score(router.features([prompt], vectors))
    return between - start, time.perf_counter() - between


def _clocked(router: Router, prompts: str | Sequence[str]) -> tuple[float, float]:
    """Seconds of the whole decision: on the wall clock, and computed by this thread."""
    cpu, start = time.thread_time(), time.perf_counter()
    router.route(prompts)
    wall = time.perf_counter() - start
    return wall, time.thread_time() - cpu


def _lengths(router: Router, prompts: Sequence[str]) -> Floats:
    """Tokens of each prompt; infinite for a router that reads none."""
    if router.embedder is None:
        return np.full(len(prompts), np.inf)
    return router.embedder.tokens(prompts).astype(np.float64)


def _by_length(times: _Times, lengths: Floats) -> Iterator[SettingLatency]:
    classes = np.searchsorted(LENGTHS, lengths)
    for place, tokens in enumerate((*LENGTHS, None)):
        rows = np.flatnonzero(classes == place)
        if rows.size:
            yield SettingLatency(
                **times.decided(rows).model_dump(),
                threads=times.threads,
                tokens=tokens,
                encode=None if times.encode is None else _timing(times.encode[rows]),
                head=None if times.head is None else _timing(times.head[rows]),
            )


def _timing(seconds: Floats) -> Timing:
    p50, p99 = (quantile_interval(1e3 * seconds, q, side="upper") for q in (0.5, 0.99))
    return Timing.model_validate({"n": seconds.size, "p50_ms": p50.value, "p99_ms": p99.value, "p99_high_ms": p99.high})


def _throughput(directory: Path, prompts: Sequence[str], workers: int) -> Throughput:
    router, batch = Router.load(directory, workers=workers), prompts[:_BATCH]
    router.route(batch[:_WARM_UP])
    rate = len(batch) / _clocked(router, batch)[0]
    return Throughput(workers=workers, prompts=len(batch), prompts_per_s=rate, prompts_per_s_per_core=rate / workers)


def _advice(p99_ms: float) -> Advice:
    if p99_ms > QUEUE_MS:
        return "classify at queue insertion"
    return "classify in the request" if p99_ms <= TARGET_MS else "above the target"


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return "unknown"
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "unknown")
