"""What comes of a release, of a model or of a router."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from gates.decision import Decision, Verdict
from gates.registry import ChannelState, Registry
from gates.registry.history import last_promotion
from gates.reports import ReportPaths
from gates.verifier.promotion import Refusal, awaits_signatures
from golden_sets.digests import Digest

AWAITING = 5
"""Exit code: passed, awaiting signatures."""


@dataclass(frozen=True)
class Released:
    """What came of a release."""

    decision: Decision
    reports: ReportPaths
    state: ChannelState
    promoted: bool
    """Whether the channel serves the subject now, by a passing decision."""
    recorded: bool
    """True when the decision was there already and nothing was spent."""
    exposures: Mapping[str, int]
    """How many subjects, this one among them, have recorded evidence on each set."""
    warnings: tuple[str, ...]
    refused: tuple[Refusal, ...] = field(default=(), kw_only=True)
    """What stands against a wanted move by the rules of promotion."""

    @property
    def awaiting(self) -> tuple[str, ...]:
        """The signatures that a move still lacks, in words."""
        return tuple(refusal.text for refusal in self.refused if refusal.ground == "signatures")

    @property
    def exit_code(self) -> int:
        """0 promote, 1 block, 3 inconclusive, by the verdict; a passing one that the rules of promotion keep from the
        move it was to make: 5 where nothing but signatures is missing, else 1."""
        if self.decision.verdict is Verdict.PROMOTE and self.refused:
            return AWAITING if awaits_signatures(self.refused) else Verdict.BLOCK.exit_code
        return self.decision.verdict.exit_code

    @property
    def own(self) -> dict[str, Any]:
        """What only releases of this kind of subject tell, plain JSON data."""
        return {}

    def to_json(self) -> dict[str, Any]:
        """The ``--json`` document."""
        return {
            **self.decision.summary(),
            "promoted": self.promoted,
            "recorded": self.recorded,
            "awaiting": list(self.awaiting),
            "refused": [refusal.text for refusal in self.refused if refusal.ground != "signatures"],
            **self.own,
            "exposures": dict(self.exposures),
            "channel": {
                "channel": self.state.channel,
                "stage": self.state.stage,
                "generation": self.state.generation,
                "serves": self.state.name,
            },
            "reports": self.reports.to_json(),
            "warnings": list(self.warnings),
        }


def promoting_decision(registry: Registry, state: ChannelState, subject: Digest) -> Decision | None:
    """The decision by which a stage came to serve a subject; None where there was none."""
    move = last_promotion(state.history, subject)
    return None if move is None or move.decision is None else registry.decision(move.decision)
