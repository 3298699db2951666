"""The frozen test of a router's release: prompts, both models' answers to them, and which of them count as one."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Self

import numpy as np

from evalharness.drawing import PromptId
from evalharness.evidence import Calibration
from evalharness.outcomes import OutcomeTable
from golden_sets.digests import Digest, digest_bytes
from golden_sets.errors import InputError
from golden_sets.length import count_tokens, length_bucket
from golden_sets.records import Message, Prompt, PromptSet, SetKind
from router_training.pairs import Pairs
from router_training.records import Model
from router_training.routed_outcomes import Sent, answers_of_both, routed, unit_names
from router_training.router import Router

SET_NAME = "routing-test"
"""Name of the set that imported scores make."""


@dataclass(frozen=True, eq=False)
class FrozenTest:
    """What routers are released on."""

    sets: tuple[PromptSet, ...]
    """The prompts."""
    texts: Mapping[PromptId, str]
    """What is routed, by name of the set and id of the prompt."""
    answers: OutcomeTable
    """Scored answers of both models, the flagship's as candidate, the small model's as incumbent."""
    units: Mapping[PromptId, str]
    """Which prompts count as one."""
    judge: Digest | None = None
    """Digest of the judge that scored the answers."""
    calibrations: tuple[Calibration, ...] = ()
    """The judge's measured error."""

    @classmethod
    def of_pairs(cls, pairs: Pairs, set_name: str = SET_NAME) -> Self:
        """Imported scores as a test; prompts of one group count as one, and one that occurs twice is two of a group.

        Raises:
            InputError: there is no prompt.
        """
        if not len(pairs):
            raise InputError("the router's frozen test has no prompt", do="give the files it was trained on")
        pairs = replace(pairs, ids=_told_apart(pairs.ids))
        buckets = [length_bucket(tokens) for tokens in count_tokens(pairs.prompts)]
        units = {(set_name, name): unit for name, unit in zip(pairs.ids, unit_names(pairs), strict=True)}
        prompts = tuple(
            Prompt(
                id=name,
                messages=(Message(role="user", content=text),),
                dimensions={"length_bucket": buckets[row]}
                | ({} if pairs.families is None else {"category": pairs.families[row]}),
                cluster=units[set_name, name],
            )
            for row, (name, text) in enumerate(zip(pairs.ids, pairs.prompts, strict=True))
        )
        test = PromptSet(kind=SetKind.GOLDEN, name=set_name, version="1", prompts=prompts)
        texts = {(set_name, name): text for name, text in zip(pairs.ids, pairs.prompts, strict=True)}
        return cls((test,), texts, answers_of_both(pairs, set_name), units)

    @classmethod
    def of_answers(
        cls,
        pairs: Pairs,
        keys: Sequence[PromptId],
        answers: OutcomeTable,
        sets: Sequence[PromptSet],
        *,
        judge: Digest | None,
        calibrations: Sequence[Calibration],
    ) -> Self:
        """Answers of two models as a test; prompts of one group count as one.

        Args:
            pairs: the prompts of the test.
            keys: set and id of each, shape (n,).
            answers: outcomes of both models on these prompts, and maybe on others.
            sets: the sets that they are from.
            judge: who scored them.
            calibrations: the judge's measured error.

        Raises:
            InputError: there is no prompt.
        """
        if not keys:
            raise InputError("the router's frozen test has no prompt", do="label the sets that it was trained on")
        wanted = set(keys)
        quality = answers.phase("quality")
        names, ids = (quality.text(column).to_list() for column in ("set_name", "prompt_id"))
        mine = quality.take(np.array([key in wanted for key in zip(names, ids, strict=True)], dtype=np.bool_))
        parts = {one.name: tuple(p for p in one.prompts if (one.name, p.id) in wanted) for one in sets}
        return cls(
            sets=tuple(one.model_copy(update={"prompts": parts[one.name]}) for one in sets if parts[one.name]),
            texts=dict(zip(keys, pairs.prompts, strict=True)),
            answers=mine,
            units=dict(zip(keys, unit_names(pairs), strict=True)),
            judge=judge,
            calibrations=tuple(calibrations),
        )

    @cached_property
    def answers_digest(self) -> Digest:
        """Digest of the answers: other answers are another question."""
        return digest_bytes(self.answers.to_parquet())

    def sent(self, router: Router, seconds: Mapping[PromptId, list[float]] | None = None) -> Sent:
        """Where a router sends the prompts."""
        to: dict[PromptId, Model] = {
            prompt: route.model
            for prompt, route in zip(self.texts, router.route(list(self.texts.values())), strict=True)
        }
        return Sent(to, seconds or {})

    def outcomes(self, candidate: Sent, incumbent: Sent) -> OutcomeTable:
        """The outcomes of two routers on it, side by side."""
        return routed(self.answers, candidate, incumbent, units=self.units)


def _told_apart(ids: Sequence[str]) -> tuple[str, ...]:
    """The ids, numbered from the second occurrence on."""
    seen: Counter[str] = Counter()
    found = []
    for name in ids:
        seen[name] += 1
        found.append(name if seen[name] == 1 else f"{name} ({seen[name]})")
    return tuple(found)
