"""Labels of a router from a project: both models answer the prompts of some sets, and the answers are scored.

What the sample store holds is not asked again, so labels grow with the sets, and a run that was cut short goes on.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from evalharness.allocating import stratified
from evalharness.candidate import Candidate
from evalharness.drawing import PromptId
from evalharness.event_loop import run_async
from evalharness.evidence import Calibration
from evalharness.outcomes import OutcomeTable
from evalharness.plan import Plan, PlannedSet
from golden_sets.errors import InputError
from golden_sets.reading import LoadedSet
from golden_sets.records import Prompt, SetKind
from pipelines.asking import Arms, Asking
from pipelines.fleet import Fleet
from pipelines.progress import Progress
from pipelines.project import Project
from pipelines.workspace import Workspace
from router_training.labels import LabelledPrompts, pairs_from_outcomes

LABELS_PER_ARM = 100
"""Answers of either model on every judged set whose truth people are asked for, to measure the judge's error. Where the
prompts' own checkers tell it, every answer gets its label: the release of a router rests on the difference of two
routers, which a few labels cannot tell from the judge's error."""


@dataclass(frozen=True, eq=False)
class RouterLabels:
    """What both models made of the prompts."""

    labelled: LabelledPrompts
    """The prompts with both scores."""
    outcomes: OutcomeTable
    """Every outcome, the flagship's as candidate, the small model's as incumbent."""
    calibrations: tuple[Calibration, ...]
    """The judge's error, as far as it is known."""
    generated: int
    """Answers that were asked for now; the others were in the store."""
    judged: int
    """Verdicts that were asked for now."""
    warnings: tuple[str, ...]
    """What speaks against the judge for these models."""


async def label_prompts(
    workspace: Workspace,
    small: Candidate,
    flagship: Candidate,
    sets: Sequence[LoadedSet],
    *,
    fleet: Fleet,
    progress: Progress,
) -> RouterLabels:
    """Let both models answer every prompt of some golden sets, and score the answers.

    Args:
        workspace: the project at work: its judge, options and sample store.
        small: the small model.
        flagship: the flagship.
        sets: the sets.
        fleet: who serves.
        progress: who is told.

    Raises:
        InputError: no set, one that is not golden, both models the same, a judge that is one of the models or does not
            know a rubric, or nothing could be scored.
        InfrastructureError: a model does not start or dies; everything finished is kept.
    """
    _check(workspace.project, small, flagship, sets)
    project, store = _labelling(workspace.project, sets), workspace.store
    plan = _everything(project, small, sets)
    asking = Asking(project, plan, Arms(flagship, small), store, fleet, progress)
    warnings, before = asking.warnings, store.counts()
    await asking.start()
    for name, planned in plan.sets.items():
        await asking.ask([(name, prompt) for stratum in planned.strata for prompt in stratum.prompts])
    table, after = asking.table(), store.counts()
    prompts: dict[PromptId, Prompt] = {
        (one.prompt_set.name, prompt.id): prompt for one in sets for prompt in one.prompt_set.prompts
    }
    return RouterLabels(
        labelled=pairs_from_outcomes(table, prompts),
        outcomes=table,
        calibrations=await asking.calibrations(),
        generated=after["generations"] - before["generations"],
        judged=after["judgments"] - before["judgments"],
        warnings=tuple(warnings),
    )


def labels_of_project(
    workspace: Workspace, small: Candidate, flagship: Candidate, sets: Sequence[LoadedSet], progress: Progress
) -> RouterLabels:
    """The same with models of its own, which are stopped at the end.

    Raises:
        InputError: as `label_prompts`.
        InfrastructureError: as `label_prompts`.
    """

    async def label() -> RouterLabels:
        async with Fleet(workspace.project.logs) as fleet:
            return await label_prompts(workspace, small, flagship, sets, fleet=fleet, progress=progress)

    return run_async(label())


def _check(project: Project, small: Candidate, flagship: Candidate, sets: Sequence[LoadedSet]) -> None:
    if not sets:
        raise InputError("there is no set to label", where=project.path, do="name cards with --set or router.sets")
    if small.digest == flagship.digest:
        raise InputError(f"'{small.name}' and '{flagship.name}' are the same model", do="name two")
    for one in sets:
        if one.prompt_set.kind is not SetKind.GOLDEN:
            what = f"set '{one.prompt_set.name}' is of kind {one.prompt_set.kind.value}: its scores are no quality"
            raise InputError(what, where=one.path, do="label a router with golden sets")


def _labelling(project: Project, sets: Sequence[LoadedSet]) -> Project:
    """The project with these sets in place of its own, and nothing wanted of the answers but scores."""
    cards = tuple(str(one.path.resolve()) for one in sets)
    refusals = project.file.refusals.model_copy(update={"classify": False})
    update = {"sets": cards, "controls": None, "latency": None, "refusals": refusals}
    return replace(project, file=project.file.model_copy(update=update))


def _everything(project: Project, small: Candidate, sets: Sequence[LoadedSet]) -> Plan:
    """A plan that asks every prompt of the sets and decides nothing."""
    judged = {one.prompt_set.name for one in sets if one.card.scoring != "checker"}
    planned = {one.prompt_set.name: stratified(one.prompt_set, (), seed=project.file.seed) for one in sets}
    return Plan(
        name=f"{project.file.name}: labels",
        lineage="router/labels",
        policy_digest=project.policy.policy.digest,
        sets={
            name: one.model_copy(update={"labels_per_arm": _labels(project, one) if name in judged else 0})
            for name, one in planned.items()
        },
        incumbent_digest=small.digest,
        judge_digest=project.judge_digest,
        alpha=project.policy.policy.alpha,
        joint_power=0,
        repeats=project.file.generation.repeats,
        seed=project.file.seed,
        cells=(),
    )


def _labels(project: Project, planned: PlannedSet) -> int:
    """Answers of either model on a judged set whose truth is asked for."""
    there = sum(len(stratum.prompts) for stratum in planned.strata)
    return there if project.file.labels.source == "checker" else min(there, LABELS_PER_ARM)
