"""How soon is a new family of prompts noticed, and how often is there an alarm without one? On MMLU's prompts.

``python -m benchmarks.router_drift [--quick] [--cache FILE] [--out DIR]`` writes ``router_drift.json`` and
``router_drift.md``. One subject is left out of clusters and reference; the stream holds the other subjects, and from
some request on a share of it is of the one left out. Beside it: streams without any change, as long as the file allows.
"""

from __future__ import annotations

import argparse
import json
import time
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path

import numpy as np

from benchmarks.routing_data import embedded, mmlu
from router_training.heads.head import Matrix
from router_training.novelty import clusters
from router_training.pairs import Codes
from router_training.records import OperatingPoint
from router_training.reference import Reference
from router_training.shadow.drift import QUESTIONS, DriftTests, Question

FAMILIES = ("moral_scenarios", "high_school_mathematics", "professional_law", "virology")
WHEN = ((1000, 0.05), (1000, 0.1), (1000, 0.2), (1000, 0.4), (4000, 0.1))
"""Requests before the change, and the share of the new family after it."""
AFTER = 2500
TRAINING, REFERENCE = 3750, 1875
ALPHA = 0.01
"""For drift; half of it for each of its two tests."""
ASKED: tuple[Question, ...] = ("composition", "novelty")
RESULTS = Path(__file__).parent / "results"
POINT = OperatingPoint(
    threshold=0.3,
    band_high=0.4,
    max_loss=0.02,
    confidence=0.95,
    loss=0.01,
    loss_high=0.02,
    flagship_share=0.5,
    n=REFERENCE,
    method="none: the band is not looked at here",
)


@dataclass(frozen=True)
class Row:
    """One family, change and share, over the streams."""

    family: str
    before: int
    share: float
    streams: int
    found: float
    """Share of the streams in which drift rang after the change, within `AFTER` requests."""
    false: float
    """Share in which it rang before."""
    median_delay: float | None
    """Requests from the change to the alarm; None: not found in half of the streams."""
    p90_delay: float | None
    median_of_family: float | None
    """Requests of the new family among them."""


@dataclass(frozen=True)
class Unchanged:
    """Streams without a change."""

    streams: int
    requests: int
    rang: float
    """Share of the streams in which drift ever rang; at most `ALPHA` is promised."""


class Prompts:
    """The embedded file."""

    def __init__(self, vectors: Matrix, families: np.ndarray) -> None:
        self.vectors, self.families = vectors, families
        self.split = cache(self._split)

    def _split(self, left_out: str | None, seed: int) -> tuple[Matrix, Codes, Codes]:
        """Centres, and the rows of reference and stream, all without one family."""
        rng = np.random.default_rng(seed)
        rows = rng.permutation(np.flatnonzero(self.families != left_out))
        centres = clusters(self.vectors[rows[:TRAINING]], seed=seed)
        return centres, rows[TRAINING : TRAINING + REFERENCE], rows[TRAINING + REFERENCE :]

    def tests(self, centres: Matrix, reference: Codes) -> DriftTests:
        """The tests of a router with these clusters and this reference."""
        sample = Reference(self.vectors[reference], np.full(reference.size, 0.5))
        return DriftTests(centres, sample, POINT, alpha=ALPHA)


def rang_at(prompts: Prompts, tests: DriftTests, rows: Codes, rng: np.random.Generator) -> int | None:
    """Number of the request with which drift first rang."""
    scores = tests.scores(prompts.vectors[rows], np.full(rows.size, 0.5))
    for row in range(rows.size):
        ties = {name: float(rng.random()) for name in QUESTIONS}
        tests.observe({name: float(scores.of(name)[row]) for name in QUESTIONS}, ties)
        if any(tests.rang_at(name) is not None for name in ASKED):
            return row + 1
    return None


def changed(prompts: Prompts, family: str, before: int, share: float, streams: int) -> Row:
    """Streams in which a family turns up."""
    new = np.flatnonzero(prompts.families == family)
    delays, of_family, false = [], [], 0
    for seed in range(streams):
        rng = np.random.default_rng(1_000 + seed)
        centres, reference, rest = prompts.split(family, seed)
        n = min(rest.size, before + AFTER)
        turned = (np.arange(n) >= before) & (rng.random(n) < share)
        rows = np.where(turned, rng.choice(new, n), rest[:n])
        found = rang_at(prompts, prompts.tests(centres, reference), rows, rng)
        false += found is not None and found <= before
        late = found is None or found <= before
        delays.append(np.inf if late or found is None else found - before)
        of_family.append(np.inf if late or found is None else int(turned[:found].sum()))
    return Row(
        family,
        before,
        share,
        streams,
        float(np.mean(np.isfinite(delays))),
        false / streams,
        _quantile(delays, 0.5),
        _quantile(delays, 0.9),
        _quantile(of_family, 0.5),
    )


def unchanged(prompts: Prompts, streams: int) -> Unchanged:
    """Streams of the whole file in another order each time."""
    rang, n = 0, 0
    for seed in range(streams):
        centres, reference, rest = prompts.split(None, 500 + seed)
        n = rest.size
        rang += rang_at(prompts, prompts.tests(centres, reference), rest, np.random.default_rng(seed)) is not None
    return Unchanged(streams, n, rang / streams)


def _quantile(values: list[float], q: float) -> float | None:
    found = float(np.quantile(values, q, method="higher"))
    return found if np.isfinite(found) else None


def report(rows: list[Row], none: Unchanged, seconds: float) -> str:
    """The measurements as Markdown."""
    lines = [
        "# How soon a new family of prompts is noticed",
        "",
        f"MMLU prompts, encoder as shipped; clusters from {TRAINING:,} prompts, reference {REFERENCE:,}; drift",
        f"promises a false alarm with a chance of at most {ALPHA:.0%}, ever.",
        "",
        f"Without a change: an alarm in {none.rang:.1%} of {none.streams} streams of {none.requests:,} requests.",
        "",
        "| family that turns up | requests before | its share | found | delay, median | 90 % | of the family, median |",
        "|---|---|---|---|---|---|---|",
    ]
    lines += [
        f"| {row.family} | {row.before:,} | {row.share:.0%} | {row.found:.0%} of {row.streams} "
        f"| {_number(row.median_delay)} | {_number(row.p90_delay)} | {_number(row.median_of_family)} |"
        for row in rows
    ]
    return "\n".join([*lines, "", f"Delays in requests; a dash: not within {AFTER:,}. {seconds:.0f} s.", ""])


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:,.0f}"


def main() -> None:
    """Measure and write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a few streams of each kind")
    parser.add_argument("--cache", type=Path, default=Path("router-benchmark-embeddings.db"), help="embeddings")
    parser.add_argument("--out", type=Path, default=RESULTS)
    arguments = parser.parse_args()
    began = time.monotonic()
    pairs = mmlu()
    assert pairs.families is not None
    prompts = Prompts(embedded(pairs, arguments.cache), np.array(pairs.families))
    none = unchanged(prompts, 6 if arguments.quick else 40)
    rows = [changed(prompts, family, *when, 4 if arguments.quick else 10) for family in FAMILIES for when in WHEN]
    arguments.out.mkdir(parents=True, exist_ok=True)
    text = report(rows, none, time.monotonic() - began)
    document = {"alpha": ALPHA, "unchanged": asdict(none), "changed": [asdict(row) for row in rows]}
    (arguments.out / "router_drift.json").write_text(json.dumps(document, indent=2) + "\n")
    (arguments.out / "router_drift.md").write_text(text)
    print(text)


if __name__ == "__main__":
    main()
