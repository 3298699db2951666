"""The bench: the judge of a project, or several that vote, served and asked."""

from __future__ import annotations

from collections.abc import Sequence

from evalharness.candidate import Candidate
from evalharness.generation_records import Judgment
from evalharness.judging.family import family_guard
from evalharness.judging.judge import Judge
from evalharness.judging.pairwise import PairItem, PairJudgment, judge_pairwise
from evalharness.judging.pointwise import JudgeItem, judge_pointwise
from evalharness.judging.rubric import Rubric
from evalharness.samples import SampleStore
from pipelines.fleet import Fleet
from pipelines.progress import Progress


class Bench:
    """Asks the judges. What the store holds is not asked again."""

    def __init__(self, judges: Sequence[Judge], store: SampleStore, fleet: Fleet, progress: Progress) -> None:
        self._judges, self._store, self._fleet, self._progress = tuple(judges), store, fleet, progress

    @property
    def judge(self) -> Judge:
        """The first of them: rubrics are the same for all."""
        return self._judges[0]

    def rubric(self, rubric_id: str) -> Rubric:
        """The rubric with this id.

        Raises:
            InputError: the judges have none.
        """
        return self.judge.rubric(rubric_id)

    def warnings(self, candidate: Candidate) -> list[str]:
        """What speaks against these judges for this candidate.

        Raises:
            InputError: a judge and the candidate have the same weights.
        """
        found = (family_guard(judge, candidate) for judge in self._judges)
        return [warning for warning in found if warning is not None]

    async def pointwise(
        self, items: Sequence[JudgeItem], rubric_id: str, *, what: str, repeat: int = 0
    ) -> list[Judgment]:
        """A verdict on every answer.

        Raises:
            InfrastructureError: a judge's server died; everything finished is kept.
        """
        judge = self.judge
        served = await self._fleet.get(judge.candidate)
        with self._progress.bar(f"{what} ({rubric_id})", len(items)) as advance:
            return await judge_pointwise(
                items, judge, judge.rubric(rubric_id), served, self._store, repeat=repeat, progress=advance
            )

    async def pairwise(self, items: Sequence[PairItem], rubric_id: str) -> list[PairJudgment]:
        """A verdict on every pair of answers, in both orders.

        Raises:
            InfrastructureError: a judge's server died; everything finished is kept.
        """
        judge = self.judge
        served = await self._fleet.get(judge.candidate)
        with self._progress.bar(f"judging in pairs ({rubric_id})", 2 * len(items)) as advance:
            return await judge_pairwise(items, judge, judge.rubric(rubric_id), served, self._store, progress=advance)
