"""JSON schemas of everything that is signed, made from the records: ``python -m gates.signing.schemas docs/schemas``.

Each describes a statement: what an envelope's payload decodes to.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from gates.signing.envelopes import STATEMENT_TYPE
from gates.signing.predicates import ACTS, CHECKPOINT_TYPE, NAMESPACE, LogState
from golden_sets.records import Record

_HEX = "^[0-9a-f]{64}$"


def schemas() -> Mapping[str, dict[str, Any]]:
    """Schema of each statement, by the name of its file."""
    kinds: dict[str, type[Record]] = {CHECKPOINT_TYPE: LogState, **{act.predicate_type(): act for act in ACTS}}
    return {
        f"{type_.removeprefix(NAMESPACE).replace('/', '-')}.json": _statement(type_, record)
        for type_, record in kinds.items()
    }


def write_schemas(directory: Path) -> None:
    """Write every schema into a folder."""
    directory.mkdir(parents=True, exist_ok=True)
    for name, schema in schemas().items():
        (directory / name).write_text(json.dumps(schema, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def _statement(type_: str, record: type[Record]) -> dict[str, Any]:
    predicate = record.model_json_schema(mode="serialization")
    definitions = predicate.pop("$defs", {})
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": f"{type_}:statement",
        "title": type_,
        "description": predicate.pop("description", ""),
        "type": "object",
        "required": ["_type", "subject", "predicateType", "predicate"],
        "additionalProperties": False,
        "properties": {
            "_type": {"const": STATEMENT_TYPE},
            "subject": {
                "type": "array",
                "minItems": 1,
                "items": {
                    "type": "object",
                    "required": ["name", "digest"],
                    "additionalProperties": False,
                    "properties": {
                        "name": {"type": "string"},
                        "digest": {
                            "type": "object",
                            "required": ["sha256"],
                            "additionalProperties": False,
                            "properties": {"sha256": {"type": "string", "pattern": _HEX}},
                        },
                    },
                },
            },
            "predicateType": {"const": type_},
            "predicate": predicate,
        },
        "$defs": definitions,
    }


if __name__ == "__main__":
    write_schemas(Path(sys.argv[1]))
