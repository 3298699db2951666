"""Texts that are nearly the same: they must not stand on both sides of a fold.

Two texts are near-duplicates when the sets of their word triples have a Jaccard similarity of at least .8 (Broder,
SEQUENCES 1997, there called resemblance); texts of fewer than three words when their words are the same.

The pairs are found exactly, without comparing all: sets that are so alike share one of the rarest elements of each, at
places that leave enough in common after them (prefix and positional filtering: Bayardo, Ma and Srikant, WWW 2007; Xiao
et al., WWW 2008).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt

from evalharness.word_windows import Codes, Rows, WordWindows, words_of

Mask = npt.NDArray[np.bool_]

SIMILARITY = 0.8
"""Jaccard similarity from which two texts count as one."""

_SHINGLE = 3
_MOST_WORDS = 400
_ROUNDING = 1e-9


def near_duplicates(texts: Sequence[str]) -> Codes:
    """Number of the cluster of every text, shape (len(texts),): near-duplicates share one, and so do theirs.

    Clusters are numbered in the order in which they appear. Case and punctuation do not count, nor does what comes
    after the first 400 words.
    """
    distinct, places = _distinct(texts)
    sets = _ShingleSets(distinct)
    clusters = np.arange(len(distinct), dtype=np.int64)
    for row in range(len(distinct)):
        # Whoever is in the same cluster already need not be compared: a thousand variants of one text cost one pass.
        elsewhere = clusters != clusters[row]
        for other in sets.near(row, elsewhere) if elsewhere.any() else ():
            if clusters[other] != clusters[row]:
                clusters[clusters == clusters[other]] = clusters[row]
    return in_order(clusters)[places]


def near_pairs(texts: Sequence[str], others: Sequence[str]) -> Iterator[tuple[int, int]]:
    """The near-duplicates between two collections: places in ``texts`` and in ``others``, one of each."""
    distinct, places = _distinct([*texts, *others])
    sets = _ShingleSets(distinct)
    theirs: dict[int, list[int]] = {}
    for other, place in enumerate(places[len(texts) :].tolist()):
        theirs.setdefault(place, []).append(other)
    wanted = np.zeros(len(distinct), dtype=np.bool_)
    wanted[list(theirs)] = True
    near: dict[int, list[int]] = {}
    for text, place in enumerate(places[: len(texts)].tolist()):
        if place not in near:
            near[place] = [*([place] if wanted[place] else []), *sets.near(place, wanted)]
        for found in near[place]:
            for other in theirs[found]:
                yield text, other


def in_order(codes: npt.NDArray[np.integer]) -> Codes:
    """The same partition, its parts numbered 0, 1... in the order in which they appear."""
    _, first, places = np.unique(codes, return_index=True, return_inverse=True)
    rank: Codes = np.empty(first.size, dtype=np.int64)
    rank[np.argsort(first)] = np.arange(first.size)
    return np.asarray(rank[places.reshape(-1)])


def _distinct(texts: Sequence[str]) -> tuple[list[list[str]], Rows]:
    """The different texts as words, and which of them each text is."""
    numbers: dict[tuple[str, ...], int] = {}
    places = [numbers.setdefault(tuple(words_of(text)[:_MOST_WORDS]), len(numbers)) for text in texts]
    return [list(words) for words in numbers], np.array(places, dtype=np.int64)


class _ShingleSets:
    """The sets of word triples of different texts, each from the rarest triple to the commonest.

    A text of fewer than three words has none: it is nobody's near-duplicate.
    """

    def __init__(self, texts: Sequence[Sequence[str]]) -> None:
        windows = WordWindows.of(texts, _SHINGLE)
        counts = np.bincount(windows.codes)
        rank = np.empty(counts.size, dtype=np.int64)
        rank[np.argsort(counts, kind="stable")] = np.arange(counts.size)
        pairs = np.unique(windows.texts * counts.size + rank[windows.codes])
        owner, self._elements = np.divmod(pairs, max(1, counts.size))
        self.sizes = np.bincount(owner, minlength=len(texts)).astype(np.int64)
        self._starts = np.concatenate([[0], np.cumsum(self.sizes)])
        place = np.arange(owner.size) - np.repeat(self._starts[:-1], self.sizes)
        # So many of the rarest that one of them is shared with any set that is alike enough.
        self._prefix = np.where(self.sizes > 0, self.sizes - _ceil(SIMILARITY * self.sizes) + 1, 0)
        within = np.flatnonzero(place < np.repeat(self._prefix, self.sizes))
        by_element = within[np.argsort(self._elements[within], kind="stable")]
        self._holder, self._at = owner[by_element], place[by_element]
        self._first = np.searchsorted(self._elements[by_element], np.arange(counts.size + 1))
        self._marked = np.zeros(max(1, counts.size), dtype=np.bool_)
        self._met = np.zeros(len(texts), dtype=np.int64)

    def near(self, text: int, wanted: Mask) -> Rows:
        """The near-duplicates of a text among those that are wanted, without itself."""
        size, start = self.sizes[text], self._starts[text]
        elements = self._elements[start : start + size]
        prefix = elements[: self._prefix[text]]
        counts = self._first[prefix + 1] - self._first[prefix]
        entries = np.repeat(self._first[prefix] - np.cumsum(counts) + counts, counts) + np.arange(counts.sum())
        held = wanted[self._holder[entries]]
        entries, place = entries[held], np.repeat(np.arange(prefix.size), counts)[held]
        # The first common element of each: of several values assigned to one place the last stays.
        met = self._holder[entries]
        order = np.arange(met.size)
        self._met[met[::-1]] = order[::-1]
        first = np.flatnonzero(self._met[met] == order)
        holders = met[first]
        # It leaves room for no more than what follows it in both.
        most = np.minimum(size - place[first], self.sizes[holders] - self._at[entries[first]])
        others: Rows = holders[(most >= self._needed(size, self.sizes[holders])) & (holders != text)]
        if others.size == 0:
            return others
        self._marked[elements] = True
        sizes = self.sizes[others]
        bounds = np.cumsum(sizes) - sizes
        of_others = self._elements[np.repeat(self._starts[others] - bounds, sizes) + np.arange(sizes.sum())]
        shared = np.add.reduceat(self._marked[of_others], bounds, dtype=np.int64)
        self._marked[elements] = False
        return np.asarray(others[shared >= self._needed(size, sizes)])

    @staticmethod
    def _needed(size: np.int64, sizes: Rows) -> Rows:
        """Elements that two sets must share to be alike enough."""
        return _ceil(SIMILARITY / (1 + SIMILARITY) * (size + sizes))


def _ceil(numbers: npt.NDArray[np.floating]) -> Rows:
    return np.asarray(np.ceil(numbers - _ROUNDING), dtype=np.int64)
