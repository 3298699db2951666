"""Ask the judge about answers one by one. An answer that is empty is judged like any other, in an empty fence."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

from evalharness.engines.retrying import GenerationSettings
from evalharness.engines.served import ServedModel
from evalharness.generation import Progress
from evalharness.generation_records import Judgment
from evalharness.judging.asking import ask_judge
from evalharness.judging.judge import Judge
from evalharness.judging.parsing import Reading, Scale
from evalharness.judging.requesting import Question
from evalharness.judging.rubric import Rubric
from evalharness.judging.structured import Form
from evalharness.samples import SampleStore, SampleWriter
from golden_sets.digests import Digest, digest_json
from golden_sets.errors import InputError
from golden_sets.records import Prompt


@dataclass(frozen=True, slots=True)
class JudgeItem:
    """One answer to be judged."""

    prompt: Prompt
    """What was asked, with its reference."""
    answer_text: str
    """What the candidate wrote; may be empty."""

    @property
    def input_digest(self) -> Digest:
        """Digest of what the judge is shown besides the rubric: conversation, reference and answer."""
        return digest_of_input(self.prompt, answer=self.answer_text)


async def judge_pointwise(
    items: Sequence[JudgeItem],
    judge: Judge,
    rubric: Rubric,
    served: ServedModel,
    store: SampleStore,
    *,
    repeat: int = 0,
    settings: GenerationSettings | None = None,
    writer: SampleWriter | None = None,
    progress: Progress | None = None,
) -> list[Judgment]:
    """A judgment of every item under one rubric: from the store where it has one, else from the judge.

    New judgments go into the store. Equal items (two arms often give the same answer) are judged once.

    Args:
        items: what to judge.
        judge: template, form, parsing and sampling parameters.
        rubric: one of the judge's rubrics, pointwise.
        served: where the judge is served.
        store: the sample store.
        repeat: 0, 1, ...: repeated judgments of the same items, with another seed each.
        settings: concurrency, timeouts, retries of failed requests.
        writer: an open writer to share; by default one is opened for this call.
        progress: told about every finished judgment: (judgments there, judgments wanted).

    Returns:
        One judgment per item, in order. Unscored ones have no score and say why in ``parse_status``.

    Raises:
        InputError: a rubric for pairs.
        InfrastructureError: the judge's server died or fails every request, or the store cannot be written. What was
            finished is stored; a later call goes on from there.
    """
    if rubric.kind != "pointwise":
        raise InputError(f"rubric '{rubric.id}' is for pairs of answers, not for single ones")
    questions = score_questions(items, judge, rubric)
    found = await ask_judge(
        questions,
        judge,
        rubric,
        served,
        store,
        repeat=repeat,
        settings=settings,
        writer=writer,
        progress=progress,
    )
    return [found[question.key] for question in questions]


def score_questions(items: Sequence[JudgeItem], judge: Judge, rubric: Rubric) -> list[Question]:
    """What the judge is asked about the items, one question each."""
    scale = judge.score_scale(rubric)
    return [_question(item, judge, rubric, scale) for item in items]


def digest_of_input(prompt: Prompt, **answers: str) -> Digest:
    """Digest of conversation, reference and named answers."""
    return digest_json(
        {
            "messages": [message.to_json() for message in prompt.messages],
            "reference": prompt.reference,
            **{name: sendable(text) for name, text in answers.items()},
        }
    )


def sendable(text: str) -> str:
    """A text with what UTF-8 cannot hold (half a surrogate pair) replaced, as the judge is shown it."""
    return text.encode("utf-8", "replace").decode("utf-8")


def _question(item: JudgeItem, judge: Judge, rubric: Rubric, scale: Scale) -> Question:
    def message(form: Form) -> str:
        return judge.message(rubric, item.prompt, item.answer_text, form)

    return Question((item.input_digest, 0), scale, message, partial(_label, rubric))


def _label(rubric: Rubric, reading: Reading) -> str:
    return rubric.label(reading.score or 0.0)
