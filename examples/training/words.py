"""Word material for the task generators."""

from __future__ import annotations

import random
from typing import Final

COMMON: Final[tuple[str, ...]] = tuple(
    """cat dog sun map tree fish bird lamp rain snow wind gold ring book desk door blue green apple bread chair table
    tiger horse river cloud stone plant music light water paper house garden window monkey banana orange yellow purple
    bottle pocket market winter summer spring autumn kitchen blanket captain diamond dolphin elephant festival notebook
    mountain sandwich umbrella vacation hospital keyboard painting box cup pen hat bag bus car key egg milk salt soup
    cake ship boat road park hill moon star sand leaf root seed wolf bear lion duck goat frog shoe coat belt sock
    clock phone radio piano drum flute basket bucket candle carpet castle bridge tunnel forest island valley desert
    doctor farmer singer dancer writer baker pilot sailor""".split()  # noqa: SIM905 - readable as prose
)
"""Common English nouns and colours, three to nine letters."""

_VOWELS: Final = "aeiou"
_CONSONANTS: Final = "bcdfghjklmnprstvwz"


def pseudo_word(rng: random.Random, length: int) -> str:
    """A pronounceable made-up lower-case word of ``length`` letters."""
    letters: list[str] = []
    consonant = rng.random() < 0.7
    for _ in range(length):
        letters.append(rng.choice(_CONSONANTS if consonant else _VOWELS))
        if rng.random() < 0.85:
            consonant = not consonant
    return "".join(letters)


def any_word(rng: random.Random, shortest: int, longest: int) -> str:
    """A common word (three in ten) or a made-up one, of a length in the closed range."""
    if rng.random() < 0.3:
        fitting = [word for word in COMMON if shortest <= len(word) <= longest]
        if fitting:
            return rng.choice(fitting)
    return pseudo_word(rng, rng.randint(shortest, longest))
