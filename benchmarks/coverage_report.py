"""What `benchmarks.coverage` measures in one cell, and the tables made from all of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np


@dataclass(frozen=True)
class Cell:
    """One measured cell: how often each one-sided bound held."""

    section: str
    method: str
    setting: str
    lower: float
    """Share of samples whose lower bound was at most the truth."""
    upper: float
    """Share of samples whose upper bound was at least the truth."""
    width: float
    """Mean width of the two-sided 90 % interval; 0 where not measured."""
    repetitions: int
    """Simulated samples; 0 = computed exactly."""
    undefined: float = 0.0
    """Share of samples without a bound (counted as covering: nothing is claimed)."""


def summarise(cells: list[Cell]) -> list[dict[str, Any]]:
    """Mean and worst coverage per section and method."""
    rows = []
    for key in dict.fromkeys((c.section, c.method) for c in cells):
        group = [c for c in cells if (c.section, c.method) == key]
        plain = [c for c in group if "worst" not in c.setting and "mean" not in c.setting] or group
        low, high = min(group, key=lambda c: c.lower), min(group, key=lambda c: c.upper)
        repetitions = max(c.repetitions for c in group)
        rows.append(
            {
                "section": key[0],
                "method": key[1],
                "cells": len(plain),
                "mean_lower": float(np.mean([c.lower for c in plain])),
                "mean_upper": float(np.mean([c.upper for c in plain])),
                "worst_lower": low.lower,
                "worst_lower_at": low.setting,
                "worst_upper": high.upper,
                "worst_upper_at": high.setting,
                "repetitions": repetitions,
                "monte_carlo_se": (0.95 * 0.05 / repetitions) ** 0.5 if repetitions else 0.0,
                "undefined": float(np.mean([c.undefined for c in plain])),
            }
        )
    return rows


def markdown(rows: list[dict[str, Any]], saved: list[dict[str, float]]) -> str:
    """Two tables: coverage per method, and what sequential stopping saves."""
    lines = [
        "Coverage of one-sided 95 % bounds, in percent (nominal 95.0). `reps` 0: computed exactly.",
        "",
        "| section | method | cells | mean lower | mean upper | worst lower | at | worst upper | at | reps |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    lines += [
        f"| {r['section']} | {r['method']} | {r['cells']} | {100 * r['mean_lower']:.1f} | {100 * r['mean_upper']:.1f} "
        f"| {100 * r['worst_lower']:.1f} | {r['worst_lower_at']} | {100 * r['worst_upper']:.1f} "
        f"| {r['worst_upper_at']} | {r['repetitions']} |"
        for r in rows
    ]
    if saved:
        keys = list(saved[0])
        lines += [
            "",
            "Expected sample of the default ten-look plan over the fixed plan (effect 1 = planned, 0 = at the limit).",
            "",
            "| " + " | ".join(keys) + " |",
            "|" + "---|" * len(keys),
        ]
        lines += ["| " + " | ".join(f"{row[k]:.3f}" for k in keys) + " |" for row in saved]
    return "\n".join(lines) + "\n"
