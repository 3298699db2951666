"""Does the router's quality bound hold, and is P(hard) calibrated? Measured by drawing calibration prompts anew.

``python -m benchmarks.router_bound [--quick] [--cache FILE] [--out DIR]`` writes ``router_bound.json`` and
``router_bound.md``. A head is fitted on training prompts; the other prompts of the file are the population, on which
the loss of every threshold is known. Calibration sets are drawn from it by group with replacement, the operating point
is chosen on each, and its true loss is held against what was claimed. Beside it: what choosing the same threshold
without a bound would do. Made populations add what the files do not hold: rare losses, graded scores in which a rare
large loss hides, and templates that are won or lost together.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from benchmarks.routing_data import embedded, mmlu, nine_models
from router_training.calibrating import calibrated, ece, fit_p_hard
from router_training.features import CHEAP, features
from router_training.frontier import apgr
from router_training.heads.fitting import fit_head
from router_training.operating import choose_operating_point
from router_training.pairs import Codes, Floats, Pairs

MAX_LOSS, CONFIDENCE = 0.02, 0.95
TRAINING = {"MMLU": 5000, "nine models": 2000}
CALIBRATION = (300, 1250, 3000)
CALIBRATED_ON = 1000
"""Calibration prompts for P(hard); all that are left are held out, as many as can be: ECE is mostly noise on few."""
RESULTS = Path(__file__).parent / "results"


@dataclass(frozen=True)
class Population:
    """Prompts whose truth is known."""

    name: str
    p: Floats
    delta: Floats
    groups: Codes

    def draw(self, n: int, rng: np.random.Generator) -> tuple[npt.NDArray[np.int64], Codes]:
        """Places of about n prompts in whole groups, drawn with replacement, and the group each was drawn in."""
        _, codes = np.unique(self.groups, return_inverse=True)
        order, count = np.argsort(codes, kind="stable"), int(codes.max()) + 1
        starts = np.searchsorted(codes[order], np.arange(count + 1))
        picked = rng.integers(0, count, max(2, round(n * count / codes.size)))
        members = [order[starts[g] : starts[g + 1]] for g in picked]
        return np.concatenate(members), np.repeat(np.arange(picked.size), [len(rows) for rows in members])

    def loss(self, threshold: float) -> float:
        return float(np.where(self.p < threshold, self.delta, 0.0).mean())

    def best_share(self) -> float:
        """Least share of flagship calls among the thresholds whose true loss is within the limit."""
        lost = np.cumsum(self.delta[np.argsort(self.p)]) / self.p.size
        within = np.flatnonzero(lost <= MAX_LOSS)
        return 1.0 - (float(within.max()) + 1) / self.p.size if within.size else 1.0


@dataclass(frozen=True)
class Row:
    """One population at one size of the calibration set."""

    population: str
    calibration: int
    resamples: int
    holds: float
    """Share of resamples whose true loss is at most what was claimed."""
    standard_error: float
    mean_loss: float
    flagship_share: float
    """Mean true share of flagship calls."""
    best_share: float
    """Share if the truth were known."""
    nothing_proven: float
    """Share of resamples in which everything goes to the flagship."""
    holds_without_bound: float
    """The same for the highest threshold whose estimate alone is within the limit."""


@dataclass(frozen=True)
class Calibration:
    """Expected calibration error of one training on prompts that nothing was fitted on."""

    population: str
    seed: int
    apgr: float
    ece: float
    ece_of_perfect: float
    held_out: int


def measured(populations: list[Population], n: int, draws: int) -> Row:
    """Draw calibration sets from each of the populations in turn."""
    broken = unbounded = nothing = 0
    losses, shares = [], []
    for number in range(draws):
        population = populations[number % len(populations)]
        rows, groups = population.draw(n, np.random.default_rng(number))
        point = choose_operating_point(
            population.p[rows], population.delta[rows], groups, max_loss=MAX_LOSS, confidence=CONFIDENCE
        )
        loss = population.loss(point.threshold)
        broken += loss > point.loss_high + 1e-12
        unbounded += population.loss(point.band_high) > MAX_LOSS
        nothing += point.why_always_flagship is not None
        losses.append(loss)
        shares.append(float((population.p >= point.threshold).mean()))
    holds = 1 - broken / draws
    return Row(
        populations[0].name,
        n,
        draws,
        holds,
        float(np.sqrt(max(holds * (1 - holds), 1 / draws / 4) / draws)),
        float(np.mean(losses)),
        float(np.mean(shares)),
        float(np.mean([population.best_share() for population in populations])),
        nothing / draws,
        1 - unbounded / draws,
    )


def trained(name: str, pairs: Pairs, vectors: npt.NDArray[np.float32], seed: int) -> tuple[Population, Calibration]:
    """A head fitted on some groups; the others as the population, and how well P(hard) is calibrated on them."""
    rng = np.random.default_rng(seed)
    rank = rng.permutation(int(pairs.groups.max()) + 1)[pairs.groups]
    order = np.argsort(rank, kind="stable")
    seen = features(pairs.prompts, vectors, CHEAP)
    training, other = order[: TRAINING[name]], order[TRAINING[name] :]
    part = pairs.take(training)
    head = fit_head("kernel", seen[training], part, seed=seed)
    predicted = head.predict(seen[other])
    rest = pairs.take(other)
    calibration, test = other[:CALIBRATED_ON], other[CALIBRATED_ON:]
    without = np.empty(len(training))
    for fold in range(5):
        held = rank[training] % 5 == fold
        fitted = fit_head("kernel", seen[training][~held], part.take(~held), seed=seed)
        without[held] = fitted.predict(seen[training][held])
    curve = fit_p_hard(
        np.r_[without, predicted[:CALIBRATED_ON]],
        pairs.hard[np.r_[training, calibration]],
        pairs.groups[np.r_[training, calibration]],
    )
    p = calibrated(curve, predicted)
    held_out = p[CALIBRATED_ON:]
    perfect = np.mean([ece(held_out, rng.random(held_out.size) < held_out) for _ in range(50)])
    found = Calibration(
        name,
        seed,
        apgr(predicted, rest.delta) or 0.0,
        ece(held_out, pairs.hard[test]),
        float(perfect),
        test.size,
    )
    return Population(name, p, rest.delta, rest.groups), found


def made() -> Iterator[Population]:
    """Populations that are hard on a bound."""
    rng, size = np.random.default_rng(11), 100_000
    p = rng.random(size)
    rare = rng.random(size) < 0.045 * p
    yield Population("rare losses", p, rare.astype(float), np.arange(size))
    noise = np.clip(rng.normal(0, 0.01, size), -1, 1)
    yield Population("graded, rare large losses", p, np.where(rare, 1.0, noise), np.arange(size))
    sizes = rng.integers(1, 10, size // 5)
    groups = np.repeat(np.arange(sizes.size), sizes)
    of_group = rng.beta(2, 6, sizes.size)
    lost = (rng.random(sizes.size) < of_group)[groups]
    scores = np.clip(of_group[groups] + rng.normal(0, 0.01, groups.size), 0.001, 0.999)
    yield Population("templates won or lost together", scores, lost.astype(float), groups)


def markdown(rows: list[Row], calibrations: list[Calibration], seconds: float) -> str:
    lines = [
        "# The router's quality bound and calibration",
        "",
        f"At most {MAX_LOSS:g} of mean quality given up, at {CONFIDENCE:.0%} confidence: the claim must hold in at "
        f"least {CONFIDENCE:.0%} of the resamples. Flagship share: what was proven, and what knowing the truth would "
        "allow. Without a bound: the highest threshold whose estimate is within the limit.",
        "",
        "| population | calibration prompts | resamples | bound holds | without a bound | mean true loss "
        "| flagship share | best | nothing proven |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    lines += [
        f"| {r.population} | {r.calibration:,} | {r.resamples:,} | {r.holds:.1%} (SE {r.standard_error:.1%}) "
        f"| {r.holds_without_bound:.1%} | {r.mean_loss:.4f} | {r.flagship_share:.1%} | {r.best_share:.1%} "
        f"| {r.nothing_proven:.1%} |"
        for r in rows
    ]
    lines += [
        "",
        "Calibration of P(hard): curve fitted on out-of-fold predictions of the training prompts and on "
        f"{CALIBRATED_ON:,} calibration prompts; expected calibration error over ten equally frequent bins on the "
        "others.",
        "",
        "| data | trainings | held out | APGR (SD) | ECE mean | ECE largest | of a perfect forecast |",
        "|---|---|---|---|---|---|---|",
    ]
    for name in dict.fromkeys(c.population for c in calibrations):
        of = [c for c in calibrations if c.population == name]
        errors, areas = [c.ece for c in of], [c.apgr for c in of]
        lines.append(
            f"| {name} | {len(of)} | {of[0].held_out:,} | {np.mean(areas):.3f} ({np.std(areas, ddof=1):.3f}) "
            f"| {np.mean(errors):.4f} | {max(errors):.4f} | {np.mean([c.ece_of_perfect for c in of]):.4f} |"
        )
    return "\n".join([*lines, "", f"Took {seconds / 60:.0f} minutes on one core.", ""])


def main() -> None:
    """Measure and write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="fewer trainings and resamples")
    parser.add_argument("--cache", type=Path, default=Path("router-benchmark-embeddings.db"), help="embeddings")
    parser.add_argument("--out", type=Path, default=RESULTS)
    asked = parser.parse_args()
    seeds, draws = (2, 60) if asked.quick else (10, 1000)
    began, rows, calibrations = time.monotonic(), [], []
    sources: dict[str, Callable[[], Pairs]] = {"MMLU": mmlu, "nine models": nine_models}
    for name, read in sources.items():
        pairs = read()
        vectors = embedded(pairs, asked.cache)
        found = [trained(name, pairs, vectors, seed) for seed in range(seeds)]
        calibrations += [calibration for _, calibration in found]
        for n in CALIBRATION:
            rows.append(measured([population for population, _ in found], n, draws))
            print(rows[-1], flush=True)
    for population in made():
        for n in CALIBRATION[:2]:
            rows.append(measured([population], n, draws))
            print(rows[-1], flush=True)
    seconds = time.monotonic() - began
    document = {"rows": [asdict(row) for row in rows], "calibration": [asdict(c) for c in calibrations]}
    asked.out.mkdir(parents=True, exist_ok=True)
    (asked.out / "router_bound.json").write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
    (asked.out / "router_bound.md").write_text(markdown(rows, calibrations, seconds), encoding="utf-8")


if __name__ == "__main__":
    main()
