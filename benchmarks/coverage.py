"""Measured coverage and error rates of every interval in `evalharness.statistics`.

``python -m benchmarks.coverage [--quick] [--out DIR] [--only SECTION]`` writes ``coverage.json`` and ``coverage.md``.
Rates that can be computed are computed exactly, by summing over all outcomes; the others are seeded simulations, and
their Monte-Carlo standard error is stated. One-sided bounds at 95 %: nominal coverage is 95 % for each.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from benchmarks.coverage_report import Cell, markdown, summarise
from evalharness import statistics as st

CONFIDENCE = 0.95
TWO_SIDED = 0.90
"""A two-sided 90 % interval is the two one-sided 95 % bounds."""
SIZES = (20, 50, 200, 1000)
RATES = (0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.3, 0.5, 0.7, 0.8, 0.9, 0.95, 0.98, 0.99, 0.995)
Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Scale:
    """How much work to do."""

    repetitions: int
    sequence_repetitions: int
    grid: int

    @staticmethod
    def of(*, quick: bool) -> Scale:
        return Scale(200, 60, 41) if quick else Scale(1000, 500, 201)


def simulate(
    section: str, method: str, setting: str, repetitions: int, truth: float, draw: Callable[[], st.Interval]
) -> Cell:
    """Draw intervals and count how often each bound holds."""
    lower = upper = undefined = 0
    widths = []
    for _ in range(repetitions):
        interval = draw()
        lower += interval.low is None or interval.low <= truth + 1e-12
        upper += interval.high is None or interval.high >= truth - 1e-12
        undefined += interval.low is None or interval.high is None
        if interval.low is not None and interval.high is not None:
            widths.append(interval.high - interval.low)
    width = float(np.mean(widths)) if widths else 0.0
    return Cell(
        section, method, setting, lower / repetitions, upper / repetitions, width, repetitions, undefined / repetitions
    )


def proportions(scale: Scale) -> Iterator[Cell]:
    """Exact coverage of the binomial intervals; the worst rate of a fine grid is a cell of its own."""
    fine = np.unique(np.concatenate([np.linspace(0.0005, 0.9995, scale.grid * 5), RATES]))
    for n in SIZES:
        k = np.arange(n + 1)
        methods: tuple[st.ProportionMethod, ...] = ("clopper-pearson", "wilson", "jeffreys")
        for method in methods:
            low = st.proportion_lower(k, n, confidence=CONFIDENCE, method=method)
            high = st.proportion_upper(k, n, confidence=CONFIDENCE, method=method)
            for p in RATES:
                mass = stats.binom.pmf(k, n, p)
                yield Cell(
                    "proportion",
                    method,
                    f"n={n} p={p}",
                    float(mass[low <= p].sum()),
                    float(mass[high >= p].sum()),
                    float(mass @ (high - low)),
                    0,
                )
            mass = stats.binom.pmf(k[None, :], n, fine[:, None])
            lower = (mass * (low <= fine[:, None])).sum(axis=1)
            upper = (mass * (high >= fine[:, None])).sum(axis=1)
            yield Cell("proportion", method, f"n={n} worst p", float(lower.min()), float(upper.min()), 0.0, 0)
            yield Cell("proportion", method, f"n={n} mean over p", float(lower.mean()), float(upper.mean()), 0.0, 0)


def paired(scale: Scale) -> Iterator[Cell]:
    """Exact coverage of Tango's bounds by summing over (wins, losses); discordance psi, difference d."""
    for n in (50, 100, 300, 1000):
        for psi, d in ((0.03, -0.03), (0.04, -0.03), (0.05, -0.03), (0.09, -0.03), (0.2, -0.03), (0.4, -0.03),
                       (0.02, -0.02), (0.01, -0.01), (0.09, 0.0), (0.2, 0.05)):  # fmt: skip
            lower, upper, width = _trinomial(n, (psi + d) / 2, (psi - d) / 2)
            yield Cell("paired", "tango", f"n={n} psi={psi} d={d}", lower, upper, width, 0)
    for n in (10,) if scale.grid < 100 else (10, 20):
        b, c = (x.ravel() for x in np.meshgrid(np.arange(n + 1), np.arange(n + 1)))
        b, c = b[b + c <= n], c[b + c <= n]
        for method in ("tango", "exact"):
            low = np.array([_paired_low(int(x), int(y), n, method) for x, y in zip(b, c, strict=True)])
            covered = [
                float(
                    stats.multinomial.pmf(np.c_[b, c, n - b - c], n, [pw, pl, 1 - pw - pl])[low <= pw - pl + 1e-9].sum()
                )
                for pw in np.linspace(0.0, 0.5, 26)
                for pl in np.linspace(0.0, 0.5, 26)
            ]
            yield Cell("paired", method, f"n={n} worst of 676 (wins, losses)", min(covered), min(covered), 0.0, 0)
            yield Cell("paired", method, f"n={n} mean of 676", float(np.mean(covered)), float(np.mean(covered)), 0.0, 0)


