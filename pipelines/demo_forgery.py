"""A forged bundle, as somebody without keys could make one: the demo shows that it is found out."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path

from golden_sets.digests import canonical_json

FORGER = "somebody else"


def with_another_actor(bundle: Path, forgery: Path) -> None:
    """Copy a bundle, and let its log say that somebody else made the last promotion."""
    with zipfile.ZipFile(bundle) as source, zipfile.ZipFile(forgery, "w") as target:
        for file in source.infolist():
            data = source.read(file)
            target.writestr(file, _forged(data) if file.filename == "events.jsonl" else data)


def _forged(log: bytes) -> bytes:
    events = [json.loads(line) for line in log.splitlines()]
    last = next(event for event in reversed(events) if event["type"] == "promoted")
    last["actor"] = FORGER
    return b"".join(canonical_json(event) + b"\n" for event in events)
