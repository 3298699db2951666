"""Prompts to measure a router's latency with: of exact lengths, or a user's own."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from evalharness.text_rows import TextRows
from golden_sets.errors import InputError

LENGTHS: Final = (8, 16, 32, 64, 128, 256)
"""Tokens of the built-in prompts, and upper ends of the classes of prompts that are given; special tokens included."""

_SPECIAL_TOKENS = 2
_WORDS = (  # each is one token of the encoder
    "what which when where why how many much does the a an of in on at from by with about between under over and or "
    "not if then than because number time year water river city country state law court energy force mass cell blood "
    "heart brain plant animal music book story letter word language question answer example table line point area "
    "value price market bank company worker school student teacher doctor patient disease drug child mother father "
    "find give show write explain name list compare describe choose following best true false most least first last"
)


def prompts_of_length(tokens: int, n: int, *, seed: int = 0) -> list[str]:
    """Prompts of exactly that many tokens of the encoder, special tokens included, made of common words.

    Raises:
        InputError: fewer than three tokens.
    """
    if tokens <= _SPECIAL_TOKENS:
        raise InputError(f"a prompt of {tokens} tokens holds no word", do="ask for 3 or more")
    draw, words = random.Random(f"{seed}/{tokens}"), _WORDS.split()  # noqa: S311 - no secret
    return [" ".join(draw.choices(words, k=tokens - _SPECIAL_TOKENS)) for _ in range(n)]


def prompts_in_turns(n: int, *, seed: int = 0) -> list[str]:
    """``n`` built-in prompts of each of `LENGTHS`, the lengths taking turns."""
    by_length = [prompts_of_length(tokens, n, seed=seed) for tokens in LENGTHS]
    return [prompt for turn in zip(*by_length, strict=True) for prompt in turn]


def in_rounds(prompts: Sequence[str], n: int, *, seed: int = 0) -> list[str]:
    """``n`` times one of the prompts: each once a round, every round in another order; the last may end early."""
    draw, found = random.Random(seed), list[str]()  # noqa: S311 - no secret
    while len(found) < n:
        found += draw.sample(prompts, len(prompts))
    return found[:n]


def read_prompts(
    path: Path, *, columns: Mapping[str, str] | None = None, where: Mapping[str, str] | None = None
) -> list[str]:
    """The prompts of a CSV or JSONL file, in order.

    Args:
        path: the file, with a column ``prompt``.
        columns: ``prompt: their column`` where it is called otherwise.
        where: ``column: value`` that chosen rows must have.

    Raises:
        InputError: no such column, or a row without a prompt.
        InfrastructureError: the file cannot be read.
    """
    rows = TextRows.of(path, where or {}, columns or {}, ("prompt",), required=(("prompt",),))
    prompts: list[str] = rows.required("prompt").to_pylist()
    return prompts
