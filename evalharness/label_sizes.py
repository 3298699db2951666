"""How many answers of each set are labelled: what the judged checks need, drawn at one rate from all that is asked."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

LEAST_LABELS = 50
"""Answers of each set and arm that are labelled at least, where a judge scores them."""

LEAST_OWN_LABELS = 30
"""Labels that a judged rate of a cell is planned with at least: a random draw of so many hardly ever leaves it with
fewer than the 20 that correct it."""


@dataclass
class LabelNeeds:
    """What checks need, set by set."""

    shares: dict[str, float] = field(default_factory=dict)
    """Share of a set's answers, because a check's own sample must hold so many labels."""
    counts: dict[tuple[str, ...], int] = field(default_factory=dict)
    """Labels over several sets together, because they measure one judge."""

    def share(self, sets: tuple[str, ...], share: float) -> None:
        """At least this share of each set."""
        for name in sets:
            self.shares[name] = max(self.shares.get(name, 0.0), min(1.0, share))

    def count(self, sets: tuple[str, ...], labels: int) -> None:
        """At least so many labels in these sets together."""
        self.counts[sets] = max(self.counts.get(sets, 0), labels)

    def labels(self, asked: Mapping[str, int], stated: int | None) -> dict[str, int]:
        """Labels per arm of each set.

        Args:
            asked: prompts asked of each set that a judge scores.
            stated: labels per set that the policy states, in place of what is needed.
        """
        if stated is not None:
            return {name: min(stated, n) for name, n in asked.items()}
        found = {name: max(LEAST_LABELS, math.ceil(self.shares.get(name, 0.0) * n)) for name, n in asked.items()}
        for sets, wanted in self.counts.items():
            together = sum(asked[name] for name in sets)
            for name in sets:
                found[name] = max(found[name], math.ceil(wanted * asked[name] / max(1, together)))
        return {name: min(found[name], n) for name, n in asked.items()}
