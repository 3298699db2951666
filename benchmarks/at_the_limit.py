"""Candidates exactly at a floor, a ceiling or a margin: each promotion is an error. Outcomes scored by a checker.

On independent prompts the verdict depends on counts alone: the counts at which the gate starts to promote and stops to
block are found by asking it, and their chances are summed exactly. Clusters and repeats are simulated.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from functools import cache, partial
from typing import Any

import numpy as np
from scipy import stats

from benchmarks.error_rates_report import ALPHA, Rates
from benchmarks.simulated_evidence import (
    Codes,
    Setting,
    bernoulli,
    beta_rates,
    both_arms,
    ceiling,
    evidence_of,
    floor,
    margin,
    paired_outcomes,
    policy,
    rows,
)
from evalharness.outcomes import OutcomeTable
from evalharness.statistics import binomial_path, proportion_lower
from gates.gate import gate
from gates.policy import Policy

PAIRS = (
    (88, 0.03, 0.03),
    (300, 0.05, 0.03),
    (1000, 0.01, 0.01),
    (300, 0.2, 0.05),
    (600, 0.13, 0.05),
    (1000, 0.09, 0.03),
    (2000, 0.06, 0.01),
)
"""Prompts, discordance and margin; the true difference is minus the margin. Where the candidate never wins, a score
interval is at its worst."""
NEGLIGIBLE = 1e-5
"""Numbers of wins or losses with less chance than this are left out."""


def at_the_limit(*, quick: bool = False) -> Iterator[Rates]:
    """One look at independent prompts scored by a checker: exact chances.

    Args:
        quick: fewer settings.
    """
    for n, limit in ((100, 0.9), (500, 0.9), (1000, 0.8), (300, 0.98))[:: 3 if quick else 1]:
        yield _one_rate(f"floor {limit:.0%}, n = {n}", policy(floor(limit)), "golden", n, limit)
    for n, limit in ((300, 0.01), (400, 0.02), (1000, 0.005))[: 1 if quick else 3]:
        yield _one_rate(f"violations <= {limit:.1%}, n = {n}", policy(ceiling(limit)), "adversarial", n, limit)
    for n, discordance, size in PAIRS[: 2 if quick else len(PAIRS)]:
        yield _pairs(n, discordance, size)


def in_clusters() -> list[Setting]:
    """The same where prompts share templates (clusters of five) or are asked three times."""
    templates = np.arange(1000) // 5
    again = np.repeat(np.arange(333), 3)
    ids = [f"golden-{c}" for c in again]
    repeats = {"prompt_id": ids, "prompt_digest": ids, "cluster": ids, "repeat": np.tile(np.arange(3), 333)}
    asked = "333 prompts asked 3 times, ICC 0.5"
    return [
        *_clustered("clusters", "clusters of 5 with ICC 0.1, n = 1000", templates, 0.1, {"cluster": _names(templates)}),
        *_clustered("clusters", "clusters of 5 with ICC 0.5, n = 1000", templates, 0.5, {"cluster": _names(templates)}),
        *_clustered("repeats", asked, again, 0.5, repeats),
    ]


def twenty_peeks() -> Rates:
    """A peer's habit: look twenty times at a 95 % bound, promote as soon as it clears the floor. Computed exactly."""
    limit, sizes = 0.9, [50 * (k + 1) for k in range(20)]
    counts = [np.arange(n + 1) for n in sizes]
    needed = [
        int(k[proportion_lower(k, n, confidence=1 - ALPHA) >= limit][0]) for k, n in zip(counts, sizes, strict=True)
    ]
    path = binomial_path(sizes, needed, [-1] * len(sizes), limit)
    told = f"twenty unplanned peeks at a 95 % bound, floor {limit:.0%}, n = {sizes[-1]}"
    return Rates("at the limit, peers", told, 0, sum(path.passed), 0.0, "promote", None)


