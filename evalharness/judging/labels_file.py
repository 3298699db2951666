"""Labels of people: a file that says of single answers what a flawless judge would say under a rubric.

JSONL or CSV, one row a label. Columns: ``set``, ``prompt_id``, ``rubric``, ``answer_digest`` (SHA-256 of the
answer's text), ``label`` (``pass`` or ``fail``; empty: not labelled yet), and optionally ``labeller``; others are
ignored. A label belongs to the words that were read, never to whatever the model says next time.

Several people may label one answer: the majority counts, and where there is none the answer is disputed and has no
label. A named labeller has one vote for an answer, the last one given.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from evalharness.text_rows import TextRows
from golden_sets.digests import Digest, digest_bytes, digest_file
from golden_sets.errors import InputError

COLUMNS = ("set", "prompt_id", "rubric", "answer_digest", "label", "labeller")
"""Columns with a meaning."""
REQUIRED = COLUMNS[:5]
"""Those that every file has."""
LABELS: Mapping[str, bool] = {"pass": True, "fail": False}
"""What a label may be: whether the answer meets the rubric."""
_SHOWN = 3
_DIGEST = re.compile(r"(?:sha256:)?([0-9a-f]{64})")


class LabelKey(NamedTuple):
    """What a label is about: some words in answer to a prompt, under a rubric."""

    set_name: str
    prompt_id: str
    rubric: str
    answer_digest: Digest


@dataclass(frozen=True)
class LabelBook:
    """The labels of a file."""

    labels: Mapping[LabelKey, bool]
    """Whether the answer meets the rubric, for every answer with a label."""
    disputed: frozenset[LabelKey] = frozenset()
    """Answers on which as many people say pass as fail: they have no label."""
    strange: Mapping[str, int] = field(default_factory=dict)
    """Rows whose label is neither ``pass`` nor ``fail``, by what it says; they label nothing."""
    undecided: frozenset[LabelKey] = frozenset()
    """The answers of those rows that no other row labels."""
    path: Path | None = None
    """The file."""
    digest: Digest | None = None
    """Digest of the file's bytes."""

    def label_of(self, set_name: str, prompt_id: str, rubric: str, answer: str) -> bool | None:
        """Whether people say that an answer meets the rubric; None where they say nothing, or disagree."""
        return self.labels.get(LabelKey(set_name, prompt_id, rubric, answer_digest(answer)))


@dataclass(frozen=True)
class LabelUse:
    """What a run made of a file of labels."""

    used: int
    """Labelled answers of the run."""
    disputed: int
    """Answers of the run on which as many people say pass as fail."""
    strange: Mapping[str, int]
    """Rows of the file with another label than ``pass`` and ``fail``, by what it says."""
    unknown: Mapping[str, tuple[str, ...]]
    """What the run does not have, by ``set``, ``prompt``, ``rubric`` and ``answer``: the labels concerned."""

    def lines(self) -> list[str]:
        """The same for people, a line each; the oddities name their first few."""
        found = [f"{_count(self.used, 'answer')} labelled by people"]
        if self.disputed:
            found.append(f"{_count(self.disputed, 'answer')} disputed: as many people say pass as fail, so no label")
        if self.strange:
            shown = ", ".join(f"'{label}' ({count})" for label, count in list(self.strange.items())[:_SHOWN])
            total = sum(self.strange.values())
            found.append(f"{_count(total, 'row')} neither pass nor fail, so no label: {shown}{_more(self.strange)}")
        for what, names in self.unknown.items():
            why = (
                "about words that nobody answered" if what == "answer" else f"about a {what} that the run does not have"
            )
            distinct = list(dict.fromkeys(names))
            found.append(f"{_count(len(names), 'label')} {why}: {', '.join(distinct[:_SHOWN])}{_more(distinct)}")
        return found


def answer_digest(text: str) -> Digest:
    """Digest of an answer's words; characters that the store cannot hold count as what it holds in their place."""
    return digest_bytes(text.replace("\0", "\ufffd").encode("utf-8", "replace"))


def read_labels(path: Path) -> LabelBook:
    """Read a file of labels.

    Raises:
        InputError: no such file, an empty one, something that is neither JSONL nor CSV, a missing column, a row without
            an id, a digest that is none: with file and line.
        InfrastructureError: the file cannot be read.
    """
    rows = TextRows.of(path, {}, {}, COLUMNS)
    for name in REQUIRED:
        if not rows.has(name):
            raise InputError(
                f"there is no column '{name}'", where=f"{path}:1", do=f"the columns are {', '.join(REQUIRED)}, labeller"
            )
    sets, prompts, rubrics = (rows.required(name).to_pylist() for name in ("set", "prompt_id", "rubric"))
    votes: dict[LabelKey, dict[str | int, bool]] = {}
    strange: Counter[str] = Counter()
    undecided: set[LabelKey] = set()
    labels, labellers = rows.texts("label").to_pylist(), rows.texts("labeller").to_pylist()
    for row, key in enumerate(map(LabelKey, sets, prompts, rubrics, _digests(rows))):
        label = labels[row]
        if label is None:
            continue
        if label.lower() not in LABELS:
            strange[label] += 1
            undecided.add(key)
            continue
        votes.setdefault(key, {})[labellers[row] or row] = LABELS[label.lower()]
    decided = {key: _majority(given.values()) for key, given in votes.items()}
    return LabelBook(
        labels={key: label for key, label in decided.items() if label is not None},
        disputed=frozenset(key for key, label in decided.items() if label is None),
        strange=dict(strange.most_common()),
        undecided=frozenset(undecided - decided.keys()),
        path=path,
        digest=digest_file(path),
    )


def label_use(
    book: LabelBook, prompts: Mapping[str, Collection[str]], rubrics: Collection[str], given: Collection[LabelKey]
) -> LabelUse:
    """What a run makes of the labels.

    Args:
        book: the labels.
        prompts: ids of the prompts of every set, by its name.
        rubrics: ids of the rubrics that the run judges by.
        given: the answers of the run.
    """
    unknown: dict[str, list[str]] = {}
    for key in (*book.labels, *book.disputed, *book.undecided):
        if key in given:
            continue
        if key.set_name not in prompts:
            unknown.setdefault("set", []).append(key.set_name)
        elif key.prompt_id not in prompts[key.set_name]:
            unknown.setdefault("prompt", []).append(f"{key.set_name}/{key.prompt_id}")
        elif key.rubric not in rubrics:
            unknown.setdefault("rubric", []).append(key.rubric)
        else:
            unknown.setdefault("answer", []).append(f"{key.set_name}/{key.prompt_id}")
    return LabelUse(
        used=sum(key in given for key in book.labels),
        disputed=sum(key in given for key in book.disputed),
        strange=book.strange,
        unknown={what: tuple(names) for what, names in unknown.items()},
    )


def _digests(rows: TextRows) -> list[Digest]:
    found = []
    for row, text in enumerate(rows.required("answer_digest").to_pylist()):
        match = _DIGEST.fullmatch(text.lower())
        if match is None:
            what = f"answer_digest: '{text[:80]}' is no SHA-256 digest"
            raise InputError(what, where=rows.where(row), do="copy it from the file of answers to be labelled")
        found.append(f"sha256:{match[1]}")
    return found


def _majority(votes: Iterable[bool]) -> bool | None:
    counts = Counter(votes)
    return None if counts[True] == counts[False] else counts[True] > counts[False]


def _count(n: int, noun: str) -> str:
    return f"{n} {noun}" if n == 1 else f"{n} {noun}s"


def _more(names: Collection[str]) -> str:
    return f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
