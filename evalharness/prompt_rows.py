"""The scored rows of an outcome table by prompt: a check's own sample, or one in proportion to declared weights."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from functools import cached_property

import numpy as np
import pandas as pd

from evalharness.drawing import PromptId, proportional
from evalharness.outcomes import Codes, OutcomeTable
from evalharness.plan import Plan


class PromptRows:
    """Finds rows by prompt.

    Args:
        table: outcomes of any arms; only the quality phase counts.
    """

    def __init__(self, table: OutcomeTable) -> None:
        self._table = table.phase("quality")
        frame = self._table.frame
        codes, names = pd.factorize(frame["set_name"].astype(object) + "\x1f" + frame["prompt_id"].astype(object))
        self._codes: Codes = np.asarray(codes, dtype=np.int64)
        self._names = pd.Index(names)
        self._proportional: dict[frozenset[tuple[str, str]], OutcomeTable] = {}
        self._arms = [np.unique(self._codes[(frame["arm"] == arm).to_numpy()]) for arm in self._table.arms]

    def missing(self, prompts: Collection[PromptId]) -> int:
        """How many of these prompts some arm did not answer."""
        found = self._find(prompts)
        there = found >= 0
        for codes in self._arms:
            there &= np.isin(found, codes)
        return int((~there).sum())

    def only(self, prompts: Collection[PromptId]) -> OutcomeTable:
        """The rows of these prompts."""
        found = self._find(prompts)
        wanted = np.zeros(len(self._names), dtype=np.bool_)
        wanted[found[found >= 0]] = True
        return self._table.take(wanted[self._codes])

    def in_proportion(self, plan: Plan, selector: Mapping[str, str]) -> OutcomeTable:
        """The rows that a number pooled over a selection rests on: the strata of the plan in their declared proportion.

        Everything there is where some stratum was not asked at all: then no proportion can be kept.
        """
        key = frozenset(selector.items())
        if key not in self._proportional:
            sample = proportional(plan, self._asked, selector)
            self._proportional[key] = self.only(sample) if sample else self._table
        return self._proportional[key]

    @cached_property
    def _asked(self) -> frozenset[PromptId]:
        return frozenset((name, prompt) for name, _, prompt in (str(key).partition("\x1f") for key in self._names))

    def _find(self, prompts: Collection[PromptId]) -> Codes:
        keys = [f"{name}\x1f{prompt}" for name, prompt in prompts]
        return np.asarray(self._names.get_indexer(keys), dtype=np.int64)