def _one_rate(told: str, rules: Policy, kind: str, n: int, limit: float) -> Rates:
    """Chances of the verdicts on a rate exactly at its floor or ceiling."""
    better = kind == "golden"

    @cache
    def verdict(good: int) -> str:
        events = np.zeros(n)
        events[: good if better else n - good] = 1.0
        return gate(rules, evidence_of(OutcomeTable.from_frame(rows(events, kind=kind)))).verdict.value

    good = limit if better else 1 - limit
    promote = stats.binom.sf(_first(lambda k: verdict(k) == "promote", 0, n) - 1, n, good)
    block = stats.binom.cdf(_first(lambda k: verdict(k) != "block", 0, n) - 1, n, good)
    return Rates("at the limit", told, 0, float(promote), float(block), "promote")


def _pairs(n: int, discordance: float, size: float) -> Rates:
    """Chances of the verdicts on a difference exactly at minus the margin, over all numbers of wins and losses."""
    rules = policy(margin(size))

    @cache
    def verdict(losses: int, wins: int) -> str:
        candidate, incumbent = np.ones(n), np.ones(n)
        candidate[:losses], incumbent[losses : losses + wins] = 0.0, 0.0
        return gate(rules, evidence_of(both_arms(candidate, incumbent))).verdict.value

    win, loss = (discordance - size) / 2, (discordance + size) / 2
    span = np.arange(n + 1)
    likely = span[stats.binom.pmf(span, n, loss) > NEGLIGIBLE]
    most = int(stats.binom.isf(NEGLIGIBLE, n, win)) if win > 0 else 0
    promote = block = 0.0
    unblocked = promoted = 0  # more losses take more wins: each search starts where the last one ended
    for losses in likely.tolist():
        of = partial(verdict, losses)
        unblocked = _next(of, ("promote", "inconclusive"), unblocked, most)
        promoted = _next(of, ("promote",), max(promoted, unblocked), most)
        chance, of_win = stats.binom.pmf(losses, n, loss), win / (1 - loss)
        promote += chance * stats.binom.sf(promoted - 1, n - losses, of_win)
        block += chance * stats.binom.cdf(unblocked - 1, n - losses, of_win)
    only = " (losses only)" if win <= 1e-12 else ""
    told = f"margin {100 * size:g} points, n = {n}, discordance {discordance:g}{only}"
    return Rates("at the limit", told, 0, float(promote), float(block), "promote")


def _clustered(section: str, told: str, codes: Codes, icc: float, columns: dict[str, Any]) -> Iterator[Setting]:
    """A floor and a margin on prompts (or repeats) whose outcomes are correlated within clusters."""

    def of_floor(rng: np.random.Generator) -> str:
        chances = beta_rates(rng, int(codes.max()) + 1, 0.9, icc)[codes]
        table = OutcomeTable.from_frame(rows(bernoulli(rng, chances), **columns))
        return gate(policy(floor(0.9)), evidence_of(table)).verdict.value

    def of_margin(rng: np.random.Generator) -> str:
        found = paired_outcomes(rng, codes.size, discordance=0.13, difference=-0.05, clusters=codes, icc=icc)
        return gate(policy(margin(0.05)), evidence_of(both_arms(*found, **columns))).verdict.value

    yield Setting(section, f"floor 90%, {told}", of_floor)
    yield Setting(section, f"margin 5 points, {told}", of_margin)


def _names(codes: Codes) -> list[str]:
    return [f"template-{code}" for code in codes]


def _first(holds: Callable[[int], bool], low: int, high: int) -> int:
    """Smallest number in [low, high] for which a monotone condition holds; high + 1 where it never does."""
    while low <= high:
        middle = (low + high) // 2
        low, high = (low, middle - 1) if holds(middle) else (middle + 1, high)
    return low


def _next(verdict: Callable[[int], str], wanted: Collection[str], start: int, most: int) -> int:
    """Smallest number from ``start`` on with a wanted verdict; most + 1 where there is none."""
    while start <= most and verdict(start) not in wanted:
        start += 1
    return start
