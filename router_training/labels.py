"""Labels from outcomes: prompts that both models answered, with the scores of their answers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from evalharness.drawing import PromptId
from evalharness.outcomes import Arm, OutcomeTable
from golden_sets.errors import InputError
from golden_sets.records import Prompt, SetKind
from router_training.grouping import groups_of
from router_training.pairs import Floats, Pairs

FLAGSHIP: Arm = "candidate"
SMALL: Arm = "incumbent"
"""The arms of the two models in a table of outcomes that labels prompts."""


@dataclass(frozen=True, eq=False)
class LabelledPrompts:
    """Prompts of some sets, labelled."""

    pairs: Pairs
    """The prompts that have a score of both models."""
    keys: tuple[PromptId, ...]
    """Set and id of each of them."""
    unscored: tuple[PromptId, ...]
    """Prompts that are left out: some answer could not be scored."""
    failed: int
    """Requests of either model that failed: their score is 0."""

    def notes(self) -> list[str]:
        """What a reader must know of them."""
        found = []
        if self.unscored:
            found.append(f"{len(self.unscored)} prompts are left out: an answer could not be scored")
        if self.failed:
            found.append(f"{self.failed} requests failed: they score 0")
        return found


def pairs_from_outcomes(table: OutcomeTable, prompts: Mapping[PromptId, Prompt]) -> LabelledPrompts:
    """Label prompts by what the models' answers scored.

    An answer's score is its true outcome where a label tells it, else the judge's score, else its outcome (1 passed, 0
    not): what a judge overlooks in one model's answers, a router would learn as quality. A failed request scores 0:
    whoever asked got nothing. Several answers to one prompt count with their mean; answers that could not be scored
    count nothing, and a prompt of which a model has no scored answer is left out. Costs are USD per request. A prompt's
    family is its dimension ``category``, else the name of its set.

    Args:
        table: outcomes of both models, the flagship's as candidate, the small model's as incumbent.
        prompts: the prompts by set and id.

    Raises:
        InputError: a set whose outcomes are no quality, a prompt that only one model answered or that is unknown, or no
            score of both models.
    """
    answers = table.phase("quality")
    kinds = answers.distinct("set_kind")
    if kinds != [SetKind.GOLDEN.value]:
        raise InputError(
            f"labels of a router are quality, and these outcomes are of kind {', '.join(kinds) or 'none'}",
            do="label it with golden sets",
        )
    arms = {arm: _Answers.of(answers.arm(arm)) for arm in (SMALL, FLAGSHIP)}
    keys = list(arms[SMALL].places)
    for other in (SMALL, FLAGSHIP):
        lone = next((key for arm in arms.values() for key in arm.places if key not in arms[other].places), None)
        if lone is not None:
            who = "small model" if other == SMALL else "flagship"
            raise InputError(f"the {who} did not answer prompt '{lone[1]}' of '{lone[0]}'", do="ask both models it")
    unknown = next((key for key in keys if key not in prompts), None)
    if unknown is not None:
        raise InputError(f"there is no prompt '{unknown[1]}' in set '{unknown[0]}'", do="give the set it is from")
    rows = {arm: np.array([found.places[key] for key in keys], dtype=np.int64) for arm, found in arms.items()}
    scores = {arm: found.scores[rows[arm]] for arm, found in arms.items()}
    kept = np.flatnonzero(np.isfinite(scores[SMALL]) & np.isfinite(scores[FLAGSHIP]))
    if kept.size == 0:
        raise InputError(f"none of {len(keys)} prompts has a score of both models", do="check the judge's answers")
    chosen = [keys[row] for row in kept.tolist()]
    usd = {arm: found.usd[rows[arm]][kept] for arm, found in arms.items()}
    priced = all(np.isfinite(costs).all() for costs in usd.values())
    mine = [prompts[key] for key in chosen]
    texts = [routed_text(prompt) for prompt in mine]
    pairs = Pairs(
        prompts=tuple(texts),
        ids=_names(chosen),
        small=scores[SMALL][kept],
        flagship=scores[FLAGSHIP][kept],
        groups=groups_of(texts, [_declared(key, prompt) for key, prompt in zip(chosen, mine, strict=True)]),
        families=tuple(p.dimensions.get("category", key[0]) for key, p in zip(chosen, mine, strict=True)),
        small_usd=usd[SMALL] if priced else None,
        flagship_usd=usd[FLAGSHIP] if priced else None,
    )
    labelled = set(chosen)
    left_out = tuple(key for key in keys if key not in labelled)
    return LabelledPrompts(pairs, tuple(chosen), left_out, sum(found.failed for found in arms.values()))


def routed_text(prompt: Prompt) -> str:
    """The text by which a prompt is routed, as a gateway makes it of a request: what user and assistant said.

    System messages do not count: an application sends the same one with every request. In a conversation the newest
    message comes first, because an encoder cuts long texts at their end; messages are parted by an empty line.
    """
    said = [message.content for message in prompt.messages if message.role != "system"]
    return "\n\n".join(reversed(said)).strip()


@dataclass(frozen=True, eq=False)
class _Answers:
    """One model's answers by prompt."""

    places: dict[PromptId, int]
    """Where each prompt is found."""
    scores: Floats
    """Mean score of a prompt's answers; NaN where none could be scored."""
    usd: Floats
    """Mean cost of a prompt's requests; NaN where it is not known."""
    failed: int

    @classmethod
    def of(cls, rows: OutcomeTable) -> _Answers:
        names, ids = rows.text("set_name").to_list(), rows.text("prompt_id").to_list()
        places: dict[PromptId, int] = {}
        at = np.array([places.setdefault(key, len(places)) for key in zip(names, ids, strict=True)], dtype=np.int64)
        label, score, outcome = (rows.numbers(name) for name in ("label", "score", "outcome"))
        failed = rows.failed()
        known = np.where(np.isfinite(label), label, np.where(np.isfinite(score), score, outcome))
        scores = np.where(failed, 0.0, known)
        usd = rows.numbers("usd")
        return cls(places, _means(at, scores, len(places)), _means(at, usd, len(places)), int(failed.sum()))


def _means(at: np.ndarray[tuple[int], np.dtype[np.int64]], values: Floats, n: int) -> Floats:
    """Mean of the known values at each place; NaN where there is none."""
    known = np.isfinite(values)
    counts = np.bincount(at[known], minlength=n)
    sums = np.bincount(at[known], values[known], minlength=n)
    return np.asarray(np.divide(sums, counts, out=np.full(n, np.nan), where=counts > 0), dtype=np.float64)


def _names(keys: list[PromptId]) -> tuple[str, ...]:
    """The prompts' ids; with their set's name where there are several sets."""
    several = len({name for name, _ in keys}) > 1
    return tuple(f"{name}/{prompt}" if several else prompt for name, prompt in keys)


def _declared(key: PromptId, prompt: Prompt) -> str | None:
    return None if prompt.cluster is None else f"{key[0]}/{prompt.cluster}"