def _paired_low(wins: int, losses: int, n: int, method: str) -> float:
    chosen: st.PairedMethod = "exact" if method == "exact" else "tango"
    low = st.paired_interval(wins, losses, n, confidence=CONFIDENCE, side="lower", method=chosen).low
    assert low is not None
    return low


def _trinomial(n: int, win_rate: float, loss_rate: float) -> tuple[float, float, float]:
    """(lower coverage, upper coverage, mean width) of Tango's bounds, over all tables of non-negligible chance."""
    top = [min(n, int(stats.binom.isf(1e-10, n, p)) + 2) if p > 0 else 0 for p in (win_rate, loss_rate)]
    b, c = np.meshgrid(np.arange(top[0] + 1), np.arange(top[1] + 1), indexing="ij")
    b, c = b[b + c <= n], c[b + c <= n]
    mass = stats.binom.pmf(c, n, loss_rate) * stats.binom.pmf(b, n - c, win_rate / (1 - loss_rate))
    keep = mass > 1e-12
    b, c, mass, truth = b[keep], c[keep], mass[keep], win_rate - loss_rate
    low = st.paired_lower(b, c, n, confidence=CONFIDENCE)
    high = st.paired_upper(b, c, n, confidence=CONFIDENCE)
    total = mass.sum()
    return (
        float(mass[low <= truth + 1e-9].sum() / total),
        float(mass[high >= truth - 1e-9].sum() / total),
        float(mass @ (high - low) / total),
    )


def quantiles(scale: Scale) -> Iterator[Cell]:
    """Exact coverage of order-statistic bounds for continuous values, from the binomial of ranks."""
    del scale
    for q in (0.5, 0.9, 0.95, 0.99):
        for n in SIZES:
            low, high = st.quantile_ranks(n, q, confidence=TWO_SIDED)
            lower = 1.0 if low is None else float(stats.binom.sf(low - 1, n, q))
            upper = 1.0 if high is None else float(stats.binom.cdf(high - 1, n, q))
            missing = float(low is None or high is None)
            yield Cell("quantile", "order-statistic", f"n={n} q={q}", lower, upper, 0.0, 0, missing)


def clustered(scale: Scale) -> Iterator[Cell]:
    """Beta-binomial clusters: rates vary between clusters with the stated intra-class correlation."""
    rng = np.random.default_rng(101)
    for icc in (0.0, 0.1, 0.5):
        for n in SIZES:
            for sizes in ("5", "1-9"):
                for p in (0.005, 0.02, 0.05, 0.2, 0.5, 0.8, 0.95, 0.98, 0.995):

                    def draw(icc: float = icc, n: int = n, sizes: str = sizes, p: float = p) -> st.Interval:
                        codes = _codes(rng, n, sizes)
                        return st.clustered_proportion_interval(
                            _beta_binomial(rng, codes, p, icc), codes, confidence=TWO_SIDED
                        )

                    yield simulate(
                        "clustered", "clopper-pearson-clustered", f"icc={icc} n={n} size={sizes} p={p}",
                        scale.repetitions, p, draw,
                    )  # fmt: skip


