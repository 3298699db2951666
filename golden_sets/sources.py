"""The rows of a set as they lie on disk or on the hub: JSONL, Parquet and Hugging Face datasets."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from golden_sets.cards import Card
from golden_sets.errors import InfrastructureError, InputError
from golden_sets.problems import Problem

_HUB_NAME = re.compile(r"[A-Za-z0-9][\w.-]*(/[A-Za-z0-9][\w.-]*)?")


@dataclass(frozen=True, slots=True)
class Row:
    """One row of a source, not yet a prompt."""

    where: str
    """``file:line``, or the row's number."""
    data: Mapping[str, Any]
    """Column values."""


def read_rows(card: Card, card_path: Path) -> tuple[Path | str, list[Row], list[Problem]]:
    """The source that a card names, its rows, and the rows that could not be read.

    Raises:
        InputError: no such file or dataset, a path out of the card's directory, an unknown format.
        InfrastructureError: the source cannot be read, or the hub cannot be reached.
    """
    if card.dataset is not None:
        name = f"{card.dataset}[{card.split}]" if card.split else card.dataset
        rows = [Row(f"{name} row {i}", row) for i, row in enumerate(_dataset_rows(card, card.dataset, card_path), 1)]
        return card.dataset, rows, []
    assert card.file is not None  # noqa: S101 - a card has either
    path = path_inside(card_path.parent, card.file, named_by=card_path)
    try:
        if path.suffix in (".jsonl", ".ndjson"):
            rows, problems = read_jsonl(path)
            return path, rows, problems
        if path.suffix == ".parquet":
            return path, list(_parquet_rows(path)), []
    except FileNotFoundError as error:
        raise InputError(f"the file '{card.file}' does not exist", where=card_path, do="correct 'file'") from error
    except OSError as error:
        raise InfrastructureError(f"cannot be read: {error}", where=path) from error
    raise InputError(f"'{card.file}' has an unknown format", where=card_path, do="use .jsonl or .parquet")


def path_inside(directory: Path, name: str, *, named_by: Path) -> Path:
    """The path ``name`` relative to ``directory``, symlinks included never outside it.

    Raises:
        InputError: an absolute path, or one that leads out of the directory.
    """
    path = directory / name
    if Path(name).is_absolute() or not path.resolve().is_relative_to(directory.resolve()):
        raise InputError(
            f"'{name}' leads out of the directory", where=named_by, do="put the file beside or below the card"
        )
    return path


def read_jsonl(path: Path) -> tuple[list[Row], list[Problem]]:
    """The objects of a JSONL file, and the lines that are none. Blank lines are skipped.

    Raises:
        OSError: the file cannot be read.
    """
    rows: list[Row] = []
    problems: list[Problem] = []
    for number, line in enumerate(path.read_bytes().removeprefix(b"\xef\xbb\xbf").split(b"\n"), 1):
        if not line.strip():
            continue
        where = f"{path}:{number}"
        try:
            data = json.loads(line.decode("utf-8"), object_pairs_hook=_object, parse_constant=_refuse_constant)
        except UnicodeDecodeError:
            problems.append(Problem("error", where, "not UTF-8 text", "save the file as UTF-8"))
        except (ValueError, RecursionError) as error:
            what = error.msg if isinstance(error, json.JSONDecodeError) else str(error)
            problems.append(Problem("error", where, f"not valid JSON: {what}", "write one JSON object a line"))
        else:
            if isinstance(data, dict):
                rows.append(Row(where, data))
            else:
                problems.append(Problem("error", where, "not a JSON object", "write one JSON object a line"))
    return rows, problems


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    data = dict(pairs)
    if len(data) < len(pairs):
        keys = [key for key, _ in pairs]
        raise ValueError(f"key '{next(k for k in keys if keys.count(k) > 1)}' appears twice")
    return data


def _refuse_constant(name: str) -> Any:
    raise ValueError(f"{name} is not JSON")


def _parquet_rows(path: Path) -> Iterator[Row]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        rows = pq.read_table(path).to_pylist()
    except pa.ArrowException as error:
        raise InputError(f"not a Parquet file: {error}", where=path) from error
    for number, row in enumerate(rows, 1):
        yield Row(f"{path} row {number}", row)


def _dataset_rows(card: Card, name: str, card_path: Path) -> list[Mapping[str, Any]]:
    import datasets

    local = card_path.parent / name
    is_local = local.is_dir()
    if not is_local and not _HUB_NAME.fullmatch(name):
        raise InputError(
            f"dataset '{name}' is neither a directory nor a name on the hub",
            where=card_path,
            do="write owner/name, or the path of a directory relative to the card",
        )
    if is_local and card.revision is not None:
        raise InputError("a local dataset has no revision", where=card_path, do="remove 'revision'")
    try:
        if is_local and any((local / marker).exists() for marker in ("state.json", "dataset_dict.json")):
            found = datasets.load_from_disk(str(local))
        elif is_local:  # streamed: reads the files where they lie, leaves no copy in a cache
            found = datasets.load_dataset(str(local), card.subset, streaming=True)
        else:
            found = datasets.load_dataset(name, card.subset, revision=card.revision)
        return list(_split(found, card, card_path))
    except (datasets.exceptions.DatasetNotFoundError, FileNotFoundError, ValueError) as error:
        raise InputError(f"dataset '{name}' cannot be loaded: {_first_line(error)}", where=card_path) from error
    except (datasets.exceptions.DatasetsError, OSError) as error:
        raise InfrastructureError(
            f"dataset '{name}' cannot be loaded: {_first_line(error)}",
            where=card_path,
            do="check the connection, or name a local directory",
        ) from error


def _split(found: Any, card: Card, card_path: Path) -> Iterable[Mapping[str, Any]]:
    if not isinstance(found, dict):
        return cast("Iterable[Mapping[str, Any]]", found)
    splits = sorted(found)
    split = card.split or (splits[0] if len(splits) == 1 else None)
    if split not in found:
        what = "the dataset has several splits" if split is None else f"the dataset has no split '{split}'"
        raise InputError(what, where=card_path, do=f"set 'split' to one of {', '.join(splits)}")
    return cast("Iterable[Mapping[str, Any]]", found[split])


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]
