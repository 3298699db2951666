"""The simulation decides as the gate does: the same counts, as outcomes of prompts, get the same verdicts."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from evalharness.judge_error import JudgeError
from gates.simulation import Assumptions
from gates.simulation.batches import Batch
from gates.simulation.layout import lay_out
from gates.simulation.sampling import Sampler
from gates.simulation.worlds import at_multiple, better_by, expected_world
from golden_sets.records import SetKind
from tests.gates.simulation.replay import gate_on
from tests.support.evidence import policy
from tests.support.plans import looks, plan_of, prompt_set

SETS = [prompt_set("g", easy=600, hard=500), prompt_set("a", "adversarial", low=400, high=400)]
POLICY = policy(
    {"id": "margin", "metric": "pass_rate", "test": "non_inferiority", "margin": 0.12},
    {"id": "floor", "metric": "pass_rate", "test": "floor", "threshold": 0.7, "each": ["tier"]},
    {"id": "violations", "metric": "violation_rate", "test": "ceiling", "threshold": 0.1, "each": ["tier"]},
)
APART = 0.01
"""Share of releases in which a p-value beside alpha may fall on the other side: exact p-values of pairs are tabulated
to a few per cent of themselves, and the gate's exact bound is searched for."""
EXPECTED = {"margin": 0.15, "floor": 0.86, "violations": 0.01}
JUDGES = {kind: JudgeError(0.92, 0.93, 60) for kind in SetKind}


def agreeing(
    number: int,
    *,
    stages: Mapping[str, int] | None = None,
    judges: Mapping[SetKind, JudgeError] | None = None,
    releases: int = 10,
) -> tuple[int, int, set[str]]:
    """Of how many simulated releases verdict, statuses and prompts asked are the gate's own; and the verdicts seen."""
    plan = plan_of(POLICY, SETS, expected=EXPECTED, looks=looks(number), stages=stages or {})
    if judges:
        labelled = {name: planned.model_copy(update={"labels_per_arm": 200}) for name, planned in plan.sets.items()}
        plan = plan.model_copy(update={"sets": labelled})
    layout, assumptions = lay_out(POLICY, plan), Assumptions(judges=judges or {})
    expected, _ = expected_world(layout, assumptions)
    worlds = [
        expected,
        better_by(layout, expected, -0.08),
        at_multiple(layout, expected, 0.0),
        at_multiple(layout, expected, -0.6),
    ]
    same, seen = 0, set()
    for scenario, world in enumerate(worlds):
        batch = Batch.of(Sampler(layout, assumptions), world, (7, 0, scenario), releases)
        runs = batch.runs()
        for release in range(releases):
            decision, prompts = gate_on(batch, release, SETS)
            verdict = "promote" if runs.promoted[release] else "block" if runs.blocked[release] else "inconclusive"
            passed = [laid.id for k, laid in enumerate(layout.checks) if runs.passed[k, release]]
            same += (
                decision.verdict.value == verdict
                and prompts == runs.prompts[release]
                and (verdict == "block" or passed == [c.id for c in decision.checks if c.status.value == "pass"])
            )
            seen.add(verdict)
    return same, releases * len(worlds), seen


class TestAgreesWithTheGate:
    @pytest.mark.slow
    def test_one_look(self) -> None:
        same, total, seen = agreeing(1, releases=30)
        assert same >= total * (1 - APART)
        assert seen == {"promote", "block", "inconclusive"}

    @pytest.mark.slow
    def test_looks_and_stages(self) -> None:
        same, total, seen = agreeing(3, stages={"a": 2}, releases=12)
        assert same >= total * (1 - APART)
        assert seen == {"promote", "block", "inconclusive"}

    @pytest.mark.slow
    def test_a_judge_with_labels_and_controls(self) -> None:
        same, total, seen = agreeing(1, judges=JUDGES, releases=15)
        assert same >= total * (1 - APART)
        assert {"block", "inconclusive"} <= seen

    @pytest.mark.slow
    def test_a_judge_and_looks(self) -> None:
        same, total, seen = agreeing(3, judges=JUDGES, releases=10)
        assert same >= total * (1 - APART)
        assert {"block", "inconclusive"} <= seen
