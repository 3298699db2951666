"""What is true in a simulated release: rates of every arm in every stratum, and whatever else the checks are about.

A world is made of the expected rates of a plan, and then moved: the candidate better or worse by d, one check exactly
at its limit, every check at a multiple of the effect that it is sized for.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, replace

import numpy as np

from evalharness.judge_error import JudgeError
from gates.policy import Check
from gates.simulation.assumptions import (
    ASSUMED_DISCORDANCE,
    ASSUMED_EVENT_RATES,
    COMFORTABLE,
    RATIO_SLACK,
    Assumptions,
)
from gates.simulation.layout import LaidCheck, LaidStratum, Layout
from golden_sets.records import SetKind

FULL_EFFECT = 1.0
"""Multiple of the planned effect at which every check is as expected; 0: exactly at its limit."""


@dataclass(frozen=True)
class StratumTruth:
    """Chances of the event that the set's rate counts, on one prompt of a stratum."""

    candidate: float
    incumbent: float
    anchor: float
    discordance: float
    """Share of prompts on which candidate and incumbent differ."""
    anchor_discordance: float
    """Share of prompts on which candidate and anchor differ."""

    def possible(self) -> StratumTruth:
        """The same with discordances that the rates allow: from their difference up to all that do not agree."""
        return replace(
            self,
            discordance=_possible(self.discordance, self.candidate, self.incumbent),
            anchor_discordance=_possible(self.anchor_discordance, self.candidate, self.anchor),
        )


@dataclass(frozen=True)
class World:
    """Everything that is true of one simulated candidate."""

    strata: tuple[StratumTruth, ...]
    own: tuple[float, ...]
    """By check, for those that do not rest on scored answers: chance of a good request (one that ends properly, or in
    time), the judge's sensitivity or specificity, cost or ratio. NaN for the others."""

    def value(self, check: LaidCheck) -> float:
        """What a check on scored answers is about: its rate, or the difference to the arm it compares with."""
        members = [self.strata[index] for index in check.strata]
        values = [s.candidate - (_reference(s, check.check) if check.check.compares else 0.0) for s in members]
        return float(check.shares @ np.array(values))


def expected_world(layout: Layout, assumptions: Assumptions) -> tuple[World, list[str]]:
    """The world that a plan expects, and notes on where its expectations cannot hold together."""
    notes: list[str] = []
    strata = tuple(_expected_truth(layout, index, assumptions, notes) for index in range(len(layout.strata)))
    return World(strata, tuple(_own(check, assumptions) for check in layout.checks)), notes


def better_by(layout: Layout, world: World, difference: float) -> World:
    """The candidate better by a true difference on every golden prompt, as far as there is room; worse if negative."""
    strata = [
        replace(truth, candidate=_share(truth.candidate + difference)).possible()
        if stratum.kind is SetKind.GOLDEN
        else truth
        for stratum, truth in zip(layout.strata, world.strata, strict=True)
    ]
    moved = World(tuple(strata), world.own)
    return replace(moved, own=tuple(_same_spending(layout, check, world, moved) for check in range(len(world.own))))


def at_limit(layout: Layout, world: World, check: int) -> World:
    """One check exactly at its limit. The other arms move along, or the arm it compares with moves away instead."""
    laid = layout.checks[check]
    if not _scored(laid.check):
        own = list(world.own)
        own[check] = _own_limit(laid.check)
        return replace(world, own=tuple(own))
    strata = list(world.strata)
    for index in laid.strata:
        strata[index] = _truth_at_limit(strata[index], laid.check)
    return replace(world, strata=tuple(strata))


def at_multiple(layout: Layout, world: World, multiple: float) -> World:
    """Every check at a multiple of the effect it is sized for: 0 at its limit, 1 as expected, -1 as far beyond.

    Where several checks are about one prompt, the nearest limit counts: the others are then inside theirs.
    """
    strata = []
    for index, truth in enumerate(world.strata):
        about = [c.check for c in layout.checks if index in c.strata and c.check.spec.family == "rate"]
        rates = [c.limit for c in about if not c.compares]
        p, moved = truth.candidate, truth.candidate
        if rates:
            nearest = min(rates, key=lambda limit: abs(limit - p))
            moved = _share(nearest + multiple * (p - nearest))
        incumbent, anchor = (
            _share(moved - _nearest(about, arm) * (FULL_EFFECT - multiple)) for arm in ("incumbent", "anchor")
        )
        strata.append(replace(truth, candidate=moved, incumbent=incumbent, anchor=anchor).possible())
    own = [
        value if _scored(laid.check) else _moved_own(laid.check, value, multiple)
        for laid, value in zip(layout.checks, world.own, strict=True)
    ]
    return World(tuple(strata), tuple(own))


