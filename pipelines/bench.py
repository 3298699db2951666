"""The bench: the judge of a project, or several that vote, served and asked."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from evalharness.candidate import Candidate
from evalharness.generation_records import Judgment
from evalharness.judging.judge import Judge
from evalharness.judging.pairwise import PairItem, PairJudgment, judge_pairwise
from evalharness.judging.panel import Panel, panel_agreement, panel_vote, panel_vote_pairs
from evalharness.judging.pointwise import JudgeItem, judge_pointwise
from evalharness.judging.rubric import Rubric
from evalharness.samples import SampleStore
from pipelines.fleet import Fleet
from pipelines.progress import Progress


class Bench:
    """Asks the judges, one after the other, and lets them vote. What the store holds is not asked again."""

    def __init__(self, panel: Panel, store: SampleStore, fleet: Fleet, progress: Progress) -> None:
        self._panel, self._store, self._fleet, self._progress = panel, store, fleet, progress
        self._said: dict[str, _Said] = {}

    @property
    def judge(self) -> Judge:
        """The first of them: rubrics are the same for all."""
        return self._panel.judges[0]

    def rubric(self, rubric_id: str) -> Rubric:
        """The rubric with this id.

        Raises:
            InputError: the judges have none.
        """
        return self._panel.rubric(rubric_id)

    def warnings(self, candidate: Candidate) -> list[str]:
        """What speaks against these judges for this candidate.

        Raises:
            InputError: a judge and the candidate have the same weights.
        """
        return self._panel.warnings(candidate)

    async def pointwise(
        self, items: Sequence[JudgeItem], rubric_id: str, *, what: str, repeat: int = 0, compare: bool = False
    ) -> list[Judgment]:
        """A verdict on every answer.

        Args:
            items: the answers.
            rubric_id: the rubric.
            what: told to people.
            repeat: 0, 1...: number of the judgment of the same answers.
            compare: whether these answers count for how far several judges agree.

        Raises:
            InfrastructureError: a judge's server died; everything finished is kept.
        """
        rubric, by_judge = self.rubric(rubric_id), dict[str, list[Judgment]]()
        for judge in self._panel.judges:
            served = await self._fleet.get(judge.candidate)
            with self._progress.bar(self._told(what, rubric_id, judge), len(items)) as advance:
                by_judge[judge.name] = await judge_pointwise(
                    items, judge, rubric, served, self._store, repeat=repeat, progress=advance
                )
        if len(by_judge) == 1:
            return by_judge[self.judge.name]
        if compare:
            self._said.setdefault(rubric_id, _Said()).add(by_judge, [item.prompt.unit for item in items])
        return panel_vote(by_judge, self._panel.digest_for(rubric))

    async def pairwise(self, items: Sequence[PairItem], rubric_id: str) -> list[PairJudgment]:
        """A verdict on every pair of answers, in both orders.

        Raises:
            InfrastructureError: a judge's server died; everything finished is kept.
        """
        rubric, by_judge = self.rubric(rubric_id), dict[str, list[PairJudgment]]()
        for judge in self._panel.judges:
            served = await self._fleet.get(judge.candidate)
            with self._progress.bar(self._told("judging pairs", rubric_id, judge), 2 * len(items)) as advance:
                by_judge[judge.name] = await judge_pairwise(items, judge, rubric, served, self._store, progress=advance)
        if len(by_judge) == 1:
            return by_judge[self.judge.name]
        return panel_vote_pairs(by_judge, self._panel.digest_for(rubric))

    def agreements(self) -> dict[str, Any]:
        """How far several judges agree about the answers compared so far, by rubric, as JSON; empty for one judge."""
        return {rubric: said.agreement() for rubric, said in sorted(self._said.items())}

    def _told(self, what: str, rubric_id: str, judge: Judge) -> str:
        return f"{what} ({rubric_id})" if len(self._panel.judges) == 1 else f"{what} ({rubric_id}, {judge.name})"


class _Said:
    """What every judge said about the same answers."""

    def __init__(self) -> None:
        self._by_judge: dict[str, list[Judgment]] = {}
        self._units: list[str] = []

    def add(self, by_judge: dict[str, list[Judgment]], units: Sequence[str]) -> None:
        for name, judgments in by_judge.items():
            self._by_judge.setdefault(name, []).extend(judgments)
        self._units.extend(units)

    def agreement(self) -> dict[str, Any]:
        codes = {unit: code for code, unit in enumerate(dict.fromkeys(self._units))}
        return panel_agreement(self._by_judge, [codes[unit] for unit in self._units]).to_json()
