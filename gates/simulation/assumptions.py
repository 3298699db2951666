"""What a simulation takes for true: expected rates, the judge's error, and what no plan says."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

from evalharness.judge_error import JudgeError
from golden_sets.errors import InputError
from golden_sets.records import SetKind

COST_VARIATION = 0.5
"""Coefficient of variation of what one prompt adds to a cost ratio (answers differ in length); assumed."""
ASSUMED_EVENT_RATES = {SetKind.GOLDEN: 0.8, SetKind.ADVERSARIAL: 0.01, SetKind.FALSE_REFUSAL: 0.01}
"""Passes, violations and refusals where no check says what to expect; as near as the planned discordance allows."""
ASSUMED_DISCORDANCE = 0.15
"""Discordance of cells that no comparison is about (only costs depend on it)."""
COMFORTABLE = 0.02
"""Share of a latency limit's allowance that is expected to be used: of p95, 0.1 % of the requests lie beyond it."""
RATIO_SLACK = 0.8
"""Cost expected over its ceiling where the policy does not say; for a ratio to another version, 1 where that passes."""


@dataclass(frozen=True)
class Assumptions:
    """What is taken for true where the plan leaves it open.

    Raises:
        InputError: a rate outside (0, 1), a negative number.
    """

    rates: Mapping[str, float] = field(default_factory=dict)
    """Expected rate by check (or by check and cell): of a floor or ceiling its rate, of a comparison its discordance,
    of a latency check the share of requests beyond its limit. Others come from the plan."""
    judges: Mapping[SetKind, JudgeError] = field(default_factory=dict)
    """The judge's error by kind of set, on every answer by chance and alike on all arms; the outcomes of other kinds
    are the truth."""
    labels_per_arm: int | None = None
    """Labelled answers per judged set and arm; None: as many as the plan says."""

    def __post_init__(self) -> None:
        """Refuse what is no rate."""
        for name, rate in self.rates.items():
            _require_rate(rate, f"the rate of check '{name}'")
        for judge in self.judges.values():
            _require_rate(judge.sensitivity, "the judge's sensitivity")
            _require_rate(judge.specificity, "the judge's specificity")
        if (self.labels_per_arm or 0) < 0 or any(judge.positives < 0 for judge in self.judges.values()):
            raise InputError("labels and positive controls cannot be negative")

    def rate_of(self, check: str) -> float | None:
        """The rate given for a check in a cell, by its full id first; None where there is none."""
        found = self.rates.get(check)
        return self.rates.get(check.split("/")[0]) if found is None else found


def _require_rate(rate: float, what: str) -> None:
    if not (math.isfinite(rate) and 0.0 < rate < 1.0):
        raise InputError(f"{what} must lie between 0 and 1, not {rate:g}", do="write 90 % as 0.9")
