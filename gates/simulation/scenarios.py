"""The scenarios that make up the operating characteristics of a gate, simulated and counted."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from evalharness.plan import Plan
from evalharness.statistics import proportion_interval
from gates.policy import Check, Policy
from gates.simulation.assumptions import Assumptions
from gates.simulation.batches import Batch
from gates.simulation.characteristics import (
    CurvePoint,
    IdenticalModels,
    Interval,
    LimitPoint,
    OperatingCharacteristics,
    SequentialPoint,
    SimulatedCell,
    Verdicts,
)
from gates.simulation.layout import LaidCheck, Layout, lay_out
from gates.simulation.sampling import Sampler
from gates.simulation.worlds import (
    FULL_EFFECT,
    World,
    at_limit,
    at_multiple,
    better_by,
    expected_world,
)
from golden_sets.errors import InputError
from golden_sets.records import SetKind

LEAST_RELEASES = 100
"""Fewer simulated releases say nothing."""
BATCH = 5_000
"""Releases drawn at once: bounds the memory."""
MARGINS = tuple(k / 2 for k in range(-6, 5))
"""Points of the curve, in margins."""
EFFECTS = (-1.0, 0.0, 0.5, 1.0, 2.0)
"""Multiples of the planned effect at which the gain of stopping early is told."""
DEFAULT_MARGIN = 0.03
"""Scale of the curve where no golden check has a margin or any distance to its limit."""


def operating_characteristics(
    policy: Policy,
    plan: Plan,
    assumptions: Assumptions | None = None,
    *,
    releases: int = 10_000,
    seed: int = 0,
    planned: bool = True,
    notes: Sequence[str] = (),
) -> OperatingCharacteristics:
    """Simulate what the gate does under a policy and a plan.

    Args:
        policy: the policy.
        plan: the plan: cells, sizes, looks and strata.
        assumptions: what is taken for true where the plan leaves it open.
        releases: simulated releases per point.
        seed: the same seed gives the same numbers.
        planned: False where the plan is no project's but was made for this simulation.
        notes: what the caller assumed.

    Raises:
        InputError: a plan for another policy, rates for checks that the policy does not have, too few releases.
    """
    started = time.perf_counter()
    if releases < LEAST_RELEASES:
        raise InputError(f"{releases} simulated releases are too few", do=f"simulate at least {LEAST_RELEASES}")
    chosen = Assumptions() if assumptions is None else assumptions
    layout = lay_out(policy, plan)
    _require_known(layout, chosen)
    expected, remarks = expected_world(layout, chosen)
    margin = scale_of(layout, expected)
    worlds = _worlds(layout, expected, margin)
    totals = _simulate(Sampler(layout, chosen), expected, worlds, releases, seed)
    told = _Told(layout, expected, totals, releases)
    return OperatingCharacteristics(
        policy_name=policy.name,
        policy_digest=policy.digest,
        plan_digest=plan.digest if planned else None,
        releases=releases,
        seed=seed,
        alpha=plan.alpha,
        looks=layout.looks,
        answers_per_prompt=layout.answers_per_prompt,
        fixed_generations=layout.fixed_prompts * layout.answers_per_prompt,
        most_generations=layout.most_prompts * layout.answers_per_prompt,
        margin=margin,
        curve=tuple(told.curve()),
        a_a=told.identical(),
        at_limit=tuple(told.at_limit(chosen)),
        all_at_limit=Verdicts(**told.verdicts(("effect", 0.0))),
        sequential=tuple(told.sequential()),
        cells=tuple(told.cells()),
        notes=(*notes, *remarks, *_remarks(layout, chosen)),
        seconds=time.perf_counter() - started,
    )


def scale_of(layout: Layout, expected: World) -> float | None:
    """The unit of the curve: the margin of the comparison on golden sets, the primary check's first.

    Without one, the smallest distance of a golden floor from its expected rate; None where no check is about golden
    answers, and the curve has one point.
    """
    golden = [c for c in layout.checks if any(layout.strata[s].kind is SetKind.GOLDEN for s in c.strata)]
    scored = [c for c in golden if c.check.spec.family == "rate"]
    margins = [c for c in scored if c.check.margin is not None]
    primary = [c.check.margin for c in margins if c.check.id == layout.policy.primary and c.check.margin is not None]
    others = [c.check.margin for c in margins if c.check.margin is not None]
    distances = [expected.value(c) - c.check.limit for c in scored if not c.check.compares]
    positive = [d for d in distances if d > 0]
    if primary or others:
        return min(primary or others)
    if not golden:
        return None
    return min(positive) if positive else DEFAULT_MARGIN


Key = tuple[str, float]
"""Kind of a scenario (``difference``, ``limit``, ``effect``) and its number."""


def _worlds(layout: Layout, expected: World, margin: float | None) -> dict[Key, World]:
    steps = [0.0] if margin is None else [m * margin for m in MARGINS]
    found: dict[Key, World] = {("difference", d): better_by(layout, expected, d) for d in steps if d}
    found["difference", 0.0] = expected
    found.update({("limit", float(k)): at_limit(layout, expected, k) for k in range(len(layout.checks))})
    found.update({("effect", e): expected if e == FULL_EFFECT else at_multiple(layout, expected, e) for e in EFFECTS})
    return found


@dataclass
class _Total:
    """What became of the releases of one scenario."""

    promoted: int = 0
    blocked: int = 0
    prompts: int = 0
    most_prompts: int = 0
    passed: NDArray[np.int64] = field(default_factory=lambda: np.zeros(0, dtype=np.int64))
    failed: NDArray[np.int64] = field(default_factory=lambda: np.zeros(0, dtype=np.int64))
    alone_prompts: dict[int, int] = field(default_factory=dict)
    """Prompts that each check takes as if it were the only one."""
    alone_passed: dict[int, int] = field(default_factory=dict)

    def add(self, batch: Batch, checks: int) -> None:
        """Count one batch."""
        runs = batch.runs()
        self.promoted += int(runs.promoted.sum())
        self.blocked += int(runs.blocked.sum())
        self.prompts += int(runs.prompts.sum())
        self.most_prompts = max(self.most_prompts, int(runs.prompts.max()))
        self.passed = runs.passed.sum(axis=1) + (self.passed if self.passed.size else 0)
        self.failed = runs.failed.sum(axis=1) + (self.failed if self.failed.size else 0)
        for check in range(checks):
            alone = batch.alone(check)
            if alone is not None:
                prompts, passes = alone
                self.alone_prompts[check] = self.alone_prompts.get(check, 0) + int(prompts.sum())
                self.alone_passed[check] = self.alone_passed.get(check, 0) + int(passes.sum())


def _simulate(
    sampler: Sampler, expected: World, worlds: Mapping[Key, World], releases: int, seed: int
) -> dict[Key, _Total]:
    totals = {key: _Total() for key in worlds}
    for number, size in enumerate(_batches(releases)):
        base = Batch.of(sampler, expected, (seed, number, 0), size)
        for scenario, (key, world) in enumerate(worlds.items(), start=1):
            batch = base if world is expected else base.moved(world, scenario)
            totals[key].add(batch, len(sampler.layout.checks))
    return totals


def _batches(releases: int) -> Iterator[int]:
    for first in range(0, releases, BATCH):
        yield min(BATCH, releases - first)


@dataclass(frozen=True)
class _Told:
    """Totals as records."""

    layout: Layout
    expected: World
    totals: Mapping[Key, _Total]
    releases: int

    def verdicts(self, key: Key) -> dict[str, float | Interval]:
        total = self.totals[key]
        counts = {
            "promote": total.promoted,
            "block": total.blocked,
            "inconclusive": self.releases - total.promoted - total.blocked,
        }
        found: dict[str, float | Interval] = {}
        for name, count in counts.items():
            found[name], found[f"{name}_interval"] = self._chance(count)
        mean = total.prompts / self.releases
        found["generations"] = mean * self.layout.answers_per_prompt
        found["generations_ratio"] = mean / max(1, self.layout.fixed_prompts)
        return found

    def curve(self) -> Iterator[CurvePoint]:
        for key in sorted(k for k in self.totals if k[0] == "difference"):
            yield CurvePoint(difference=key[1], **self.verdicts(key))

    def identical(self) -> IdenticalModels:
        key = ("difference", 0.0)
        verdicts, total = self.verdicts(key), self.totals[key]
        shares = np.array([verdicts[name] for name in ("promote", "block", "inconclusive")], dtype=np.float64)
        failing = total.failed / self.releases
        return IdenticalModels(
            verdict_flip_rate=float(1 - shares @ shares),
            failing={c.id: float(share) for c, share in zip(self.layout.checks, failing, strict=True) if share > 0},
            **verdicts,
        )

    def at_limit(self, assumptions: Assumptions) -> Iterator[LimitPoint]:
        for index, laid in enumerate(self.layout.checks):
            total = self.totals["limit", float(index)]
            passes, passes_interval = self._chance(total.alone_passed.get(index, int(total.passed[index])))
            promote, promote_interval = self._chance(total.promoted)
            method = method_of(self.layout, laid, assumptions)
            yield LimitPoint(
                check=laid.id,
                method=method,
                exact=method in EXACT,
                passes=passes,
                passes_interval=passes_interval,
                promote=promote,
                promote_interval=promote_interval,
            )

    def sequential(self) -> Iterator[SequentialPoint]:
        for effect in EFFECTS:
            total = self.totals["effect", effect]
            checks = {
                laid.id: total.alone_prompts[index] / self.releases / laid.planned.n_fixed
                for index, laid in enumerate(self.layout.checks)
                if index in total.alone_prompts and laid.planned.n_fixed
            }
            yield SequentialPoint(
                effect=effect,
                most_generations=total.most_prompts * self.layout.answers_per_prompt,
                checks=checks,
                **self.verdicts(("effect", effect)),
            )

    def cells(self) -> Iterator[SimulatedCell]:
        total = self.totals["difference", 0.0]
        for index, laid in enumerate(self.layout.checks):
            alone = index in total.alone_passed
            own = self.expected.own[index]
            value = self.expected.value(laid) if laid.check.spec.family == "rate" else own
            yield SimulatedCell(
                check=laid.id,
                limit=laid.check.limit,
                expected=None if np.isnan(value) else value,
                n=laid.planned.n,
                n_fixed=laid.planned.n_fixed,
                power=total.alone_passed[index] / self.releases if alone else None,
                mean_n=total.alone_prompts[index] / self.releases if alone else None,
            )

    def _chance(self, count: int) -> tuple[float, Interval]:
        found = proportion_interval(count, self.releases, confidence=0.95, method="wilson")
        assert found.low is not None and found.high is not None  # noqa: S101, PT018 - two-sided
        return count / self.releases, (found.low, found.high)


EXACT = ("clopper-pearson", "order-statistic", "violation-upper")
"""Bounds that never err more often than stated."""


def method_of(layout: Layout, laid: LaidCheck, assumptions: Assumptions) -> str:
    """The bound that decides a check."""
    family = laid.check.spec.family
    if family == "quantile":
        return "order-statistic"
    if family == "ratio":
        return "paired-log-ratio" if laid.check.compares else "log-ratio-of-sums"
    kind = layout.strata[laid.strata[0]].kind if laid.strata and family == "rate" else None
    judged = kind is not None and kind in assumptions.judges
    if laid.check.compares:
        return "ppi-paired" if judged else "paired"
    if judged:
        return "rogan-gladen" if kind is SetKind.GOLDEN else "violation-upper"
    return "clopper-pearson"


def _require_known(layout: Layout, assumptions: Assumptions) -> None:
    ids = {c.id for c in layout.checks} | {c.check.id for c in layout.checks}
    unknown = sorted(set(assumptions.rates) - ids)
    if unknown:
        raise InputError(
            f"the policy has no check '{unknown[0]}'", do=f"known are {', '.join(sorted(c.id for c in layout.checks))}"
        )
    for name in sorted(assumptions.rates):
        (laid, *_) = [c for c in layout.checks if name in (c.id, c.check.id)]
        if laid.check.spec.family == "ratio":
            raise InputError(
                f"check '{name}' is about {laid.check.metric}, not about a rate",
                do="write what to expect in the policy, under 'expected'",
            )


def _remarks(layout: Layout, assumptions: Assumptions) -> Iterator[str]:
    unsized = [c for c in layout.checks if _never_passes(c)]
    for laid in unsized:
        note = f": {laid.planned.note}" if laid.planned.note else ""
        yield f"check '{laid.id}' rests on no prompts and never passes{note}"
    if layout.plan.repeats > 1:
        yield f"{layout.plan.repeats} answers to one prompt are simulated as one: they cannot be worth less"
    judge_checks: list[Check] = [c.check for c in layout.checks if c.check.spec.family == "judge"]
    if judge_checks and not assumptions.judges:
        yield f"check '{judge_checks[0].id}' is about the judge, and none is simulated: it never passes"


def _never_passes(laid: LaidCheck) -> bool:
    return laid.planned.basis == "sample" and (not laid.sizes.size or laid.sizes[-1] == 0)
