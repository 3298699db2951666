"""Totals of the scenarios as records: chances with their intervals, and what each point is about."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from evalharness.statistics import proportion_interval
from gates.simulation.assumptions import Assumptions
from gates.simulation.characteristics import (
    CurvePoint,
    IdenticalModels,
    Interval,
    LimitPoint,
    SequentialPoint,
    SimulatedCell,
)
from gates.simulation.layout import LaidCheck, Layout
from gates.simulation.totals import Key, Total
from gates.simulation.worlds import World
from golden_sets.records import SetKind

EFFECTS = (-1.0, 0.0, 0.5, 1.0, 2.0)
"""Multiples of the planned effect at which the gain of stopping early is told."""


@dataclass(frozen=True)
class Told:
    """Totals as records."""

    layout: Layout
    expected: World
    totals: Mapping[Key, Total]
    releases: int

    def verdicts(self, key: Key) -> dict[str, float | Interval]:
        """How the releases of a scenario ended: the fields of `Verdicts`."""
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
        """The operating-characteristic curve."""
        for key in sorted(k for k in self.totals if k[0] == "difference"):
            yield CurvePoint(difference=key[1], **self.verdicts(key))

    def identical(self) -> IdenticalModels:
        """An identical model."""
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
        """Every simulated check in turn exactly at its limit."""
        for index, laid in enumerate(self.layout.checks):
            if not laid.check.spec.is_simulated:
                continue
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
        """Generations at multiples of the planned effect."""
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
        """Every simulated check in every cell, everything as expected."""
        total = self.totals["difference", 0.0]
        for index, laid in enumerate(self.layout.checks):
            if not laid.check.spec.is_simulated:
                continue
            alone = index in total.alone_passed
            own = self.expected.own[index]
            value = self.expected.value(laid) if laid.check.spec.family == "rate" else own
            yield SimulatedCell(
                check=laid.id,
                limit=laid.check.limit,
                expected=None if np.isnan(value) else value,
                n=laid.planned.n,
                n_fixed=laid.planned.n_fixed,
                power=(total.alone_passed[index] if alone else int(total.passed[index])) / self.releases,
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
        return "ppi" if kind is SetKind.GOLDEN else "violation-upper"
    return "clopper-pearson"
