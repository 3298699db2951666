"""Asking: batch by batch, both arms answer, the judge judges, some answers are labelled; what is known grows."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from evalharness.candidate import Candidate
from evalharness.drawing import PromptId
from evalharness.engines import ServedModel
from evalharness.evidence import Calibration
from evalharness.freshness import ANY_AGE, Freshness
from evalharness.generation import GenerationSettings, generate
from evalharness.generation_records import Generation
from evalharness.judging.controls import JudgedControl
from evalharness.judging.labels_file import LabelBook, LabelUse, label_use, read_labels
from evalharness.judging.to_label import ToLabel, to_label
from evalharness.latency import measure_latency
from evalharness.outcomes import Arm, OutcomeTable
from evalharness.plan import Plan
from evalharness.pricing import usd_of
from evalharness.samples import SampleStore
from evalharness.scoring import Answer, Asked
from golden_sets.digests import Digest, digest_json
from golden_sets.errors import InputError
from golden_sets.reading import LoadedSet
from golden_sets.records import Prompt, PromptSet, SetKind
from pipelines.bench import Bench
from pipelines.fleet import Fleet
from pipelines.judge_run import (
    JudgeRun,
    Verdicts,
    calibrations_of,
    criteria_of,
    key_of,
    label_probabilities,
    rubric_of,
)
from pipelines.probes import RowOf, pair_rows, planted_rows, repeated_rows
from pipelines.progress import Progress
from pipelines.project import Project
from pipelines.refusal_run import RefusalRun, detector_errors, disagreements

FIRST_LABELS = 20
"""Labels per arm of a set's first batch, at least: fewer would say nothing about the judge at the first look."""


@dataclass(frozen=True)
class Arms:
    """Who is compared."""

    candidate: Candidate
    incumbent: Candidate | None
    anchor: Candidate | None = None

    def items(self) -> list[tuple[Arm, Candidate]]:
        """The arms that are there, candidate first."""
        named: list[tuple[Arm, Candidate | None]] = [
            ("candidate", self.candidate),
            ("incumbent", self.incumbent),
            ("anchor", self.anchor),
        ]
        return [(arm, who) for arm, who in named if who is not None]


