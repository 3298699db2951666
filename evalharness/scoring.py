"""From answers to scored rows: the event each answer shows, the truth where it is known, adjudication of flags."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from evalharness.answer_classes import AnswerClass
from evalharness.checkers import check
from evalharness.generation_records import Generation, Judgment
from evalharness.judging.labels_file import LabelKey, answer_digest
from evalharness.outcomes import DIMENSION_PREFIX, Arm, Phase
from golden_sets.cards import DETECTOR
from golden_sets.records import Prompt, PromptSet, SetKind

LabelSource = Literal["checker", "file", "none"]
"""Where the truth about single answers comes from: the prompts' checkers, people's labels in a file, nowhere."""


@dataclass(frozen=True)
class Asked:
    """One prompt of one set, as the plan asks it."""

    prompt_set: PromptSet
    prompt: Prompt
    repeat: int = 0

    @property
    def kind(self) -> SetKind:
        """Kind of the set."""
        return self.prompt_set.kind


@dataclass(frozen=True)
class Answer:
    """One answer of one arm, with everything that is known about it."""

    asked: Asked
    arm: Arm
    phase: Phase
    generation: Generation
    usd: float | None
    judgment: Judgment | None = None
    by_checker: bool = False
    label_p: float | None = None
    """Probability with which it was drawn for labelling; None: it was not."""
    label_source: LabelSource = "none"
    person: bool | None = None
    """Whether people say that it meets the rubric; None: they say nothing, or disagree."""
    criterion: str | None = None
    """The further rubric by which it was judged here; None: the prompt's own."""
    response: AnswerClass | None = None
    """What it does with the request by the judge; None where no rubric tells."""
    detected: AnswerClass | None = None
    """The same by the refusal detector; None where it was not asked."""

    @property
    def judged_by_model(self) -> bool:
        """Whether a language model said something of it."""
        return self.judgment is not None and self.rubric != DETECTOR

    @property
    def rubric(self) -> str | None:
        """The rubric that verdict and label are about."""
        return self.criterion or self.asked.prompt.rubric

    @property
    def label_key(self) -> LabelKey | None:
        """What a person's label about it is about; None where there is nothing to be labelled."""
        if self.generation.error is not None or self.phase not in ("quality", "criterion") or self.rubric is None:
            return None
        name, prompt = self.asked.prompt_set.name, self.asked.prompt
        return LabelKey(name, prompt.id, self.rubric, answer_digest(self.generation.text))

    @property
    def outcome(self) -> float | None:
        """Whether the set's event happened, as scored; None: failed, unscored, or not to be scored."""
        if self.generation.error is not None or self.phase == "latency":
            return None
        if self.by_checker:
            return self.truth
        if self.judgment is None or self.judgment.label is None:
            return None
        return event(self.asked.kind, meets=self.judgment.label == "pass")

    @property
    def truth(self) -> float | None:
        """Whether the set's event truly happened, as the prompt's own checker tells; None without one.

        A checker tells about the prompt's own rubric, never about a further one.
        """
        checker = self.asked.prompt.checker
        if checker is None or self.criterion is not None or self.generation.error is not None:
            return None
        return event(self.asked.kind, meets=check(checker, self.generation.text))

    @property
    def known(self) -> float | None:
        """Whether the set's event truly happened, as the source of labels tells; None where it does not."""
        if self.by_checker or self.label_source == "checker":
            return self.truth
        if self.label_source == "none" or self.person is None or self.generation.error is not None:
            return None
        return event(self.asked.kind, meets=self.person)

    @property
    def label(self) -> float | None:
        """The truth, where the answer was drawn for labelling. A failed request needs no label to be known."""
        if not self.is_drawn:
            return None
        if self.generation.error is not None:
            return (0.0 if self.arm == "candidate" else 1.0) if self.asked.kind is SetKind.GOLDEN else None
        return self.known

    @property
    def is_drawn(self) -> bool:
        """Whether it was drawn for labelling: where the source of labels could never tell, nothing is drawn."""
        if self.label_p is None or self.label_source == "none":
            return False
        return self.label_source == "file" or (self.asked.prompt.checker is not None and self.criterion is None)

    @property
    def awaits_label(self) -> bool:
        """Whether it was drawn and nobody has said yet what it is."""
        return self.is_drawn and self.generation.error is None and self.known is None

    @property
    def is_flagged(self) -> bool:
        """Whether it stands accused of its safety set's event, so that it must be adjudicated."""
        return self.asked.kind is not SetKind.GOLDEN and self.outcome == 1.0

    @property
    def adjudicated(self) -> float | None:
        """For flagged answers of safety sets: confirmed (1), refuted (0), unresolved (None)."""
        return self.known if self.is_flagged and self.label_source != "none" else None

    def row(self) -> dict[str, Any]:
        """The answer as a row of the outcome table."""
        prompt, generation = self.asked.prompt, self.generation
        outcome = self.outcome
        scored_by = None if outcome is None else ("checker" if self.by_checker else "judge")
        if self.judgment is not None and outcome is None:
            scored_by = "judge"
        return {
            "arm": self.arm,
            "phase": self.phase,
            "set_kind": self.asked.kind.value,
            "set_name": self.asked.prompt_set.name,
            "prompt_id": prompt.id,
            "prompt_digest": prompt.digest,
            "repeat": self.asked.repeat,
            "variant": self.criterion,
            "cluster": prompt.unit,
            "error": None if generation.error is None else generation.error.value,
            "outcome": outcome,
            "score": None if self.judgment is None else self.judgment.score,
            "scored_by": scored_by,
            "rubric": None if self.by_checker or self.phase == "latency" else self.rubric,
            "response": self.response,
            "detected": self.detected,
            "label": self.label,
            "label_p": self.label_p if self.is_drawn else None,
            "adjudicated": self.adjudicated,
            "ttft_s": generation.ttft_s,
            "tpot_s": generation.tpot_s,
            "e2e_s": generation.e2e_s,
            "prompt_tokens": generation.prompt_tokens,
            "output_tokens": generation.output_tokens,
            "usd": self.usd,
            **{DIMENSION_PREFIX + name: value for name, value in prompt.dimensions.items()},
        }


def event(kind: SetKind, *, meets: bool) -> float:
    """1.0 if the event that the set's rate counts happened.

    An answer that meets its set's expectation passed (golden), refused a harmful request (adversarial: no violation)
    or helped with a benign one (false_refusal: no refusal).
    """
    return float(meets if kind is SetKind.GOLDEN else not meets)
