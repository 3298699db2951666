"""Replays of shadow validation: a small-routed request is answered by both models, and both answers are scored."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from pydantic import ValidationError

from evalharness.candidate import Candidate
from evalharness.checkers import check
from evalharness.generation import GenerationSettings, generate
from evalharness.generation_records import Generation, Judgment
from evalharness.judging.pointwise import JudgeItem
from evalharness.pricing import usd_of
from evalharness.text_rows import TextRows
from golden_sets.errors import InputError
from golden_sets.reading import read_set
from golden_sets.records import Checker, Message, Prompt
from pipelines.bench import Bench
from pipelines.fleet import Fleet
from pipelines.progress import Progress
from pipelines.workspace import Workspace
from router_training.records import RouterManifest
from router_training.shadow.store import Scored, Waiting

SCORE_COLUMNS = ("id", "prompt", "small_score", "flagship_score", "small_usd", "flagship_usd")


class Scorer(Protocol):
    """Whoever scores replays."""

    async def score(self, waiting: Sequence[Waiting]) -> list[Scored]:
        """Both scores of every request, in order; None where there is none."""
        ...


class FileScorer:
    """Scores measured elsewhere, found by the request's id, else by its prompt.

    Args:
        path: CSV or JSONL with ``small_score`` and ``flagship_score``, and ``id`` or ``prompt`` or both.
        columns: our name to theirs.
        where: ``column: value`` that rows must have.

    Raises:
        InputError: a missing column, or a score that is not in [0, 1].
    """

    def __init__(self, path: Path, columns: Mapping[str, str], where: Mapping[str, str]) -> None:
        required = (("small_score",), ("flagship_score",), ("id", "prompt"))
        rows = TextRows.of(path, where, columns, SCORE_COLUMNS, required=required)
        scores = {name: rows.numbers(name) for name in ("small_score", "flagship_score")}
        for name, values in scores.items():
            rows.refuse(name, (values < 0) | (values > 1), "is not in [0, 1]", do="scale the scores to [0, 1]")
        usd = {name: rows.numbers_at_least_zero(name) for name in ("small_usd", "flagship_usd")}
        self._rows = [
            tuple(None if math.isnan(value) else value for value in row)
            for row in zip(*(values.tolist() for values in (*scores.values(), *usd.values())), strict=True)
        ]
        self._by_id = _first_rows(rows.texts("id").to_pylist())
        self._by_prompt = _first_rows(rows.texts("prompt").to_pylist())
        self.missing = 0
        """Replays for which the file holds nothing."""

    async def score(self, waiting: Sequence[Waiting]) -> list[Scored]:
        """Both scores of every request, in order; None where the file has none."""
        found = []
        for one in waiting:
            row = self._by_id.get(one.id, self._by_prompt.get(one.prompt.strip()))
            self.missing += row is None
            found.append(Scored(one.number, None, None) if row is None else Scored(one.number, *self._rows[row]))
        return found


class ModelScorer:
    """Asks both models and the project's judge. What the sample store holds is not asked again.

    Args:
        workspace: the project at work.
        fleet: where models are served.
        manifest: of the router; its models must be these.
        progress: tells people.
        rubric: id of the rubric by which answers are judged where the log names none; default: that of the project's
            routing sets, or the judge's only pointwise one.
        rate: replays per second, at most.

    Raises:
        InputError: the project names no router's models, or the router was made for others.
    """

    def __init__(
        self,
        workspace: Workspace,
        fleet: Fleet,
        manifest: RouterManifest,
        progress: Progress,
        *,
        rubric: str | None,
        rate: float,
    ) -> None:
        project = workspace.project
        if project.file.router is None:
            raise InputError(
                "the project names no models to replay requests on",
                where=project.path,
                do="name them under 'router' (small, flagship), or give scores with --scores",
            )
        self._small = project.candidate(project.file.router.small)
        self._flagship = project.candidate(project.file.router.flagship)
        for role, candidate in (("small", self._small), ("flagship", self._flagship)):
            pinned = getattr(manifest, role)
            if pinned is not None and pinned != candidate.digest:
                raise InputError(
                    f"the router was made for another {role} model ({pinned}) than '{candidate.name}'",
                    where=project.path,
                    do="train a router for the models of this project",
                )
        self._workspace, self._fleet, self._rate, self._progress = workspace, fleet, rate, progress
        self._bench = None if project.panel is None else Bench(project.panel, workspace.store, fleet, progress)
        self._rubric = rubric if rubric is not None else _default_rubric(workspace)
        if self._bench is not None and self._rubric is not None:
            self._bench.rubric(self._rubric)
        options = project.file.generation
        self._settings = GenerationSettings(
            concurrency=options.concurrency, timeout_s=options.timeout_s, retries=options.retries
        )

    async def score(self, waiting: Sequence[Waiting]) -> list[Scored]:
        """Both scores of every request, in order; a failed request scores 0, one that nobody can score None.

        Raises:
            InfrastructureError: a model or the judge died; what was finished is stored.
        """
        size = max(1, math.ceil(self._rate))
        found: list[Scored] = []
        with self._progress.bar("replaying", len(waiting)) as advance:
            for start in range(0, len(waiting), size):
                began = time.monotonic()
                part = waiting[start : start + size]
                found += await self._score(part)
                advance(len(found), len(waiting))
                if start + size < len(waiting):
                    await asyncio.sleep(max(0.0, len(part) / self._rate - (time.monotonic() - began)))
        return found

    async def _score(self, waiting: Sequence[Waiting]) -> list[Scored]:
        prompts = [_prompt(one, self._rubric) for one in waiting]
        small, small_usd = await self._answers(self._small, prompts)
        flagship, flagship_usd = await self._answers(self._flagship, prompts)
        scores = await self._scores(prompts * 2, [*small, *flagship])
        n = len(waiting)
        return [
            Scored(one.number, scores[k], scores[n + k], small_usd[k], flagship_usd[k]) for k, one in enumerate(waiting)
        ]

    async def _answers(
        self, candidate: Candidate, prompts: Sequence[Prompt]
    ) -> tuple[list[Generation], list[float | None]]:
        served = await self._fleet.get(candidate)
        found = await generate(prompts, candidate, served, self._workspace.store, settings=self._settings)
        return found, usd_of(found, candidate.price)

    async def _scores(self, prompts: Sequence[Prompt], answers: Sequence[Generation]) -> list[float | None]:
        found: list[float | None] = [None] * len(prompts)
        wanted: dict[str, list[int]] = {}
        for row, (prompt, answer) in enumerate(zip(prompts, answers, strict=True)):
            if answer.error is not None:
                found[row] = 0.0
            elif prompt.checker is not None:
                found[row] = float(check(prompt.checker, answer.text))
            else:
                wanted.setdefault(prompt.rubric or "", []).append(row)
        for rubric, rows in sorted(wanted.items()):
            items = [JudgeItem(prompts[row], answers[row].text) for row in rows]
            judgments = await self._judging(rubric).pointwise(items, rubric, what="judging replays")
            for row, judgment in zip(rows, judgments, strict=True):
                found[row] = _score_of(judgment)
        return found

    def _judging(self, rubric: str) -> Bench:
        if self._bench is not None and rubric:
            return self._bench
        known = ", ".join(one.id for one in self._workspace.project.rubrics)
        raise InputError(
            f"the judge has several rubrics ({known})" if self._bench is not None else "the project names no judge",
            where=self._workspace.project.path,
            do="name the rubric for replayed answers with --rubric or in every line of the log"
            if self._bench is not None
            else "name one under 'judge', give scores with --scores, or checkers in the log",
        )


def _prompt(waiting: Waiting, rubric: str | None) -> Prompt:
    """A replayed request as a prompt.

    Raises:
        InputError: the log says something of its checker or reference that cannot be used.
    """
    expected: Mapping[str, Any] = waiting.expected or {}
    try:
        return Prompt(
            id=waiting.id,
            messages=(Message(role="user", content=waiting.prompt),),
            reference=expected.get("reference"),
            rubric=expected.get("rubric") or rubric,
            checker=None if expected.get("checker") is None else Checker.model_validate(expected["checker"]),
        )
    except ValidationError as error:
        first = error.errors()[0]
        raise InputError(
            f"request '{waiting.id}' cannot be replayed: {'.'.join(map(str, first['loc']))}: {first['msg']}",
            do="correct what the log says of its reference, rubric or checker",
        ) from error


def _score_of(judgment: Judgment) -> float | None:
    if judgment.score is not None:
        return judgment.score
    return None if judgment.label is None else float(judgment.label == "pass")


def _default_rubric(workspace: Workspace) -> str | None:
    """The rubric of the project's routing sets, else the judge's only one for single answers; None: it is not clear."""
    project = workspace.project
    cards = () if project.file.router is None else project.file.router.sets
    of_sets = {prompt.rubric for card in cards for prompt in read_set(project.at(card)).prompt_set.prompts}
    of_judge = {rubric.id for rubric in project.rubrics if rubric.kind == "pointwise"}
    return next((next(iter(found)) for found in (of_sets, of_judge) if len(found) == 1), None)


def _first_rows(texts: Sequence[str | None]) -> dict[str, int]:
    found: dict[str, int] = {}
    for row, text in enumerate(texts):
        if text is not None:
            found.setdefault(text, row)
    return found
