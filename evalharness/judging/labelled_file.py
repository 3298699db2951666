"""A file of answers with a judge's verdict and, on some or all of them, a person's label.

CSV or JSONL, one row an answer. Columns: ``human`` and ``judge`` (labels; an empty ``human`` is an answer that nobody
labelled, an empty ``judge`` a verdict that could not be read), and where they are there ``id``, ``cluster``, ``arm``,
``length`` and ``weight`` (inverse of the probability with which a labelled answer was drawn).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow.compute as pc

from evalharness.text_rows import TextRows, is_number, units
from golden_sets.errors import InputError
from golden_sets.explaining import nearest

COLUMNS = ("id", "human", "judge", "cluster", "arm", "length", "weight")
"""Columns with a meaning."""
_PAIRS = (("1", "0"), ("true", "false"), ("yes", "no"), ("pass", "fail"), ("positive", "negative"))
"""Labels that need no explanation: positive, negative."""
_SHOWN = 5
_TYPING_ERROR = 0.9
"""Alikeness from which a named label that no row has is taken for a misspelt one (incorrect and correct: 0.88)."""

Floats = npt.NDArray[np.float64]
Codes = npt.NDArray[np.int64]


@dataclass(frozen=True)
class LabelledAnswers:
    """Judged answers, some or all of them labelled."""

    truth: Floats
    """Shape (n,): 1 a person says positive, 0 negative, NaN not labelled."""
    seen: Floats
    """Shape (n,): 1 the judge says positive, 0 negative, NaN unparsed."""
    clusters: Codes
    """Shape (n,): code of the independent unit."""
    weights: Floats
    """Shape (n,): inverse sampling probability of a labelled answer; 1 where none is given."""
    lengths: Floats | None = None
    """Shape (n,): lengths, NaN where none is given; None without the column."""
    arms: tuple[str, ...] = ()
    """Names of the arms; empty without the column."""
    arm: Codes | None = None
    """Shape (n,): index of each answer's arm, -1 where none is given."""
    positive: tuple[str, ...] = ()
    """Labels taken as positive."""
    negative: tuple[str, ...] = ()
    """Labels taken as negative."""
    notes: tuple[str, ...] = ()
    """What a reader must know of how the file was read."""

    def __len__(self) -> int:
        return int(self.truth.size)

    def of_arm(self, index: int) -> LabelledAnswers:
        """The answers of one arm."""
        assert self.arm is not None  # noqa: S101 - asked for by index only where there are arms
        kept = self.arm == index
        lengths = None if self.lengths is None else self.lengths[kept]
        return LabelledAnswers(self.truth[kept], self.seen[kept], self.clusters[kept], self.weights[kept], lengths)


def read_labelled_answers(
    path: Path,
    *,
    columns: Mapping[str, str] | None = None,
    where: Mapping[str, str] | None = None,
    positive: Sequence[str] = (),
    negative: Sequence[str] = (),
) -> LabelledAnswers:
    """Read the file.

    Labels are compared as they stand; whole numbers are the same however they are written (``1``, ``1.0``). Without
    ``positive`` they must be one of the usual pairs (1 and 0, true and false, yes and no, pass and fail). With it,
    every other label is negative, unless ``negative`` says which are: then another label of a person is an error, and
    one of the judge an unparsed verdict, as it is with the usual pairs.

    Rows with the same ``cluster`` (without that column: the same ``id``) are not independent of each other.

    Args:
        path: CSV or JSONL.
        columns: ``our name: their column``.
        where: ``column: value``; only rows with these values are read.
        positive: labels that mean yes.
        negative: labels that mean no.

    Raises:
        InputError: a missing column, no row, no label, a label or number that is not understood (with file and line).
        InfrastructureError: the file cannot be read.
    """
    rows = TextRows.of(path, where or {}, columns or {}, COLUMNS, required=(("human",), ("judge",)))
    human, judge = _labels(rows, "human"), _labels(rows, "judge")
    if not any(human):
        raise InputError("no row has a human label", where=path, do="label some answers, or map the column 'human'")
    classes = _Classes.of(human, judge, [_canonical(label) for label in positive], [_canonical(n) for n in negative])
    strange = np.array([bool(label) and classes.meaning(label) is None for label in human])
    rows.refuse("human", strange, "is neither a positive nor a negative label", do=classes.advice)
    truth, seen = classes.outcomes(human), classes.outcomes(judge)
    clusters, repeats = units(rows)
    arms, arm = _arms(rows)
    return LabelledAnswers(
        truth=truth,
        seen=seen,
        clusters=clusters,
        weights=_weights(rows, truth),
        lengths=rows.numbers_at_least_zero("length") if rows.has("length") else None,
        arms=arms,
        arm=arm,
        positive=classes.positive,
        negative=classes.negative,
        notes=(*classes.notes(human, judge), *repeats),
    )


