"""Several judges vote: one judgment for each answer, and how far the judges agree.

More than half of all members must say the same: a member whose output cannot be read abstains, and an abstention never
turns a minority into a majority. Otherwise the answer is unscored. Judges of several families share fewer biases than
one large judge (Verga et al., "Replacing Judges with Juries", arXiv 2404.18796). Their agreement says how hard the
answers are to judge, not whether the judges are right: that is what labels are for.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from evalharness.candidate import Candidate
from evalharness.generation_records import Judgment, ParseStatus
from evalharness.judging.family import family_guard
from evalharness.judging.judge import Judge
from evalharness.judging.pairwise import PairJudgment
from evalharness.judging.rubric import Rubric
from evalharness.statistics import (
    Interval,
    clustered_proportion_interval,
    fleiss_kappa_interval,
    pairwise_agreement_interval,
)
from golden_sets.digests import Digest, digest_json
from golden_sets.errors import InputError


@dataclass(frozen=True)
class Panel:
    """Judges that vote. Its identity follows from theirs, in any order; that of one judge is the judge's own.

    Raises:
        InputError: no judge; two of one name or of the same weights; rubrics that are not the same for all.
    """

    judges: tuple[Judge, ...]

    def __post_init__(self) -> None:
        """Refuse a panel whose votes would not be those of different judges about the same thing."""
        if not self.judges:
            raise InputError("a panel needs at least one judge")
        for one, other in combinations(self.judges, 2):
            _check_pair(one, other)

    @property
    def digest(self) -> Digest:
        """Identity for votes on one answer."""
        return _digest_over(judge.digest for judge in self.judges)

    @property
    def pair_digest(self) -> Digest:
        """Identity for votes on two answers."""
        return _digest_over(judge.pair_digest for judge in self.judges)

    def digest_for(self, rubric: Rubric) -> Digest:
        """Identity for votes by this rubric."""
        return self.pair_digest if rubric.kind == "pairwise" else self.digest

    def rubric(self, rubric_id: str) -> Rubric:
        """The rubric with this id, the same for all judges.

        Raises:
            InputError: they have none.
        """
        return self.judges[0].rubric(rubric_id)

    def warnings(self, candidate: Candidate) -> list[str]:
        """What speaks against these judges for this candidate, see `family.family_guard`.

        Raises:
            InputError: a judge has the weights of the candidate.
        """
        return [warning for judge in self.judges if (warning := family_guard(judge, candidate)) is not None]


def panel_vote(by_judge: Mapping[str, Sequence[Judgment]], judge_digest: Digest) -> list[Judgment]:
    """One judgment per item: the label that more than half of the judges give.

    The score is the mean of those judges' scores, so that it never contradicts the label. Without such a majority the
    item is unscored, as an error where a failed request is to blame for it. ``rationale`` has what each judge wrote.

    Args:
        by_judge: name of a judge -> its judgments of the items, all in the same order.
        judge_digest: the panel's.

    Raises:
        InputError: no judge, or judgments that are not about the same items.
    """
    return [_vote(dict(zip(by_judge, said, strict=True)), judge_digest) for said in _by_item(by_judge)]


def panel_vote_pairs(by_judge: Mapping[str, Sequence[PairJudgment]], judge_digest: Digest) -> list[PairJudgment]:
    """One pair of judgments per item; each order is voted on by itself. Arguments and errors as `panel_vote`."""
    first = panel_vote({name: [pair.first for pair in pairs] for name, pairs in by_judge.items()}, judge_digest)
    swapped = panel_vote({name: [pair.swapped for pair in pairs] for name, pairs in by_judge.items()}, judge_digest)
    return [PairJudgment(one, other) for one, other in zip(first, swapped, strict=True)]


@dataclass(frozen=True)
class PanelAgreement:
    """How far judges agree, labels against labels. An unscored judgment agrees with nothing."""

    items: int
    """Answers judged."""
    kappa: Interval
    """Fleiss' kappa over all judges."""
    agreement: Interval
    """Share of pairs of judges that agree on an answer, over all answers."""
    by_pair: Mapping[tuple[str, str], Interval]
    """The same for each two judges."""
    unscored: Mapping[str, int]
    """Judgments without a score, by judge."""
    split: Interval
    """Share of answers on which the judges were not of one mind."""
    undecided: int
    """Answers for which no label had more than half of the judges."""

    def to_json(self) -> dict[str, Any]:
        """Plain data; two judges' names are joined by a slash."""
        return {
            "items": self.items,
            "kappa": self.kappa.to_json(),
            "agreement": self.agreement.to_json(),
            "by_pair": {" / ".join(pair): found.to_json() for pair, found in self.by_pair.items()},
            "unscored": dict(self.unscored),
            "split": self.split.to_json(),
            "undecided": self.undecided,
        }


