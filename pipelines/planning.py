"""From a project to its plan: the policy's checks as requirements, what to expect, what it may cost, what it lacks."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from evalharness.allocating import DeclaredWeight
from evalharness.candidate import Candidate
from evalharness.cell_sizes import SIZED
from evalharness.evidence import Evidence
from evalharness.judging.planted import planted_suite
from evalharness.plan import Looks, Plan
from evalharness.planning import PlanInputs, joint_power, make_plan
from gates.policy import Policy
from gates.requirements import requirements
from golden_sets.digests import Digest, digest_bytes
from golden_sets.errors import InfrastructureError, InputError
from golden_sets.yaml_files import read_yaml
from pipelines.budgets import Limits, fitted
from pipelines.expectations import expected_rates, judge_errors
from pipelines.project import MOST_LOOKS, Project
from pipelines.totals import Costing, totals

__all__ = ["Shortfall", "plan_for", "require_power", "shortfalls", "totals"]

POWER_LEEWAY = 0.002
"""Power that rounding may take."""
MOST_TOLD = 5
"""Checks that a message names at most."""


def plan_for(
    project: Project,
    incumbent: Candidate | None,
    known: Evidence | None = None,
    *,
    candidate: Candidate | None = None,
    anchor: Candidate | None = None,
    attempt: int = 1,
    looks: int | None = None,
    budget: float | None = None,
    deadline: float | None = None,
    requests_per_second: float | None = None,
) -> Plan:
    """The plan of a project.

    The subject is no part of a plan: it says what any candidate of the lineage will be asked. Its price is, because
    the checks on cost depend on it.

    Args:
        project: policy, sets, judge and options.
        incumbent: whom the candidate is compared with.
        known: earlier evidence in which the incumbent was the subject: base rates come from it.
        candidate: whose price counts; nothing else of it does.
        anchor: the fixed version that the policy's anchor checks compare with.
        attempt: which attempt of the lineage on these sets it is.
        looks: how often the run is looked at; default: as the project says.
        budget: USD that the run may cost, all arms together.
        deadline: seconds that the run may take, all arms together.
        requests_per_second: how fast the engine answers, for budget and deadline; default: as measured.

    Raises:
        InputError: a check that matches no prompt, or cannot be sized; no file of controls; a budget or deadline that
            nothing fits, or that cannot be told.
        InfrastructureError: the file of controls cannot be read.
    """
    policy, sets = project.policy.policy, [s.prompt_set for s in project.sets]
    also = _also(project, incumbent, candidate)
    judged = [s for s in project.sets if s.card.scoring != "checker"]
    inputs = PlanInputs(
        name=project.file.name,
        lineage=project.lineage,
        policy_digest=policy.digest,
        sets=sets,
        requirements=requirements(
            policy,
            sets,
            attempt=attempt,
            where=project.policy.where,
            checked=[s.prompt_set.name for s in project.sets if s.card.scoring == "checker"],
        ),
        expected=expected_rates(policy, known),
        incumbent_digest=None if incumbent is None else incumbent.digest,
        judge_digest=project.judge_digest,
        alpha=policy.alpha_of(attempt),
        attempt=attempt,
        anchor_digest=None if anchor is None else anchor.digest,
        looks=looks_of(project, looks),
        weights=declared_weights(project),
        stages={s.prompt_set.name: s.card.stage for s in project.sets},
        joint_power=policy.joint_power,
        repeats=project.file.generation.repeats,
        seed=project.file.seed,
        labels_per_arm=policy.labels_per_arm,
        latency=project.file.latency,
        judged_kinds=frozenset(s.prompt_set.kind.value for s in judged),
        judged_sets=frozenset(s.prompt_set.name for s in judged),
        judges=judge_errors(project, known) if judged else {},
        also=also,
    )
    limits = Limits(usd=budget, seconds=deadline)
    if not limits.any:
        return make_plan(inputs)
    costing = Costing(
        project,
        {"candidate": candidate or incumbent, "incumbent": incumbent, "anchor": anchor},
        known,
        requests_per_second,
    )
    return fitted(lambda share: make_plan(replace(inputs, share=share)), costing, limits)


@dataclass(frozen=True)
class Shortfall:
    """A check whose sample is too small for its part of the joint power."""

    check: str
    """The check, with its cell."""
    power: float
    """Chance that it passes at the expected rate."""
    wanted: float
    """Chance that it was to have."""
    n: int
    """Prompts it rests on."""
    n_wanted: int | None
    """Prompts it would take; None: no number would do."""

    @property
    def text(self) -> str:
        """The same for people."""
        takes = "no number of prompts would do" if self.n_wanted is None else f"it takes {self.n_wanted}"
        return f"{self.check}: power {self.power:.2f} of {self.wanted:.2f} with {self.n} prompts, {takes}"


def shortfalls(plan: Plan) -> list[Shortfall]:
    """The checks below their part of the joint power, the worst first."""
    sized = [cell for cell in plan.cells if cell.purpose in SIZED]
    share = max((c.power_wanted for c in sized if c.power_wanted is not None), default=plan.joint_power)
    found = [
        Shortfall(c.check, c.power or 0.0, share, c.n, c.n_wanted or None)
        for c in sized
        if (c.power or 0.0) < share - POWER_LEEWAY
    ]
    return sorted(found, key=lambda one: one.power)


def require_power(plan: Plan, policy: Policy) -> None:
    """A plan must have the joint power that its policy wants.

    Raises:
        InputError: it has less; the worst checks are named, with the prompts they would take.
    """
    reached = joint_power(plan.cells)
    if reached >= policy.joint_power - POWER_LEEWAY:
        return
    short = shortfalls(plan)
    worst = "; ".join(one.text for one in short[:MOST_TOLD])
    more = f"; and {len(short) - MOST_TOLD} more" if len(short) > MOST_TOLD else ""
    raise InputError(
        f"the plan has a joint power of {reached:.2f}, policy '{policy.name}' wants {policy.joint_power:.2f}: "
        f"{worst}{more}",
        do="add prompts (see 'relgate plan'), loosen the limits, or pass --accept-power",
    )


def looks_of(project: Project, number: int | None = None) -> Looks:
    """When a run is looked at: as the project says, or ``number`` times.

    Raises:
        InputError: less than one look, or more than the project file may ask for.
    """
    declared = project.file.looks
    wanted = declared.number if number is None else number
    if not 1 <= wanted <= MOST_LOOKS:
        raise InputError(f"a run is looked at 1 to {MOST_LOOKS} times, not {wanted}")
    fractions = tuple((k + 1) / wanted for k in range(wanted))
    return Looks(fractions=fractions, spending=declared.spending, futility=declared.futility)


def declared_weights(project: Project) -> dict[str, tuple[DeclaredWeight, ...]]:
    """The weights that a project declares, with their places.

    Raises:
        InputError: a set that the project does not have, or a group that is no ``dimension=value``.
    """
    if not project.file.weights:
        return {}
    document = read_yaml(project.path)
    known = [s.prompt_set.name for s in project.sets]
    found = {}
    for name, groups in project.file.weights.items():
        if name not in known:
            raise InputError(
                f"weights: there is no set '{name}'",
                where=document.where("weights", name),
                do=f"the sets are {', '.join(known)}",
            )
        found[name] = tuple(
            DeclaredWeight(_group(text, where), weight, where)
            for text, weight in groups.items()
            for where in [document.where("weights", name, text)]
        )
    return found


def _group(text: str, where: str) -> dict[str, str]:
    cell = {}
    for part in text.split(","):
        key, equals, value = (piece.strip() for piece in part.partition("="))
        if not (key and equals and value):
            raise InputError(
                f"weights: '{text}' names no group of prompts", where=where, do="write it as dimension=value"
            )
        cell[key] = value
    return cell


def _also(project: Project, incumbent: Candidate | None, candidate: Candidate | None) -> dict[str, Any]:
    """What decides the numbers beside policy, sets, judge and sizes: see `Plan.inputs`."""
    arms = {"candidate": candidate, "incumbent": incumbent}
    return {
        "labels": {"source": project.file.labels.source, "seed": project.file.labels.seed},
        "controls": _controls_digest(project),
        "rubrics": {r.id: r.digest for r in project.rubrics},
        "judging": _judging(project),
        "detector": project.detector_digest,
        "prices": {name: arm.price.to_json() if arm and arm.price else None for name, arm in arms.items()},
    }


def _judging(project: Project) -> dict[str, Any] | None:
    """What is asked of the judges beside the scores; None where nothing is judged."""
    if project.panel is None:
        return None
    pairs = project.panel.pair_digest if project.file.judging.pairwise is not None else None
    return {**project.file.judging.to_json(), "judge_of_pairs": pairs, "suite": planted_suite().digest}


def _controls_digest(project: Project) -> Digest | None:
    if project.file.controls is None:
        return None
    path = project.at(project.file.controls)
    try:
        return digest_bytes(path.read_bytes())
    except FileNotFoundError as error:
        raise InputError("the file of controls does not exist", where=path, do="check 'controls'") from error
    except OSError as error:
        raise InfrastructureError(f"cannot be read: {error.strerror}", where=path) from error