def clustered_pairs(scale: Scale) -> Iterator[Cell]:
    """Paired differences whose losses and wins come in clusters of five (a shared template)."""
    rng = np.random.default_rng(102)
    for sticky in (0.0, 0.3, 1.0):
        for clusters in (10, 40, 200):
            for psi, d in ((0.03, -0.03), (0.09, -0.03), (0.2, -0.03), (0.2, 0.05)):

                def draw(
                    sticky: float = sticky, clusters: int = clusters, psi: float = psi, d: float = d
                ) -> st.Interval:
                    codes = np.repeat(np.arange(clusters), 5)
                    shared = _differences(rng, clusters, psi, d)[codes]
                    own = _differences(rng, codes.size, psi, d)
                    values = np.where((rng.random(clusters) < sticky)[codes], shared, own)
                    return st.clustered_paired_interval(values, codes, confidence=TWO_SIDED)

                yield simulate(
                    "clustered-paired", "exact-or-tango", f"shared={sticky} clusters={clusters} psi={psi} d={d}",
                    scale.repetitions // 2, d, draw,
                )  # fmt: skip


def corrected(scale: Scale) -> Iterator[Cell]:
    """Rogan-Gladen: judge's pass counts and calibration counts drawn from their binomials."""
    rng = np.random.default_rng(103)
    for sens, spec in ((0.9, 0.9), (0.8, 0.7), (0.98, 0.95), (1.0, 1.0)):
        for labels in (25, 50, 200):
            for n in (200, 1000):
                for theta in (0.05, 0.3, 0.5, 0.8, 0.95):

                    def draw(
                        sens: float = sens, spec: float = spec, labels: int = labels, n: int = n, theta: float = theta
                    ) -> st.Interval:
                        passed = rng.binomial(n, theta * sens + (1 - theta) * (1 - spec))
                        return st.corrected_rate_interval(
                            passed, n, rng.binomial(labels, sens), labels, rng.binomial(labels, spec), labels,
                            confidence=TWO_SIDED,
                        )  # fmt: skip

                    yield simulate(
                        "corrected", "rogan-gladen", f"sens={sens} spec={spec} labels=2x{labels} n={n} theta={theta}",
                        scale.repetitions, theta, draw,
                    )  # fmt: skip


def prediction_powered(scale: Scale) -> Iterator[Cell]:
    """PPI for a rate, and for paired differences with judges of the stated sensitivity = specificity."""
    rng = np.random.default_rng(104)
    for quality in (0.5, 0.8, 0.9, 0.98):
        for labels in (50, 200):
            for theta in (0.3, 0.8, 0.95):

                def rate(quality: float = quality, labels: int = labels, theta: float = theta) -> st.Interval:
                    truth = rng.random(1000) < theta
                    judged = np.where(rng.random(1000) < quality, truth, ~truth).astype(float)
                    return st.ppi_mean_interval(
                        judged[labels:], judged[:labels], truth[:labels].astype(float), confidence=TWO_SIDED
                    )

                yield simulate(
                    "ppi-rate", "ppi", f"judge={quality} N=1000 labels={labels} theta={theta}", scale.repetitions,
                    theta, rate,
                )  # fmt: skip
    for quality in (0.7, 0.9, 0.98):
        for n, labels in ((300, 50), (1000, 100), (1000, 400)):
            for psi, d in ((0.03, -0.03), (0.05, -0.03), (0.09, -0.03), (0.2, -0.03), (0.09, 0.0)):

                def pair(
                    quality: float = quality, n: int = n, labels: int = labels, psi: float = psi, d: float = d
                ) -> st.Interval:
                    truth, judged = _judged_pairs(rng, n, psi, d, quality)
                    mask = np.zeros(n, dtype=np.bool_)
                    mask[rng.permutation(n)[:labels]] = True
                    return st.ppi_paired_interval(judged, mask, truth[mask], confidence=TWO_SIDED)

                yield simulate(
                    "ppi-paired", "ppi-paired", f"judge={quality} N={n} labels={labels} psi={psi} d={d}",
                    scale.repetitions, d, pair,
                )  # fmt: skip


