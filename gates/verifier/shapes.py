"""What an event's payload looks like: which fields it has, and of what kind each is.

Whoever writes to the database by hand may write anything. What is not of this shape is told as a problem and changes
nothing in the replay, so nothing that reads the replay afterwards has to expect it.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import NoneType
from typing import Any

from gates.verifier.events import Event

Kinds = tuple[type, ...]

_TEXT: Kinds = (str,)
_MAYBE: Kinds = (str, NoneType)
_NUMBER: Kinds = (int,)
_OBJECT: Kinds = (dict,)


def _texts(*names: str) -> dict[str, Kinds]:
    return dict.fromkeys(names, _TEXT)


_MOVE = {**_texts("channel", "stage", "subject", "name", "reason"), "previous": _MAYBE, "generation": _NUMBER}

SHAPES: Mapping[str, Mapping[str, Kinds]] = {
    "registered": _texts("subject", "name", "kind"),
    "named": _texts("subject", "name"),
    "policy_recorded": _texts("policy", "name", "version"),
    "planned": {**_texts("plan", "lineage", "policy"), "incumbent": _MAYBE},
    "evaluated": {**_texts("evidence", "outcomes", "subject"), "incumbent": _MAYBE, "plan": _MAYBE, "sets": _OBJECT},
    "decided": {
        **_texts("decision", "verdict", "subject", "policy", "evidence"),
        "plan": _MAYBE,
        "incumbent": _MAYBE,
    },
    "promoted": {**_MOVE, "decision": _MAYBE, "seed": (bool,)},
    "rolled_back": _MOVE,
    "attempted": {**_texts("lineage", "subject", "question"), "sets": _OBJECT, "number": _NUMBER},
    "expired": _texts("envelope", "channel", "stage", "subject", "action"),
}
"""Fields that an event of a type must have. Acts are not among them: they must say exactly what was signed."""

_OPTIONAL: Mapping[str, Kinds] = {"name": _MAYBE, "judge": _MAYBE, "sanctions": (list,)}


def misshapen(event: Event) -> str | None:
    """What is wrong with the shape of an event's payload; None: nothing."""
    wanted = SHAPES.get(event.type)
    if wanted is None:
        return None
    for name, kinds in wanted.items():
        if name not in event.payload:
            return f"lacks '{name}'"
        if not _is(event.payload[name], kinds):
            return f"has no {name} that could be one"
    for name, kinds in _OPTIONAL.items():
        if name not in wanted and name in event.payload and not _is(event.payload[name], kinds):
            return f"has no {name} that could be one"
    if not all(isinstance(one, str) for one in event.payload.get("sanctions", ())):
        return "has no sanctions that could be some"
    return None


def _is(value: Any, kinds: Kinds) -> bool:
    """Whether a value is of one of some kinds; to Python, not to JSON, ``true`` is a number."""
    return isinstance(value, kinds) and (bool in kinds or not isinstance(value, bool))
