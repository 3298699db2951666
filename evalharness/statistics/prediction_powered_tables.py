"""Prediction-powered bounds of paired differences and rates from tables of counts, many at once: for simulations.

The formulas are those of `prediction_powered` (see `power_tuning`); prompts that differ in nothing share an entry.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from evalharness.statistics._inputs import Vector
from evalharness.statistics.interval import OneSide, check_confidences
from evalharness.statistics.paired import PairedMethod, paired_bound
from evalharness.statistics.power_tuning import Contributions, guarded_bound, power_tuned
from evalharness.statistics.prediction_powered import MINIMUM_LABELLED_UNITS, USEFUL_JUDGE
from golden_sets.errors import InputError


def ppi_paired_bound(
    unlabelled: ArrayLike,
    labelled: ArrayLike,
    *,
    confidence: ArrayLike,
    side: OneSide,
    method: PairedMethod = "tango",
) -> Vector:
    """One-sided bounds of `ppi_paired_interval`, elementwise over tables of counts of independent prompts.

    NaN with fewer than 10 labels; the bound of the labels alone where the judge does not help. The interval takes the
    exact bound there where few labels show a difference: that is ``method="auto"``, at 20 ms for each such table.

    Args:
        unlabelled: shape (..., 3), prompts without a label by judged difference -1, 0, 1.
        labelled: shape (..., 3, 3), labelled prompts (a simple random sample) by judged and by true difference.
        confidence: one-sided, in (0, 1), broadcast against the tables.
        side: lower or upper.
        method: bound of the labels alone, as in `paired_bound`.

    Raises:
        InputError: counts below 0 or not finite, tables of other shapes, confidence outside (0, 1).
    """
    levels = check_confidences(confidence)
    rest, table = np.asarray(unlabelled, dtype=np.float64), np.asarray(labelled, dtype=np.float64)
    if rest.shape[-1:] != (3,) or table.shape[-2:] != (3, 3):
        raise InputError(f"tables must have shapes (..., 3) and (..., 3, 3), got {rest.shape} and {table.shape}")
    if not all((np.isfinite(x) & (x >= 0)).all() for x in (rest, table)):
        raise InputError("counts must be finite and at least 0")
    shape = np.broadcast_shapes(rest.shape[:-1], table.shape[:-2])
    labels = np.broadcast_to(table.sum(axis=(-2, -1)), shape)
    estimate = power_tuned(table_contributions(rest, table, shape), squared_shares=1.0 / np.maximum(labels, 1.0))
    enough = labels >= MINIMUM_LABELLED_UNITS
    counted = np.maximum(labels, 2.0)
    bound = guarded_bound(estimate, counted, counted, confidence=levels, side=side)
    losses, _, wins = np.moveaxis(np.broadcast_to(table.sum(axis=-2), (*shape, 3)), -1, 0)
    enough, alone, levels, wins, losses, labels = np.broadcast_arrays(
        enough, estimate.weight < USEFUL_JUDGE, levels, wins, losses, labels
    )
    bound = np.array(np.broadcast_to(bound, enough.shape))
    alone = alone & enough
    if alone.any():
        counts = (wins[alone], losses[alone], labels[alone])
        bound[alone] = paired_bound(*counts, confidence=levels[alone], side=side, method=method)
    return np.asarray(np.where(enough, bound, np.nan), dtype=np.float64)


_DIFFERENCES = (-1.0, 0.0, 1.0)


def table_contributions(
    rest: Vector, table: Vector, shape: tuple[int, ...], values: tuple[float, ...] = _DIFFERENCES
) -> Contributions:
    """Contributions by kind of prompt, for tables as in `ppi_paired_bound`.

    Args:
        rest: shape (..., k), prompts without a label by judged value.
        table: shape (..., k, k), labelled prompts by judged and by true value.
        shape: what both are broadcast to, less the axes of values.
        values: the k values: differences, or 0 and 1 for rates.
    """
    k, worth = len(values), np.array(values)
    judged, truth = np.repeat(worth, k), np.tile(worth, k)
    cells = np.broadcast_to(table.reshape(*table.shape[:-2], k * k), (*shape, k * k))
    rest = np.broadcast_to(rest, (*shape, k))
    labels = np.maximum(cells.sum(axis=-1, keepdims=True), 1.0)
    total = labels + rest.sum(axis=-1, keepdims=True)
    judged_labelled, true_mean = cells @ judged, cells @ truth
    judged_labelled, true_mean = judged_labelled[..., None] / labels, true_mean[..., None] / labels
    judged_mean = ((rest @ worth)[..., None] + judged_labelled * labels) / total
    of_labelled = (judged - judged_mean) / total - (judged - judged_labelled) / labels
    return Contributions(
        truth=np.concatenate([np.zeros_like(rest), (truth - true_mean) / labels], axis=-1),
        judge=np.concatenate([(worth - judged_mean) / total, of_labelled], axis=-1),
        multiplicity=np.concatenate([rest, cells], axis=-1),
        truth_mean=true_mean[..., 0],
        judged_gap=(judged_mean - judged_labelled)[..., 0],
        labelled_units=labels[..., 0],
    )
