"""Prompt sets, plans made for them by the planner, and runs of those plans with outcomes that a test decides."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from evalharness.evidence import Calibration, Look
from evalharness.outcomes import OutcomeTable
from evalharness.plan import Looks, Plan, Requirement
from evalharness.planning import PlanInputs, RateSource, make_plan
from evalharness.spending import Spending
from gates.course import Course
from gates.gate import Measured
from gates.policy import Policy
from gates.requirements import requirements
from golden_sets.digests import digest_json
from golden_sets.records import Message, Prompt, PromptSet, SetKind
from tests.support.evidence import Row, measured

Outcome = Callable[[str, str, str, Mapping[str, str]], float | None]
"""``outcome(arm, set name, prompt id, dimensions)``: 1.0, 0.0, or None for a failed request."""


def prompt_set(name: str = "golden-set", kind: str = "golden", **cells: int) -> PromptSet:
    """A set with so many prompts of each tier, e.g. ``easy=300, hard=100``."""
    prompts = [
        Prompt(
            id=f"{tier}-{i}", messages=(Message(role="user", content=f"{name} {tier} {i}"),), dimensions={"tier": tier}
        )
        for tier, count in cells.items()
        for i in range(count)
    ]
    return PromptSet(name=name, version="1", kind=SetKind(kind), prompts=tuple(prompts))


def looks(number: int, *, futility: Spending | None = "cubic") -> Looks:
    """Equally spaced looks, with giving up."""
    return Looks(fractions=tuple((k + 1) / number for k in range(number)), futility=futility)


def plan_of(
    policy: Policy,
    sets: Sequence[PromptSet],
    *,
    expected: float | Mapping[str, float] = 0.95,
    stages: Mapping[str, int] | None = None,
    **options: Any,
) -> Plan:
    """The planner's plan; ``expected``: the rate that every check is sized for, or one by check id."""

    def rate(requirement: Requirement) -> tuple[float | None, RateSource]:
        if requirement.limit is None:
            return None, "none"
        name = requirement.check.split("/")[0]
        return (expected if isinstance(expected, float) else expected[name]), "policy"

    inputs: dict[str, Any] = {
        "name": "test",
        "lineage": "flagship/test",
        "policy_digest": policy.digest,
        "sets": sets,
        "requirements": requirements(policy, sets),
        "expected": rate,
        "incumbent_digest": digest_json("incumbent"),
        "judge_digest": None,
        "alpha": policy.alpha,
        "joint_power": policy.joint_power,
        "repeats": 1,
        "seed": 0,
        "labels_per_arm": 0,
        "latency": None,
        "judged_kinds": frozenset(),
        "stages": stages or {},
    }
    return make_plan(PlanInputs(**{**inputs, **options}))


def run(
    policy: Policy,
    plan: Plan,
    sets: Sequence[PromptSet],
    outcome: Outcome,
    *,
    arms: Sequence[str] = ("candidate", "incumbent"),
    calibrations: Sequence[Calibration] = (),
) -> tuple[Measured, Course]:
    """Run a plan as the pipeline does: ask what the course wants, look, go on."""
    course, asked = Course(policy, plan), list[Row]()
    prompts = {(s.name, p.id): (s, p) for s in sets for p in s.prompts}
    while (batch := course.wanted()) is not None:
        asked += [_row(arm, *prompts[key], outcome) for key in batch for arm in arms]
        course.look(OutcomeTable.from_rows(asked), calibrations)
    return evidence_of(plan, OutcomeTable.from_rows(asked), course.looks, calibrations), course


def evidence_of(
    plan: Plan, table: OutcomeTable, recorded: Sequence[Look], calibrations: Sequence[Calibration] = ()
) -> Measured:
    """Evidence of a run of a plan."""
    found = measured(table, sets=plan.set_digests, calibrations=calibrations)
    named = {
        "plan_digest": plan.digest,
        "plan_index": 1,
        "looks": tuple(recorded),
        "incumbent_digest": plan.incumbent_digest,
        "anchor_digest": plan.anchor_digest,
        "judge_digest": plan.judge_digest,
    }
    evidence = found.evidence.model_copy(update=named)
    return Measured(evidence, table, plan)


def _row(arm: str, of: PromptSet, prompt: Prompt, outcome: Outcome) -> Row:
    found = outcome(arm, of.name, prompt.id, prompt.dimensions)
    return {
        "arm": arm,
        "phase": "quality",
        "set_kind": of.kind.value,
        "set_name": of.name,
        "prompt_id": prompt.id,
        "prompt_digest": prompt.digest,
        "cluster": prompt.id,
        "outcome": found,
        "error": "timeout" if found is None else None,
        "scored_by": "checker",
        **{f"dim.{key}": value for key, value in prompt.dimensions.items()},
    }
