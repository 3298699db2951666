"""The scored rows of an outcome table by prompt: a check's own sample, or one in proportion to declared weights."""

from __future__ import annotations

from collections.abc import Collection, Mapping

import numpy as np

from evalharness.drawing import PromptId, proportional
from evalharness.outcomes import Codes, Mask, OutcomeTable
from evalharness.plan import Plan
from evalharness.text_columns import joint_codes


class PromptRows:
    """Finds rows by prompt.

    Args:
        table: outcomes of any arms; only scored answers count, under any rubric.
    """

    def __init__(self, table: OutcomeTable) -> None:
        self.table = table
        self._table = table.phase("quality", "criterion")
        names, ids = self._table.text("set_name"), self._table.text("prompt_id")
        joint = joint_codes([names.codes, ids.codes])
        _, first, self._numbers = np.unique(joint, return_index=True, return_inverse=True)
        prompts = zip(names.take(first).to_list(), ids.take(first).to_list(), strict=True)
        self._places: dict[PromptId, int] = {prompt: place for place, prompt in enumerate(prompts)}
        self._arms = [self._prompts_of(self._table.matches("arm", arm)) for arm in self._table.arms]
        self._proportional: dict[frozenset[tuple[str, str]], OutcomeTable] = {}

    def places(self, prompts: Collection[PromptId]) -> Codes:
        """Where to find each of these prompts; -1 where it has no row."""
        return np.array([self._places.get(prompt, -1) for prompt in prompts], dtype=np.int64)

    def at(self, places: Codes) -> tuple[OutcomeTable, int]:
        """The rows of the prompts at some places, and how many of the prompts some arm did not answer."""
        there = places[places >= 0]
        wanted = np.zeros(len(self._places), dtype=np.bool_)
        wanted[there] = True
        answered = np.logical_and.reduce([arm[there] for arm in self._arms]) if self._arms else there
        return self._table.take(wanted[self._numbers]), places.size - int(np.count_nonzero(answered))

    def in_proportion(self, plan: Plan, selector: Mapping[str, str]) -> OutcomeTable:
        """The rows that a number pooled over a selection rests on: the strata of the plan in their declared proportion.

        Everything there is where some stratum was not asked at all: then no proportion can be kept.
        """
        key = frozenset(selector.items())
        if key not in self._proportional:
            sample = proportional(plan, self._places.keys(), selector)
            self._proportional[key] = self.at(self.places(sample))[0] if sample else self._table
        return self._proportional[key]

    def _prompts_of(self, rows: Mask) -> Mask:
        """Which prompts have one of these rows."""
        there = np.zeros(len(self._places), dtype=np.bool_)
        there[self._numbers[rows]] = True
        return there
