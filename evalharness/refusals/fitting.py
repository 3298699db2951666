"""A detector fitted on a user's labels, and what it would do on answers it has not seen."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from evalharness.answer_classes import AnswerClass
from evalharness.near_duplicates import near_duplicates
from evalharness.refusals.broken import why_broken
from evalharness.refusals.detector import RefusalDetector
from evalharness.refusals.detector_files import Training
from evalharness.refusals.encoder import shared_encoder
from evalharness.refusals.features import Matrix, features
from evalharness.refusals.folds import held_out_folds
from evalharness.refusals.logistic import Choice, Problem, choose, fit_head
from evalharness.refusals.segments import Segments
from golden_sets.digests import digest_json
from golden_sets.errors import InputError

FEWEST_OF_A_CLASS = 10
"""Fewest refusals, and fewest compliances, to fit on."""
FEWEST_PARTIAL = 20
"""Fewest partial and fewest full refusals to learn the difference from; with fewer, the shipped detector tells it."""
FOLDS = 5
"""Parts of the prompts, each held out once."""

Progress = Callable[[int, int], None]
"""Called with the folds that are done and their number."""


@dataclass(frozen=True)
class TrainingAnswers:
    """Answers with what people say of them, as numbers."""

    matrix: Matrix
    """Features, one row per answer that can be read."""
    labels: tuple[AnswerClass, ...]
    """What is true of each."""
    units: npt.NDArray[np.int64]
    """Prompt, near-duplicates taken together: rows of one unit stay on one side of a fold."""
    doubles: npt.NDArray[np.int64]
    """Answer, near-duplicates taken together: none is fitted on when another one of its kind is held out."""
    groups: npt.NDArray[np.str_] | None
    """What is held out in turn, e.g. the model; None: nothing beyond the prompts."""
    rows: tuple[int, ...]
    """Place of each answer in what was given."""
    has_prompts: bool
    """Whether it is known what each answers."""
    broken: int
    """Answers that were left out because they are empty or broken."""
    source: str
    """Where they come from."""
    digest: str
    """Digest of texts and labels."""

    @classmethod
    def of(
        cls,
        texts: Sequence[str],
        labels: Sequence[AnswerClass],
        *,
        prompts: Sequence[str] | None = None,
        groups: Sequence[str] | None = None,
        source: str = "labelled answers",
    ) -> TrainingAnswers:
        """Read the answers.

        Args:
            texts: the answers.
            labels: what each is: full compliance, partial refusal or full refusal.
            prompts: what each answers; None: every answer counts as one to a prompt of its own.
            groups: what is to be held out in turn when the detector is measured.
            source: where they come from, for the record.

        Raises:
            InputError: sequences of different lengths, a label ``empty_or_broken``, or too few of a class.
            InfrastructureError: the encoder is missing.
        """
        for name, values in (("labels", labels), ("prompts", prompts), ("groups", groups)):
            if values is not None and len(values) != len(texts):
                raise InputError(f"{len(values)} {name} for {len(texts)} answers")
        if AnswerClass.EMPTY_OR_BROKEN in labels:
            raise InputError("'empty_or_broken' is told by rules, not learnt", do="leave these rows out")
        segments = [Segments.of(text) for text in texts]
        rows = tuple(row for row, one in enumerate(segments) if why_broken(one) is None)
        kept = tuple(labels[row] for row in rows)
        _check_enough(kept, source)
        doubles = near_duplicates([texts[row] for row in rows])
        return cls(
            matrix=features([segments[row] for row in rows], shared_encoder(), RefusalDetector.shipped().sentences),
            labels=kept,
            units=doubles if prompts is None else near_duplicates([prompts[row] for row in rows]),
            doubles=doubles,
            groups=None if groups is None else np.array([groups[row] for row in rows]),
            rows=rows,
            has_prompts=prompts is not None,
            broken=len(texts) - len(rows),
            source=source,
            digest=digest_json([[text, label] for text, label in zip(texts, labels, strict=True)]),
        )

    @property
    def refusing(self) -> npt.NDArray[np.bool_]:
        """Whether each is a refusal, full or partial."""
        return np.array([label is not AnswerClass.FULL_COMPLIANCE for label in self.labels])

    @property
    def partial(self) -> npt.NDArray[np.bool_]:
        """Whether each is a partial refusal."""
        return np.array([label is AnswerClass.PARTIAL_REFUSAL for label in self.labels])


def fit_refusals(answers: TrainingAnswers) -> RefusalDetector:
    """Fit a detector on labelled answers.

    Logistic regression on phrases, sentences and their mean embeddings, with an L2 penalty towards a
    multiple of the shipped detector, its strength chosen by cross-validation over prompts (`logistic`). The difference
    between partial and full refusals is learnt where there are at least 20 of either, else it is the shipped one's.

    Raises:
        InfrastructureError: the encoder is missing.
    """
    refusing, partial = answers.refusing, answers.partial
    shipped = RefusalDetector.shipped()
    problem = Problem(answers.matrix, refusing, prior=shipped.refusal)
    choice = _choose(answers, problem, np.arange(len(answers.labels)))
    refusal = fit_head(problem, choice)
    refusals = np.flatnonzero(refusing)
    learnt = min(int(partial.sum()), len(refusals) - int(partial.sum())) >= FEWEST_PARTIAL
    if learnt:
        splitting = Problem(answers.matrix[refusals], partial[refusals], prior=shipped.partial)
        split = fit_head(splitting, _choose(answers, splitting, refusals))
    else:
        split = shipped.partial
    training = Training(
        source=answers.source,
        rows=len(answers.labels),
        refusals=len(refusals),
        partial=int(partial.sum()) if learnt else 0,
        penalty=choice.penalty,
        embedding_scale=choice.embedding_scale,
        data=answers.digest,
    )
    return RefusalDetector.of(shipped.sentences, refusal, split, training)


def cross_validate(answers: TrainingAnswers, progress: Progress | None = None) -> npt.NDArray[np.float64]:
    """Probability of a refusal for every answer, shape (n,), by a detector that has seen nothing like it.

    Five parts of the prompts are held out in turn, and where groups are given, every group in turn as well: a row of
    group g and part k is judged by a fit on rows of other groups *and* other parts, less those whose answer is a
    near-duplicate of one held out. The regularisation is chosen anew within each. NaN where nothing could be fitted
    (one class only).
    """
    problem = Problem(answers.matrix, answers.refusing, prior=RefusalDetector.shipped().refusal)
    folds = held_out_folds(answers.units, answers.groups, FOLDS, doubles=answers.doubles)
    found = np.full(len(answers.labels), np.nan)
    for done, (train, test) in enumerate(folds, 1):
        known = problem.rows(train)
        if len(np.unique(known.truth)) == 2:
            found[test] = fit_head(known, _choose(answers, known, train)).probabilities(answers.matrix[test])
        if progress is not None:
            progress(done, len(folds))
    return found


def _choose(answers: TrainingAnswers, problem: Problem, rows: npt.NDArray[np.int64]) -> Choice:
    # Prompts are held out here, not groups: with few of those, every choice would be an accident.
    return choose(problem, held_out_folds(answers.units[rows], None, FOLDS, doubles=answers.doubles[rows]))


def _check_enough(labels: Sequence[AnswerClass], source: str) -> None:
    compliances = sum(label is AnswerClass.FULL_COMPLIANCE for label in labels)
    for count, name in ((compliances, "compliances"), (len(labels) - compliances, "refusals")):
        if count < FEWEST_OF_A_CLASS:
            raise InputError(
                f"{count} labelled {name} that can be read; at least {FEWEST_OF_A_CLASS} are needed",
                where=source,
                do="label more answers, or check which labels count as refusals",
            )
