"""Which prompts belong together: they never stand on two sides of a split.

Prompts are one group when they

- are near-duplicates (`evalharness.near_duplicates`),
- share a payload: a run of at least 20 words, such as the same passage under two questions or the same question under
  two instructions, or
- were declared to be one group,

and so are the groups that share a prompt. What stands in very many prompts is no payload but a template: a preamble,
worked examples, an instruction. Templates (runs of at least 8 words in more than 2 % of the different prompts and in
more than 50 of them; in a smaller set in more than a quarter and more than 10) do not count when prompts are compared,
or every prompt of one application would be one group.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import sparse
from scipy.sparse.csgraph import connected_components

from evalharness.near_duplicates import in_order, near_duplicates, near_pairs
from evalharness.word_windows import WordWindows, words_of
from router_training.pairs import Codes

PAYLOAD_WORDS = 20
"""So many consecutive words in common make two prompts one group."""
TEMPLATE_WORDS = 8
"""Runs of so many words are looked at to find templates."""
TEMPLATE_SHARE = 0.02
"""A run in a larger share of the different prompts may be a template."""
TEMPLATE_PROMPTS = 50
"""It is one when it is in more prompts than this, too, or in more than a quarter of a smaller set..."""
LEAST_TEMPLATE_PROMPTS = 10
"""...and in more than this."""

Mask = npt.NDArray[np.bool_]
Links = tuple[Codes, Codes]
"""Places of prompts, and what each is linked to: prompts with the same number belong together."""


def groups_of(prompts: Sequence[str], declared: Sequence[str | None] | None = None) -> Codes:
    """Number of the group of every prompt, shape (n,), from 0 on in the order of appearance.

    Args:
        prompts: the texts.
        declared: a name per prompt; those that share one are one group. None: nothing is declared.
    """
    texts = _Texts.of(prompts)
    alike = near_duplicates(texts.contents)
    payloads = texts.payloads()
    of_texts = _joined(len(texts.words), [(np.arange(alike.size), alike), (payloads.texts, payloads.codes)])
    own = of_texts[texts.places]
    return own if declared is None else _joined(own.size, [(np.arange(own.size), own), _declared(declared)])


def related(prompts: Sequence[str], others: Sequence[str]) -> list[tuple[int, int]]:
    """The near-duplicates and shared payloads between two collections: places in ``prompts`` and ``others``, sorted.

    Each is compared with each; what is related by a third is not told.
    """
    texts = _Texts.of([*prompts, *others])
    mine, theirs = _held_by(texts.places[: len(prompts)]), _held_by(texts.places[len(prompts) :])
    ours, those = list(mine), list(theirs)
    contents = ([texts.contents[text] for text in side] for side in (ours, those))
    pairs = {(ours[one], those[other]) for one, other in near_pairs(*contents)}
    payloads = texts.payloads()
    holders: dict[int, set[int]] = {}
    for text, code in zip(payloads.texts.tolist(), payloads.codes.tolist(), strict=True):
        holders.setdefault(code, set()).add(text)
    for held in holders.values():
        pairs |= {(one, other) for one in held & mine.keys() for other in held & theirs.keys()}
    return sorted((row, place) for one, other in pairs for row in mine[one] for place in theirs[other])


@dataclass(frozen=True, eq=False)
class _Texts:
    """The different texts among some prompts, and what of them is no template."""

    places: Codes
    """Which text each prompt is."""
    words: list[list[str]]
    template: list[Mask]
    contents: list[str]
    """The texts without templates."""

    @classmethod
    def of(cls, prompts: Sequence[str]) -> _Texts:
        distinct = {text: place for place, text in enumerate(dict.fromkeys(prompts))}
        words = [words_of(text) for text in distinct]
        template = template_words(words)
        contents = [" ".join(_without(text, gone)) for text, gone in zip(words, template, strict=True)]
        return cls(np.array([distinct[text] for text in prompts], dtype=np.int64), words, template, contents)

    def payloads(self) -> WordWindows:
        """The runs of words that some texts share and that hold no template."""
        windows = WordWindows.of(self.words, PAYLOAD_WORDS)
        gone = np.concatenate([[0], np.cumsum(np.concatenate([np.empty(0, np.bool_), *self.template]))])
        shared = windows.holders()[windows.codes] > 1
        return windows.take(shared & (gone[windows.starts + PAYLOAD_WORDS] == gone[windows.starts]))


def _held_by(places: Codes) -> dict[int, list[int]]:
    """The prompts that are each text."""
    found: dict[int, list[int]] = {}
    for row, place in enumerate(places.tolist()):
        found.setdefault(place, []).append(row)
    return found


def template_words(texts: Sequence[Sequence[str]]) -> list[Mask]:
    """Which words of each of some different texts belong to a template that very many of them share."""
    windows = WordWindows.of(texts, TEMPLATE_WORDS)
    lengths = [len(text) for text in texts]
    most = max(TEMPLATE_SHARE * len(texts), min(TEMPLATE_PROMPTS, max(LEAST_TEMPLATE_PROMPTS, len(texts) / 4)))
    begins = windows.starts[windows.holders()[windows.codes] > most]
    steps = np.zeros(sum(lengths) + 1, dtype=np.int64)
    np.add.at(steps, begins, 1)
    np.add.at(steps, begins + TEMPLATE_WORDS, -1)
    covered = np.cumsum(steps)[:-1] > 0
    return np.split(covered, np.cumsum(lengths)[:-1])


def _without(words: Sequence[str], template: Mask) -> list[str]:
    """What is left without the template; everything where that is nothing."""
    return [word for word, gone in zip(words, template, strict=True) if not gone] or list(words)


def _declared(names: Sequence[str | None]) -> Links:
    numbers = {name: number for number, name in enumerate(dict.fromkeys(names))}
    named = [place for place, name in enumerate(names) if name is not None]
    return np.array(named, dtype=np.int64), np.array([numbers[names[place]] for place in named], dtype=np.int64)


def _joined(n: int, links: Sequence[Links]) -> Codes:
    """Number of the group of each of ``n`` prompts when all that are linked to the same belong together."""
    left, right, offset = [], [], n
    for places, numbers in links:
        left.append(places)
        right.append(numbers + offset)
        offset += int(numbers.max(initial=-1)) + 1
    rows, columns = np.concatenate(left), np.concatenate(right)
    graph = sparse.coo_matrix((np.ones(rows.size, np.bool_), (rows, columns)), shape=(offset, offset))
    return in_order(connected_components(graph, directed=False)[1][:n])
