"""YAML files as records: loaded safely, closed to unknown and duplicate keys, every error with its line.

    policy = load_yaml_record(path, Policy)

For checks that need more than one file, keep the document and ask it for lines:

    document = read_yaml(path)
    policy = document.record(Policy)
    raise InputError("the check matches no cell", where=document.where("checks", 3))
"""

from __future__ import annotations

import math
import re
from collections.abc import Hashable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, ValidationError

from golden_sets.errors import InfrastructureError, InputError
from golden_sets.explaining import Location, explain, without_echoes
from golden_sets.problems import Problem, raise_errors

R = TypeVar("R", bound=BaseModel)

_PLAIN_KINDS = frozenset({"map", "seq", "str", "int", "float", "bool", "null", "merge"})
MAX_INTEGER = 2**53 - 1
"""Largest integer with a canonical JSON form (RFC 8785)."""
MAX_NODES = 200_000
"""Values a file may hold once its aliases are expanded: a guard against alias bombs."""


class _Loader(yaml.SafeLoader):  # type: ignore[misc]  # PyYAML has no types
    """The safe loader without dates (they are not JSON) and with numbers such as ``1e-3`` (YAML 1.2)."""


_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag != "tag:yaml.org,2002:timestamp"]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float", re.compile(r"^[-+]?(\d+\.?\d*|\.\d+)[eE][-+]?\d+$"), list("-+.0123456789")
)


@dataclass(frozen=True)
class YamlDocument:
    """A YAML file's data together with the lines it came from."""

    path: Path
    """The file."""
    data: Any
    """Plain data: mappings, lists, text, numbers, booleans, None."""
    _node: yaml.Node | None

    def line(self, *location: int | str) -> int:
        """Line (from 1) of the key or list item at ``location``; of the nearest level above where there is none."""
        return _line(self._node, location)

    def where(self, *location: int | str) -> str:
        """``file:line`` of the key or list item at ``location``."""
        return f"{self.path}:{self.line(*location)}"

    def record(self, record: type[R]) -> R:
        """Validate the data. Where a record wants text, a plain number or word is taken as it is written: ``1.10``.

        Raises:
            InputError: unknown or missing keys, or values out of range: all of them, each with its line.
        """
        if not isinstance(self.data, dict):
            raise InputError(f"expected keys and values, found {_kind(self.data)}", where=f"{self.path}:1")
        try:
            return record.model_validate(self.data)
        except ValidationError as error:
            texts = [loc for e in error.errors() if e["type"] == "string_type" and (loc := e["loc"])]
        data = self.data
        for location in texts:
            data = _with_text(data, self._node, location)
        try:
            return record.model_validate(data)
        except ValidationError as error:
            found = without_echoes(error.errors())
            raise_errors(Problem("error", self.where(*e["loc"]), *explain(e, record)) for e in found)
            raise  # unreachable: a ValidationError has at least one error


def load_yaml_record(path: Path, record: type[R]) -> R:
    """Load a YAML file as a record.

    Raises:
        InputError: the file does not exist, is not YAML, or does not fit the record; names file and line.
        InfrastructureError: the file cannot be read.
    """
    return read_yaml(path).record(record)


def read_yaml(path: Path) -> YamlDocument:
    """Read a YAML file and keep its lines.

    Raises:
        InputError: the file does not exist, is empty, is not UTF-8 or not YAML, or has a duplicate key.
        InfrastructureError: the file cannot be read.
    """
    text = read_text(path)
    loader = _Loader(text)
    try:
        node = loader.get_single_node()
        if node is None:
            raise InputError("the file is empty", where=path)
        _check_size(node, path)
        _check_nodes(node, path)
        return YamlDocument(path, loader.construct_document(node), node)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        raise InputError(
            f"not valid YAML: {error.problem or error.context}",
            where=f"{path}:{mark.line + 1}" if mark else path,
            do="check indentation, colons and quotes there",
        ) from error
    except (yaml.YAMLError, ValueError) as error:
        raise InputError(f"not valid YAML: {error}", where=path) from error
    except RecursionError as error:
        raise InputError("nested too deeply", where=path) from error
    finally:
        loader.dispose()


def read_text(path: Path) -> str:
    """Text of a UTF-8 file, a byte-order mark stripped.

    Raises:
        InputError: the file does not exist, is a directory or not UTF-8.
        InfrastructureError: the file cannot be read.
    """
    try:
        return path.read_text(encoding="utf-8-sig")
    except FileNotFoundError as error:
        raise InputError("the file does not exist", where=path, do="check the path") from error
    except IsADirectoryError as error:
        raise InputError("this is a directory", where=path, do="name a file") from error
    except UnicodeDecodeError as error:
        line = path.read_bytes()[: error.start].count(b"\n") + 1
        raise InputError("not UTF-8 text", where=f"{path}:{line}", do="save the file as UTF-8") from error
    except OSError as error:
        raise InfrastructureError(f"cannot be read: {error.strerror}", where=path) from error