def ratios(scale: Scale) -> Iterator[Cell]:
    """Cost per success, candidate over incumbent: log-normal costs that both arms share in part."""
    rng = np.random.default_rng(105)
    for n in (50, 200, 1000):
        for spread in (0.3, 1.0):
            for success in (0.5, 0.9):

                def draw(n: int = n, spread: float = spread, success: float = success) -> st.Interval:
                    shared = rng.normal(0, spread, n)
                    cost_a, cost_b = np.exp(shared + rng.normal(0, spread / 2, (2, n)))
                    ok_a, ok_b = (rng.random((2, n)) < success).astype(float)
                    return st.log_ratio_interval(cost_a * 1.1, ok_a, cost_b, ok_b, confidence=TWO_SIDED)

                yield simulate(
                    "ratio", "paired-log-ratio", f"n={n} sigma={spread} success={success}", scale.repetitions, 1.1, draw
                )


def violations(scale: Scale) -> Iterator[Cell]:
    """Exact coverage of the violation bound over (confirmed, positive controls found)."""
    del scale
    for rate in (0.001, 0.005, 0.02):
        for sens in (0.8, 0.95, 1.0):
            for n, controls in ((300, 50), (1000, 200)):
                k, found = np.arange(n + 1), np.arange(controls + 1)
                seen, known = stats.binom.pmf(k, n, rate * sens), stats.binom.pmf(found, controls, sens)
                upper = 0.0
                for i in k[seen > 1e-10]:
                    for j in found[known > 1e-10]:
                        high = st.violation_upper(int(i), n, int(j), controls, confidence=CONFIDENCE).high
                        upper += seen[i] * known[j] * (high is not None and high >= rate)
                yield Cell(
                    "violation", "violation-upper", f"rate={rate} sens={sens} n={n} controls={controls}", 1.0,
                    float(upper), 0.0, 0,
                )  # fmt: skip


def sequences(scale: Scale) -> Iterator[Cell]:
    """Confidence sequences looked at after every observation: share of whole paths that never excluded the truth."""
    rng = np.random.default_rng(106)
    methods: tuple[st.SequenceMethod, ...] = ("betting", "empirical-bernstein")
    for method in methods:
        for p in (0.02, 0.1, 0.5, 0.9):
            ever = np.zeros(2)
            width = 0.0
            for _ in range(scale.sequence_repetitions):
                bounds = st.mean_sequence((rng.random(1000) < p).astype(float), confidence=TWO_SIDED, method=method)
                assert bounds.low is not None
                assert bounds.high is not None
                ever += (bool((bounds.low > p).any()), bool((bounds.high < p).any()))
                width += float(bounds.high[-1] - bounds.low[-1])
            lower, upper = 1 - ever / scale.sequence_repetitions
            yield Cell(
                "sequence", method, f"p={p}, 1000 looks", float(lower), float(upper),
                width / scale.sequence_repetitions, scale.sequence_repetitions,
            )  # fmt: skip


def group_sequential(scale: Scale) -> Iterator[Cell]:
    """Exact chance, over ten looks at Clopper-Pearson bounds with spent alpha, not to pass / fail at the limit."""
    del scale
    fractions = [i / 10 for i in range(1, 11)]
    design = st.design_sequence(fractions)
    for floor in (0.5, 0.8, 0.9, 0.98):
        for n in (300, 1000, 3000):
            sizes = [round(n * t) for t in fractions]
            pass_at, fail_at = st.floor_counts(
                sizes, floor, design.passing.nominal_alphas, design.failing.nominal_alphas
            )
            path = st.binomial_path(sizes, pass_at, fail_at, floor)
            yield Cell(
                "group-sequential", "alpha-spending + clopper-pearson", f"floor={floor} n={n}",
                1 - sum(path.passed), 1 - sum(path.failed), 0.0, 0,
            )  # fmt: skip


