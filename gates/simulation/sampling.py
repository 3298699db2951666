"""From the counts of the strata to what each check sees at each of its looks."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from evalharness.judge_error import JudgeError
from evalharness.metrics.own_labels import MIN_OWN_LABELS
from evalharness.outcomes import Arm
from evalharness.statistics import design_for, look_alphas
from evalharness.statistics.prediction_powered import MINIMUM_LABELLED_UNITS
from gates.policy import Check
from gates.simulation.assumptions import COST_VARIATION, Assumptions
from gates.simulation.bounds import (
    BinomialBound,
    Bound,
    DifferenceBound,
    Direction,
    NoBound,
    RatioBound,
)
from gates.simulation.drawing import Drawn, draw
from gates.simulation.judged_bounds import RATES, PoweredBound, ViolationBound
from gates.simulation.layout import LaidCheck, Layout
from gates.simulation.stopping import LookLevels
from gates.simulation.worlds import World
from golden_sets.records import SetKind

FIRST_LABELS = 20
"""Labels per arm of a set's first batch, at least (as the run draws them)."""
Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Sampler:
    """Draws the strata of a plan, and reads every check off them."""

    layout: Layout
    assumptions: Assumptions

    def draw(self, world: World, stratum: int, rng: np.random.Generator, releases: int) -> Drawn:
        """Counts of one stratum in a world."""
        laid = self.layout.strata[stratum]
        judge = self.judge_of(laid.kind)
        labels = np.diff(self._labels[stratum]) if judge is not None else np.zeros_like(laid.steps)
        return draw(rng, world.strata[stratum], self._arms[stratum], laid.steps, labels, judge, releases)

    def bounds(
        self,
        index: int,
        world: World,
        drawn: Sequence[Drawn],
        controls: Mapping[SetKind, NDArray[np.int64]],
        rng: np.random.Generator,
        releases: int,
    ) -> list[Bound]:
        """One check that rests on its sample, look by look.

        Args:
            index: place of the check.
            world: what is true.
            drawn: counts of every stratum.
            controls: how many positive controls the judge recognises, by kind of set and release.
            rng: source of what is drawn for this check alone (spending).
            releases: how many.
        """
        laid = self.layout.checks[index]
        check = laid.check
        if check.spec.family == "ratio":
            found = self._costs(index, world, drawn, rng, releases)
        elif check.compares:
            found = self._differences(laid, drawn)
        else:
            found = self._rates(laid, drawn, controls)
        return [bound if size else NoBound(releases) for bound, size in zip(found, laid.sizes, strict=True)]

    def calibration(self, kind: SetKind, drawn: Sequence[Drawn], look: int) -> NDArray[np.int64]:
        """Shape (4, releases): labelled answers of a kind when every check of it has come to a look, as `Drawn`."""
        parts = [
            drawn[s].calibration[:, self._reached[s][look]] for s, x in enumerate(self.layout.strata) if x.kind is kind
        ]
        return np.asarray(np.sum(parts, axis=0), dtype=np.int64)

    def judge_of(self, kind: SetKind) -> JudgeError | None:
        """The judge, where it scores a kind of set."""
        return self.assumptions.judges.get(kind)

    @property
    def bytes_per_release(self) -> int:
        """About what the drawn counts of one release take."""
        total = 0
        for stratum, arms in zip(self.layout.strata, self._arms, strict=True):
            others = len(arms) - 1
            counts = 2 + 3 * others + (0 if self.judge_of(stratum.kind) is None else 10 + 12 * others)
            total += 4 * counts * stratum.marks.size
        return total

    @cached_property
    def levels(self) -> tuple[tuple[LookLevels, ...], ...]:
        """Levels of every check at its looks. A fail is at alpha / m over all looks: Holm's first step of m checks."""
        plan, count = self.layout.plan, len(self.layout.checks)
        looks = plan.looks
        passing = look_alphas(looks.fractions, plan.alpha, looks.spending)
        failing = look_alphas(looks.fractions, plan.alpha / count, looks.spending)
        found = []
        for laid in self.layout.checks:
            power, given_up = laid.planned.power_wanted, [0.0] * len(passing)
            if looks.futility is not None and power is not None and len(passing) > 1:
                design = design_for(looks.fractions, plan.alpha, power, looks.spending, looks.futility)
                given_up = list(design.futility_z)
            found.append(
                tuple(
                    LookLevels(a, b, _one_sided(z) if z > 0 else None)
                    for a, b, z in zip(passing, failing, given_up, strict=True)
                )
            )
        return tuple(found)

    @property
    def end_levels(self) -> tuple[LookLevels, ...]:
        """Levels of a check that is examined once, when the run is over."""
        alpha = self.layout.plan.alpha
        return (LookLevels(alpha, alpha / len(self.layout.checks), None),)

    # -- what the checks see -----------------------------------------------------------------------------------

    def _rates(
        self, laid: LaidCheck, drawn: Sequence[Drawn], controls: Mapping[SetKind, NDArray[np.int64]]
    ) -> list[Bound]:
        check, sizes = laid.check, laid.sizes.tolist()
        kind = self._kind(laid)
        judge = None if kind is None else self.judge_of(kind)
        if judge is None or kind is None:
            events = _at_looks(laid, [drawn[s].events["candidate"] for s in laid.strata])
            if _direction(check) == "floor":
                return [BinomialBound(k, n, check.limit) for k, n in zip(events, sizes, strict=True)]
            return [BinomialBound(n - k, n, 1 - check.limit) for k, n in zip(events, sizes, strict=True)]
        if kind is SetKind.GOLDEN:
            seen = _at_looks(laid, [drawn[s].unlabelled_seen.swapaxes(0, 1) for s in laid.strata])
            known = _at_looks(laid, [np.moveaxis(drawn[s].labelled_seen, 2, 0) for s in laid.strata])
            return [
                PoweredBound(
                    np.moveaxis(u, -1, 0),
                    np.moveaxis(x, -1, 0),
                    check.limit,
                    _direction(check),
                    values=RATES,
                    least=max(MINIMUM_LABELLED_UNITS, min(MIN_OWN_LABELS, n)),
                )
                for u, x, n in zip(seen, known, sizes, strict=True)
            ]
        confirmed = _at_looks(laid, [drawn[s].confirmed for s in laid.strata])
        bounds: list[Bound] = []
        for look, (k, n) in enumerate(zip(confirmed, sizes, strict=True)):
            labelled = self.calibration(kind, drawn, look)
            found, events = labelled[1] + controls[kind], labelled[0] + judge.positives
            bounds.append(ViolationBound(k, n, found, events, check.limit))
        return bounds

    def _differences(self, laid: LaidCheck, drawn: Sequence[Drawn]) -> list[Bound]:
        check, arm = laid.check, laid.check.against
        kind = self._kind(laid)
        if kind is None or self.judge_of(kind) is None:
            wins = _at_looks(laid, [drawn[s].wins[arm] for s in laid.strata])
            losses = _at_looks(laid, [drawn[s].losses[arm] for s in laid.strata])
            return [
                DifferenceBound(w, x, n, check.limit, _direction(check))
                for w, x, n in zip(wins, losses, laid.sizes.tolist(), strict=True)
            ]
        rest = _at_looks(laid, [drawn[s].unlabelled[arm].swapaxes(0, 1) for s in laid.strata])
        table = _at_looks(laid, [np.moveaxis(drawn[s].labelled[arm], 2, 0) for s in laid.strata])
        return [
            PoweredBound(np.moveaxis(u, -1, 0), np.moveaxis(x, -1, 0), check.limit, _direction(check))
            for u, x in zip(rest, table, strict=True)
        ]

    def _costs(
        self, index: int, world: World, drawn: Sequence[Drawn], rng: np.random.Generator, releases: int
    ) -> list[Bound]:
        """Spending varies by prompt on its own; successes are those of the answers."""
        laid = self.layout.checks[index]
        sizes = laid.sizes[:, None].astype(np.float64)
        steps = np.diff(laid.sizes, prepend=0)
        noise = rng.normal(size=(laid.sizes.size, releases)) * np.sqrt(steps)[:, None] * COST_VARIATION
        n = np.maximum(sizes, 1.0)
        log_value = math.log(world.own[index]) + np.cumsum(noise, axis=0) / n
        variance, productive = np.full(log_value.shape, COST_VARIATION**2) / n, np.broadcast_to(sizes, noise.shape)
        if laid.check.spec.denominator == "success":
            ours = _at_looks(laid, [drawn[s].events["candidate"] for s in laid.strata]).astype(np.float64)
            log_value = log_value - _log_ratio(ours, n) + math.log(self._seen(laid, world, "candidate"))
            variance, productive = variance + 1 / np.maximum(ours, 1.0) - 1 / n, np.minimum(productive, ours)
            if laid.check.compares:
                arm = laid.check.against
                theirs = _at_looks(laid, [drawn[s].events[arm] for s in laid.strata]).astype(np.float64)
                wins = _at_looks(laid, [drawn[s].wins[arm] for s in laid.strata])
                log_value = log_value + _log_ratio(theirs, n) - math.log(self._seen(laid, world, arm))
                ours, theirs = np.maximum(ours, 1.0), np.maximum(theirs, 1.0)
                both = ours - wins
                apart = wins / ours**2 + (theirs - both) / theirs**2 + both * (1 / ours - 1 / theirs) ** 2
                variance, productive = COST_VARIATION**2 / n + apart, np.minimum(productive, theirs)
        error = np.sqrt(np.maximum(variance * n / np.maximum(n - 1, 1), 1 / n**2))
        sign = 1.0 if _direction(laid.check) == "floor" else -1.0
        gap = sign * (log_value - math.log(laid.check.limit))
        return [RatioBound(gap[k], error[k], np.asarray(laid.sizes[k]), productive[k]) for k in range(laid.sizes.size)]

    def _seen(self, laid: LaidCheck, world: World, arm: Arm) -> float:
        """Share of a check's prompts on which the event is seen in an arm's answer."""
        found = 0.0
        for share, index in zip(laid.shares, laid.strata, strict=True):
            truth = world.strata[index]
            rate = {"candidate": truth.candidate, "incumbent": truth.incumbent, "anchor": truth.anchor}[arm]
            judge = self.judge_of(self.layout.strata[index].kind)
            if judge is not None:
                rate = rate * judge.sensitivity + (1 - rate) * (1 - judge.specificity)
            found += share * rate
        return max(found, 1e-12)

    def _kind(self, laid: LaidCheck) -> SetKind | None:
        return self.layout.strata[laid.strata[0]].kind if laid.strata else None

    # -- which arms answer, and what is labelled ---------------------------------------------------------------

    @cached_property
    def _arms(self) -> tuple[tuple[Arm, ...], ...]:
        """The arms of every stratum that make a difference to some check."""
        found: list[tuple[Arm, ...]] = []
        for index, stratum in enumerate(self.layout.strata):
            about = [c.check for c in self.layout.checks if index in c.strata and c.check.compares]
            names: list[Arm] = ["candidate"]
            labelled = self.judge_of(stratum.kind) is not None and self.layout.has_incumbent
            if labelled or any(c.against == "incumbent" for c in about):
                names.append("incumbent")
            if any(c.against == "anchor" for c in about):
                names.append("anchor")
            found.append(tuple(names))
        return tuple(found)

    @cached_property
    def _reached(self) -> tuple[NDArray[np.int64], ...]:
        """By stratum, shape (looks,): the mark it has come to when every check has been looked at so often."""
        found = []
        for index in range(len(self.layout.strata)):
            marks = [
                c.marks[:, c.strata.index(index)] for c in self.layout.checks if index in c.strata and c.marks.size
            ]
            found.append(np.max(marks, axis=0) if marks else np.zeros(self.layout.looks, dtype=np.int64))
        return tuple(found)

    @cached_property
    def _labels(self) -> tuple[NDArray[np.int64], ...]:
        """Labelled prompts of every stratum up to each mark: an even share of what the plan wants of its set, with
        enough in the set's first batch."""
        first = [int(x.marks[self._reached[s][0]]) for s, x in enumerate(self.layout.strata)]
        found = []
        for index, stratum in enumerate(self.layout.strata):
            of_plan = self.layout.plan.sets[stratum.set_name].labels_per_arm
            wanted = of_plan if self.assumptions.labels_per_arm is None else self.assumptions.labels_per_arm
            others = [s for s, x in enumerate(self.layout.strata) if x.set_name == stratum.set_name]
            planned, batch = (sum(x[s] for s in others) for x in (_planned(self.layout), first))
            rate = min(1.0, wanted / max(1, planned))
            early = min(1.0, max(rate, FIRST_LABELS / max(1, batch))) if wanted else 0.0
            upto = np.minimum(stratum.marks, first[index])
            # Half a label of slack, so that small strata get theirs too; never more labels than prompts.
            labels = np.floor(early * upto + rate * (stratum.marks - upto) + 0.5 * (rate > 0))
            found.append(np.minimum(labels, stratum.marks).astype(np.int64))
        return tuple(found)


def _planned(layout: Layout) -> list[int]:
    return [stratum.planned for stratum in layout.strata]


def _at_looks(laid: LaidCheck, counts: Sequence[NDArray[np.int32]]) -> NDArray[np.int64]:
    """Counts of a check at its looks, added up over its strata: shape (looks, ..., releases)."""
    first = counts[0]
    found = np.zeros((laid.sizes.size, *first.shape[1:]), dtype=np.int64)
    for column, count in enumerate(counts):
        found += count[laid.marks[:, column]]
    return found


def _log_ratio(count: Floats, n: Floats) -> Floats:
    """Logarithm of a share; of none, that of half an observation (such checks have no bound anyway)."""
    return np.asarray(np.log(np.maximum(count, 0.5) / n), dtype=np.float64)


def _direction(check: Check) -> Direction:
    above = check.spec.better == "higher" if check.test == "non_inferiority" else check.test == "floor"
    return "floor" if above else "ceiling"


def _one_sided(z: float) -> float:
    return 0.5 * math.erfc(z / math.sqrt(2))
