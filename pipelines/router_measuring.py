"""Measuring a router for its release: a plan for the frozen test, both routers on it, and the evidence made of that."""

from __future__ import annotations

import platform
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import numpy as np

from evalharness.drawing import PromptId
from evalharness.estimates import all_estimates
from evalharness.evidence import Evidence, Provenance
from evalharness.outcomes import OutcomeTable
from evalharness.plan import Plan, Requirement
from evalharness.plan_inputs import Expected
from evalharness.planning import PlanInputs, make_plan
from gates.course import Course
from gates.policy import PolicyFile
from gates.requirements import requirements
from golden_sets.digests import Digest, digest_bytes
from golden_sets.version import relgate_version
from router_training.frozen_test import FrozenTest
from router_training.latency import time_prompts
from router_training.router import Router

LEAST_TIMED = 600
"""Decisions that are timed at least: a bound on p99 takes 299."""
MOST_TIMED = 2000
"""Prompts that are timed at most."""


@dataclass(frozen=True)
class NamedRouter:
    """A router with the name it is registered under."""

    name: str
    router: Router

    @property
    def digest(self) -> Digest:
        """Digest of its manifest."""
        return self.router.digest


def plan_for_test(
    test: FrozenTest,
    policy: PolicyFile,
    incumbent: Digest,
    *,
    name: str,
    lineage: str,
    attempt: int,
    routes: Mapping[str, Digest] | None,
) -> Plan:
    """What a router is asked: the whole frozen test, once. What else decides the numbers is an input of the plan."""
    return make_plan(
        PlanInputs(
            name=name,
            lineage=lineage,
            policy_digest=policy.policy.digest,
            sets=test.sets,
            requirements=requirements(policy.policy, test.sets, attempt=attempt, where=policy.where),
            expected=_unknown,
            incumbent_digest=incumbent,
            judge_digest=test.judge,
            alpha=policy.policy.alpha_of(attempt),
            attempt=attempt,
            joint_power=policy.policy.joint_power,
            repeats=1,
            seed=0,
            labels_per_arm=0,
            latency=None,
            judged_kinds=frozenset(),
            also={"answers": test.answers_digest, "routes": None if routes is None else dict(routes)},
        )
    )


def _unknown(_requirement: Requirement) -> Expected:
    """Nothing is expected: the test is there, and every check takes all of it."""
    return Expected(None, "none")


def routes_of(router: Router) -> dict[str, Digest] | None:
    """The models a router was made for; None where it names none."""
    named = {"small": router.manifest.small, "flagship": router.manifest.flagship}
    return {role: digest for role, digest in named.items() if digest is not None} or None


def decision_times(test: FrozenTest, router: Router, *, seed: int = 0) -> dict[PromptId, list[float]]:
    """How long the router computes to decide on prompts of the test, one at a time, on one thread, seconds.

    A test with fewer than `LEAST_TIMED` prompts is gone through several times, in another order each time.
    """
    prompts = list(test.texts)
    rng = np.random.default_rng(seed)
    rounds = max(1, -(-LEAST_TIMED // len(prompts)))
    order = np.concatenate([rng.permutation(len(prompts)) for _ in range(rounds)])[: max(LEAST_TIMED, MOST_TIMED)]
    found: dict[PromptId, list[float]] = {}
    seconds = time_prompts(router, [test.texts[prompts[row]] for row in order])
    for row, took in zip(order.tolist(), seconds.tolist(), strict=True):
        found.setdefault(prompts[row], []).append(took)
    return found


def measure_routers(
    test: FrozenTest,
    plan: Plan,
    policy: PolicyFile,
    candidate: NamedRouter,
    incumbent: NamedRouter,
    *,
    plan_index: int,
    details: Mapping[str, Any],
) -> tuple[Evidence, OutcomeTable]:
    """Send the frozen test through both routers, and make evidence of it.

    Args:
        test: prompts and both models' answers.
        plan: the plan, recorded before.
        policy: the policy it was made for.
        candidate: who is to be released.
        incumbent: whom it is compared with.
        plan_index: place of the plan in the ledger.
        details: what else is worth keeping, plain JSON.
    """
    started = _now()
    ours = test.sent(candidate.router, decision_times(test, candidate.router))
    theirs = test.sent(incumbent.router, decision_times(test, incumbent.router))
    table = test.outcomes(ours, theirs)
    course = Course(policy.policy, plan)
    while course.wanted() is not None:
        course.look(table, test.calibrations)
    evidence = Evidence(
        subject_name=candidate.name,
        subject_digest=candidate.digest,
        subject_kind="router",
        routes=routes_of(candidate.router),
        incumbent_name=incumbent.name,
        incumbent_digest=incumbent.digest,
        set_digests=plan.set_digests,
        judge_digest=test.judge,
        calibrations=test.calibrations,
        plan_digest=plan.digest,
        plan_index=plan_index,
        looks=tuple(course.looks),
        outcomes=digest_bytes(table.to_parquet()),
        outcome_rows=len(table),
        estimates=all_estimates(table, test.calibrations, plan),
        provenance=Provenance(
            relgate=relgate_version(),
            python=platform.python_version(),
            platform=platform.platform(),
            started_at=started,
            finished_at=_now(),
            details=dict(details),
        ),
    )
    return evidence, table


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
