"""What answers cost, in USD.

Per token: ``prompt_tokens * input_price + output_tokens * output_price``, prices per 10^6 tokens.

Per accelerator-hour: the time during which at least one request was in flight, times accelerators, times the hourly
price, shared out among the requests in proportion to the time each was in flight. The shares add up to the bill.
"""

from __future__ import annotations

from collections.abc import Sequence

from evalharness.candidate import Price
from evalharness.generation_records import Generation

SECONDS_PER_HOUR = 3600.0


def usd_of(generations: Sequence[Generation], price: Price | None) -> list[float | None]:
    """USD of every request, in order; None where there is no price or no token count."""
    if price is None:
        return [None] * len(generations)
    if price.usd_per_gpu_hour is None:
        return [_by_tokens(g, price) for g in generations]
    in_flight = sum(g.e2e_s for g in generations)
    bill = busy_seconds(generations) / SECONDS_PER_HOUR * price.gpus * price.usd_per_gpu_hour
    return [bill * g.e2e_s / in_flight if in_flight > 0 else 0.0 for g in generations]


def busy_seconds(generations: Sequence[Generation]) -> float:
    """Time during which at least one of the requests was in flight, seconds."""
    total, reached = 0.0, float("-inf")
    for start, end in sorted((g.started_at, g.started_at + g.e2e_s) for g in generations):
        total += max(0.0, end - max(start, reached))
        reached = max(reached, end)
    return total


def _by_tokens(generation: Generation, price: Price) -> float | None:
    if generation.error is not None and generation.output_tokens is None:
        return 0.0
    if generation.prompt_tokens is None or generation.output_tokens is None:
        return None
    assert price.usd_per_million_input_tokens is not None  # noqa: S101 - validated with the price
    assert price.usd_per_million_output_tokens is not None  # noqa: S101
    return (
        generation.prompt_tokens * price.usd_per_million_input_tokens
        + generation.output_tokens * price.usd_per_million_output_tokens
    ) / 1e6