def _expected_truth(layout: Layout, index: int, assumptions: Assumptions, notes: list[str]) -> StratumTruth:
    stratum = layout.strata[index]
    about = [c for c in layout.checks if index in c.strata and c.check.spec.family == "rate"]
    rate = _most_specific((c for c in about if not c.check.compares), assumptions)
    discordances = [
        _most_specific((c for c in about if c.check.compares and c.check.against == arm), assumptions)
        for arm in ("incumbent", "anchor")
    ]
    wanted = [ASSUMED_DISCORDANCE if psi is None else psi for psi in discordances]
    if rate is None:
        room = max([psi for psi in discordances if psi is not None], default=0.0) / 2
        rate = min(1 - room, max(room, ASSUMED_EVENT_RATES[stratum.kind]))
    found = StratumTruth(rate, rate, rate, *wanted).possible()
    for arm, planned, possible in zip(
        ("incumbent", "anchor"), discordances, (found.discordance, found.anchor_discordance), strict=True
    ):
        if planned is not None and abs(planned - possible) > 1e-9:
            notes.append(
                f"{_place(stratum)}: at a rate of {rate:.3g} candidate and {arm} cannot differ on "
                f"{planned:.3g} of the prompts: {possible:.3g} is simulated"
            )
    return found


def _most_specific(checks: Iterable[LaidCheck], assumptions: Assumptions) -> float | None:
    """The expected rate of the check with the narrowest cell; None where there is none."""
    found = [(len(c.planned.cell) + (c.planned.set_name is not None), expected_rate(c, assumptions)) for c in checks]
    known = [(depth, rate) for depth, rate in found if rate is not None]
    return max(known, key=lambda pair: pair[0])[1] if known else None


def expected_rate(check: LaidCheck, assumptions: Assumptions) -> float | None:
    """What a check is expected to find: as assumed, else as planned."""
    given = assumptions.rate_of(check.id)
    return check.planned.rate if given is None else given


def _own(check: LaidCheck, assumptions: Assumptions) -> float:
    policy_check, spec = check.check, check.check.spec
    if _scored(policy_check) or not spec.is_simulated:
        return math.nan
    given = assumptions.rate_of(check.id) if spec.family == "quantile" else expected_rate(check, assumptions)
    if spec.family == "reliability":
        return policy_check.limit + 0.9 * (1 - policy_check.limit) if given is None else given
    if spec.family == "quantile":
        assert policy_check.quantile is not None  # noqa: S101 - the policy requires it
        return 1 - ((1 - policy_check.quantile) * COMFORTABLE if given is None else given)
    if spec.family == "judge":
        if given is not None:
            return given
        kinds = [kind for kind in assumptions.judges if policy_check.set_kind in (None, kind)]
        rates = [_judge_rate(assumptions.judges[kind], spec.name) for kind in kinds]
        return min(rates, default=math.nan)
    return _expected_cost(policy_check)


def _judge_rate(judge: JudgeError, metric: str) -> float:
    return judge.sensitivity if metric == "judge_sensitivity" else judge.specificity


def _expected_cost(check: Check) -> float:
    if check.expected is not None and check.expected > 0:
        return check.expected
    if check.compares and check.limit > 1:
        return 1.0
    return check.limit / RATIO_SLACK if check.test == "floor" else check.limit * RATIO_SLACK


def _own_limit(check: Check) -> float:
    if check.spec.family == "quantile":
        assert check.quantile is not None  # noqa: S101 - the policy requires it
        return check.quantile
    return check.limit


def _moved_own(check: Check, value: float, multiple: float) -> float:
    limit = _own_limit(check)
    if check.spec.family == "ratio":
        return limit * float((value / limit) ** multiple)
    return _share(limit + multiple * (value - limit))


def _truth_at_limit(truth: StratumTruth, check: Check) -> StratumTruth:
    if not check.compares:
        return replace(truth, candidate=check.limit, incumbent=check.limit, anchor=check.limit).possible()
    reference = _share(truth.candidate - check.limit)
    candidate = reference + check.limit
    if check.against == "anchor":
        return replace(truth, candidate=candidate, anchor=reference).possible()
    return replace(truth, candidate=candidate, incumbent=reference).possible()


def _same_spending(layout: Layout, index: int, before: World, after: World) -> float:
    """Cost per success when the successes change and the spending does not."""
    laid = layout.checks[index]
    if laid.check.spec.denominator != "success":
        return before.own[index]
    successes = [
        float(laid.shares @ np.array([w.strata[s].candidate for s in laid.strata])) if laid.strata else 1.0
        for w in (before, after)
    ]
    return before.own[index] * successes[0] / max(successes[1], 1e-9)


def _nearest(checks: list[Check], arm: str) -> float:
    """The smallest difference that makes a comparison with an arm violate its margin; 0 without one."""
    return min((c.limit for c in checks if c.compares and c.against == arm), key=abs, default=0.0)


def _reference(truth: StratumTruth, check: Check) -> float:
    return truth.anchor if check.against == "anchor" else truth.incumbent


def _scored(check: Check) -> bool:
    """Whether a check is about the outcomes of scored answers alone."""
    return check.spec.family == "rate"


def _share(value: float) -> float:
    return min(1.0, max(0.0, value))


def _possible(discordance: float, one: float, other: float) -> float:
    return min(max(discordance, abs(one - other)), one + other, 2 - one - other)


def _place(stratum: LaidStratum) -> str:
    cell = ", ".join(f"{key}={value}" for key, value in stratum.cell.items())
    return f"set '{stratum.set_name}' ({cell})" if cell else f"set '{stratum.set_name}'"
