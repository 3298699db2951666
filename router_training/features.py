"""What a head sees of a prompt: its embedding and, beside it, cheap counts of its text.

The counts cost a fraction of a millisecond and say what a mean-pooled embedding says badly: how long the prompt is,
whether it is a multiple-choice question, how much of it is digits, mathematics or code. Which of them a router uses is
chosen on held-out prompts (`router_training.choosing`). They are left unscaled: every head scales its columns itself.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt

from golden_sets.errors import InputError
from router_training.heads.head import Matrix

READ = 20_000
"""Characters of a prompt that are looked at, besides its length: bounds the time a huge prompt takes."""

_OPTION = re.compile(r"^[ \t]*\(?(?:[A-Ja-j]|[1-9])[.):][ \t]+(.*)$", re.MULTILINE)
_CODE = re.compile(r"```|[{};]\s*$|[=!]=|[=-]>|^\s*(?:def|class|import|return|#include)\b|\)\s*[:{]\s*$", re.MULTILINE)
_MATHEMATICS = frozenset("+*/=^<>\\$_|~±×÷∑∏∫√∞≈≠≤≥∈∀∃∂πθλμσ")


class _Text:
    """One prompt, its characters counted once."""

    def __init__(self, prompt: str) -> None:
        self.length = len(prompt)
        self.text = prompt[:READ]
        self.words = self.text.split()
        self.options = _OPTION.findall(self.text) if "\n" in self.text else []
        self.characters = Counter(self.text)

    def count(self, belongs: Callable[[str], bool]) -> int:
        return sum(n for character, n in self.characters.items() if belongs(character))

    def share(self, belongs: Callable[[str], bool]) -> float:
        return self.count(belongs) / max(len(self.text), 1)


def _log_mean_length(pieces: Sequence[str]) -> float:
    return math.log1p(sum(map(len, pieces)) / len(pieces)) if pieces else 0.0


_MEASURES: dict[str, Callable[[_Text], float]] = {
    "log_characters": lambda t: math.log1p(t.length),
    "log_words": lambda t: math.log1p(len(t.words)),
    "log_lines": lambda t: math.log1p(t.characters["\n"]),
    "word_length": lambda t: _log_mean_length(t.words),
    "digits": lambda t: t.share(str.isdigit),
    "capitals": lambda t: t.count(str.isupper) / max(t.count(str.isalpha), 1),
    "punctuation": lambda t: t.share(lambda c: not c.isalnum() and not c.isspace()),
    "mathematics": lambda t: t.share(_MATHEMATICS.__contains__),
    "non_ascii": lambda t: t.share(lambda c: ord(c) > 127),
    "options": lambda t: math.log1p(len(t.options)),
    "option_length": lambda t: _log_mean_length(t.options),
    "questions": lambda t: math.log1p(t.characters["?"]),
    "blanks": lambda t: float("__" in t.text),
    "code": lambda t: math.log1p(len(_CODE.findall(t.text))),
}

CHEAP: tuple[str, ...] = tuple(_MEASURES)
"""Names of the cheap features, in the order of `cheap_features`: logarithms of lengths and counts, shares of the
characters (`capitals`: of the letters), mean lengths, and whether blanks are to be filled."""

LENGTH: tuple[str, ...] = ("log_characters",)
"""The untrained baseline every router is compared with."""


def cheap_features(prompts: Sequence[str], names: Sequence[str] = CHEAP) -> Matrix:
    """Counts of each prompt's text.

    Args:
        prompts: n texts; empty ones are allowed.
        names: which, in order.

    Returns:
        Shape (n, len(names)), finite.

    Raises:
        InputError: a name is not one of `CHEAP`.
    """
    unknown = [name for name in names if name not in CHEAP]
    if unknown:
        raise InputError(f"unknown cheap features: {', '.join(unknown)}; there are {', '.join(CHEAP)}")
    counts = np.zeros((len(prompts), len(names)), dtype=np.float32)
    for row, prompt in enumerate(prompts):
        text = _Text(prompt)
        counts[row] = [_MEASURES[name](text) for name in names]
    return counts


def features(prompts: Sequence[str], embeddings: npt.NDArray[np.float32], names: Sequence[str]) -> Matrix:
    """Embedding and cheap features side by side.

    Args:
        prompts: n texts.
        embeddings: of the same prompts, shape (n, width).
        names: cheap features beside the embedding, in order; none is allowed.

    Returns:
        Shape (n, width + len(names)): the embedding first.

    Raises:
        InputError: the counts of prompts and embeddings differ, or a name is unknown.
    """
    if len(prompts) != len(embeddings):
        raise InputError(f"{len(prompts)} prompts, but embeddings of {len(embeddings)}")
    return np.concatenate([embeddings.astype(np.float32, copy=False), cheap_features(prompts, names)], axis=1)