def savings() -> list[dict[str, float]]:
    """Expected sample of the default sequential plan over the fixed plan of equal error rates and power."""
    rows = []
    for power in (0.8, 0.9, 0.95):
        design = st.design_sequence([i / 10 for i in range(1, 11)], power=power)
        row = {"power": power, "maximum": design.inflation}
        row |= {f"effect {m:+g}": design.expected_size(m) for m in (-2.0, -1.0, 0.0, 0.5, 1.0, 1.5, 2.0)}
        rows.append(row)
    return rows


SECTIONS: dict[str, Callable[[Scale], Iterator[Cell]]] = {
    "proportion": proportions,
    "paired": paired,
    "quantile": quantiles,
    "clustered": clustered,
    "clustered-paired": clustered_pairs,
    "corrected": corrected,
    "ppi": prediction_powered,
    "ratio": ratios,
    "violation": violations,
    "sequence": sequences,
    "group-sequential": group_sequential,
}


def _codes(rng: np.random.Generator, n: int, sizes: str) -> NDArray[np.int_]:
    if sizes == "5":
        return np.arange(n) // 5
    return np.repeat(np.arange(n), rng.integers(1, 10, size=n))[:n]


def _beta_binomial(rng: np.random.Generator, codes: NDArray[np.int_], p: float, icc: float) -> Floats:
    clusters = int(codes.max()) + 1
    rates = np.full(clusters, p)
    if icc > 0:
        scale = (1 - icc) / icc
        rates = rng.beta(p * scale, (1 - p) * scale, size=clusters)
    return (rng.random(codes.size) < rates[codes]).astype(np.float64)


def _differences(rng: np.random.Generator, n: int, psi: float, d: float) -> Floats:
    return rng.choice([1.0, -1.0, 0.0], size=n, p=[(psi + d) / 2, (psi - d) / 2, 1 - psi])


def _judged_pairs(rng: np.random.Generator, n: int, psi: float, d: float, quality: float) -> tuple[Floats, Floats]:
    """True and judged differences; the judge errs independently on every answer of both arms."""
    truth = _differences(rng, n, psi, d)
    both = (rng.random(n) < 0.8).astype(np.float64)
    candidate = np.where(truth > 0, 1.0, np.where(truth < 0, 0.0, both))
    incumbent = candidate - truth
    correct = rng.random((2, n)) < quality
    judged = [np.where(ok, x, 1 - x) for ok, x in zip(correct, (candidate, incumbent), strict=True)]
    return truth, judged[0] - judged[1]


def main() -> None:
    """Run the sections, write JSON and Markdown, print the Markdown."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="fewer repetitions")
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results"), help="directory for the two files")
    parser.add_argument("--only", choices=sorted(SECTIONS), action="append", help="run only this section (repeatable)")
    options = parser.parse_args()
    scale = Scale.of(quick=options.quick)
    cells: list[Cell] = []
    seconds: dict[str, float] = {}
    for name, section in SECTIONS.items():
        if options.only and name not in options.only:
            continue
        started = time.perf_counter()
        cells += list(section(scale))
        seconds[name] = round(time.perf_counter() - started, 1)
    rows, saved = summarise(cells), savings() if not options.only else []
    text = markdown(rows, saved)
    options.out.mkdir(parents=True, exist_ok=True)
    document = {
        "quick": options.quick,
        "seconds": seconds,
        "summary": rows,
        "savings": saved,
        "cells": [asdict(c) for c in cells],
    }
    (options.out / "coverage.json").write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
    (options.out / "coverage.md").write_text(text, encoding="utf-8")
    print(text)
    print(f"seconds: {seconds}")


if __name__ == "__main__":
    main()
