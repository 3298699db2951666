"""What is simulated: a plan's file, a project's plan or one made for a policy alone, and what is taken for true."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from pydantic import ValidationError

from evalharness.judge_error import JudgeError
from evalharness.plan import Looks, Plan, Requirement
from evalharness.plan_inputs import Expected, ExpectedRate
from gates.policy import Policy, load_policy
from gates.simulation import Assumptions
from gates.simulation.imagining import imagined_plan
from golden_sets.errors import InputError
from golden_sets.records import SetKind
from pipelines.attempts import PlanOptions, attempt_plans
from pipelines.expectations import expected_rates, judge_errors
from pipelines.project import MOST_LOOKS, PROJECT_FILE, Project
from pipelines.workspace import Workspace

LOOKS_ALONE = 10
"""How often a run is looked at where a policy stands alone and nobody says."""


@dataclass(frozen=True)
class Wanted:
    """What the caller asks for."""

    policy: Path | None = None
    """The policy's file; None: the project's."""
    plan: Path | None = None
    """A plan's file."""
    project: Path | None = None
    """A project's directory; None: the current one, if it is a project."""
    looks: int | None = None
    """How often the run is looked at."""
    rates: Mapping[str, float] = field(default_factory=dict)
    """What to expect of checks."""
    values: Mapping[str, Sequence[str]] = field(default_factory=dict)
    """Cells of a policy alone: with these, the project counts for nothing but its policy."""
    judge_sensitivity: float | None = None
    judge_specificity: float | None = None
    labels: int | None = None
    controls: int | None = None

    @property
    def judged(self) -> bool:
        """Whether anything is said of a judge."""
        said = (self.judge_sensitivity, self.judge_specificity, self.labels, self.controls)
        return any(value is not None for value in said)

    def judge(self, known: JudgeError) -> JudgeError:
        """A judge's error, as stated where it is."""
        return replace(
            known,
            sensitivity=known.sensitivity if self.judge_sensitivity is None else self.judge_sensitivity,
            specificity=known.specificity if self.judge_specificity is None else self.judge_specificity,
            positives=known.positives if self.controls is None else self.controls,
        )


@dataclass(frozen=True)
class Prepared:
    """What is simulated."""

    policy: Policy
    plan: Plan
    assumptions: Assumptions
    planned: bool
    """False where the plan was made for a policy alone."""
    notes: tuple[str, ...]


def prepare(wanted: Wanted) -> Prepared:
    """Find policy and plan, and what is to be taken for true.

    Raises:
        InputError: no policy, a file that holds no plan or another policy's, options that do not fit together, a rate
            of a check that the policy does not have.
        InfrastructureError: the project's store cannot be opened.
    """
    if wanted.values and (wanted.plan is not None or wanted.project is not None):
        raise InputError("--values names the cells of a policy alone, and a plan has its own", do="leave --values out")
    project = _project(wanted)
    if wanted.policy is None and project is None:
        raise InputError("there is no policy", do="name one with --policy, or a project with --project")
    policy = project.policy.policy if project is not None else load_policy(_given(wanted.policy)).policy
    _require_checks(policy, wanted.rates)
    if wanted.values:
        return _of_policy(policy, wanted)
    if wanted.plan is not None:
        return _of_plan(
            policy, read_plan_file(wanted.plan), wanted, {} if project is None else judge_errors(project, None)
        )
    if project is not None:
        return _of_project(project, policy, wanted)
    return _of_policy(policy, wanted)


def read_plan_file(path: Path) -> Plan:
    """Read what ``relgate plan -o`` writes, or the plan beside evidence.

    Raises:
        InputError: unreadable, no plan, or changed after it was written.
    """
    advice = "name a file that 'relgate plan -o' wrote"
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
        plan = Plan.model_validate(document["plan"])
    except OSError as error:
        raise InputError(f"cannot be read ({error.strerror})", where=path) from error
    except (UnicodeDecodeError, json.JSONDecodeError, KeyError, TypeError) as error:
        raise InputError("holds no plan", where=path, do=advice) from error
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"]))
        raise InputError(f"holds no plan: {place}: {first['msg']}", where=path, do=advice) from error
    if document.get("digest") != plan.digest:
        raise InputError(
            f"the plan has digest {plan.digest}, the file says {document.get('digest')}",
            where=path,
            do="the file was changed after it was written; plan again",
        )
    return plan


def _project(wanted: Wanted) -> Project | None:
    place = wanted.project
    if place is None:
        if not Path(PROJECT_FILE).is_file() or (wanted.plan is not None and wanted.policy is not None):
            return None
        place = Path()
    project = Project.load(place)
    if wanted.policy is None:
        return project
    return replace(project, file=project.file.model_copy(update={"policy": str(wanted.policy.resolve())}))


