"""Which prompts teach a router, which calibrate it, and which it is tested on for good.

Whole groups go to one side. As far as they allow, every part has its share of every task family and of hard, equal and
reversed prompts (the flagship better, neither, the small model better): a few large groups are placed first, at random
where they fit; the others are drawn evenly along an order by kind, family and size, so that each is as likely to be
tested as any other.

The frozen test does not move: when a router is fitted again with more prompts, those of its test are the test again,
and what belongs to a group of theirs is left out. Prompts that were picked (``Pairs.teach_only``) only teach: what a
router sent to the small model, or what someone thought worth labelling, says nothing of the loss on what was not.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from golden_sets.digests import Digest, digest_bytes, digest_json
from golden_sets.documents import json_text, read_record
from golden_sets.errors import InputError
from golden_sets.records import Record
from router_training.pairs import Codes, Floats, Mask, Pairs, Rows

FORMAT = "relgate-router-splits-v1"
"""What ``splits.json`` says it is."""
TEST_SHARE = 0.25
CALIBRATION_SHARE = 0.25
LEAST_OF_FAMILY = 20
"""Families with fewer prompts are not balanced one by one."""
LARGE_GROUP = 0.005
LEAST_LARGE = 10
"""Groups with more prompts than this, and a larger share of all than that, are placed first."""

_TRAIN, _CALIBRATION, _TEST = range(3)
_NOWHERE = -1

Places = npt.NDArray[np.int64]
"""The part of every prompt or group: training, calibration, test, or nowhere."""


@dataclass(frozen=True, eq=False)
class Split:
    """Which prompts are for what: rows in increasing order."""

    train: Rows
    """The head is chosen and fitted on these."""
    calibration: Rows
    """Its calibration and the threshold come from these."""
    test: Rows
    """The frozen test."""
    left_out: Rows
    """New prompts that belong to a group of the frozen test, and picked ones that belong to one of the calibration
    prompts: they can neither teach nor join them."""


class PlacedPrompt(Record):
    """A prompt of a split: its text cannot be read from it."""

    id: str
    """What names it."""
    text: Digest
    """Digest of its text."""


class SplitRecord(Record):
    """What a router's split is remembered by (``splits.json``)."""

    training: tuple[PlacedPrompt, ...]
    """The prompts the head was fitted on."""
    calibration: tuple[PlacedPrompt, ...]
    """Those its threshold was chosen on."""
    test: tuple[PlacedPrompt, ...]
    """The frozen test."""

    @classmethod
    def of(cls, pairs: Pairs, split: Split) -> SplitRecord:
        """The record of a split."""

        def placed(rows: Rows) -> tuple[PlacedPrompt, ...]:
            return tuple(PlacedPrompt(id=pairs.ids[row], text=text_digest(pairs.prompts[row])) for row in rows.tolist())

        return cls(training=placed(split.train), calibration=placed(split.calibration), test=placed(split.test))

    def to_bytes(self) -> bytes:
        """The document that :func:`read_split` reads."""
        return json_text({"format": FORMAT, "digest": self.digest, "splits": self.to_json()}).encode()

    def find(self, pairs: Pairs) -> Split:
        """Where these prompts stood: those of the frozen test, and those the router has learnt from.

        Prompts are known by their text. Of several rows with one text as many belong to the test as it had, those with
        its ids first; ``left_out`` holds the others of them.
        """
        places = _known(pairs, self)
        train, calibration, test = (np.flatnonzero(places == part) for part in (_TRAIN, _CALIBRATION, _TEST))
        in_test = {one.text for one in self.test}
        spare = [row for row in np.flatnonzero(places == _NOWHERE) if text_digest(pairs.prompts[row]) in in_test]
        return Split(train, calibration, test, np.array(spare, dtype=np.int64))


def read_split(path: Path) -> SplitRecord:
    """Read ``splits.json``.

    Raises:
        InputError: unreadable, no such document, or changed after it was written.
    """
    return read_record(path, FORMAT, "splits", SplitRecord)