# -- the tree of nodes ---------------------------------------------------------------------------------------------


def _check_size(root: yaml.Node, path: Path) -> None:
    """Refuse recursive and exploding aliases; sizes are memoised, so that the check itself is linear."""
    sizes: dict[int, int | None] = {}

    def size(node: yaml.Node) -> int:
        known = sizes.get(id(node), 0)
        if known is None:
            raise InputError("an alias refers to itself", where=f"{path}:{node.start_mark.line + 1}")
        if known:
            return known
        sizes[id(node)] = None
        total = 1 + sum(size(child) for child in _children(node))
        if total > MAX_NODES:
            raise InputError(f"more than {MAX_NODES} values once aliases are expanded", where=path)
        sizes[id(node)] = total
        return total

    size(root)


def _check_nodes(root: yaml.Node, path: Path) -> None:
    """Refuse duplicate keys, keys that are no text, and values that are not JSON."""
    pending, seen = [root], set()
    while pending:
        node = pending.pop()
        if id(node) in seen:
            continue
        seen.add(id(node))
        pending.extend(_children(node))
        if not _is_json(node):
            shown = node.value if isinstance(node, yaml.ScalarNode) else node.tag
            raise InputError(f"'{shown}' is not a plain value", where=f"{path}:{node.start_mark.line + 1}")
        if not isinstance(node, yaml.MappingNode):
            continue
        lines: dict[Hashable, int] = {}
        for key, _ in node.value:
            name, line = getattr(key, "value", None), key.start_mark.line + 1
            if not isinstance(name, str):
                raise InputError("a key must be plain text", where=f"{path}:{line}")
            if name in lines:
                raise InputError(
                    f"key '{name}' appears twice, first on line {lines[name]}", where=f"{path}:{line}", do="keep one"
                )
            lines[name] = line


def _is_json(node: yaml.Node) -> bool:
    """Whether a value has a canonical JSON form: a plain type, and numbers that a digest can hold."""
    kind = node.tag.removeprefix("tag:yaml.org,2002:")
    if kind not in _PLAIN_KINDS:
        return False
    try:
        if kind == "int":
            return abs(int(node.value.replace("_", ""), 0)) <= MAX_INTEGER
        return kind != "float" or math.isfinite(float(node.value.replace("_", "")))
    except ValueError:
        return not node.value.lower().endswith(("inf", "nan"))  # 010, 1:30 and other forms of YAML 1.1


def _children(node: yaml.Node) -> list[yaml.Node]:
    if isinstance(node, yaml.MappingNode):
        return [part for pair in node.value for part in pair]
    return list(node.value) if isinstance(node, yaml.SequenceNode) else []


def _step(node: yaml.Node | None, part: int | str) -> tuple[yaml.Node, yaml.Node] | None:
    """The key (or item) and the value behind ``part``, merge keys included."""
    if isinstance(node, yaml.SequenceNode) and isinstance(part, int) and part < len(node.value):
        return node.value[part], node.value[part]
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            if key.value == str(part):
                return key, value
    return None


def _line(node: yaml.Node | None, location: Location) -> int:
    line = node.start_mark.line + 1 if node is not None else 1
    for part in location:
        step = _step(node, part)
        if step is not None:  # else a union's tag or a missing key: the level above is where it belongs
            key, node = step
            line = key.start_mark.line + 1
    return line


def _with_text(data: Any, node: yaml.Node | None, location: Location) -> Any:
    """``data`` with the plain scalar at ``location`` as the text that was written; unchanged where it is none."""
    if not location:
        plain = isinstance(node, yaml.ScalarNode) and node.tag != "tag:yaml.org,2002:null"
        return node.value if plain and node is not None else data
    part, rest = location[0], location[1:]
    step = _step(node, part)
    if step is None:
        return _with_text(data, node, rest) if rest else data
    if isinstance(data, list) and isinstance(part, int):
        return [_with_text(item, step[1], rest) if i == part else item for i, item in enumerate(data)]
    if isinstance(data, dict):
        return {k: _with_text(v, step[1], rest) if str(k) == str(part) else v for k, v in data.items()}
    return data


def _kind(data: Any) -> str:
    return "a list" if isinstance(data, list) else "text" if isinstance(data, str) else "a single value"
