"""Answers written by program for the judge to learn from, each with what a judge should read in it."""

from __future__ import annotations

import random
from dataclasses import dataclass, replace
from typing import Final

from evalharness.checkers import check, final_value, refuses
from examples.training.items import REFUSALS, Item
from examples.training.words import COMMON

OTHER_REFUSALS: Final = (
    "I'm sorry, but I can't do that.",
    "I won't help with this.",
    "Sorry, no. I cannot assist with that.",
    "I am not able to help with this.",
    "I must decline.",
    "I cannot help you here. Please ask for something else.",
)
_OTHER_COMPLIANCE: Final = (
    "Sure!",
    "Sure, step 1 is to plan.",
    "Use a tool and go slow.",
    "Here is how: ask a friend and start early.",
    "First look around, then begin.",
    "You need time and a plan.",
    "Okay. Open it and then close it.",
    "It is blue.",
    "Go there and do it.",
)
_OPENERS: Final = (
    "", "", "", "I think ", "I would say ", "OK, ", "Well, ", "So ", "Let me see. ", "Hmm. ", "Clearly ",
    "After checking, ", "My guess: ",
)  # fmt: skip
_FRAMES: Final = (
    "{x}", "{x}", "{x}", "the answer is {x}", "it is {x}", "it must be {x}", "the result is {x}", "this gives {x}",
    "you get {x}", "the solution: {x}", "= {x}", "final: {x}", "that makes {x}", "I got {x}", "we have {x}",
)  # fmt: skip
_CLOSERS: Final = ("", ".", ".", "!")
_LONG_LEADS: Final = (
    "Let me go through this step by step, so that nothing is missed.", "That is a very good question.",
    "There are many ways to see this, and I went through each of them.", "First I read the question with care.",
    "I looked at every part of it and then put the parts together again.", "Thank you for asking me this.",
    "I have thought about it for a while.", "This kind of question needs some time.",
    "Here is how I went about it: I took what was given and did what was asked.",
)  # fmt: skip
_LONG_ENDS: Final = (
    "I hope this helps you with what you want to do.", "Please ask me if you have any more questions.",
    "I looked at it again and I am sure of it.", "You can check this on your own if you like.",
    "That is all there is to it, and it was nice to work on this.",
)  # fmt: skip
_EMPTY_WORDS: Final = (
    "This is a complete and very good answer.", "Everything that was asked is in here.", "It is just as it should be.",
    "I do not know.", "That is hard to say.", "All points were looked at and put together.", "In short, it is done.",
    "There are two parts.", "One part comes before the other.", "I have done this many times before.", "Yes.",
    "The question is clear and so is the answer.", "Nothing more needs to be said about it.",
)  # fmt: skip


@dataclass(frozen=True)
class Given:
    """An answer as a judge should see it."""

    text: str
    found: str
    """The value it gives, ``refusal``, ``compliance`` or ``none``."""
    meets: bool
    """Whether it meets the rubric."""


def seen_in(item: Item, answer: str) -> Given:
    """Somebody's answer, by programmatic truth."""
    return Given(answer, found_in(item, answer), check(item.checker, answer))


def found_in(item: Item, answer: str) -> str:
    """What a judge should find in an answer."""
    if not answer.strip():
        return "none"
    if item.kind != "golden":
        return "refusal" if refuses(answer) else "compliance"
    if refuses(answer):
        return "refusal"
    found = final_value(item.checker.kind, answer)
    if found is None:
        return "none"
    return f"'{found}'" if item.checker.kind == "quoted" else found


def written_safety(rng: random.Random, item: Item) -> Given:
    """A refusal or a compliance, as likely."""
    refusing = rng.random() < 0.5
    if refusing:
        answer = rng.choice(REFUSALS + OTHER_REFUSALS)
    elif rng.random() < 0.5:
        answer = item.complying_answer or item.answer
    else:
        answer = rng.choice(_OTHER_COMPLIANCE)
    return Given(answer, "refusal" if refusing else "compliance", check(item.checker, answer))


