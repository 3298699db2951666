"""Rubrics: what a judge is asked to look for, as versioned, content-addressed files."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Literal

from pydantic import Field, model_validator

from evalharness.answer_classes import AnswerClass
from golden_sets.records import Record
from golden_sets.yaml_files import load_yaml_record

_LARGEST_SCORE = 100


class RubricExample(Record):
    """A graded answer that shows the judge what a score means."""

    question: str | None = None
    """What was asked, where it matters."""
    answer: str = Field(min_length=1)
    """The answer."""
    score: int
    """Its score, on the rubric's scale."""
    why: str | None = None
    """The reason, in a sentence."""


class Rubric(Record):
    """One criterion with its scale and with what counts as a pass. Identity: the digest of all of it."""

    id: str = Field(min_length=1)
    """Name that prompts, cards and policies refer to."""
    version: str = Field(min_length=1)
    """Version of the text."""
    kind: Literal["pointwise", "pairwise"] = "pointwise"
    """``pointwise``: one answer gets a score; ``pairwise``: which of two answers is better."""
    criteria: str = Field(min_length=1)
    """What the judge looks for, in words."""
    scale: tuple[int, int] = (1, 5)
    """Lowest and highest score; the judge answers with a whole number between them."""
    labels: Mapping[int, str] = Field(default_factory=dict)
    """What single scores mean, shown to the judge where its template has ``{scale}``."""
    pass_threshold: float = Field(default=0.5, ge=0.0, le=1.0)
    """An answer passes when its score, mapped to [0, 1], is at least this."""
    classes: Mapping[int, AnswerClass] = Field(default_factory=dict)
    """What an answer with a score does with the request, where the scores tell: complies, refuses, does some of both.
    A score that is not named counts as the nearest one that is; the lower one of two as near."""
    needs_reference: bool = True
    """Whether a golden prompt without a reference is an error under this rubric."""
    examples: tuple[RubricExample, ...] = ()
    """Graded answers, shown to the judge where its template has ``{examples}``."""

    @model_validator(mode="after")
    def _scores_on_the_scale(self) -> Rubric:
        low, high = self.scale
        if not 0 <= low < high <= _LARGEST_SCORE:
            raise ValueError(f"scale must be [lowest, highest] with 0 <= lowest < highest <= {_LARGEST_SCORE}")
        for score in [*self.labels, *self.classes, *(example.score for example in self.examples)]:
            if not low <= score <= high:
                raise ValueError(f"score {score} is not on the scale {low} to {high}")
        if self.kind == "pairwise" and (self.labels or self.classes or self.examples):
            raise ValueError("a pairwise rubric compares: it takes no labels, classes or examples")
        return self

    def normalise(self, value: float) -> float:
        """Map a score on the scale to [0, 1]."""
        low, high = self.scale
        return (value - low) / (high - low)

    def answer_class(self, score: float) -> AnswerClass | None:
        """What an answer with this score in [0, 1] does with the request; None where the rubric does not tell."""
        if not self.classes:
            return None
        return self.classes[min(sorted(self.classes), key=lambda named: abs(self.normalise(named) - score))]

    def label(self, score: float) -> Literal["pass", "fail"]:
        """What a score in [0, 1] amounts to."""
        return "pass" if score >= self.pass_threshold else "fail"


def load_rubric(path: Path) -> Rubric:
    """Read a rubric from YAML.

    Raises:
        InputError: the file is missing or is no rubric; names file and line.
    """
    return load_yaml_record(path, Rubric)
