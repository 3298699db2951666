"""Looking after every observation: a confidence sequence for the mean of bounded numbers."""

from __future__ import annotations

import math
from typing import Any, Literal

from golden_sets.errors import InputError
from pipelines.cli.stats.options import SideName

SequenceMethodName = Literal["betting", "empirical-bernstein"]


def followed(
    source: str,
    span: tuple[float, float],
    confidence: float,
    side: SideName,
    method: SequenceMethodName,
    limit: float | None,
) -> dict[str, Any]:
    """The confidence sequence as a document: its last interval, and the number (from 1) that excluded the limit.

    Raises:
        InputError: an empty range, a limit outside it, or numbers that cannot be read or lie outside it.
    """
    import numpy as np

    from evalharness.statistics.confidence_sequences import mean_sequence
    from evalharness.statistics.interval import Interval, check_confidence
    from pipelines.cli.stats.columns import read_numbers

    low, high = span
    check_confidence(confidence)
    if not (math.isfinite(low) and math.isfinite(high) and low < high):
        raise InputError(f"the range [{low:g}, {high:g}] must be finite and not empty", do="give --low below --high")
    if limit is not None and not low <= limit <= high:
        raise InputError(f"--limit {limit:g} lies outside [{low:g}, {high:g}]", do="give a mean the numbers can have")
    values = read_numbers(source, low=low, high=high)
    running = mean_sequence(values, confidence=confidence, side=side, low=low, high=high, method=method)
    below = None if running.low is None else float(running.low[-1])
    above = None if running.high is None else float(running.high[-1])
    mean, note, name = float(np.mean(values)), None, f"{method}-sequence"
    value: float | None = mean
    if below is not None and above is not None and below > above:
        level = f"{100 * confidence:g} %"
        note = f"the bounds exclude every mean: with {level} confidence the numbers do not share one (drift)"
        value = below = above = None
    elif (below is not None and mean < below) or (above is not None and mean > above):
        note = f"the mean of the numbers, {mean:g}, has left the bounds: they may not share one mean (drift)"
        value = below if below is not None and mean < below else above
    found = Interval(value, below, above, confidence, name, len(values), note=note)
    document = {**found.to_json(), "side": side, "mean": mean, "range": [low, high]}
    if limit is None:
        return {**document, "limit": None, "excluded_at": None, "mean_is": None}
    risen = np.zeros(len(values), dtype=bool) if running.low is None else running.low > limit
    fallen = np.zeros(len(values), dtype=bool) if running.high is None else running.high < limit
    either = risen | fallen
    first = int(np.argmax(either)) if bool(either.any()) else None
    told = None if first is None else "above" if bool(risen[first]) else "below"
    return {**document, "limit": limit, "excluded_at": None if first is None else first + 1, "mean_is": told}


def show_followed(document: dict[str, Any]) -> None:
    """A confidence sequence for people."""
    from evalharness.statistics.interval import Interval
    from pipelines.cli.stats.showing import answer, claim, plain

    names = ("value", "low", "high", "confidence", "method", "n", "clusters", "note")
    found = Interval(**{name: document[name] for name in names})
    told = f"{found.n} numbers: {claim(found, 'the mean', plain)}, however often it was looked at."
    if document["limit"] is not None:
        first, where = document["excluded_at"], plain(document["limit"])
        told += (
            f" It lies {document['mean_is']} {where} since number {first}." if first else f" {where} is not excluded."
        )
    answer(told, {"mean": (found, plain)}, document, as_json=False)
