"""Ask the judge which of two answers is better, in both orders: a verdict that turns with the order is a tie.

Judges prefer places: asking in both orders and taking disagreement as a tie removes what an order adds to either side
(Zheng et al., "Judging LLM-as-a-Judge", NeurIPS 2023, arXiv 2306.05685, section 3.4). Scores and labels are the
candidate's, whatever was shown first.

Where log-probabilities are offered the score is P(candidate's better) + P(tie) / 2, and the label goes by the most
probable of the three.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from evalharness.engines.retrying import GenerationSettings
from evalharness.engines.served import ServedModel
from evalharness.generation import Progress
from evalharness.generation_records import Judgment, ParseStatus
from evalharness.judging.asking import ask_judge
from evalharness.judging.judge import Judge
from evalharness.judging.parsing import Reading
from evalharness.judging.pointwise import digest_of_input, sendable
from evalharness.judging.requesting import Key, Question
from evalharness.judging.rubric import Rubric
from evalharness.judging.structured import Form
from evalharness.samples import SampleStore, SampleWriter
from golden_sets.digests import Digest
from golden_sets.errors import InputError
from golden_sets.records import Prompt

WIN, TIE, LOSS = "win", "tie", "loss"
_WORTH = {WIN: 1.0, TIE: 0.5, LOSS: 0.0}
_LABELS = {worth: label for label, worth in _WORTH.items()}


@dataclass(frozen=True, slots=True)
class PairItem:
    """Two answers to be compared."""

    prompt: Prompt
    """What was asked, with its reference."""
    candidate_text: str
    """What the candidate wrote; may be empty."""
    incumbent_text: str
    """What the incumbent wrote; may be empty."""

    @property
    def input_digest(self) -> Digest:
        """Digest of conversation, reference and both answers: the same for both orders."""
        return digest_of_input(self.prompt, candidate=self.candidate_text, incumbent=self.incumbent_text)

    @property
    def identical(self) -> bool:
        """Whether both answers have the same words."""
        return sendable(self.candidate_text) == sendable(self.incumbent_text)

    def shown(self, order: int) -> tuple[str, str]:
        """The answer shown first and the one shown second."""
        texts = (self.candidate_text, self.incumbent_text)
        return texts if order == 0 else (texts[1], texts[0])


@dataclass(frozen=True, slots=True)
class PairJudgment:
    """What a judge said of two answers, in both orders."""

    first: Judgment
    """The candidate's answer shown first."""
    swapped: Judgment
    """The candidate's answer shown second."""

    @property
    def verdict(self) -> float | None:
        """1 the candidate won, 0 it lost, .5 a tie or verdicts that turn with the order; None: one is unscored."""
        said = {self.first.label, self.swapped.label}
        if None in said:
            return None
        return pair_value(self.first) if len(said) == 1 else _WORTH[TIE]

    @property
    def consistent(self) -> bool | None:
        """Whether both orders gave the same verdict; None: one is unscored."""
        if self.first.label is None or self.swapped.label is None:
            return None
        return self.first.label == self.swapped.label


def pair_value(judgment: Judgment) -> float | None:
    """What one order said: 1 the candidate's answer is better, 0 the incumbent's, .5 neither; None when unscored."""
    return None if judgment.label is None else _WORTH[judgment.label]


async def judge_pairwise(
    items: Sequence[PairItem],
    judge: Judge,
    rubric: Rubric,
    served: ServedModel,
    store: SampleStore,
    *,
    repeat: int = 0,
    settings: GenerationSettings | None = None,
    writer: SampleWriter | None = None,
    progress: Progress | None = None,
) -> list[PairJudgment]:
    """Verdicts on every pair in both orders: from the store where it has them, else from the judge.

    Equal items are judged once. Answers in the same words are a tie that nobody is asked about (``identical``, no
    request, nothing stored).

    Args:
        items: what to compare.
        judge: template for pairs, form, parsing and sampling parameters.
        rubric: one of the judge's rubrics, pairwise.
        served: where the judge is served.
        store: the sample store.
        repeat: 0, 1, ...: repeated judgments of the same pairs, with another seed each.
        settings: concurrency, timeouts, retries of failed requests.
        writer: an open writer to share; by default one is opened for this call.
        progress: told about every finished judgment, two for each pair: (judgments there, judgments wanted).

    Returns:
        One pair of judgments per item, in order. Unscored ones have no score and say why in ``parse_status``.

    Raises:
        InputError: a rubric for single answers.
        InfrastructureError: the judge's server died or fails every request, or the store cannot be written. What was
            finished is stored; a later call goes on from there.
    """
    if rubric.kind != "pairwise":
        raise InputError(
            f"rubric '{rubric.id}' is for single answers", do="write 'kind: pairwise' in a rubric for pairs"
        )
    found = await ask_judge(
        pair_questions([item for item in items if not item.identical], judge, rubric),
        judge,
        rubric,
        served,
        store,
        repeat=repeat,
        settings=settings,
        writer=writer,
        progress=progress,
    )

    def judgment(item: PairItem, order: int) -> Judgment:
        key = (item.input_digest, order)
        return _identical(key, judge, rubric, repeat) if item.identical else found[key]

    return [PairJudgment(judgment(item, 0), judgment(item, 1)) for item in items]


def pair_questions(items: Sequence[PairItem], judge: Judge, rubric: Rubric) -> list[Question]:
    """What the judge is asked about the pairs, two questions each."""
    return [question for item in items for question in _questions(item, judge, rubric)]


def _questions(item: PairItem, judge: Judge, rubric: Rubric) -> Iterator[Question]:
    digest = item.input_digest
    for order, scale in enumerate(judge.pair_scales):

        def message(form: Form, shown: tuple[str, str] = item.shown(order)) -> str:
            return judge.pair_message(rubric, item.prompt, *shown, form)

        yield Question((digest, order), scale, message, _label)


def _label(reading: Reading) -> str:
    return TIE if reading.likeliest is None else _LABELS[reading.likeliest]


def _identical(key: Key, judge: Judge, rubric: Rubric, repeat: int) -> Judgment:
    return Judgment(
        judge_digest=judge.digest_for(rubric),
        rubric_digest=rubric.digest,
        input_digest=key[0],
        order=key[1],
        repeat=repeat,
        score=_WORTH[TIE],
        label=TIE,
        rationale="both answers are the same",
        parse_status=ParseStatus.IDENTICAL,
        attempts=0,
    )
