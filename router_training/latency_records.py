"""The records of a latency measurement."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from golden_sets.digests import Digest
from golden_sets.records import Record
from router_training.records import EncoderPin

Advice = Literal["classify in the request", "above the target", "classify at queue insertion"]
"""Up to 10 ms at P99; up to 15 ms; beyond."""


class Timing(Record):
    """Quantiles of times, milliseconds."""

    n: int
    """Calls."""
    p50_ms: float
    """Median."""
    p99_ms: float
    """99th percentile: an order statistic, no interpolation."""
    p99_high_ms: float | None
    """Its one-sided upper bound at 95 %; None below 299 calls."""


class Decided(Timing):
    """Times of the whole decision: `Router.route` of one prompt."""

    cpu: Timing | None
    """Time that the calling thread computed, waiting for a core left out; None where several threads compute."""


class SettingLatency(Decided):
    """One number of threads and one class of lengths."""

    threads: int
    """Threads that work on one prompt."""
    tokens: int | None
    """Prompts of at most this many tokens, and of more than the class below; None: longer ones."""
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


class RouterLatency(Decided):
    """What was measured of one router on one machine; its own times are those of all lengths, with fewest threads."""

    router: Digest
    """The router's digest."""
    encoder: EncoderPin | None
    """Its encoder."""
    prompts: str
    """What was asked: the file, or how the built-in prompts are made."""
    settings: tuple[SettingLatency, ...]
    """By threads and prompt length."""
    to_128_tokens: Decided | None
    """The same for prompts of at most 128 tokens; None where there were none."""
    throughput: tuple[Throughput, ...]
    """Batches, with one worker and with as many as there are cores."""
    core_share: float = Field(gt=0)
    """Share of the time that the calling thread computed, with fewest threads: well below 1 with a single thread, other
    processes took its core away."""
    cores: int
    """Cores that this process may use."""
    processor: str
    """What the machine calls it."""
    recommendation: Advice
    """What the overall P99 recommends."""
