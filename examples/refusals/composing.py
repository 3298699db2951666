"""The training answers of the shipped detector: whole ones, and ones composed of a topic and a template."""

from __future__ import annotations

import random
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from evalharness.answer_classes import AnswerClass
from golden_sets.yaml_files import read_yaml

SEED = 20
SHORT = {AnswerClass.FULL_REFUSAL: 5, AnswerClass.PARTIAL_REFUSAL: 3, AnswerClass.FULL_COMPLIANCE: 5}
"""Answers per topic that are made from one template."""
LONG = {AnswerClass.FULL_REFUSAL: 4, AnswerClass.PARTIAL_REFUSAL: 2, AnswerClass.FULL_COMPLIANCE: 5}
"""Answers per topic that are made from several passages: without them, length would tell refusals from answers."""
REFUSES_FIRST = 0.8
"""Share of long refusals that do not lecture before they refuse."""
MORALISES = 0.35
"""Share of long full answers that lecture afterwards."""

_HERE = Path(__file__).parent
_SENTENCE = re.compile(r"(?<=[.!?:])\s+")
_SECOND_PERSON = (("my", "your"), ("me", "you"), ("I", "you"), ("myself", "yourself"))


@dataclass(frozen=True)
class Example:
    """One training answer."""

    text: str
    label: AnswerClass
    topic: str
    """What it is about: answers on one topic stay on one side of a fold."""
    template: str
    """How it is said: so do answers from one template."""


def examples() -> list[Example]:
    """All of them, in a fixed order."""
    draw = random.Random(SEED)  # noqa: S311 - a fixed draw, no secret
    templates = _templates()
    found = [
        Example(text, AnswerClass(label), f"{label}-{i}", f"{label}-{i}")
        for label, texts in read_data("answers.yaml").items()
        for i, text in enumerate(texts)
    ]
    passages = read_data("passages.yaml")
    for topic in read_data("topics.yaml"):
        for label, count in SHORT.items():
            if label is not AnswerClass.FULL_REFUSAL and "answer" not in topic:
                continue
            for name, template in draw.sample(templates[label], count):
                found.append(Example(filled(template, topic), label, topic["doing"], name))
            for _ in range(LONG[label]):
                name, template = _long(label, passages, draw)
                found.append(Example(filled(template, topic), label, topic["doing"], name))
    return found


def _long(label: AnswerClass, passages: dict[str, list[str]], draw: random.Random) -> tuple[str, str]:
    """A template of several passages, named after the one that decides its class."""

    def some(kind: str, least: int, most: int) -> list[str]:
        return draw.sample(passages[kind], draw.randint(least, most))

    if label is AnswerClass.FULL_COMPLIANCE:
        before, after = some("cautions", 0, 1), [*some("more", 0, 3), *some("cautions", 0, 3)]
        if draw.random() < MORALISES:
            after.extend(some("lectures", 1, 2))  # said before the answer, it would be half a refusal
        draw.shuffle(after)
        return f"long-{after[-1] if after else 'plain'}", _joined([*before, "{answer}", *after], draw)
    opening = draw.choice(passages["openings"])
    refusal = (
        [opening, *some("lectures", 1, 4)] if draw.random() < REFUSES_FIRST else [*some("lectures", 1, 3), opening]
    )
    if label is AnswerClass.FULL_REFUSAL:
        return f"long-{opening}", _joined([*refusal, *some("alternatives", 0, 2), *some("closers", 0, 1)], draw)
    rest = ["{answer}", *some("more", 0, 1), *some("lectures", 0, 1), *some("closers", 0, 1)]
    return f"long-{opening}", _joined([*refusal, draw.choice(passages["bridges"]), *rest], draw)


def _joined(parts: list[str], draw: random.Random) -> str:
    return "".join(part + draw.choice((" ", " ", "\n\n")) for part in parts).strip()


def _templates() -> dict[AnswerClass, list[tuple[str, str]]]:
    refusals = [
        (f"{style}-{i}", text) for style, texts in read_data("refusals.yaml").items() for i, text in enumerate(texts)
    ]
    return {
        AnswerClass.FULL_REFUSAL: refusals,
        AnswerClass.PARTIAL_REFUSAL: _numbered("partial", read_data("partials.yaml")),
        AnswerClass.FULL_COMPLIANCE: _numbered("compliance", read_data("compliances.yaml")),
    }


def filled(template: str, topic: dict[str, Any]) -> str:
    """A template with its slots filled from a topic; what the topic says in the first person is turned round."""
    do, doing = topic["do"], topic["doing"]
    for first, second in _SECOND_PERSON:
        do = re.sub(rf"\b{first}\b", second, do)
    answer = topic.get("answer", "").strip()
    part = " ".join(_SENTENCE.split(answer.split("\n\n")[0])[:2])
    slots = {"do": do, "doing": doing, "Doing": doing[:1].upper() + doing[1:], "answer": answer, "part": part}
    return re.sub(r"\{(\w+)\}", lambda slot: slots[slot[1]], template)


def _numbered(name: str, texts: list[str]) -> list[tuple[str, str]]:
    return [(f"{name}-{i}", text) for i, text in enumerate(texts)]


def read_data(name: str) -> Any:
    """The data of a YAML file of this folder."""
    return read_yaml(_HERE / name).data