@dataclass
class Asking:
    """One run of a plan as far as it has come."""

    project: Project
    plan: Plan
    arms: Arms
    store: SampleStore
    fleet: Fleet
    progress: Progress
    freshness: Freshness = ANY_AGE
    """Which stored answers of the candidate are reused; those of the other arms always are."""
    served: dict[Arm, ServedModel] = field(default_factory=dict)
    """The models, once started."""
    generations: dict[Arm, list[Generation]] = field(default_factory=dict)
    """Every answer so far, in the order asked."""
    answers: list[Answer] = field(default_factory=list)
    """The same with judgments, labels and costs, one for each rubric, and those of the latency pass."""
    probes: list[RowOf] = field(default_factory=list)
    """What the judge was asked beside the scores, as rows of the outcome table."""

    def __post_init__(self) -> None:
        panel = self.project.panel
        bench = None if panel is None else Bench(panel, self.store, self.fleet, self.progress)
        self._judging = JudgeRun(self.project, bench)
        self._refusals = RefusalRun(self.project, self.store, self.progress)
        self._book = _book_of(self.project)
        self._prompts = planned_prompts(self.project.sets, self.plan)
        self._controls: list[JudgedControl] | None = None
        self._disagreeing: set[tuple[str, str]] = set()
        self._labelled: set[str] = set()

    @property
    def agreements(self) -> dict[str, Any]:
        """How far several judges agree, by rubric; empty for one judge."""
        return {} if self._judging.bench is None else self._judging.bench.agreements()

    @property
    def warnings(self) -> list[str]:
        """What speaks against the judge for this candidate.

        Raises:
            InputError: judge and candidate have the same weights.
        """
        others = [who for who in (self.arms.incumbent, self.arms.anchor) if who is not None]
        return [*self._judging.warnings(self.arms.candidate), *self._judging.kinship(others)]

    async def start(self) -> None:
        """Serve every arm.

        Raises:
            InfrastructureError: a model does not start.
        """
        named = self.arms.items()
        with self.progress.step(f"starting {' and '.join(who.name for _, who in named)}"):
            found = await asyncio.gather(*(self.fleet.get(who) for _, who in named))
        self.served = {arm: model for (arm, _), model in zip(named, found, strict=True)}

    async def ask(self, batch: Sequence[PromptId]) -> None:
        """Ask every arm these prompts, judge the answers and label some of them.

        Raises:
            InfrastructureError: a model died; everything finished is kept.
        """
        repeats = range(self.plan.repeats)
        asked = [Asked(*self._prompts[key], repeat) for key in batch for repeat in repeats]
        if not asked:
            return
        generations = {arm: await self._generate(arm, who, asked) for arm, who in self.arms.items()}
        verdicts: dict[Arm, Verdicts] = {}
        unlabelled: list[Answer] = []
        for arm, who in self.arms.items():
            self.generations.setdefault(arm, []).extend(generations[arm].values())
            by_judge, detected = await asyncio.gather(
                self._judging.judge(who, asked, generations[arm]), self._refusals.classify(generations[arm].values())
            )
            verdicts[arm] = {**by_judge, **self._refusals.judge(asked, detected)}
            scored = self._scored(arm, who, asked, generations[arm], verdicts[arm])
            unlabelled += [
                replace(
                    answer,
                    response=self._judging.response(answer.asked, verdicts[arm]),
                    detected=None if verdict is None else verdict.label,
                )
                for answer in scored
                for verdict in [detected.get((answer.generation.request_digest, answer.generation.repeat))]
            ]
        disagreeing = disagreements(unlabelled)
        self._disagreeing |= disagreeing
        label_p = self._label(asked, verdicts, disagreeing)
        self.answers += [self._with_label(answer, label_p) for answer in unlabelled]

    async def time(self) -> None:
        """The latency pass: a run of its own, at the plan's load. Nothing happens where the plan has none."""
        if self.plan.latency is None:
            return
        # Never reused across hosts: the run is named for plan, arms and host.
        run = digest_json([self.plan.digest, *(who.digest for _, who in self.arms.items()), socket.gethostname()])
        first: dict[str, Asked] = {}
        for prompt_set, prompt in self._prompts.values():
            first.setdefault(prompt.request_digest, Asked(prompt_set, prompt))
        with self.progress.bar("latency pass", None) as advance:
            timed = await measure_latency(
                {arm: (who, self.served[arm]) for arm, who in self.arms.items() if arm != "anchor"},
                [one.prompt for one in first.values()],
                self.plan.latency,
                self.store,
                run=run,
                seed=self.plan.seed,
                progress=advance,
            )
        for arm, who in self.arms.items():
            self.answers += _timed(arm, who, timed.get(arm, []), first)

    async def probe(self) -> None:
        """What the judge is asked beside the scores, once: pairs of answers, some answers again, planted ones."""
        bench, options = self._judging.bench, self.project.file.judging
        if bench is None:
            return
        judged = [a.asked for a in self.answers if a.arm == "candidate" and a.phase == "quality" and a.judged_by_model]
        controls = [one.control for one in await self._judged_controls()]
        self.probes = [
            *await pair_rows(bench, options, self.answers),
            *await repeated_rows(bench, options, self.answers),
            *await planted_rows(bench, options, judged, controls),
        ]

    def table(self) -> OutcomeTable:
        """The outcomes of everything asked so far."""
        return OutcomeTable.from_rows([*(answer.row() for answer in self.answers), *self.probes])

    @property
    def to_label(self) -> tuple[ToLabel, ...]:
        """The answers that await a label of people."""
        return to_label(self.answers, disagreements=self._disagreeing, seed=self.project.file.labels.seed)

    @property
    def labels_digest(self) -> Digest | None:
        """Digest of the file of people's labels; None without one."""
        return None if self._book is None else self._book.digest

    @property
    def label_use(self) -> LabelUse | None:
        """What became of people's labels; None where they are no source."""
        if self._book is None:
            return None
        return label_use(
            self._book,
            {s.prompt_set.name: {p.id for p in s.prompt_set.prompts} for s in self.project.sets},
            {rubric for a in self.answers if (rubric := a.rubric) is not None},
            {key for a in self.answers if (key := a.label_key) is not None},
        )

    async def calibrations(self) -> tuple[Calibration, ...]:
        """The judge's error as far as it is known."""
        return calibrations_of(self.answers, await self._judged_controls(), self.project.file.labels.source)

    @property
    def detector(self) -> tuple[Calibration, ...]:
        """The refusal detector's error as far as it is known."""
        return detector_errors(self.answers, self.project.file.labels.source)

    @property
    def detector_digest(self) -> Digest | None:
        """Digest of the refusal detector; None where nothing is classified."""
        return self._refusals.digest

    async def _judged_controls(self) -> list[JudgedControl]:
        if self._controls is None:
            self._controls = await self._judging.controls()
        return self._controls

    async def _generate(self, arm: Arm, who: Candidate, asked: Sequence[Asked]) -> dict[tuple[str, int], Generation]:
        """Answers of one arm by (request digest, repeat)."""
        options = self.project.file.generation
        settings = GenerationSettings(
            concurrency=options.concurrency, timeout_s=options.timeout_s, retries=options.retries
        )
        found: list[Generation] = []
        with self.progress.bar(f"{who.name} answers ({arm})", len(asked)) as advance:
            for prompts, freshness in self._by_freshness(arm, asked):
                found += await generate(
                    prompts,
                    who,
                    self.served[arm],
                    self.store,
                    repeats=self.plan.repeats,
                    freshness=freshness,
                    settings=settings,
                    progress=advance,
                )
        return {(g.request_digest, g.repeat): g for g in found}

    def _by_freshness(self, arm: Arm, asked: Sequence[Asked]) -> list[tuple[list[Prompt], Freshness]]:
        """The prompts to ask, with what may be reused for them.

        Failed requests of the candidate's completed run are asked again on safety sets only, where they leave a cell
        incomplete; elsewhere they are outcomes, and asking until they succeed would wash them away.
        """
        prompts = {a.prompt.request_digest: a.prompt for a in asked}
        if arm != "candidate":
            return [(list(prompts.values()), Freshness(self.freshness.ledger_index))]
        if self.freshness.completed is None:
            return [(list(prompts.values()), self.freshness)]
        golden = {a.prompt.request_digest for a in asked if a.kind is SetKind.GOLDEN}
        groups = (
            ([p for d, p in prompts.items() if d in golden], self.freshness),
            ([p for d, p in prompts.items() if d not in golden], replace(self.freshness, completed=None)),
        )
        return [group for group in groups if group[0]]

    def _label(
        self, asked: Sequence[Asked], verdicts: Mapping[Arm, Verdicts], disagreeing: Collection[tuple[str, str]]
    ) -> dict[tuple[str, str], float]:
        """Draw this batch's share of the labels; a set's first batch gets enough to say something."""
        wanted: dict[str, int] = {}
        first: set[str] = set()
        for name in {one.prompt_set.name for one in asked if self.plan.sets[one.prompt_set.name].labels_per_arm}:
            planned = sum(len(stratum.prompts) for stratum in self.plan.sets[name].strata)
            batch = sum(one.prompt_set.name == name and one.repeat == 0 for one in asked)
            share = round(self.plan.sets[name].labels_per_arm * batch / planned)
            if name not in self._labelled:
                first.add(name)
            wanted[name] = max(FIRST_LABELS if name in first else 1, share)
        self._labelled |= first
        seed = self.project.file.labels.seed
        return label_probabilities(asked, verdicts, wanted, seed, first=first, disagreeing=disagreeing)

    def _scored(
        self,
        arm: Arm,
        who: Candidate,
        asked: Sequence[Asked],
        generations: Mapping[tuple[str, int], Generation],
        verdicts: Verdicts,
    ) -> Iterator[Answer]:
        """Every answer of one arm with its score by the prompt's own rubric, then by each further one."""
        found = [generations[a.prompt.request_digest, a.repeat] for a in asked]
        by_checker = {s.prompt_set.name for s in self.project.sets if s.card.scoring == "checker"}
        for one, generation, usd in zip(asked, found, usd_of(found, who.price), strict=True):
            checked = one.prompt_set.name in by_checker
            answer = Answer(
                asked=one,
                arm=arm,
                phase="quality",
                generation=generation,
                usd=usd,
                judgment=None if checked else verdicts.get(key_of(one, rubric_of(one.prompt))),
                by_checker=checked,
                label_source=self.project.file.labels.source,
            )
            yield answer
            for rubric in criteria_of(one):
                judgment = verdicts.get(key_of(one, rubric))
                yield replace(answer, phase="criterion", criterion=rubric, judgment=judgment, by_checker=False)

    def _with_label(self, answer: Answer, label_p: Mapping[tuple[str, str], float]) -> Answer:
        """The answer with what people say of it, and the probability with which it was drawn for labelling."""
        prompt = (answer.asked.prompt_set.name, answer.asked.prompt.id)
        key = answer.label_key
        return replace(
            answer,
            label_p=None if answer.by_checker else label_p.get(prompt),
            person=None if self._book is None or key is None else self._book.labels.get(key),
        )


