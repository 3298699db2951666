"""Where Tango's paired bound is not good enough: its worst one-sided error, computed, by how many pairs decide.

``python -m benchmarks.few_pairs [--out DIR]`` writes ``few_pairs.json`` and ``few_pairs.md``. For every size, alpha and
threshold: the largest chance, over true differences and discordances, that the bound clears the true difference, when
the exact bound is taken below the threshold and Tango's from it on. All tables are summed. Takes about three minutes.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy import special, stats

from evalharness import statistics as st
from evalharness.statistics.paired import FEW_PAIRS

SIZES = (20, 50, 100, 200, 500, 1000, 10_000)
ALPHAS = (0.05, 0.025, 0.01, 0.005, 0.001)
THRESHOLDS = (0, 10, 30, 60, FEW_PAIRS)
"""Fewer pairs than this outside the most frequent outcome take the exact bound; 0: Tango's always."""
LARGEST_DIFFERENCE = 0.3
MOST_DISCORDANT = 230
"""Expected discordant pairs up to which errors are computed; beyond, Tango's only come closer to alpha."""
DIFFERENCES, NUISANCES = 32, 40
Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Worst:
    """The largest error found for one size, alpha and threshold."""

    n: int
    alpha: float
    threshold: int
    error: float
    difference: float
    discordance: float


def worst_errors(n: int) -> list[Worst]:
    """Largest errors of the lower bound for one size (those of the upper one are the same)."""
    found = {(a, t): Worst(n, a, t, 0.0, 0.0, 0.0) for a in ALPHAS for t in THRESHOLDS}
    most = min(n, round(MOST_DISCORDANT + 6 * MOST_DISCORDANT**0.5))
    wins, losses = (x.ravel() for x in np.meshgrid(np.arange(most + 1), np.arange(most + 1)))
    wins, losses = wins[wins + losses <= most], losses[wins + losses <= most]
    outside = n - np.maximum(np.maximum(wins, losses), n - wins - losses)
    root = np.linspace(0.2, min(n * LARGEST_DIFFERENCE, MOST_DISCORDANT / 2) ** 0.5, DIFFERENCES // 2)
    sizes = root**2 / n
    for difference in np.concatenate([-sizes, sizes]):
        rates = _nuisances(n, abs(float(difference)))
        mass = np.stack([_mass(wins, losses, n, float(difference), rarer) for rarer in rates])
        seen = mass.max(axis=0) > 1e-9
        score = np.asarray(st.tango_z(wins[seen], losses[seen], n, difference))
        exact = st.paired_p_values(wins[seen], losses[seen], n, float(difference), above=True)
        for alpha in ALPHAS:
            for threshold in THRESHOLDS:
                claims = np.where(outside[seen] < threshold, exact <= alpha, score >= stats.norm.isf(alpha))
                errors = mass[:, seen] @ claims
                at = int(np.argmax(errors))
                if errors[at] > found[alpha, threshold].error:
                    discordance = 2 * float(rates[at]) + abs(float(difference))
                    found[alpha, threshold] = Worst(
                        n, alpha, threshold, float(errors[at]), float(difference), discordance
                    )
    return list(found.values())


def _nuisances(n: int, difference: float) -> Floats:
    largest = min(1 - difference, MOST_DISCORDANT / n - difference) / 2
    top = np.arcsin(np.sqrt(min(1.0, 2 * largest / (1 - difference))))
    return np.asarray(np.sin(np.linspace(0, top, NUISANCES)) ** 2 * (1 - difference) / 2)


def _mass(wins: Floats, losses: Floats, n: int, difference: float, rarer: float) -> Floats:
    win, loss = rarer + max(0.0, difference), rarer + max(0.0, -difference)
    choices = special.gammaln(n + 1) - special.gammaln(wins + 1) - special.gammaln(losses + 1)
    rest = n - wins - losses
    log_chance = choices - special.gammaln(rest + 1) + special.xlogy(wins, win) + special.xlogy(losses, loss)
    return np.asarray(np.exp(log_chance + special.xlog1py(rest, -min(1.0, win + loss))))


def markdown(rows: list[Worst]) -> str:
    """Worst errors over all sizes, in percent; beside them those of n = 200 and more."""
    lines = [
        "Worst one-sided error in percent, over all sizes (n >= 200 in brackets). Columns: exact below this many pairs",
        "outside the most frequent outcome.",
        "",
        "| alpha | " + " | ".join("Tango alone" if t == 0 else str(t) for t in THRESHOLDS) + " |",
        "|---" * (len(THRESHOLDS) + 1) + "|",
    ]
    for alpha in ALPHAS:
        cells = []
        for threshold in THRESHOLDS:
            errors = {r.n: 100 * r.error for r in rows if (r.alpha, r.threshold) == (alpha, threshold)}
            large = max(e for n, e in errors.items() if n >= 200)
            cells.append(f"{max(errors.values()):.2f} ({large:.2f})")
        lines.append(f"| {100 * alpha:g} | " + " | ".join(cells) + " |")
    return "\n".join([*lines, ""])


def main() -> None:
    """Compute, write JSON and Markdown, print the Markdown."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results"), help="directory for the two files")
    options = parser.parse_args()
    rows = [row for n in SIZES for row in worst_errors(n)]
    options.out.mkdir(parents=True, exist_ok=True)
    (options.out / "few_pairs.json").write_text(json.dumps([asdict(r) for r in rows], indent=1) + "\n", "utf-8")
    (options.out / "few_pairs.md").write_text(markdown(rows), "utf-8")
    print(markdown(rows))


if __name__ == "__main__":
    main()
