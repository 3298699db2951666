"""What a router makes of two models' answers: every prompt has the answer of the model it is sent to.

A router answers nothing itself. Its outcome on a prompt is the outcome of the chosen model's answer, with its score,
labels, cost and error; so two routers are compared on the very same answers, and differ only where they send a prompt
elsewhere.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa

from evalharness.drawing import PromptId
from evalharness.metrics.paired import Pairs as BothAnswers
from evalharness.outcome_columns import DIMENSION_PREFIX, NUMBER_COLUMNS, TEXT_COLUMNS
from evalharness.outcomes import Arm, Floats, Mask, OutcomeTable
from evalharness.text_columns import TextColumn
from golden_sets.digests import digest_json
from golden_sets.errors import InputError
from golden_sets.length import count_tokens, length_bucket
from router_training.pairs import Pairs
from router_training.records import Model

OF_PROMPTS = ("set_kind", "set_name", "prompt_id", "prompt_digest", "cluster")
"""Columns that are about the prompt, whoever answered it."""


@dataclass(frozen=True, eq=False)
class Sent:
    """Where a router sends prompts."""

    to: Mapping[PromptId, Model]
    """The model of each prompt, by name of the set and id of the prompt."""
    seconds: Mapping[PromptId, Sequence[float]] = field(default_factory=dict)
    """How long it took to decide, each time that was measured, one prompt at a time."""


def answers_of_both(pairs: Pairs, set_name: str) -> OutcomeTable:
    """Imported scores as a table in which the flagship is the candidate and the small model the incumbent.

    Outcomes are the scores themselves, in [0, 1]. A prompt's group is the unit that counts as independent; its family
    becomes the dimension ``category``, its length ``length_bucket``.
    """
    buckets = [length_bucket(tokens) for tokens in count_tokens(pairs.prompts)]
    shared: dict[str, Any] = {
        "phase": ["quality"] * len(pairs),
        "set_kind": ["golden"] * len(pairs),
        "set_name": [set_name] * len(pairs),
        "prompt_id": list(pairs.ids),
        "prompt_digest": [digest_json(prompt) for prompt in pairs.prompts],
        "cluster": list(unit_names(pairs)),
        "scored_by": ["import"] * len(pairs),
        "dim.length_bucket": buckets,
    }
    if pairs.families is not None:
        shared["dim.category"] = list(pairs.families)
    nothing = np.full(len(pairs), np.nan)
    scores = np.concatenate([pairs.flagship, pairs.small])
    usd = [nothing if cost is None else cost for cost in (pairs.flagship_usd, pairs.small_usd)]
    texts = {name: _text([*values, *values]) for name, values in shared.items()}
    arms = ["candidate"] * len(pairs) + ["incumbent"] * len(pairs)
    return OutcomeTable.from_columns(
        {**texts, "arm": _text(arms), "outcome": scores, "score": scores, "usd": np.concatenate(usd)}
    )


def unit_names(pairs: Pairs) -> tuple[str, ...]:
    """A name for the group of every prompt, shape (n,): the least digest of its texts, whatever the codes are."""
    digests = [digest_json(prompt) for prompt in pairs.prompts]
    least: dict[int, str] = {}
    for code, digest in zip(pairs.groups.tolist(), digests, strict=True):
        least[code] = min(digest, least.get(code, digest))
    return tuple(least[code] for code in pairs.groups.tolist())


def routed(
    models: OutcomeTable,
    candidate: Sent,
    incumbent: Sent | None = None,
    *,
    units: Mapping[PromptId, str] | None = None,
) -> OutcomeTable:
    """The outcomes of one router, or of two side by side, from those of the models.

    An answer that both routers give and that failed or could not be scored counts as not passed for both: it can make
    no difference between them.

    Args:
        models: scored answers of both models to the same prompts, the flagship as candidate, the small as incumbent.
        candidate: where the router sends each of these prompts.
        incumbent: where the router it is compared with does.
        units: which prompts count as one, by prompt; default: as in ``models``.

    Raises:
        InputError: the models did not answer the same prompts, or a prompt is sent nowhere.
    """
    answers = _Answers.of(models.phase("quality"))
    ours = answers.sent(candidate)
    theirs = None if incumbent is None else answers.sent(incumbent)
    shared = np.zeros(len(answers), dtype=np.bool_) if theirs is None else ours == theirs
    arms: list[tuple[Arm, Sent, Mask]] = [("candidate", candidate, ours)]
    if incumbent is not None and theirs is not None:
        arms.append(("incumbent", incumbent, theirs))
    parts = [answers.arm(arm, to, shared, units) for arm, _, to in arms]
    parts += [answers.timed(arm, who.seconds) for arm, who, _ in arms if who.seconds]
    texts = [name for name, column in parts[0].items() if isinstance(column, TextColumn)]
    return OutcomeTable.from_columns(
        {
            name: TextColumn.concatenated([part[name] for part in parts])
            if name in texts
            else np.concatenate([part[name] for part in parts])
            for name in parts[0]
        }
    )


@dataclass(frozen=True)
class _Answers:
    """Answers of both models, row by row to the same prompt."""

    flagship: OutcomeTable
    small: OutcomeTable
    prompts: list[PromptId]

    @classmethod
    def of(cls, models: OutcomeTable) -> _Answers:
        both = BothAnswers.of(models, "incumbent")
        names, ids = (both.candidate.text(name).to_list() for name in ("set_name", "prompt_id"))
        return cls(both.candidate, both.incumbent, list(zip(names, ids, strict=True)))

    def __len__(self) -> int:
        return len(self.prompts)

    def sent(self, by: Sent) -> Mask:
        """True where a prompt goes to the flagship."""
        missing = next((prompt for prompt in self.prompts if prompt not in by.to), None)
        if missing is not None:
            raise InputError(f"the router was not asked about prompt '{missing[1]}' of '{missing[0]}'")
        return np.array([by.to[prompt] == "flagship" for prompt in self.prompts], dtype=np.bool_)

    def arm(self, arm: Arm, to: Mask, shared: Mask, units: Mapping[PromptId, str] | None) -> dict[str, Any]:
        """The columns of one router's arm."""
        found = self._columns(to)
        found["arm"] = TextColumn.constant(arm, len(self))
        found["routed"] = to.astype(np.float64)
        found["outcome"] = np.where(shared & np.isnan(found["outcome"]), 0.0, found["outcome"])
        if units is not None:
            found["cluster"] = _text([units[prompt] for prompt in self.prompts])
        return found

    def timed(self, arm: Arm, seconds: Mapping[PromptId, Sequence[float]]) -> dict[str, Any]:
        """The columns of the rows that tell how long a router took: one for each time that was measured."""
        first = {prompt: row for row, prompt in reversed(list(enumerate(self.prompts)))}
        timed = [(first[prompt], repeat, s) for prompt in first for repeat, s in enumerate(seconds.get(prompt, ()))]
        rows = np.array([row for row, _, _ in timed], dtype=np.intp)
        found: dict[str, Any] = {}
        for name, column in self._columns(np.ones(len(self), dtype=np.bool_)).items():
            about_prompt = name in OF_PROMPTS or name.startswith(DIMENSION_PREFIX)
            if isinstance(column, TextColumn):
                found[name] = column.take(rows) if about_prompt else TextColumn.constant(None, rows.size)
            else:
                found[name] = column[rows] if about_prompt else np.full(rows.size, np.nan)
        found["arm"] = TextColumn.constant(arm, rows.size)
        found["phase"] = TextColumn.constant("routing", rows.size)
        found["repeat"] = np.array([repeat for _, repeat, _ in timed], dtype=np.float64)
        found["e2e_s"] = np.array([s for _, _, s in timed], dtype=np.float64)
        return found

    def _columns(self, to: Mask) -> dict[str, Any]:
        """Every column of the chosen model's answers."""
        n = len(self)
        places = np.where(to, np.arange(n), n + np.arange(n)).astype(np.intp)
        dimensions = sorted(DIMENSION_PREFIX + name for name in {*self.flagship.dimensions, *self.small.dimensions})

        def numbers(ours: Floats, theirs: Floats) -> Floats:
            return np.concatenate([ours, theirs])[places]

        texts: dict[str, Any] = {
            name: TextColumn.concatenated([self.flagship.text(name), self.small.text(name)]).take(places)
            for name in (*TEXT_COLUMNS, *dimensions)
        }
        plain = {name: numbers(self.flagship.numbers(name), self.small.numbers(name)) for name in NUMBER_COLUMNS}
        return {**texts, **plain, "repeat": self.flagship.repeats().astype(np.float64)}


def _text(values: list[str]) -> TextColumn:
    return TextColumn.of(pa.array(values))
