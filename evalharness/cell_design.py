"""One check in one cell as the planner sees it: its size, its course over the looks, and its power."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Literal

from evalharness.cell_sizes import SIZED, CellSize, size_for
from evalharness.drawing import look_sizes
from evalharness.judge_error import JudgedDifference, JudgedFloor, JudgeError
from evalharness.plan import Looks, Requirement
from evalharness.statistics import design_for, power_for_limit, power_for_margin
from evalharness.stopping import (
    LARGEST_EXACT_PATH,
    LimitBounds,
    Stopping,
    pass_levels,
    stopping_at_limit,
    stopping_by_design,
    wedge_levels,
)
from golden_sets.records import SetKind

RateSource = Literal["incumbent", "policy", "assumed", "none"]

ASSUMED_LEVEL = 0.8
"""Pass rate of a version, where only its difference to another is known."""
LEAST_INFLATED, MOST_INFLATED = 0.95, 1.15
"""Least and most that a plan with looks takes of the size with one."""


@dataclass(frozen=True)
class CellDesign:
    """What a check needs of a cell, with the rate to expect there."""

    requirement: Requirement
    rate: float | None
    """Rate to expect (discordance for a margin); None: unknown."""
    rate_source: RateSource
    looks: Looks
    judge: JudgeError | None = None
    """The judge's error, where one scores the answers."""
    level: float = ASSUMED_LEVEL
    """For a margin: the rate of either arm."""
    labels: int = 0
    """Labels of the sample, which correct the judge."""

    @property
    def sized(self) -> bool:
        """Whether its purpose takes a power."""
        return self.requirement.purpose in SIZED

    def with_power(self, power: float) -> CellDesign:
        """The same check, sized for another power."""
        return replace(self, requirement=self.requirement.model_copy(update={"power": power}))

    def with_labels(self, labels: int) -> CellDesign:
        """The same check, its judge corrected by so many labels."""
        return replace(self, labels=labels)

    @property
    def corrected(self) -> JudgedDifference | JudgedFloor | None:
        """The judged quantity that labels correct; None where no label does."""
        requirement, limit = self.requirement, self.requirement.limit
        if self.judge is None or self.rate is None or limit is None or not 0 <= self.rate <= 1:
            return None
        if requirement.purpose == "margin":
            return JudgedDifference(self.judge, abs(limit), self.rate, self.level, requirement.alpha)
        if requirement.purpose == "floor" and requirement.basis == "sample":
            return JudgedFloor(self.judge, limit, self.rate, requirement.alpha)
        return None

    @property
    def corrects_rate(self) -> bool:
        """Whether labels of its own answers correct a judged rate of one arm."""
        requirement = self.requirement
        return (
            self.judge is not None
            and requirement.set_kind is SetKind.GOLDEN
            and requirement.basis == "sample"
            and requirement.purpose in ("floor", "ceiling")
        )

    def fixed_size(self) -> CellSize:
        """Prompts, and labels, in a plan with a single look.

        Raises:
            InputError: an expected rate that is none.
        """
        requirement = self.requirement
        if self.judge is None or self.rate is None:
            return size_for(requirement, self.rate)
        if requirement.purpose == "ceiling":
            return self._judged_ceiling_size(self.judge, self.rate)
        found, corrected = size_for(requirement, self.rate), self.corrected
        if found.n == 0 or corrected is None or found.note is not None:
            return found
        n, labels = corrected.size(found.n, requirement.power)
        if n == 0:
            return CellSize(0, note="the judge is too poor: no number of prompts and labels will pass it")
        return CellSize(n, labels)

    def size(self, fixed: int) -> int:
        """Prompts at most, over all looks, where a single look takes ``fixed``."""
        if len(self.looks.fractions) == 1 or not self.sized or fixed == 0 or self.requirement.basis == "end":
            return fixed
        requirement, looks = self.requirement, self.looks
        design = design_for(looks.fractions, requirement.alpha, requirement.power, looks.spending, looks.futility)
        n, most = math.ceil(design.inflation * fixed - 1e-9), math.floor(MOST_INFLATED * fixed)
        if not self._exact(most):
            return n
        # Exact power is a saw-tooth, and looks at few prompts are far from normal theory: the first n that will do.
        best = (0.0, n)
        n = math.floor(LEAST_INFLATED * fixed)
        while best[0] < requirement.power and n <= most:
            best = max(best, (self.power(n) or 0.0, n))
            n = math.ceil(1.01 * n)
        return best[1]

    def sizes_at(self, n: int) -> tuple[int, ...]:
        """Prompts at each look."""
        return look_sizes(self.looks, n)

    def power(self, n: int) -> float | None:
        """Chance to pass at the expected rate with ``n`` prompts at most; None: not sized, or no rate to expect."""
        found = self.stopping(n)
        return None if found is None else found.power

    def stopping(self, n: int, effect: float = 1.0) -> Stopping | None:
        """The course of the check with ``n`` prompts at most, at a multiple of the distance it was sized for."""
        if not self.sized or self.rate is None or n == 0:
            return None
        requirement, sizes = self.requirement, self.sizes_at(n)
        if self._exact(n):
            judges = (None,) if self.judge is None else self.judge.outcomes()
            return stopping_at_limit(
                sizes, [self._bounds(judge) for judge in judges], self._seen(effect), self._direction
            )
        return stopping_by_design(
            sizes,
            self.looks,
            alpha=requirement.alpha,
            design_power=requirement.power,
            fixed_power=self._fixed_power(n),
            effect=effect,
        )

    def _judged_ceiling_size(self, judge: JudgeError, rate: float) -> CellSize:
        requirement = self.requirement
        limit, alpha = self._edge(requirement.alpha, self.judge)
        if limit <= 0:
            return CellSize(0, note="no labelled event shows the judge's sensitivity: it takes positive controls")
        found = size_for(requirement, rate * judge.sensitivity, limit=limit, alpha=alpha)
        once, n = replace(self, looks=Looks()), found.n
        # What the controls will show of the sensitivity varies: a little more has the power whatever they show.
        while found.note is None and 0 < n < 2 * found.n and (once.power(n) or 0.0) < requirement.power:
            n = math.ceil(1.02 * n)
        return replace(found, n=n)

    @property
    def _direction(self) -> Literal["floor", "ceiling"]:
        return "floor" if self.requirement.purpose == "floor" else "ceiling"

    def _exact(self, n: int) -> bool:
        return self.requirement.purpose in ("floor", "ceiling") and n <= LARGEST_EXACT_PATH and self.corrected is None

    def _bounds(self, judge: JudgeError | None) -> LimitBounds:
        requirement = self.requirement
        wedges = wedge_levels(self.looks, requirement.alpha, requirement.power)
        return LimitBounds(
            edges=tuple(self._edge(level, judge) for level in pass_levels(self.looks, requirement.alpha)),
            wedges=tuple(None if w is None else (self._edge(w[0], judge), self._edge(w[1], judge)) for w in wedges),
        )

    def _edge(self, alpha: float, judge: JudgeError | None) -> tuple[float, float]:
        """Limit and level of the bound that must clear it.

        A judged ceiling pays for the judge's sensitivity: half of alpha, and a limit shrunk by its lower bound
        (`violation_upper`).
        """
        limit = self.requirement.limit
        assert limit is not None  # noqa: S101 - floors and ceilings have one
        if judge is None or self.requirement.purpose != "ceiling":
            return limit, alpha
        return limit * judge.sensitivity_lower(alpha / 2), alpha / 2

    def _seen(self, effect: float) -> float:
        """The rate that the outcomes show."""
        limit, rate = self.requirement.limit or 0.0, self.rate or 0.0
        true = min(1.0, max(0.0, limit + effect * (rate - limit)))
        return true * self.judge.sensitivity if self.judge is not None and self._direction == "ceiling" else true

    def _fixed_power(self, n: int) -> float:
        requirement, corrected = self.requirement, self.corrected
        if corrected is not None:
            return corrected.power(n, self.labels)
        if requirement.purpose == "margin":
            return power_for_margin(n, abs(requirement.limit or 0.0), self.rate or 0.0, alpha=requirement.alpha)
        limit, alpha = self._edge(requirement.alpha, self.judge)
        return power_for_limit(n, limit, self._seen(1.0), direction=self._direction, alpha=alpha)
