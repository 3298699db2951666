"""Whether a router's evidence still speaks of what is served: it was measured with two versions of models, no others.

A router that sends the right prompts to one small model may send the wrong ones to its successor. So a change of either
model makes the router's evidence stale, and stale evidence blocks: it says nothing about what would happen now.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from evalharness.evidence import Evidence
from golden_sets.digests import Digest, short

STALE = "the evidence is stale"
"""How the reason of a decision on stale evidence begins."""


@dataclass(frozen=True, slots=True)
class Served:
    """A version of a model, as it is served."""

    digest: Digest
    """Digest of its manifest."""
    name: str | None = None
    """Its name, for people."""

    def __str__(self) -> str:
        return short(self.digest) if self.name is None else f"'{self.name}' ({short(self.digest)})"


Serving = Mapping[str, Served]
"""The models a router chooses from now, ``small`` and ``flagship``; one that is not known is left out."""


def stale(evidence: Evidence, serving: Serving | None) -> str | None:
    """Why evidence about a router is stale, naming the model that changed, from what, and to what; None: it is not."""
    changed = [
        f"the {role} is {now} now, the router was measured with {short(measured)}"
        for role, measured in (evidence.routes or {}).items()
        if (now := (serving or {}).get(role)) is not None and now.digest != measured
    ]
    return f"{STALE}: {'; '.join(changed)}" if changed else None


def still_said(reason: str, evidence: Evidence, serving: Serving | None) -> bool:
    """Whether the reason of a decision says of the models that are served what is true of them now."""
    outdated = stale(evidence, serving)
    return not reason.startswith(STALE) if outdated is None else reason.startswith(outdated)


def unchecked(evidence: Evidence, serving: Serving | None) -> list[str]:
    """What nobody can tell of the models behind a router's evidence, for people; empty for models."""
    if evidence.subject_kind != "router":
        return []
    if not evidence.routes:
        return ["the scores name no models: whether the models that are served are those of the scores is not known"]
    missing = " and the ".join(role for role in evidence.routes if role not in (serving or {}))
    return [f"whether the {missing} it was measured with is served was not checked"] if missing else []