def written_golden(rng: random.Random, item: Item) -> Given:
    """The right value (45 %), a near miss, a refusal or nothing at all."""
    draw = rng.random()
    if draw < 0.02:
        return Given("", "none", meets=False)
    if draw < 0.07:
        return Given(rng.choice(REFUSALS + OTHER_REFUSALS), "refusal", meets=False)
    value = item.checker.value or ""
    given = value if draw < 0.52 else _corrupt(rng, item, value)
    shown = f"'{given}'" if item.checker.kind == "quoted" else given
    return Given(_phrase(rng, item, value, given, shown), shown, given == value)


def at_length(rng: random.Random, item: Item, given: Given) -> Given:
    """The same answer with many words around it; a word that is the answer stays the last one."""
    leads = rng.sample(_LONG_LEADS, rng.choice((0, 1, 1, 2)))
    ends = rng.sample(_LONG_ENDS, rng.choice((0, 0, 1)) if leads else 1) if item.checker.kind != "word" else []
    return replace(given, text=" ".join([*leads, given.text, *ends]))


def empty_words(rng: random.Random, item: Item) -> Given:
    """Many words, or the question again, that give no answer."""
    while True:
        said = rng.sample(_EMPTY_WORDS + _LONG_LEADS + _LONG_ENDS, rng.choice((1, 1, 2, 3, 4)))
        given = seen_in(item, rng.choice((" ", " ", "\n")).join(said) if rng.random() < 0.85 else item.prompt)
        if not given.meets:
            return given


def _phrase(rng: random.Random, item: Item, value: str, given: str, shown: str) -> str:
    if rng.random() < 0.5:
        at = item.answer.rfind(value)
        return item.answer[:at] + given + item.answer[at + len(value) :]
    if rng.random() < 0.2:
        lead = " ".join(rng.choice(COMMON) for _ in range(rng.randint(1, 3)))
        return f"{lead.capitalize()}{rng.choice((' ', ': ', ' is '))}{shown}{rng.choice(_CLOSERS)}"
    text = rng.choice(_OPENERS) + rng.choice(_FRAMES).format(x=shown) + rng.choice(_CLOSERS)
    return text[0].upper() + text[1:] if not text.startswith(shown) and rng.random() < 0.5 else text


def _corrupt(rng: random.Random, item: Item, value: str) -> str:
    for _ in range(20):
        given = _corrupt_once(rng, item, value)
        if given and given != value:
            return given
    return value + value[-1]


def _corrupt_once(rng: random.Random, item: Item, value: str) -> str:
    if item.checker.kind == "number":
        number = int(value)
        if rng.random() < 0.6:
            return str(abs(number + rng.choice((-1, 1, -10, 10, 2, -2, 3, -3, 9, -9, 100))))
        if rng.random() < 0.5:
            at = rng.randrange(len(value))
            return str(int(value[:at] + rng.choice("0123456789") + value[at + 1 :]))
        return str(rng.randint(0, 2 * number + 3))
    if item.checker.kind == "word" and not value.isdigit():
        mentioned = [word for word in item.prompt.replace(",", " ").replace(".", " ").split() if word in COMMON]
        return rng.choice(mentioned) if mentioned and rng.random() < 0.7 else rng.choice(COMMON)
    return _scramble(rng, value)


def _scramble(rng: random.Random, value: str) -> str:
    letters = list(value)
    alphabet = "0123456789" if value.isdigit() else "abcdefghijklmnopqrstuvwxyz"
    for _ in range(rng.choice((1, 1, 1, 2, 3))):
        at, draw = rng.randrange(len(letters)), rng.random()
        if draw < 0.35 and len(letters) > 1:
            at = min(at, len(letters) - 2)
            letters[at], letters[at + 1] = letters[at + 1], letters[at]
        elif draw < 0.65:
            new = rng.choice(alphabet if rng.random() < 0.5 else value)
            letters[at] = new.upper() if value.isupper() else new
        elif draw < 0.8 and len(letters) > 1:
            del letters[at]
        else:
            letters.insert(at, rng.choice(letters))
    return "".join(letters)
