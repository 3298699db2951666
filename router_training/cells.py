"""A router's results by length of the prompt and by task family."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from evalharness.evidence import Estimate
from golden_sets.length import LENGTH_BUCKETS, count_tokens, length_bucket
from router_training.evaluation import Cell
from router_training.frontier import NO_GAP, Ranking, number
from router_training.measuring import estimate, loss_estimate
from router_training.pairs import Floats, Mask, Pairs
from router_training.resampling import Resamples, percentile_interval

MINIMUM = 50
"""With fewer prompts a cell's APGR says nothing."""
_DRAWS = 500


def length_cells(pairs: Pairs, scores: Floats, flagship: Mask, confidence: float) -> tuple[Cell, ...]:
    """By length bucket, shortest first.

    Args:
        pairs: labelled prompts.
        scores: by which the router ranks them, shape (n,).
        flagship: where the flagship answers, shape (n,).
        confidence: of the intervals.
    """
    buckets = [length_bucket(tokens) for tokens in count_tokens(pairs.prompts)]
    present = [bucket for bucket in LENGTH_BUCKETS if bucket in set(buckets)]
    return _cells(present, buckets, pairs, scores, flagship, confidence)


def family_cells(pairs: Pairs, scores: Floats, flagship: Mask, confidence: float) -> tuple[Cell, ...]:
    """By task family, most quality given up first; nothing where the prompts name none."""
    if pairs.families is None:
        return ()
    cells = _cells(sorted(set(pairs.families)), pairs.families, pairs, scores, flagship, confidence)
    return tuple(sorted(cells, key=lambda cell: -(cell.loss.value or 0.0)))


def _cells(
    names: Sequence[str], of: Sequence[str], pairs: Pairs, scores: Floats, flagship: Mask, confidence: float
) -> tuple[Cell, ...]:
    labels = np.asarray(of)
    return tuple(_cell(name, labels == name, pairs, scores, flagship, confidence) for name in names)


def _cell(name: str, rows: Mask, pairs: Pairs, scores: Floats, flagship: Mask, confidence: float) -> Cell:
    part, to_flagship = pairs.take(rows), flagship[rows]
    return Cell(
        name=name,
        n=len(part),
        flagship_share=float(to_flagship.mean()),
        small_quality=float(part.small.mean()),
        flagship_quality=float(part.flagship.mean()),
        router_quality=float(np.where(to_flagship, part.flagship, part.small).mean()),
        loss=loss_estimate(np.where(to_flagship, 0.0, part.delta), part.groups, confidence),
        apgr=_apgr(part, scores[rows], confidence) if len(part) >= MINIMUM else None,
    )


def _apgr(pairs: Pairs, scores: Floats, confidence: float) -> Estimate:
    ranking, resamples = Ranking(scores, pairs.delta), Resamples(pairs.groups, draws=_DRAWS)
    draws = np.concatenate([ranking.deciles(times).apgr for times in resamples.chunks()])
    value = number(ranking.deciles().apgr)
    note = NO_GAP if value is None else None
    return estimate("apgr", percentile_interval(value, draws, pairs.groups, confidence=confidence, note=note))
