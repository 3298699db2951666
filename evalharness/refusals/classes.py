"""What the detector says of an answer."""

from __future__ import annotations

from dataclasses import dataclass

from evalharness.answer_classes import AnswerClass


@dataclass(frozen=True, slots=True)
class RefusalVerdict:
    """What the detector says of one answer."""

    label: AnswerClass
    """The class."""
    probability: float | None
    """Probability of a refusal, partial ones included; None for a broken answer."""
    partial: float | None
    """Probability that a refusal is a partial one; None for a broken answer."""
    broken: str | None = None
    """Why an answer counts as empty or broken."""

    @property
    def refuses(self) -> bool | None:
        """Whether it is a refusal, full or partial; None for a broken answer."""
        if self.label is AnswerClass.EMPTY_OR_BROKEN:
            return None
        return self.label is not AnswerClass.FULL_COMPLIANCE
