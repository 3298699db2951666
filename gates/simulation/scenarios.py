"""The scenarios that make up the operating characteristics of a gate, simulated and counted."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping, Sequence

from evalharness.plan import Plan
from gates.policy import Check, Policy
from gates.simulation.assumptions import Assumptions
from gates.simulation.batches import Batch
from gates.simulation.characteristics import (
    OperatingCharacteristics,
    Verdicts,
)
from gates.simulation.layout import LaidCheck, Layout, lay_out
from gates.simulation.sampling import Sampler
from gates.simulation.telling import EFFECTS, Told
from gates.simulation.totals import Key, Total
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
"""Releases drawn at once, at most."""
BATCH_BYTES = 100_000_000
"""Memory that their counts may take; a few times as much is used on the way."""
LEAST_BATCH = 250
"""Releases drawn at once, however large the plan: fewer would take longer, not less memory."""
MARGINS = tuple(k / 2 for k in range(-6, 5))
"""Points of the curve, in units of its scale."""
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
    worlds = _worlds(layout, expected)
    totals = _simulate(Sampler(layout, chosen), expected, worlds, releases, seed)
    told = Told(layout, expected, totals, releases)
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
        margin=margin_of(layout),
        curve=tuple(told.curve()),
        a_a=told.identical(),
        at_limit=tuple(told.at_limit(chosen)),
        all_at_limit=Verdicts(**told.verdicts(("effect", 0.0))),
        sequential=tuple(told.sequential()),
        cells=tuple(told.cells()),
        notes=(*notes, *remarks, *_remarks(layout, chosen)),
        seconds=time.perf_counter() - started,
    )


def margin_of(layout: Layout) -> float | None:
    """The margin of the comparison on golden sets, the primary check's first, else the smallest; None without one."""
    margins = [c.check for c in _about_golden(layout) if c.check.margin is not None]
    primary = [c.margin for c in margins if c.id == layout.policy.primary and c.margin is not None]
    return min(primary or [c.margin for c in margins if c.margin is not None], default=None)


def scale_of(layout: Layout, expected: World) -> float | None:
    """The unit of the curve: the margin; without one, the smallest distance of a golden floor from what is expected.

    None where no check is about golden answers, and the curve has one point.
    """
    golden = _about_golden(layout)
    if not golden:
        return None
    distances = [expected.value(c) - c.check.limit for c in golden if not c.check.compares]
    return margin_of(layout) or min((d for d in distances if d > 0), default=DEFAULT_MARGIN)


def _about_golden(layout: Layout) -> list[LaidCheck]:
    return [
        c
        for c in layout.checks
        if c.check.spec.family == "rate" and any(layout.strata[s].kind is SetKind.GOLDEN for s in c.strata)
    ]


def _worlds(layout: Layout, expected: World) -> dict[Key, World]:
    scale = scale_of(layout, expected)
    steps = [0.0] if scale is None else [m * scale for m in MARGINS]
    found: dict[Key, World] = {("difference", d): better_by(layout, expected, d) for d in steps if d}
    found["difference", 0.0] = expected
    found.update({("limit", float(k)): at_limit(layout, expected, k) for k in range(len(layout.checks))})
    found.update({("effect", e): expected if e == FULL_EFFECT else at_multiple(layout, expected, e) for e in EFFECTS})
    return found


def _simulate(
    sampler: Sampler, expected: World, worlds: Mapping[Key, World], releases: int, seed: int
) -> dict[Key, Total]:
    totals = {key: Total() for key in worlds}
    most = max(LEAST_BATCH, BATCH_BYTES // max(1, sampler.bytes_per_release))
    for number, size in enumerate(_batches(releases, min(BATCH, most))):
        base = Batch.of(sampler, expected, (seed, number, 0), size)
        for scenario, (key, world) in enumerate(worlds.items(), start=1):
            batch = base if world is expected else base.moved(world, scenario)
            totals[key].add(batch, _alone(key, len(sampler.layout.checks)))
    return totals


def _alone(key: Key, checks: int) -> Iterable[int]:
    """The checks of which a scenario is told what they do on their own."""
    kind, number = key
    if kind == "limit":
        return [int(number)]
    return range(checks) if kind == "effect" or number == 0 else []


def _batches(releases: int, most: int) -> Iterator[int]:
    for first in range(0, releases, most):
        yield min(most, releases - first)


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
    if layout.has_incumbent and layout.plan.incumbent_digest is None:
        yield "the plan has no incumbent: comparisons are simulated as if it had one"
    if layout.plan.repeats > 1:
        yield f"{layout.plan.repeats} answers to one prompt are simulated as one: they cannot be worth less"
    for laid in layout.checks:
        if laid.check.spec.is_probed:
            yield f"check '{laid.id}' rests on what the judge is asked besides: not simulated, taken to pass"
        if laid.check.spec.is_of_router:
            yield f"check '{laid.id}' is about what a router does: not simulated, taken to pass"
    judge_checks: list[Check] = [c.check for c in layout.checks if c.check.spec.family == "judge"]
    if judge_checks and not assumptions.judges:
        yield f"check '{judge_checks[0].id}' is about the judge, and none is simulated: it never passes"


def _never_passes(laid: LaidCheck) -> bool:
    return laid.planned.basis == "sample" and (not laid.sizes.size or laid.sizes[-1] == 0)
