"""Ten golden task families, each easy and hard, with answers a program can check."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Literal

from evalharness.checkers import CheckerKind
from examples.training.items import Item, Split, split_of, with_manners
from examples.training.words import COMMON, any_word, pseudo_word
from golden_sets.records import Checker

Tier = Literal["easy", "hard"]
TIERS: Final[tuple[Tier, ...]] = ("easy", "hard")


@dataclass(frozen=True)
class _Draft:
    question: str
    answer: str
    kind: CheckerKind
    value: str
    payload: str


def _arithmetic(rng: random.Random, tier: Tier) -> _Draft:
    if tier == "easy":
        a, b = rng.randint(0, 60), rng.randint(0, 9)
    else:
        a, b = rng.randint(11, 99), rng.randint(11, 99)
    if rng.random() < 0.5:
        total = a + b
        if rng.random() < 0.5:
            a, b = b, a
        question, answer = rng.choice(
            (
                ("What is {a} plus {b}?", "It is {v}."),
                ("Add {a} and {b}.", "The sum is {v}."),
                ("Compute {a} + {b}.", "{v}"),
                ("How much is {a} + {b}?", "It is {v}."),
                ("I have {a} coins and get {b} more. How many coins do I have?", "You have {v} coins."),
            )
        )
        payload = f"{min(a, b)}+{max(a, b)}"
    else:
        a, b = max(a, b), min(a, b)
        total = a - b
        question, answer = rng.choice(
            (
                ("What is {a} minus {b}?", "It is {v}."),
                ("Subtract {b} from {a}.", "The difference is {v}."),
                ("Compute {a} - {b}.", "{v}"),
                ("Take {b} away from {a}.", "It is {v}."),
                ("I had {a} coins and spent {b}. How many coins are left?", "You have {v} coins."),
            )
        )
        payload = f"{a}-{b}"
    return _Draft(question.format(a=a, b=b), answer.format(v=total), "number", str(total), payload)


def _sequence(rng: random.Random, tier: Tier) -> _Draft:
    if tier == "easy":
        start, step = rng.randint(1, 99), rng.randint(1, 9)
    else:
        start, step = rng.randint(100, 400), rng.choice((-1, 1)) * rng.randint(3, 25)
    shown = [start + step * k for k in range(4)]
    value = str(start + step * 4)
    question, answer = rng.choice(
        (
            ("What number comes next: {s}?", "It is {v}."),
            ("Continue with one number: {s}.", "{v}"),
            ("The numbers go {s}. Which one follows?", "Next is {v}."),
        )
    )
    listed = ", ".join(map(str, shown))
    return _Draft(question.format(s=listed), answer.format(v=value), "number", value, f"{start}by{step}")


def _compare(rng: random.Random, tier: Tier) -> _Draft:
    count = 2 if tier == "easy" else 4
    base = 0 if tier == "easy" else rng.randint(1, 9) * 100
    numbers = rng.sample(range(base, base + 100), count)
    largest = rng.random() < 0.5
    if tier == "easy":
        forms = (
            (("Which number is larger, {s}?", "{v}"), ("Pick the greater of {s}.", "It is {v}."))
            if largest
            else (("Which number is smaller, {s}?", "{v}"), ("Pick the lesser of {s}.", "It is {v}."))
        )
        listed = " or ".join(map(str, numbers))
    else:
        forms = (
            (("Which of these is the largest: {s}?", "It is {v}."), ("Find the maximum of {s}.", "{v}"))
            if largest
            else (("Which of these is the smallest: {s}?", "It is {v}."), ("Find the minimum of {s}.", "{v}"))
        )
        listed = ", ".join(map(str, numbers))
    question, answer = rng.choice(forms)
    value = str(max(numbers) if largest else min(numbers))
    payload = f"{'max' if largest else 'min'}{sorted(numbers)}"
    return _Draft(question.format(s=listed), answer.format(v=value), "number", value, payload)


def _sort_digits(rng: random.Random, tier: Tier) -> _Draft:
    digits = [rng.choice("0123456789") for _ in range(3 if tier == "easy" else rng.randint(5, 7))]
    shown, value = "".join(digits), "".join(sorted(digits))
    question, answer = rng.choice(
        (
            ("Sort the digits of {s}.", "{v}"),
            ("Put the digits {s} in ascending order.", "In order: {v}"),
            ("Arrange {s} from the smallest digit to the largest.", "{v}"),
            ("Order the digits in {s}.", "In order: {v}"),
        )
    )
    return _Draft(question.format(s=shown), answer.format(v=value), "word", value, shown)


def _count_letter(rng: random.Random, tier: Tier) -> _Draft:
    letters = list(any_word(rng, 3, 5) if tier == "easy" else pseudo_word(rng, rng.randint(6, 8)))
    letter = rng.choice(letters)
    for _ in range(rng.randint(0, 1) if tier == "easy" else rng.randint(0, 3)):
        letters[rng.randrange(len(letters))] = letter
    word = "".join(letters)
    value = str(word.count(letter))
    question, answer = rng.choice(
        (
            ("How many times does the letter '{c}' occur in '{w}'?", "It occurs {v} times."),
            ("Count the letter '{c}' in '{w}'.", "{v}"),
            ("How many '{c}' are there in the word '{w}'?", "There are {v}."),
        )
    )
    return _Draft(question.format(c=letter, w=word), answer.format(v=value), "number", value, f"{letter}in{word}")


def _price(rng: random.Random, tier: Tier) -> _Draft:
    goods = rng.sample(COMMON, 2 if tier == "easy" else 4)
    prices = rng.sample(range(2, 100), len(goods))
    asked = rng.randrange(len(goods))
    listed = ", ".join(f"{good} {price}" for good, price in zip(goods, prices, strict=True))
    if tier == "hard" and rng.random() < 0.5:
        value = goods[asked]
        question, answer = rng.choice(
            (
                ("Prices: {s}. What costs {x}?", "It is the {v}."),
                ("Here is the price list: {s}. Which thing has the price {x}?", "The {v}."),
            )
        )
        wanted, kind = str(prices[asked]), "word"
    else:
        value = str(prices[asked])
        question, answer = rng.choice(
            (
                ("Prices: {s}. How much is the {x}?", "It costs {v}."),
                ("Here is the price list: {s}. What is the price of the {x}?", "{v}"),
            )
        )
        wanted, kind = goods[asked], "number"
    checker_kind: CheckerKind = "word" if kind == "word" else "number"
    return _Draft(
        question.format(s=listed, x=wanted), answer.format(v=value), checker_kind, value, f"{listed}?{wanted}"
    )


def _neighbour_word(rng: random.Random, tier: Tier) -> _Draft:
    words = rng.sample(COMMON, 3 if tier == "easy" else 6)
    after = tier == "easy" or rng.random() < 0.5
    place = rng.randrange(len(words) - 1) + (0 if after else 1)
    value = words[place + 1] if after else words[place - 1]
    listed = " ".join(words)
    question, answer = rng.choice(
        (
            ("Which word comes {r} {x} in this list: {s}?", "It is {v}."),
            ("Read the list {s}. Which word is right {r} {x}?", "The word is {v}."),
            ("Tell me the word {r} {x} here: {s}.", "{v}"),
        )
    )
    relation = "after" if after else "before"
    asked = question.format(r=relation, x=words[place], s=listed)
    return _Draft(asked, answer.format(v=value), "word", value, f"{relation}{words[place]}:{listed}")


def _reverse(rng: random.Random, tier: Tier) -> _Draft:
    word = any_word(rng, 3, 4) if tier == "easy" else any_word(rng, 5, 7)
    question, answer = rng.choice(
        (
            ("Reverse the word '{w}'.", "'{v}'"),
            ("Write '{w}' backwards.", "Backwards it is '{v}'."),
            ("What is '{w}' spelled in reverse?", "It is '{v}'."),
            ("Spell '{w}' from the end to the start.", "It is '{v}'."),
        )
    )
    return _Draft(question.format(w=word), answer.format(v=word[::-1]), "quoted", word[::-1], word)


def _uppercase(rng: random.Random, tier: Tier) -> _Draft:
    word = any_word(rng, 3, 5) if tier == "easy" else any_word(rng, 8, 12)
    question, answer = rng.choice(
        (
            ("Write '{w}' in capital letters.", "'{v}'"),
            ("Uppercase '{w}'.", "'{v}'"),
            ("Convert the word '{w}' to upper case.", "In upper case: '{v}'"),
            ("Turn '{w}' into all caps.", "'{v}'"),
        )
    )
    return _Draft(question.format(w=word), answer.format(v=word.upper()), "quoted", word.upper(), word)


def _replace_letter(rng: random.Random, tier: Tier) -> _Draft:
    word = any_word(rng, 3, 5) if tier == "easy" else any_word(rng, 7, 9)
    old = rng.choice(word)
    new = rng.choice([letter for letter in "abcdefghijklmnopqrstuvwz" if letter not in word])
    value = word.replace(old, new)
    question, answer = rng.choice(
        (
            ("Replace '{a}' with '{b}' in '{w}'.", "'{v}'"),
            ("In '{w}', change every '{a}' to '{b}'.", "It becomes '{v}'."),
            ("Write '{w}' with '{b}' in place of '{a}'.", "'{v}'"),
        )
    )
    asked = question.format(a=old, b=new, w=word)
    return _Draft(asked, answer.format(v=value), "quoted", value, f"{word}:{old}>{new}")


FAMILIES: Final[dict[str, Callable[[random.Random, Tier], _Draft]]] = {
    "arithmetic": _arithmetic,
    "sequence": _sequence,
    "compare": _compare,
    "sort-digits": _sort_digits,
    "count-letter": _count_letter,
    "price-list": _price,
    "word-neighbour": _neighbour_word,
    "reverse": _reverse,
    "uppercase": _uppercase,
    "replace-letter": _replace_letter,
}
"""Family name -> generator of one draft in a tier."""

_TRAINING_WEIGHTS: Final[dict[str, float]] = {"arithmetic": 2.2, "reverse": 1.5, "sequence": 1.6, "word-neighbour": 1.2}


def draw_task(rng: random.Random, split: Split, family: str, tier: Tier) -> Item:
    """One golden item of a family and tier whose payload belongs to ``split``."""
    while True:
        draft = FAMILIES[family](rng, tier)
        payload = f"{family}/{draft.payload}"
        if split_of(payload) == split:
            break
    return Item(
        kind="golden",
        category=family,
        tier=tier,
        prompt=with_manners(rng, draft.question),
        answer=draft.answer,
        reference=f"'{draft.value}'" if draft.kind == "quoted" else draft.value,
        checker=Checker(kind=draft.kind, value=draft.value),
        payload=payload,
    )


def draw_any_task(rng: random.Random, split: Split, hard_share: float = 0.55) -> Item:
    """A golden item of a random family (harder-to-learn ones more often) and tier."""
    names = list(FAMILIES)
    family = rng.choices(names, [_TRAINING_WEIGHTS.get(name, 1.0) for name in names])[0]
    return draw_task(rng, split, family, "hard" if rng.random() < hard_share else "easy")
