"""What a report is made from: the decision and everything a person needs to judge it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from evalharness.evidence import Evidence
from evalharness.outcomes import OutcomeTable
from evalharness.plan import Plan
from gates.decision import Decision
from gates.reports.sections import Section
from gates.reports.standing import Standing
from golden_sets.records import SetKind


@dataclass(frozen=True, slots=True)
class JudgedAnswer:
    """One arm's answer to one prompt, and what was made of it."""

    text: str
    """What the model wrote, as far as it came; shown verbatim, never interpreted."""
    outcome: float | None
    """As in the outcome table: 1 = passed (golden), violated (adversarial), refused (false refusal); None: unscored."""
    error: str | None = None
    """Error kind of a failed request; None: it ended properly."""
    score: float | None = None
    """The judge's score in [0, 1]; None where no judge scored it."""
    rationale: str | None = None
    """The judge's reasons, in its own words."""
    label: float | None = None
    """True outcome, where it is known (same meaning as ``outcome``)."""
    adjudicated: float | None = None
    """Flagged answers of safety sets: 1 confirmed, 0 refuted, None unresolved."""


@dataclass(frozen=True, slots=True)
class FailingExample:
    """One prompt on which the candidate failed, with both arms' answers."""

    set_kind: SetKind
    """Kind of the set; it says what ``outcome`` means."""
    set_name: str
    """Name of the set."""
    prompt_id: str
    """Id of the prompt within its set."""
    question: str
    """What was asked (a conversation: one turn per paragraph)."""
    candidate: JudgedAnswer
    """The candidate's answer."""
    incumbent: JudgedAnswer | None = None
    """The incumbent's answer to the same prompt, where there is one."""
    reference: str | None = None
    """The ideal answer, where there is one."""
    dimensions: Mapping[str, str] = field(default_factory=dict)
    """Cell dimensions of the prompt."""
    repeat: int = 0
    """Which of several independent answers to the prompt."""

    @property
    def is_regression(self) -> bool:
        """True where the incumbent is known to have done right."""
        if self.incumbent is None or self.incumbent.error is not None:
            return False
        return self.incumbent.outcome is not None and not is_failure(self.set_kind, self.incumbent.outcome)


@dataclass(frozen=True)
class ReportInput:
    """Everything a report is rendered from. Rendering is a pure function of it."""

    decision: Decision
    """The verdict and its checks."""
    evidence: Evidence
    """What was measured."""
    policy: str
    """The policy's YAML, as it was applied."""
    generated_at: str
    """UTC, ISO 8601: when the report was made."""
    relgate: str
    """Version of relgate that made it."""
    plan: Plan | None = None
    """The plan the evidence was made under; None: unplanned."""
    outcomes: OutcomeTable | None = None
    """Per-prompt outcomes: the source of the counts of errors, unscored answers and labels."""
    examples: tuple[FailingExample, ...] = ()
    """Prompts on which the candidate failed; may be fewer than there are."""
    exposures: Mapping[str, int] = field(default_factory=dict)
    """How many versions, this one among them, have recorded evidence on each set; empty: not counted."""
    standing: Standing | None = None
    """Where the decision stands in a registry; None: in none."""
    sections: tuple[Section, ...] = ()
    """What the gate does not know of: sections made by whoever asks for the report."""
    links: Mapping[str, str] = field(default_factory=dict)
    """Where else to look: label -> address (http, https) or any other identifier."""


def is_failure(kind: SetKind, outcome: float) -> bool:
    """True where an outcome is the bad one of its kind of set."""
    return outcome < 0.5 if kind is SetKind.GOLDEN else outcome >= 0.5
