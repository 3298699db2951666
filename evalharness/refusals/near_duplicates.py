"""Texts that are nearly the same: they must not stand on both sides of a fold.

Two texts are near-duplicates when the sets of their word triples have a Jaccard similarity of at least .8 (Broder,
SEQUENCES 1997, there called resemblance); texts of fewer than three words when their words are the same.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from scipy import sparse
from scipy.sparse.csgraph import connected_components

SIMILARITY = 0.8
"""Jaccard similarity from which two texts count as one."""

_WORD = re.compile(r"\w+")
_BLOCK = 512
_MOST_WORDS = 400


def near_duplicates(texts: Sequence[str]) -> npt.NDArray[np.int64]:
    """Number of the cluster of every text, shape (len(texts),): near-duplicates share one, and so do theirs.

    Case and punctuation do not count, nor does what comes after the first 400 words.
    """
    keys = [" ".join(_WORD.findall(text.casefold())[:_MOST_WORDS]) for text in texts]
    distinct = {key: number for number, key in enumerate(dict.fromkeys(keys))}
    members = _shingle_matrix(list(distinct))
    sizes = np.asarray(members.sum(axis=1)).ravel()
    pairs: list[tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]] = []
    for start in range(0, members.shape[0], _BLOCK):
        shared = (members[start : start + _BLOCK] @ members.T).tocoo()
        rows = shared.row + start
        union = sizes[rows] + sizes[shared.col] - shared.data
        close = shared.data >= SIMILARITY * union
        pairs.append((rows[close], shared.col[close]))
    rows, columns = (np.concatenate(side) if pairs else np.empty(0, int) for side in zip(*pairs, strict=True))
    graph = sparse.coo_matrix((np.ones(len(rows)), (rows, columns)), shape=(len(distinct),) * 2)
    clusters = connected_components(graph, directed=False)[1]
    found: npt.NDArray[np.int64] = clusters[[distinct[key] for key in keys]].astype(np.int64)
    return found


def _shingle_matrix(texts: Sequence[str]) -> sparse.csr_matrix:
    """Texts in rows, word triples in columns."""
    columns: dict[tuple[str, ...], int] = {}
    rows, found = [], []
    for row, text in enumerate(texts):
        words = text.split()
        triples: set[tuple[str, ...]] = set(zip(words, words[1:], words[2:], strict=False)) or {("", *words)}
        for triple in triples:
            rows.append(row)
            found.append(columns.setdefault(triple, len(columns)))
    return sparse.csr_matrix((np.ones(len(rows)), (rows, found)), shape=(len(texts), max(1, len(columns))))