@dataclass(frozen=True)
class _Classes:
    """Which labels are positive and which negative."""

    positive: tuple[str, ...]
    negative: tuple[str, ...]
    told: bool
    """Whether the negative ones are known, not just those that are left."""

    @classmethod
    def of(
        cls, human: Sequence[str], judge: Sequence[str], positive: Sequence[str], negative: Sequence[str]
    ) -> _Classes:
        there = sorted({label for label in (*human, *judge) if label})
        for label in positive:
            if label in negative:
                raise InputError(f"label '{label}' is both positive and negative", where="--positive, --negative")
        for option, labels in (("--positive", positive), ("--negative", negative)):
            for label in labels:
                others = [name for name in there if name not in positive and name not in negative]
                close = nearest(label, others, cutoff=_TYPING_ERROR) if label not in there else None
                if close:
                    raise InputError(f"no row has label '{label}'", where=option, do=f"did you mean '{close}'?")
        if positive:
            left = [label for label in there if label not in positive]
            return cls(tuple(positive), tuple(negative or left), told=bool(negative))
        by_people = {label.lower() for label in human if label}
        for pair in _PAIRS:
            if by_people <= set(pair):
                given = {label: pair.index(label.lower()) for label in there if label.lower() in pair}
                yes, no = (tuple(x for x, side in given.items() if side == i) or (pair[i],) for i in (0, 1))
                return cls(yes, no, told=True)
        labels = ", ".join(sorted({label for label in human if label})[:10])
        raise InputError(
            "which labels are positive is not known",
            where="--positive",
            do=f"name them with --positive LABEL; people's labels are {labels}",
        )

    @property
    def advice(self) -> str:
        return f"positive are {', '.join(self.positive)}; negative are {', '.join(self.negative)}"

    def meaning(self, label: str) -> float | None:
        """1 positive, 0 negative, None neither (or no label)."""
        return 1.0 if label in self.positive else 0.0 if label in self.negative else None

    def outcomes(self, labels: Sequence[str]) -> Floats:
        meanings = {label: self.meaning(label) for label in set(labels)}
        return np.array([np.nan if meanings[label] is None else meanings[label] for label in labels], dtype=np.float64)

    def notes(self, human: Sequence[str], judge: Sequence[str]) -> list[str]:
        found = [
            f"no row has label '{label}'" for label in (*self.positive, *self.negative) if label not in {*human, *judge}
        ]
        strange = Counter(label for label in judge if label and self.meaning(label) is None)
        if strange:
            shown = ", ".join(f"'{label}' ({count})" for label, count in strange.most_common(_SHOWN))
            more = f" and {len(strange) - _SHOWN} more" if len(strange) > _SHOWN else ""
            found.append(f"{strange.total()} verdicts are no label and count as unparsed: {shown}{more}")
        if not self.told:
            alone = sorted({x for x in judge if x} - set(human) - set(self.positive))
            if alone:
                found.append(f"only the judge uses {', '.join(alone[:_SHOWN])}: taken as negative")
        return found


def _labels(rows: TextRows, name: str) -> list[str]:
    """The labels of a column, empty where there is none."""
    encoded = rows.texts(name).dictionary_encode()
    words = [_canonical(text) for text in encoded.dictionary.to_pylist()]
    return ["" if code is None else words[code] for code in encoded.indices.to_pylist()]


def _canonical(label: str) -> str:
    """A whole number without its decimals: tables are often saved with them."""
    text = label.strip()
    if is_number(text) and abs(number := float(text)) < 1e15 and number.is_integer():
        return str(int(number))
    return text


def _weights(rows: TextRows, truth: Floats) -> Floats:
    if not rows.has("weight"):
        return np.ones(truth.size)
    weights, labelled = rows.numbers("weight"), ~np.isnan(truth)
    missing = np.flatnonzero(labelled & np.isnan(weights))
    if missing.size:
        what = "a labelled answer without a weight"
        raise InputError(what, where=rows.where(int(missing[0])), do="give 1 / (probability that it was drawn)")
    rows.refuse("weight", labelled & (weights <= 0), "is not above 0", do="give 1 / (probability that it was drawn)")
    return np.where(labelled, weights, 1.0)


def _arms(rows: TextRows) -> tuple[tuple[str, ...], Codes | None]:
    if not rows.has("arm"):
        return (), None
    encoded = rows.texts("arm").dictionary_encode()
    codes: Codes = pc.fill_null(encoded.indices, -1).to_numpy(zero_copy_only=False).astype(np.int64)
    return tuple(encoded.dictionary.to_pylist()), codes
