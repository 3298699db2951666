"""Read a prompt set: the card, the rows it names, the prompts, and everything that is wrong with them at once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from golden_sets.cards import DETECTOR, Card, load_card
from golden_sets.errors import InputError
from golden_sets.explaining import explain, unknown_key
from golden_sets.length import count_tokens, length_bucket
from golden_sets.problems import Problem, raise_errors
from golden_sets.records import Message, Prompt, PromptSet
from golden_sets.sources import Row, read_rows
from golden_sets.validation import validate
from golden_sets.yaml_files import read_yaml

_NO_ID = "\0"
CARD_SUFFIXES = (".yaml", ".yml")


@dataclass(frozen=True)
class LoadedSet:
    """A prompt set that passed validation, and where it came from."""

    prompt_set: PromptSet
    """The set."""
    card: Card
    """Its card."""
    path: Path
    """The card's file."""
    warnings: tuple[Problem, ...] = ()
    """What is odd about it, though not wrong."""


def read_set(path: Path) -> LoadedSet:
    """Read and validate a set.

    Args:
        path: the card, or the JSONL or Parquet file beside whose name a card lies (``golden.jsonl``, ``golden.yaml``).

    Raises:
        InputError: bad card, bad rows, duplicate ids, missing references...: every problem with file and line.
        InfrastructureError: a file cannot be read, or the hub cannot be reached.
    """
    card_path = path if path.suffix in CARD_SUFFIXES else _card_beside(path)
    document = read_yaml(card_path)
    card = document.record(Card)
    source, rows, problems = read_rows(card, card_path)
    prompts, where = _prompts(rows, card, problems)
    prompts = [_with_id(prompt) for prompt in _with_length_buckets(prompts)]
    if prompts or not problems:
        card_where = document.where("file" if card.file else "dataset") if prompts else str(source)
        problems.extend(validate(prompts, card, where, card_where=card_where))
    raise_errors(problems)
    prompt_set = PromptSet(
        kind=card.kind,
        name=card.name,
        version=card.version,
        canary=card.canary,
        prompts=tuple(prompts),
        criteria=card.criteria,
    )
    return LoadedSet(prompt_set, card, card_path, tuple(p for p in problems if p.severity == "warning"))


def _card_beside(path: Path) -> Path:
    if not path.exists():
        raise InputError("the file does not exist", where=path, do="check the path")
    for suffix in CARD_SUFFIXES:
        card_path = path.with_suffix(suffix)
        if card_path.exists():
            named = load_card(card_path).file
            if named is None or (card_path.parent / named).resolve() != path.resolve():
                raise InputError(f"the card beside {path.name} describes another file", where=card_path)
            return card_path
    raise InputError(
        "the set has no card",
        where=path,
        do=f"write {path.with_suffix('.yaml').name} beside it with name, version, kind, file and rubric",
    )


def _prompts(rows: Sequence[Row], card: Card, problems: list[Problem]) -> tuple[list[Prompt], list[str]]:
    """The rows as prompts with their locations; rows that are none are added to ``problems``."""
    prompts: list[Prompt] = []
    where: list[str] = []
    dimensions, known = card.all_dimensions, set(card.prompt_keys)
    for row in rows:
        data = _mapped(row, card, problems) if card.columns else row.data
        if data is None:
            continue
        unknown = [key for key in data if key not in known]
        if unknown:
            what, advice = unknown_key(unknown[0], card.prompt_keys)
            advice += "; other dimensions must be declared in the card's 'dimensions'"
            problems.append(Problem("error", row.where, what, advice))
            continue
        try:
            prompts.append(_prompt(data, card, dimensions))
            where.append(row.where)
        except ValidationError as error:
            problems.extend(Problem("error", row.where, *explain(e, Prompt)) for e in error.errors())
        except ValueError as error:
            problems.append(Problem("error", row.where, str(error)))
    return prompts, where


def _prompt(data: Mapping[str, Any], card: Card, dimensions: Sequence[str]) -> Prompt:
    if ("prompt" in data) == ("messages" in data):
        raise ValueError("a prompt has either 'messages' or 'prompt' (one user message)")
    if "id" not in data and not card.columns:
        raise ValueError("missing key 'id'")
    rubric = data.get("rubric")
    return Prompt.model_validate(
        {
            **{key: data[key] for key in ("reference", "checker", "cluster", "source") if key in data},
            "id": data.get("id", _NO_ID),
            "messages": data["messages"] if "messages" in data else [{"role": "user", "content": data["prompt"]}],
            "rubric": DETECTOR if card.scoring == "detector" else card.rubric if rubric is None else rubric,
            "dimensions": {key: data[key] for key in dimensions if data.get(key) is not None},
        }
    )


def _mapped(row: Row, card: Card, problems: list[Problem]) -> Mapping[str, Any] | None:
    """A foreign row under our names, plain values as text; None, and a problem, where a column is absent."""
    data: dict[str, Any] = {}
    for key, column in card.columns.items():
        if column not in row.data:
            what = f"there is no column '{column}'"
            problems.append(Problem("error", row.where, what, f"the columns are {', '.join(map(str, row.data))}"))
            return None
        value = row.data[column]
        if isinstance(value, bool):
            value = str(value).lower()
        data[key] = str(value) if isinstance(value, int | float) else value
    return data


def _with_id(prompt: Prompt) -> Prompt:
    """A prompt of a foreign file without ids is named after its content."""
    return prompt if prompt.id != _NO_ID else prompt.model_copy(update={"id": prompt.digest[7:23]})


def _with_length_buckets(prompts: Sequence[Prompt]) -> list[Prompt]:
    """The prompts, the length bucket filled in where a prompt does not name its own.

    Before anything asks for a digest: a copy would keep the cached one.
    """
    missing = [p for p in prompts if "length_bucket" not in p.dimensions]
    texts: list[Message] = [message for prompt in missing for message in prompt.messages]
    counts = iter(count_tokens([message.content for message in texts]))
    buckets = {id(p): length_bucket(sum(next(counts) for _ in p.messages)) for p in missing}
    return [
        p.model_copy(update={"dimensions": dict(sorted({**p.dimensions, "length_bucket": buckets[id(p)]}.items()))})
        if id(p) in buckets
        else p
        for p in prompts
    ]
