"""The order in which a set's prompts are drawn: random, yet fixed by the seed and the prompts' content alone."""

from __future__ import annotations

import hashlib

from golden_sets.records import Prompt, PromptSet


def draw_order(prompt_set: PromptSet, seed: int) -> tuple[str, ...]:
    """Ids of the prompts in the order in which they are asked.

    Prompts are sorted by ``sha256("{seed}|{prompt digest}")``, so that the order depends neither on the file's order
    nor on the ids, every prefix is a simple random sample, and anyone can recompute it from the plan's seed.
    """

    def key(prompt: Prompt) -> tuple[bytes, str]:
        return hashlib.sha256(f"{seed}|{prompt.digest}".encode()).digest(), prompt.id

    return tuple(prompt.id for prompt in sorted(prompt_set.prompts, key=key))
