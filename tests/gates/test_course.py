"""The course of a run: what is asked, when a check stops, and that the gate comes to the same end on its own."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from scipy import stats

from evalharness.drawing import sample_of
from evalharness.outcomes import OutcomeTable
from evalharness.plan import Plan
from evalharness.statistics import look_alphas, proportion_lower
from gates.decision import Status, Verdict
from gates.gate import Measured, gate
from golden_sets.errors import InputError
from tests.support.evidence import FLOOR, MARGIN, RELIABILITY, policy
from tests.support.plans import Outcome, evidence_of, looks, plan_of, prompt_set, run

GOLDEN = [prompt_set(easy=4000, hard=4000)]


def passing(seed: int, **rates: float) -> Outcome:
    """Independent passes, the rate by tier (``easy=.95``) or arm (``incumbent=.9``); else .95."""
    drawn: dict[tuple[str, str], float] = {}
    rng = np.random.default_rng(seed)

    def outcome(arm: str, name: str, prompt: str, dimensions: Mapping[str, str]) -> float:
        rate = rates.get(arm, rates.get(dimensions["tier"], 0.95))
        return drawn.setdefault((arm, f"{name}/{prompt}"), float(rng.random() < rate))

    return outcome


class TestOneLook:
    def test_a_plan_with_one_look_decides_like_the_exact_bound_on_its_sample(self) -> None:
        rules = policy(FLOOR)
        plan = plan_of(rules, GOLDEN)
        found, course = run(rules, plan, GOLDEN, passing(1), arms=("candidate",))
        decision = gate(rules, found)
        n = plan.by_check["floor"].n
        k = found.outcomes.numbers("outcome").sum()
        assert len(course.looks) == 1
        assert (decision.verdict is Verdict.PROMOTE) == bool(stats.beta.ppf(0.05, k, n - k + 1) >= 0.9)
        assert decision.checks[0].look == 1

    def test_reliability_counts_every_request_of_the_run(self) -> None:
        rules = policy(RELIABILITY, {**FLOOR, "threshold": 0.5})
        plan = plan_of(rules, GOLDEN, expected={"reliability": 0.9999, "floor": 0.9})
        found, _ = run(rules, plan, GOLDEN, passing(1), arms=("candidate",))
        checks = {c.check: c for c in gate(rules, found).checks}
        assert checks["reliability"].estimate.n == len(found.outcomes) > checks["floor"].estimate.n


class TestLooks:
    rules = policy(FLOOR)

    def plan(self, **options: Any) -> Plan:
        return plan_of(self.rules, GOLDEN, expected=0.94, looks=looks(10, **options), joint_power=0.9)

    def test_a_clearly_better_candidate_stops_early_with_a_pass(self) -> None:
        found, course = run(self.rules, self.plan(), GOLDEN, passing(2, candidate=0.99), arms=("candidate",))
        decision = gate(self.rules, found)
        assert decision.verdict is Verdict.PROMOTE
        assert len(course.looks) < 10
        assert decision.checks[0].look == len(course.looks)
        assert len(found.outcomes) == self.plan().by_check["floor"].looks[len(course.looks) - 1]

    def test_a_clearly_worse_candidate_stops_early_with_a_fail(self) -> None:
        found, course = run(self.rules, self.plan(), GOLDEN, passing(3, candidate=0.7), arms=("candidate",))
        decision = gate(self.rules, found)
        assert decision.verdict is Verdict.BLOCK
        assert len(course.looks) <= 3
        assert course.looks[-1].settled == {"floor": "fail"}

    def test_a_candidate_on_the_limit_stops_when_nothing_is_in_reach(self) -> None:
        stopped = []
        for seed in range(20):
            found, course = run(self.rules, self.plan(), GOLDEN, passing(seed, candidate=0.9), arms=("candidate",))
            decision = gate(self.rules, found)
            stopped.append(course.looks[-1].settled.get("floor"))
            if stopped[-1] == "futile":
                assert decision.verdict is Verdict.INCONCLUSIVE
                assert "in reach" in decision.checks[0].reason
        assert stopped.count("futile") > 10

    def test_without_futility_only_pass_and_fail_stop_early(self) -> None:
        ends = {
            run(self.rules, self.plan(futility=None), GOLDEN, passing(s, candidate=0.9), arms=("candidate",))[1]
            .looks[-1]
            .settled.get("floor")
            for s in range(10)
        }
        assert "futile" not in ends

    @pytest.mark.slow
    def test_a_candidate_on_the_limit_is_promoted_at_most_alpha_of_the_time(self) -> None:
        plan = self.plan(futility=None)
        sizes = plan.by_check["floor"].looks
        promoted = 0
        for seed in range(400):
            # The gate's own bounds at every look, on counts alone: quick enough to repeat.
            passes = np.random.default_rng(seed).random(sizes[-1]) < 0.9
            promoted += self.promotes(plan, passes)
        assert promoted <= stats.binom.ppf(0.999, 400, 0.05)

    def promotes(self, plan: Plan, passes: npt.NDArray[np.bool_]) -> bool:
        sizes = plan.by_check["floor"].looks
        levels = look_alphas(plan.looks.fractions, 0.05, plan.looks.spending)
        counts = np.cumsum(passes)[np.array(sizes) - 1]
        bounds = [
            float(proportion_lower(k, n, confidence=1 - a)) for k, n, a in zip(counts, sizes, levels, strict=True)
        ]
        return max(bounds) >= 0.9

    def test_each_cell_stops_for_itself(self) -> None:
        rules = policy({**FLOOR, "each": ["tier"]})
        plan = plan_of(rules, GOLDEN, expected=0.94, looks=looks(10))
        found, _ = run(rules, plan, GOLDEN, passing(4, easy=0.995, hard=0.93), arms=("candidate",))
        checks = {c.id: c for c in gate(rules, found).checks}
        easy, hard = checks["floor/easy"], checks["floor/hard"]
        assert easy.status is Status.PASS
        assert easy.look is not None
        assert hard.look is not None
        assert easy.look < hard.look
        by_tier = found.outcomes.frame["dim.tier"].value_counts()
        assert by_tier["easy"] == plan.by_check["floor/easy"].looks[easy.look - 1]
        assert by_tier["hard"] == plan.by_check["floor/hard"].looks[hard.look - 1]

    def test_a_failed_request_of_the_candidate_counts_at_every_look(self) -> None:
        def outcome(arm: str, name: str, prompt: str, dimensions: Mapping[str, str]) -> float | None:
            return None if int(prompt.split("-")[1]) % 3 == 0 else 1.0

        found, course = run(self.rules, self.plan(), GOLDEN, outcome, arms=("candidate",))
        assert gate(self.rules, found).verdict is Verdict.BLOCK
        assert len(course.looks) < 5


class TestComparisons:
    rules = policy({**MARGIN, "margin": 0.03})

    def test_both_arms_answer_the_same_prompts_at_every_look(self) -> None:
        plan = plan_of(self.rules, GOLDEN, expected=0.08, looks=looks(5))
        found, _ = run(self.rules, plan, GOLDEN, passing(5, candidate=0.97, incumbent=0.95))
        candidate, incumbent = (found.outcomes.arm(arm).frame for arm in ("candidate", "incumbent"))
        assert set(candidate["prompt_id"]) == set(incumbent["prompt_id"])
        assert gate(self.rules, found).verdict is Verdict.PROMOTE

    def test_a_fixed_anchor_stops_many_small_steps_down(self) -> None:
        rules = policy(
            {**MARGIN, "margin": 0.03},
            {**MARGIN, "id": "anchored", "margin": 0.03, "against": "anchor"},
            anchor="v1",
        )
        plan = plan_of(rules, GOLDEN, expected=0.1)
        found, _ = run(
            rules,
            plan,
            GOLDEN,
            passing(6, candidate=0.80, incumbent=0.81, anchor=0.95),
            arms=("candidate", "incumbent", "anchor"),
        )
        named = found.evidence.model_copy(update={"anchor_name": "v1", "anchor_digest": "sha256:v1"})
        decision = gate(rules, Measured(named, found.outcomes, plan))
        assert decision.ids(Status.FAIL) == ["anchored"]
        assert decision.checks[1].regressed
        assert decision.checks[1].incumbent is not None
        assert decision.checks[1].incumbent.arm == "anchor"

    def test_another_anchor_than_the_policy_names_is_refused(self) -> None:
        rules = policy({**MARGIN, "against": "anchor"}, anchor="v1")
        plan = plan_of(rules, GOLDEN, expected=0.1)
        found, _ = run(rules, plan, GOLDEN, passing(6), arms=("candidate", "anchor"))
        named = found.evidence.model_copy(update={"anchor_name": "v2", "anchor_digest": "sha256:v2"})
        with pytest.raises(InputError, match="anchor 'v1'"):
            gate(rules, Measured(named, found.outcomes, plan))


class TestStages:
    sets = (prompt_set("small-set", easy=600), prompt_set("big-set", easy=3000))
    rules = policy(
        {**FLOOR, "id": "small", "where": {"set_name": "small-set"}},
        {**FLOOR, "id": "big", "where": {"set_name": "big-set"}},
    )

    def plan(self) -> Plan:
        return plan_of(self.rules, self.sets, expected=0.95, stages={"small-set": 1, "big-set": 2})

    def test_a_candidate_that_fails_the_first_stage_never_reaches_the_second(self) -> None:
        found, course = run(self.rules, self.plan(), self.sets, passing(7, candidate=0.5), arms=("candidate",))
        decision = gate(self.rules, found)
        assert decision.verdict is Verdict.BLOCK
        assert course.stopped
        assert set(found.outcomes.frame["set_name"]) == {"small-set"}
        assert decision.ids(Status.INCONCLUSIVE) == ["big"]
        assert "before its stage" in decision.checks[1].reason

    def test_a_candidate_that_passes_goes_through_both(self) -> None:
        found, course = run(self.rules, self.plan(), self.sets, passing(8, candidate=0.98), arms=("candidate",))
        assert gate(self.rules, found).verdict is Verdict.PROMOTE
        assert [look.stage for look in course.looks] == [1, 2]


class TestTheGateTrustsOnlyOutcomes:
    rules = policy(FLOOR)

    def finished(self, **rates: float) -> Measured:
        plan = plan_of(self.rules, GOLDEN, expected=0.94, looks=looks(5))
        return run(self.rules, plan, GOLDEN, passing(9, **rates), arms=("candidate",))[0]

    def test_a_record_that_claims_a_pass_which_the_outcomes_do_not_show_is_an_error(self) -> None:
        found = self.finished(candidate=0.9)
        last = found.evidence.looks[-1].model_copy(update={"settled": {"floor": "pass"}})
        claimed = found.evidence.model_copy(update={"looks": (*found.evidence.looks[:-1], last)})
        with pytest.raises(InputError, match="evidence records look"):
            gate(self.rules, Measured(claimed, found.outcomes, found.plan))

    @pytest.mark.parametrize("kept_looks", [0, 1])
    def test_prompts_left_out_never_promote(self, kept_looks: int) -> None:
        found = self.finished(candidate=0.99)
        assert found.plan is not None
        first = set(sample_of(found.plan, found.plan.by_check["floor"])[:40])
        kept = np.array([("golden-set", i) not in first for i in found.outcomes.frame["prompt_id"]])
        fewer = evidence_of(found.plan, found.outcomes.take(kept), found.evidence.looks[:kept_looks])
        try:
            decision = gate(self.rules, fewer)
        except InputError:
            return
        assert decision.verdict is Verdict.INCONCLUSIVE
        assert "were not asked" in decision.checks[0].reason

    def test_outcomes_after_the_stopping_point_change_nothing(self) -> None:
        found = self.finished(candidate=0.99)
        assert found.plan is not None
        stopped_at = len(found.outcomes)
        everything = sample_of(found.plan, found.plan.by_check["floor"])
        assert stopped_at < len(everything)
        extra = found.outcomes.frame.iloc[: len(everything) - stopped_at].copy()
        extra["prompt_id"] = [prompt for _, prompt in everything[stopped_at:]][: len(extra)]
        extra["outcome"] = 0.0
        longer = OutcomeTable.from_rows(
            [*found.outcomes.frame.to_dict("records"), *extra.assign(cluster=extra["prompt_id"]).to_dict("records")]
        )
        assert gate(self.rules, evidence_of(found.plan, longer, found.evidence.looks)).verdict is Verdict.PROMOTE

    def test_a_plan_for_another_policy_is_no_plan(self) -> None:
        found = self.finished(candidate=0.99)
        other = policy({**FLOOR, "threshold": 0.5})
        decision = gate(other, found)
        assert decision.attempt is None
        assert any("another policy" in note for note in decision.notes)
        assert gate(other, found, require_plan=True).verdict is Verdict.INCONCLUSIVE

    def test_the_plan_must_be_the_one_that_the_evidence_names(self) -> None:
        found = self.finished(candidate=0.99)
        with pytest.raises(InputError, match="not at hand"):
            gate(self.rules, Measured(found.evidence, found.outcomes))
        with pytest.raises(InputError, match="not the one given"):
            gate(self.rules, Measured(found.evidence, found.outcomes, plan_of(self.rules, GOLDEN)))

    def test_answers_that_were_there_before_the_plan_are_never_promoted_on(self) -> None:
        found = self.finished(candidate=0.99)
        looked_at = found.evidence.model_copy(update={"exploratory": 3})
        decision = gate(self.rules, Measured(looked_at, found.outcomes, found.plan))
        assert decision.verdict is Verdict.INCONCLUSIVE
        assert "3 answers" in decision.reason


class TestUnequalCells:
    """A cell with a hard limit is asked more; the pooled number must not lean towards it."""

    sets = (prompt_set(easy=3000, hard=3000),)
    rules = policy(
        {**FLOOR, "id": "easy", "where": {"tier": "easy"}, "threshold": 0.5},
        {**FLOOR, "id": "hard", "where": {"tier": "hard"}, "threshold": 0.65},
        {**FLOOR, "id": "pooled", "threshold": 0.7},
    )

    def test_the_pooled_rate_is_that_of_the_set(self) -> None:
        plan = plan_of(self.rules, self.sets, expected={"easy": 0.9, "hard": 0.7, "pooled": 0.8})
        by_tier = {s.cell["tier"]: len(s.prompts) for s in plan.sets["golden-set"].strata}
        assert by_tier["hard"] > 3 * by_tier["easy"]
        found, _ = run(self.rules, plan, self.sets, passing(10, easy=0.98, hard=0.7), arms=("candidate",))
        estimate = next(c for c in gate(self.rules, found).checks if c.id == "pooled").estimate
        assert estimate.value == pytest.approx(0.84, abs=0.05)
        raw = float(found.outcomes.numbers("outcome").mean())
        assert raw < 0.78
