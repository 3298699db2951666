"""Texts as words, and runs of consecutive words as numbers: what comparing many texts rests on."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa

Codes = npt.NDArray[np.int64]
Rows = npt.NDArray[np.int64]
Hashes = npt.NDArray[np.uint64]

# Scripts without spaces between words: each of their characters counts as a word.
_UNSPACED = "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff"
# An operator before a number does, too: 9 - 4 is not 9 + 4.
_WORD = re.compile(f"[{_UNSPACED}]|[^\\W{_UNSPACED}]+|[-+*/^\u00d7\u00f7](?=\\s*\\d)")


def words_of(text: str) -> list[str]:
    """The words of a text, without case and punctuation; an operator before a number is a word."""
    return _WORD.findall(text.casefold())


@dataclass(frozen=True, eq=False)
class WordWindows:
    """Every run of a number of consecutive words of some texts, in their order; arrays have one entry per run."""

    codes: Codes
    """A number from 0 on that equal runs share."""
    starts: Rows
    """Place of its first word among the words of all texts, one after the other."""
    texts: Rows
    """The text it is in."""

    @classmethod
    def of(cls, texts: Sequence[Sequence[str]], width: int) -> WordWindows:
        """The runs of ``width`` words; a shorter text has none.

        Runs are told apart by hashes of 64 bits: among ten million different ones, the chance that any two are taken
        for one is below 1e-5.
        """
        lengths = np.array([len(text) for text in texts], dtype=np.int64)
        words = pa.array([word for text in texts for word in text], pa.large_string()).dictionary_encode().indices
        hashes = words.to_numpy(zero_copy_only=False).astype(np.uint64)
        left = np.repeat(np.cumsum(lengths), lengths) - np.arange(hashes.size)
        have = 1
        while have < width:  # a run is told by its first and its last part
            step = min(have, width - have)
            have += step
            last = hashes[step:]
            hashes[: last.size] = _mixed(hashes[: last.size], last)
        starts = np.flatnonzero(left >= width)
        codes = pd.factorize(hashes[starts])[0].astype(np.int64)
        return cls(codes, starts, np.repeat(np.arange(lengths.size), lengths)[starts])

    def holders(self) -> Rows:
        """In how many texts each run occurs, by its number."""
        size = int(self.codes.max(initial=-1)) + 1
        once = np.unique(self.texts * size + self.codes) % max(1, size)
        return np.bincount(once, minlength=size).astype(np.int64)

    def take(self, kept: npt.NDArray[np.bool_]) -> WordWindows:
        """Some of the runs, under the same numbers."""
        return WordWindows(self.codes[kept], self.starts[kept], self.texts[kept])


def _mixed(first: Hashes, second: Hashes) -> Hashes:
    """A hash of two hashes, in order (the finaliser of splitmix64: Steele, Lea and Flood, OOPSLA 2014)."""
    mixed = first * np.uint64(0x9E3779B97F4A7C15) + second + np.uint64(0x632BE59BD9B4E019)
    mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return np.asarray(mixed ^ (mixed >> np.uint64(31)))
