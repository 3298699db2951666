"""Say in plain words what pydantic found wrong with data from a file."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Sequence
from typing import Any, get_args

from pydantic import BaseModel
from pydantic_core import ErrorDetails

Location = tuple[int | str, ...]


def location_text(location: Location) -> str:
    """``("checks", 3, "threshold")`` as ``checks[3].threshold``."""
    text = ""
    for part in location:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else part
    return text


def nearest(word: str, known: Sequence[str], *, cutoff: float = 0.6) -> str | None:
    """The known word that ``word`` was probably meant to be."""
    matches = difflib.get_close_matches(word, known, n=1, cutoff=cutoff)
    return matches[0] if matches else None


def unknown_key(key: str, known: Sequence[str]) -> tuple[str, str]:
    """What is wrong, and what to do about it, for a key that nobody knows."""
    close = nearest(key, known)
    advice = f"did you mean '{close}'?" if close else f"the keys are {', '.join(known)}"
    return f"unknown key '{key}'", advice


def explain(error: ErrorDetails, record: type[BaseModel]) -> tuple[str, str | None]:
    """What is wrong, and what to do about it, for one of the errors of a ``ValidationError`` about ``record``."""
    location, kind = error["loc"], error["type"]
    where = location_text(location)
    prefix = f"{where}: " if where else ""
    if kind == "extra_forbidden":
        what, advice = unknown_key(str(location[-1]), known_keys(record, location[:-1]))
        return (what if len(location) == 1 else f"{what} in {location_text(location[:-1])}"), advice
    if kind == "missing":
        return f"missing key '{where}'", "add it"
    if kind in ("literal_error", "enum"):
        return f"{prefix}{_shown(error['input'])} is not known", f"use {error.get('ctx', {}).get('expected', '')}"
    if kind == "value_error":
        return f"{prefix}{error['msg'].removeprefix('Value error, ')}", None
    message = error["msg"][:1].lower() + error["msg"][1:]
    return f"{prefix}{_shown(error['input'])}: {message}", None


def without_echoes(errors: Sequence[ErrorDetails]) -> list[ErrorDetails]:
    """The errors without those that others caused: a list is not too short because its items are wrong."""
    places = [error["loc"] for error in errors]
    return [
        error
        for error in errors
        if error["type"] != "too_short"
        or not any(len(p) > len(error["loc"]) and p[: len(error["loc"])] == error["loc"] for p in places)
    ]


def known_keys(record: type[BaseModel], location: Location) -> list[str]:
    """Keys that the record at ``location`` inside ``record`` may have (of every alternative, where it is a union)."""
    annotation: Any = record
    for part in location:
        inner = _inner(annotation, part)
        annotation = annotation if inner is None else inner  # a union's tag, which is no level of the data
    return [key for model in _models(annotation) for key in _field_names(model)]


def _inner(annotation: Any, part: int | str) -> Any:
    for model in _models(annotation):
        for name, field in model.model_fields.items():
            if part in (field.alias or name, name):
                return field.annotation
    return None if isinstance(part, str) else annotation


def _models(annotation: Any) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for argument in get_args(annotation):
        yield from _models(argument)


def _field_names(model: type[BaseModel]) -> list[str]:
    return [field.alias or name for name, field in model.model_fields.items()]


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."