def text_digest(prompt: str) -> Digest:
    """What a prompt is known by: its text without the blanks around it."""
    return digest_bytes(prompt.strip().encode("utf-8", "surrogatepass"))


def split(
    pairs: Pairs,
    *,
    seed: int,
    test: float = TEST_SHARE,
    calibration: float = CALIBRATION_SHARE,
    keep: SplitRecord | None = None,
) -> Split:
    """Split labelled prompts by groups; the same for the same prompts and seed, in whatever order they come.

    Args:
        pairs: labelled prompts.
        seed: of what is drawn; prompts that may only teach are in no share.
        test: share of the frozen test, in (0, 1).
        calibration: share of the calibration prompts, in (0, 1 - test).
        keep: an earlier split. Its test is the test again, exactly; its other prompts stay where they were; new ones go
            to training and calibration in their proportion.

    Raises:
        InputError: a part would be empty, or prompts of the earlier frozen test are missing.
    """
    if not (test > 0 and calibration > 0 and test + calibration < 1):
        raise InputError("the shares of test and calibration must lie above 0, and their sum below 1")
    _, groups = np.unique(pairs.groups, return_inverse=True)
    groups = groups.reshape(-1)
    shares = np.array([1 - test - calibration, calibration, test])
    known = np.full(len(pairs), _NOWHERE) if keep is None else _with_whole_test(pairs, keep)
    fixed = _by_group(known, groups)
    if keep is not None:
        shares = np.array([shares[_TRAIN], shares[_CALIBRATION], 0]) / (1 - test)
    picked = pairs.picked
    fixed[(fixed == _NOWHERE) & (np.bincount(groups, ~picked) == 0)] = _TRAIN
    strata, order = _strata(pairs), _order(pairs, groups, seed)
    counted = ~picked if keep is None else ~picked & (fixed[groups] != _TEST)
    of_groups = _place(groups[counted], strata[counted], fixed, order, shares, _random(seed, "start"))
    places = of_groups[groups]
    if keep is not None:
        places = np.where((places == _TEST) & (known != _TEST), _NOWHERE, places)
    places = np.where(picked & ((places == _CALIBRATION) | (places == _TEST) & (known != _TEST)), _NOWHERE, places)
    found = Split(*(np.flatnonzero(places == part) for part in (_TRAIN, _CALIBRATION, _TEST, _NOWHERE)))
    for what, rows in (("training", found.train), ("calibration", found.calibration), ("test", found.test)):
        if rows.size == 0:
            raise InputError(
                f"no prompt is left for {what}: {len(pairs)} prompts form {int(groups.max(initial=-1)) + 1} groups",
                do="give more prompts that are no near-duplicates and share no payload or group",
            )
    return found


# -- where prompts stood before ------------------------------------------------------------------------------------


def _known(pairs: Pairs, record: SplitRecord) -> Places:
    """The part in which each prompt was; nowhere for a new one."""
    digests = [text_digest(prompt) for prompt in pairs.prompts]
    by_text = {
        one.text: part
        for part, placed in ((_TRAIN, record.training), (_CALIBRATION, record.calibration), (_TEST, record.test))
        for one in placed
    }
    places = np.array([by_text.get(digest, _NOWHERE) for digest in digests], dtype=np.int64)
    ids = {(one.id, one.text) for one in record.test}
    free = Counter(one.text for one in record.test)
    rows = np.flatnonzero(places == _TEST).tolist()
    for row in sorted(rows, key=lambda row: (pairs.ids[row], digests[row]) not in ids):
        if free[digests[row]] == 0:
            places[row] = _NOWHERE
        free[digests[row]] -= places[row] == _TEST
    return places