def planned_prompts(sets: Sequence[LoadedSet], plan: Plan) -> dict[PromptId, tuple[PromptSet, Prompt]]:
    """Every prompt that a plan may ask, with its set.

    Raises:
        InputError: a set changed since the plan was made.
    """
    found = {}
    by_name = {s.prompt_set.name: s.prompt_set for s in sets}
    for name, planned in plan.sets.items():
        prompt_set = by_name.get(name)
        if prompt_set is None or prompt_set.digest != planned.set_digest:
            raise InputError(
                f"set '{name}' is not the one the plan was made for", do="make a new plan, or restore the set"
            )
        prompts = {p.id: p for p in prompt_set.prompts}
        found.update({(name, i): (prompt_set, prompts[i]) for stratum in planned.strata for i in stratum.prompts})
    return found


def _book_of(project: Project) -> LabelBook | None:
    """People's labels; an empty book while there is no file yet.

    Raises:
        InputError: the file is none of labels, or the project names none.
    """
    options = project.file.labels
    if options.source != "file":
        return None
    if options.file is None:
        raise InputError("labels come from a file, and none is named", where=project.path, do="name it: labels.file")
    path = project.at(options.file)
    return read_labels(path) if path.exists() else LabelBook(labels={}, path=path)


def _timed(arm: Arm, who: Candidate, generations: Sequence[Generation], first: Mapping[str, Asked]) -> Iterable[Answer]:
    for generation, usd in zip(generations, usd_of(generations, who.price), strict=True):
        one = first[generation.request_digest]
        yield Answer(Asked(one.prompt_set, one.prompt, generation.repeat), arm, "latency", generation, usd)