def _of_plan(policy: Policy, plan: Plan, wanted: Wanted, known: Mapping[str, JudgeError]) -> Prepared:
    if wanted.looks is not None:
        raise InputError("a plan has its own looks", do="leave --looks out, or leave --plan out")
    kinds = _judged_kinds(plan)
    _require_judged(wanted, kinds)
    judges = {kind: wanted.judge(known.get(kind.value, JudgeError())) for kind in kinds}
    return Prepared(policy, plan, _assumptions(wanted, judges), True, tuple(_judge_notes(judges)))


def _of_project(project: Project, policy: Policy, wanted: Wanted) -> Prepared:
    workspace = Workspace.open(project)
    incumbent = workspace.incumbent(None)
    known = None if incumbent is None else workspace.known_evidence(incumbent.digest)
    plan = attempt_plans(workspace, None, (incumbent, workspace.anchor()), PlanOptions(looks=wanted.looks)).next()
    kinds = _judged_kinds(plan)
    _require_judged(wanted, kinds)
    errors = judge_errors(project, known) if kinds else {}
    judges = {kind: wanted.judge(errors[kind.value]) for kind in kinds}
    return Prepared(policy, plan, _assumptions(wanted, judges), True, tuple(_judge_notes(judges)))


def _of_policy(policy: Policy, wanted: Wanted) -> Prepared:
    number = LOOKS_ALONE if wanted.looks is None else wanted.looks
    if not 1 <= number <= MOST_LOOKS:
        raise InputError(f"a run is looked at 1 to {MOST_LOOKS} times, not {number}")
    kinds = _kinds_of(policy)
    if not wanted.judged:
        about = {c.set_kind for c in policy.checks if c.spec.family == "judge"}
        kinds = kinds if None in about else frozenset(kind for kind in about if kind is not None)
    judges = {kind: wanted.judge(JudgeError()) for kind in sorted(kinds)}
    assumptions = _assumptions(wanted, judges)
    imagined = imagined_plan(
        policy,
        _expected(policy, assumptions),
        looks=Looks(fractions=tuple((k + 1) / number for k in range(number))),
        values=wanted.values,
        judges=judges,
        labels_per_arm=wanted.labels,
    )
    alone = "a policy alone: every check is sized for itself, as if there were prompts enough"
    notes = (alone, *imagined.notes, *_judge_notes(judges))
    return Prepared(policy, imagined.plan, assumptions, False, notes)


def _expected(policy: Policy, assumptions: Assumptions) -> ExpectedRate:
    """What the policy says or the planner assumes, unless the caller says otherwise."""
    otherwise = expected_rates(policy, None)

    def expected(requirement: Requirement) -> Expected:
        found = Expected(*otherwise(requirement))
        given = assumptions.rate_of(requirement.check)
        if given is None or requirement.purpose not in ("floor", "ceiling", "margin"):
            return found
        return found._replace(rate=given, source="policy", note=None)

    return expected


def _assumptions(wanted: Wanted, judges: Mapping[SetKind, JudgeError]) -> Assumptions:
    return Assumptions(rates=wanted.rates, judges=judges, labels_per_arm=wanted.labels)


def _judged_kinds(plan: Plan) -> list[SetKind]:
    """Kinds of sets of which answers are labelled because a judge scores them."""
    return sorted({planned.kind for planned in plan.sets.values() if planned.labels_per_arm})


def _kinds_of(policy: Policy) -> frozenset[SetKind]:
    return frozenset(c.set_kind for c in policy.checks if c.set_kind is not None) or frozenset({SetKind.GOLDEN})


def _judge_notes(judges: Mapping[SetKind, JudgeError]) -> list[str]:
    return [
        f"{kind.value} sets are judged: sensitivity {judge.sensitivity:.3g}, specificity {judge.specificity:.3g}"
        + ("" if kind is SetKind.GOLDEN else f", {judge.positives} positive controls")
        for kind, judge in judges.items()
    ]


def _require_checks(policy: Policy, rates: Mapping[str, float]) -> None:
    for name in rates:
        if name.split("/")[0] not in policy.by_id:
            known = ", ".join(sorted(policy.by_id))
            raise InputError(f"--rate: the policy has no check '{name}'", do=f"known are {known}")


def _require_judged(wanted: Wanted, kinds: Sequence[SetKind]) -> None:
    if wanted.judged and not kinds:
        raise InputError("no judge scores the answers of this plan", do="leave the judge's options out")


def _given(path: Path | None) -> Path:
    assert path is not None  # noqa: S101 - the caller looked
    return path