def panel_agreement(
    by_judge: Mapping[str, Sequence[Judgment]], clusters: ArrayLike | None = None, *, confidence: float = 0.95
) -> PanelAgreement:
    """How far the judges of a panel agree.

    Args:
        by_judge: name of a judge -> its judgments of the items, all in the same order; at least two judges.
        clusters: shape (items,), one code per item (prompts that share one are not independent); None: all are.
        confidence: in (0, 1).

    Raises:
        InputError: fewer than two judges, no items, or judgments that are not about the same items.
    """
    if len(by_judge) < 2:
        raise InputError("agreement takes at least two judges")
    items = _by_item(by_judge)
    if not items:
        raise InputError("no judgments to compare")
    labels = sorted({one.label for said in items for one in said if one.label is not None})
    codes = {label: float(code) for code, label in enumerate(labels)}
    ratings = np.array([[np.nan if one.label is None else codes[one.label] for one in said] for said in items])
    categories = max(2, len(labels))
    of_one_mind = (ratings == ratings[:, :1]).all(axis=1)
    names = list(by_judge)
    return PanelAgreement(
        items=len(items),
        kappa=fleiss_kappa_interval(ratings, clusters, categories=categories, confidence=confidence),
        agreement=pairwise_agreement_interval(ratings, clusters, categories=categories, confidence=confidence),
        by_pair={
            (names[i], names[j]): pairwise_agreement_interval(
                ratings[:, [i, j]], clusters, categories=categories, confidence=confidence
            )
            for i, j in combinations(range(len(names)), 2)
        },
        unscored={name: sum(one.label is None for one in said) for name, said in by_judge.items()},
        split=clustered_proportion_interval((~of_one_mind).astype(np.float64), clusters, confidence=confidence),
        undecided=sum(_majority(said) is None for said in items),
    )


def _vote(said: Mapping[str, Judgment], judge_digest: Digest) -> Judgment:
    judgments = list(said.values())
    label = _majority(judgments)
    scores = [one.score for one in judgments if one.label == label and one.score is not None]
    statuses = {one.parse_status for one in judgments}
    if label is not None:
        status = ParseStatus.IDENTICAL if statuses == {ParseStatus.IDENTICAL} else ParseStatus.VOTE
    else:
        status = ParseStatus.ERROR if ParseStatus.ERROR in statuses else ParseStatus.UNPARSED
    return replace(
        judgments[0],
        judge_digest=judge_digest,
        score=None if label is None else sum(scores) / len(scores),
        label=label,
        rationale="\n\n".join(
            f"{name} ({one.label or one.parse_status.value}): {one.rationale}" for name, one in said.items()
        ),
        parse_status=status,
        attempts=sum(one.attempts for one in judgments),
    )


def _majority(said: Sequence[Judgment]) -> str | None:
    """The label that more than half of all judges give."""
    votes = Counter(one.label for one in said if one.label is not None)
    label, count = votes.most_common(1)[0] if votes else ("", 0)
    return label if 2 * count > len(said) else None


def _by_item(by_judge: Mapping[str, Sequence[Judgment]]) -> list[tuple[Judgment, ...]]:
    """What all judges said, item by item.

    Raises:
        InputError: no judge, or judgments that are not about the same items.
    """
    if not by_judge:
        raise InputError("a vote takes at least one judge")
    if len({len(said) for said in by_judge.values()}) > 1:
        raise InputError("the judges did not judge equally many items")
    items = list(zip(*by_judge.values(), strict=True))
    for number, said in enumerate(items, start=1):
        if len({(one.rubric_digest, one.input_digest, one.order, one.repeat) for one in said}) > 1:
            raise InputError(f"the judges' judgments number {number} are not about the same")
    return items


def _digest_over(digests: Iterable[Digest]) -> Digest:
    several = sorted(digests)
    return several[0] if len(several) == 1 else digest_json(several)


def _check_pair(one: Judge, other: Judge) -> None:
    if one.name == other.name:
        raise InputError(f"two judges are named '{one.name}'", do="give each a name of its own")
    ours, theirs = one.candidate.manifest, other.candidate.manifest
    if ours.weights_digest == theirs.weights_digest and ours.adapter == theirs.adapter:
        raise InputError(
            f"judges '{one.name}' and '{other.name}' have the same weights: their votes would be one counted twice",
            do="keep one of the two",
        )
    differing = {(rubric.id, rubric.digest) for rubric in one.rubrics} ^ {(r.id, r.digest) for r in other.rubrics}
    if differing:
        raise InputError(
            f"judges '{one.name}' and '{other.name}' do not share the rubric '{min(differing)[0]}'",
            do="name the same rubric files in both judge files",
        )
