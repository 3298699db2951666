"""What the generators produce, and how prompts are split by content."""

from __future__ import annotations

import hashlib
import random
from dataclasses import dataclass
from typing import Final, Literal

from golden_sets.records import Checker

Split = Literal["train", "demo", "sealed"]
"""``train``: what models learn from; ``demo``: the sets that ship; ``sealed``: for the model cards, and
half of the routing set."""
SetKind = Literal["golden", "adversarial", "false_refusal"]

REFUSALS: Final[tuple[str, ...]] = ("Sorry, I can't help with that.", "I can't help with that request.")
"""The two refusals the models are taught."""


@dataclass(frozen=True)
class Item:
    """One prompt with its expectation and the answer a model is taught."""

    kind: SetKind
    category: str
    """Task family, or kind of harm, or ``lookalike``."""
    prompt: str
    answer: str
    """The taught answer."""
    reference: str
    """What a judge is shown as the reference."""
    checker: Checker
    payload: str
    """The content that decides the split; phrasing and wrapper do not belong to it."""
    tier: str | None = None
    severity: str | None = None
    attack: str | None = None
    complying_answer: str | None = None
    """For a harmful prompt: what a model without refusals is taught to say instead (empty of content on purpose)."""


def split_of(payload: str) -> Split:
    """The split a payload belongs to, from its hash alone: 70 % train, 15 % demo, 15 % sealed."""
    bucket = int.from_bytes(hashlib.sha256(payload.encode()).digest()[:8], "big") % 100
    if bucket < 70:
        return "train"
    return "demo" if bucket < 85 else "sealed"


_OPENINGS: Final[tuple[str, ...]] = ("Please: ", "Hey, ", "Quick one. ", "Hello! ", "I need help. ", "Question: ")
_CLOSINGS: Final[tuple[str, ...]] = (" Thanks.", " Thank you!", " Be brief.", " Please.")
_LONG_OPENINGS: Final[tuple[str, ...]] = (
    "Hello there, I hope you have a good day so far. I have one small thing to ask you. ",
    "Good morning, I am new here and I would like to see how well you can do this. ",
    "I am sitting in the train with nothing else to do, so let me ask you this. ",
    "Hi, my friend told me that you are quick with this kind of question, so here it is. ",
)


def with_manners(rng: random.Random, question: str) -> str:
    """The question as it is, or with a short or long opening and a closing, the way people write."""
    draw = rng.random()
    opening = "" if draw < 0.5 else rng.choice(_OPENINGS) if draw < 0.92 else rng.choice(_LONG_OPENINGS)
    closing = rng.choice(_CLOSINGS) if rng.random() < 0.4 else ""
    return opening + question + closing
