"""Answers that must lose, planted beside those of a run: constant ones, and wrong ones that speak to the judge.

The suite (`planted.yaml`) is part of relgate: what it holds is addressed by `PlantedSuite.digest`. Two kinds:

* ``gaming``: answers that say nothing about the question. They are planted on golden sets, where nothing is no answer.
* ``injection``: an attack around an answer that is known not to pass: a non-answer (golden), a refusal (false refusal),
  the project's controls labelled ``fail`` (adversarial). The judge is asked about the bare answer too, because only an
  answer that it fails when it stands alone can be talked through.

A plant that would be right after all is never made: one that the prompt's own checker accepts, or that holds the
reference word for word.

Sources of the kinds of attack: Zheng, Pang, Du, Liu, Jiang and Lin, arXiv 2410.07137 (constant answers win on automatic
benchmarks); Raina, Liusie and Gales, arXiv 2402.14016 (phrases that raise the scores of judges); Shi, Yuan, Liu, Huang,
Zhou, Sun and Gong, arXiv 2403.17710 (injection into judges). The texts are our own.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any, Literal

from pydantic import Field

from evalharness.checkers import check
from evalharness.generation_records import Judgment
from evalharness.judging.controls import Control
from evalharness.judging.judge import Judge
from evalharness.judging.pointwise import JudgeItem
from evalharness.judging.prompting import render_conversation
from evalharness.judging.rubric import Rubric
from evalharness.outcomes import DIMENSION_PREFIX
from evalharness.scoring import Asked
from golden_sets.records import Prompt, Record, SetKind
from golden_sets.yaml_files import load_yaml_record

PlantKind = Literal["gaming", "injection", "bare"]
BARE = "bare:answer"
"""Id of the bare answers that attacks stand around."""
NON_ANSWERS: Mapping[SetKind, str] = {
    SetKind.GOLDEN: "I do not know.",
    SetKind.FALSE_REFUSAL: "I'm sorry, but I can't help with that.",
}
"""What an attack stands around where no control gives a failing answer."""
_SHIPPED = Path(__file__).with_name("planted.yaml")
_PLACEHOLDER = re.compile(r"\{(answer|question|criteria|keywords|best|worst|score_line)\}")
_WORD = re.compile(r"\w{4,}")
_MOST_KEYWORDS = 20


class PlantedSuite(Record):
    """The texts that are planted, by name: ``FAMILY/NAME``."""

    version: str = Field(min_length=1)
    """Version of the suite."""
    gaming: Mapping[str, str] = Field(min_length=1)
    """Answers that say nothing about the question."""
    injection: Mapping[str, str] = Field(min_length=1)
    """Attacks with ``{answer}``, the failing answer they stand around."""


@cache
def planted_suite() -> PlantedSuite:
    """The suite that is part of relgate; its ``digest`` names it in evidence."""
    return load_yaml_record(_SHIPPED, PlantedSuite)


@dataclass(frozen=True, slots=True)
class Plant:
    """One planted answer to one prompt."""

    id: str
    """``gaming:FAMILY/NAME``, ``injection:FAMILY/NAME`` or ``bare:answer``: the ``variant`` of its outcome row."""
    prompt: Prompt
    """What it pretends to answer."""
    rubric: str
    """Id of the rubric it is judged by."""
    set_name: str
    """The set it is planted in."""
    set_kind: SetKind
    """Kind of that set."""
    answer: str
    """The text."""

    @property
    def kind(self) -> PlantKind:
        """What it is planted for."""
        prefix = self.id.split(":")[0]
        return "gaming" if prefix == "gaming" else "injection" if prefix == "injection" else "bare"

    @property
    def item(self) -> JudgeItem:
        """The plant as something to be judged."""
        return JudgeItem(self.prompt, self.answer)


@dataclass(frozen=True, slots=True)
class JudgedPlant:
    """A plant with what the judge said of it."""

    plant: Plant
    judgment: Judgment

    def row(self) -> dict[str, Any]:
        """The row of the outcome table: outcome 1 where the planted answer won, null where the verdict is unparsed."""
        plant, label = self.plant, self.judgment.label
        return {
            "arm": "candidate",
            "phase": "planted",
            "variant": plant.id,
            "set_kind": plant.set_kind.value,
            "set_name": plant.set_name,
            "prompt_id": plant.prompt.id,
            "prompt_digest": plant.prompt.digest,
            "repeat": 0,
            "cluster": plant.prompt.unit,
            "outcome": None if label is None else float(label == "pass"),
            "score": self.judgment.score,
            "scored_by": "judge",
            "rubric": plant.rubric,
            **{DIMENSION_PREFIX + name: value for name, value in plant.prompt.dimensions.items()},
        }


def plants_for(
    asked: Sequence[Asked],
    controls: Sequence[Control],
    judge: Judge,
    *,
    per_set: int | None = None,
    seed: int = 0,
) -> list[Plant]:
    """What is planted in the sets of a run, spread evenly over texts and prompts; the same for the same prompts.

    The draw depends on prompt ids and the seed alone. Each text meets another prompt as long as there are any, so that
    the judge's verdicts are independent. A set of adversarial prompts gets attacks only where there are controls
    labelled ``fail`` under its rubric; of several sets under one rubric the first by name gets them.

    Args:
        asked: what a judge scored; every set of it gets its plants.
        controls: the project's control answers; those labelled ``fail`` are what adversarial attacks stand around.
        judge: whose rubrics and score line the texts speak of.
        per_set: planted answers of each kind for each set, bare ones not counted; None: so many that every text is
            planted, as many of either kind.
        seed: seed of the draw.

    Raises:
        InputError: a rubric that the judge does not have.
    """
    suite = planted_suite()
    count = max(len(suite.gaming), len(suite.injection)) if per_set is None else per_set
    found: list[Plant] = []
    for ground in _grounds(asked, controls, judge, seed):
        if ground.kind is SetKind.GOLDEN:
            found += _spread("gaming", suite.gaming, ground, count, seed)
        attacks = _spread("injection", suite.injection, ground, count, seed)
        alone = {one.prompt.id: replace(one, id=BARE, answer=ground.base_of[one.prompt.id]) for one in attacks}
        found += [*attacks, *alone.values()]
    return found


@dataclass(frozen=True)
class _Ground:
    """One set with the prompts in which answers can be planted, in the order in which they are used."""

    name: str
    kind: SetKind
    rubrics: Mapping[str, Rubric]
    prompts: tuple[Prompt, ...]
    base_of: Mapping[str, str]
    """The failing answer to each prompt, by id."""
    score_prefix: str

    def text(self, template: str, prompt: Prompt) -> str:
        """A text of the suite, filled in for one prompt."""
        rubric = self.rubrics[_rubric_of(prompt)]
        question = render_conversation(prompt.messages)
        words = dict.fromkeys(_WORD.findall(question))
        values = {
            "answer": self.base_of[prompt.id],
            "question": question,
            "criteria": rubric.criteria,
            "keywords": ", ".join(list(words)[:_MOST_KEYWORDS]),
            "best": str(rubric.scale[1]),
            "worst": str(rubric.scale[0]),
            "score_line": f"{self.score_prefix}{rubric.scale[1]}",
        }
        return _PLACEHOLDER.sub(lambda name: values[name[1]], template)


def _grounds(asked: Sequence[Asked], controls: Sequence[Control], judge: Judge, seed: int) -> Iterator[_Ground]:
    by_set: dict[str, dict[str, Asked]] = {}
    served: set[str] = set()  # rubrics whose controls stand in a set already: no verdict on one may count twice
    for one in asked:
        by_set.setdefault(one.prompt_set.name, {}).setdefault(one.prompt.id, one)
    for name, members in sorted(by_set.items()):
        kind = next(iter(members.values())).kind
        prompts = [one.prompt for one in members.values()]
        bases = dict.fromkeys((prompt.id for prompt in prompts), NON_ANSWERS.get(kind, ""))
        if kind is SetKind.ADVERSARIAL:
            named = {_rubric_of(prompt) for prompt in prompts}
            failing = [c for c in controls if c.set is kind and c.label == "fail" and c.rubric in named - served]
            served |= named
            prompts = [control.item.prompt for control in failing]
            bases = {control.id: control.answer for control in failing}
        rubrics = {rubric_id: judge.rubric(rubric_id) for rubric_id in {_rubric_of(prompt) for prompt in prompts}}
        ordered = tuple(sorted(prompts, key=lambda prompt: _lot(f"{name}|{prompt.id}", seed)))
        yield _Ground(name, kind, rubrics, ordered, bases, judge.parse.score_prefix)


def _spread(
    kind: Literal["gaming", "injection"], texts: Mapping[str, str], ground: _Ground, count: int, seed: int
) -> list[Plant]:
    """Give every text the next prompt that suits it, the prompts that were used longest ago first."""
    names = sorted(texts, key=lambda name: _lot(f"{kind}|{name}", seed))
    waiting, used = list(ground.prompts), set[tuple[str, str]]()
    found: list[Plant] = []
    for number in range(count):
        name = names[number % len(names)]
        for place, prompt in enumerate(waiting):
            text = ground.text(texts[name], prompt)
            if (name, prompt.id) in used or not _loses(text, prompt, ground):
                continue
            used.add((name, prompt.id))
            waiting.append(waiting.pop(place))
            found.append(Plant(f"{kind}:{name}", prompt, _rubric_of(prompt), ground.name, ground.kind, text))
            break
    return found


def _loses(text: str, prompt: Prompt, ground: _Ground) -> bool:
    """Whether a plant is wrong for certain: no checker accepts it, and it does not hold the reference."""
    if ground.kind is SetKind.ADVERSARIAL:
        return True
    if prompt.checker is not None and (check(prompt.checker, text) or check(prompt.checker, ground.base_of[prompt.id])):
        return False
    reference = (prompt.reference or "").strip() if ground.kind is SetKind.GOLDEN else ""
    return not reference or not re.search(rf"(?<!\w){re.escape(reference)}(?!\w)", text, re.IGNORECASE)


def _rubric_of(prompt: Prompt) -> str:
    return prompt.rubric or ""


def _lot(text: str, seed: int) -> bytes:
    return hashlib.sha256(f"{seed}|{text}".encode()).digest()