def _with_whole_test(pairs: Pairs, record: SplitRecord) -> Places:
    places = _known(pairs, record)
    there = int((places == _TEST).sum())
    if there < len(record.test):
        raise InputError(
            f"{len(record.test) - there} of the {len(record.test)} prompts of the frozen test are missing",
            do="give the labelled prompts that the router was trained on, too: its test must not move",
        )
    return places


def _by_group(places: Places, groups: Codes) -> Places:
    """The part that a group is bound to: the test before calibration, calibration before training."""
    bound = np.full(int(groups.max(initial=-1)) + 1, _NOWHERE)
    np.maximum.at(bound, groups, places)
    return bound


# -- placing -------------------------------------------------------------------------------------------------------


def _strata(pairs: Pairs) -> Codes:
    """What is balanced: task family, and whether the flagship is better, neither, or the small model."""
    level = np.where(pairs.hard, 2, np.where(pairs.delta < 0, 0, 1))
    if pairs.families is None:
        return level.astype(np.int64)
    counts = Counter(pairs.families)
    names = sorted(name for name, n in counts.items() if n >= LEAST_OF_FAMILY)
    numbers = {name: number for number, name in enumerate(names, start=1)}
    family = np.array([numbers.get(name, 0) for name in pairs.families], dtype=np.int64)
    return np.asarray(level * (len(names) + 1) + family)


def _order(pairs: Pairs, groups: Codes, seed: int) -> Floats:
    """A random number in [0, 1) per group that depends on its texts and the seed alone."""
    names: dict[int, Digest] = {}
    for row, code in enumerate(groups.tolist()):
        digest = text_digest(pairs.prompts[row])
        names[code] = min(names.get(code, digest), digest)
    return np.array([_random(seed, names[code]) for code in range(len(names))])


def _random(*parts: str | int) -> float:
    """A number in [0, 1) that depends on what it is called alone."""
    return int(digest_json(list(parts)).removeprefix("sha256:")[:13], 16) / 16**13


def _place(groups: Codes, strata: Codes, fixed: Places, order: Floats, shares: Floats, start: float) -> Places:
    """The part of every group.

    Args:
        groups: of the prompts that are counted, shape (n,).
        strata: of the same, shape (n,).
        fixed: part of every group that is bound to one, shape (groups,).
        order: random numbers in [0, 1), shape (groups,).
        shares: wanted share of each part, shape (parts,).
        start: a random number in [0, 1).
    """
    members = np.zeros((fixed.size, int(strata.max(initial=-1)) + 1))
    np.add.at(members, (groups, strata), 1)
    sizes, kind = members.sum(axis=1), members.argmax(axis=1)
    places: Places = fixed.copy()

    def missing(part: int) -> float:
        return float(shares[part] * groups.size - sizes[places == part].sum())

    large = np.flatnonzero((places == _NOWHERE) & (sizes > max(LEAST_LARGE, LARGE_GROUP * groups.size)))
    for group in large[np.lexsort((order[large], -sizes[large]))]:
        room = np.array([missing(part) for part in range(shares.size)])
        fits = np.where(room >= sizes[group], room, 0)
        drawn = np.searchsorted(np.cumsum(fits), order[group] * fits.sum(), side="right")
        places[group] = drawn if fits.any() else np.argmax(room)
    free = np.flatnonzero((places == _NOWHERE) & (sizes > 0))
    free = free[np.lexsort((order[free], sizes[free], kind[free]))]
    for part in (_TEST, _CALIBRATION):
        chance = min(1.0, max(0.0, missing(part) / max(1.0, sizes[free].sum())))
        drawn = _systematic(free.size, chance, start)
        places[free[drawn]] = part
        free = free[~drawn]
    places[free] = _TRAIN
    return places


def _systematic(n: int, chance: float, start: float) -> Mask:
    """Draw groups, each with the same chance, evenly along the row."""
    passed = np.floor(chance * np.arange(1, n + 1) + start)
    return np.asarray(np.diff(passed, prepend=0.0) > 0)
