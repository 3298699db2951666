"""What comes of a release, of a model or of a router."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from gates.decision import Decision
from gates.registry import ChannelState, Registry
from gates.registry.history import last_promotion
from gates.reports import ReportPaths
from golden_sets.digests import Digest


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

    @property
    def exit_code(self) -> int:
        """By the verdict alone: 0 promote, 1 block, 3 inconclusive. ``promoted`` says whether the channel moved."""
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
