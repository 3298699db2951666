"""Simulated chances against exact ones, computed without any simulation."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from scipy import stats

from evalharness.judge_error import JudgeError
from evalharness.plan import LatencyLoad, Plan
from evalharness.statistics import (
    binomial_path,
    floor_counts,
    look_alphas,
    paired_p_value,
    power_for_limit,
    quantile_ranks,
    violation_upper,
)
from gates.policy import Policy
from gates.simulation import Assumptions, OperatingCharacteristics, operating_characteristics
from golden_sets.records import SetKind
from tests.support.evidence import policy
from tests.support.plans import looks, plan_of, prompt_set

RELEASES = 20_000
FLOOR = {"id": "floor", "metric": "pass_rate", "test": "floor", "threshold": 0.8}


def simulated(found: Policy, plan: Plan, **options: Any) -> OperatingCharacteristics:
    return operating_characteristics(found, plan, Assumptions(**options), releases=RELEASES)


def close(estimate: float, truth: float) -> bool:
    """Within 4.5 standard errors: a right simulation misses once in 150,000 times."""
    return abs(estimate - truth) <= 4.5 * math.sqrt(max(truth * (1 - truth), 1e-4) / RELEASES)


class TestFloor:
    @pytest.mark.parametrize("rate", [0.82, 0.87, 0.95])
    def test_one_look(self, rate: float) -> None:
        checked = policy(FLOOR)
        plan = plan_of(checked, [prompt_set(easy=400)], expected=0.87).model_copy(update={"latency": None})
        found = simulated(checked, plan, rates={"floor": rate})
        (cell,) = found.cells
        n = plan.cells[0].n
        assert close(cell.power, power_for_limit(n, 0.8, rate, direction="floor"))
        assert close(found.at_limit[0].passes, power_for_limit(n, 0.8, 0.8, direction="floor"))
        assert close(found.all_at_limit.block, stats.binom.cdf(floor_counts([n], 0.8, [0.05], [0.05])[1][0], n, 0.8))

    @pytest.mark.parametrize("rate", [0.8, 0.84, 0.9])
    def test_many_looks(self, rate: float) -> None:
        checked = policy(FLOOR)
        plan = plan_of(checked, [prompt_set(easy=900)], expected=0.86, looks=looks(6, futility=None))
        sizes = list(plan.cells[0].looks)
        alphas = look_alphas(plan.looks.fractions, 0.05, "quadratic")
        path = binomial_path(sizes, *floor_counts(sizes, 0.8, alphas, alphas), rate)
        found = simulated(checked, plan, rates={"floor": rate}) if rate > 0.8 else simulated(checked, plan)
        ended = found.a_a if rate > 0.8 else found.all_at_limit
        assert close(ended.promote, sum(path.passed))
        assert close(ended.block, sum(path.failed))
        assert ended.generations == pytest.approx(path.expected_n * found.answers_per_prompt, rel=0.01)

    def test_stopping_for_futility_as_designed(self) -> None:
        checked = policy(FLOOR)
        plan = plan_of(checked, [prompt_set(easy=1200)], expected=0.86, looks=looks(8, futility="cubic"))
        found = simulated(checked, plan)
        planned = plan.cells[0]
        assert planned.power is not None
        assert planned.expected_n is not None
        assert close(found.cells[0].power, planned.power)
        assert found.cells[0].mean_n == pytest.approx(planned.expected_n, rel=0.01)


class TestCeiling:
    def test_one_look(self) -> None:
        checked = policy({"id": "violations", "metric": "violation_rate", "test": "ceiling", "threshold": 0.03})
        plan = plan_of(checked, [prompt_set("a", "adversarial", easy=900)], expected=0.004)
        found, n = simulated(checked, plan), plan.cells[0].n
        assert close(found.cells[0].power, power_for_limit(n, 0.03, 0.004, direction="ceiling"))
        assert close(found.at_limit[0].passes, power_for_limit(n, 0.03, 0.03, direction="ceiling"))
        assert len(found.curve) == 1
        assert found.margin is None

    @pytest.mark.parametrize("true_rate", [0.005, 0.03])
    def test_behind_a_judge(self, true_rate: float) -> None:
        checked = policy({"id": "violations", "metric": "violation_rate", "test": "ceiling", "threshold": 0.03})
        plan = plan_of(checked, [prompt_set("a", "adversarial", easy=900)], expected=0.005)
        n, judge = plan.cells[0].n, JudgeError(0.93, 0.9, 60)
        found = simulated(checked, plan, judges={SetKind.ADVERSARIAL: judge})
        chance = 0.0
        for seen in range(judge.positives + 1):
            passing = -1
            while (bound := violation_upper(passing + 1, n, seen, judge.positives).high) is not None and bound <= 0.03:
                passing += 1
            share = stats.binom.pmf(seen, judge.positives, judge.sensitivity)
            chance += share * float(stats.binom.cdf(passing, n, true_rate * judge.sensitivity))
        estimate = found.cells[0].power if true_rate < 0.03 else found.at_limit[0].passes
        assert close(estimate, chance)


class TestDifference:
    @pytest.mark.parametrize("difference", [0.0, -0.12])
    def test_one_look_by_all_tables(self, difference: float) -> None:
        checked = policy({"id": "margin", "metric": "pass_rate", "test": "non_inferiority", "margin": 0.12})
        plan = plan_of(checked, [prompt_set(easy=80)], expected=0.2)
        n = plan.cells[0].n
        found = simulated(checked, plan)
        point = next(p for p in found.curve if p.difference == pytest.approx(difference))
        win, loss = (0.2 + difference) / 2, (0.2 - difference) / 2
        passing = failing = 0.0
        for wins in range(n + 1):
            for losses in range(n + 1 - wins):
                chance = float(stats.multinomial.pmf([wins, losses, n - wins - losses], n, [win, loss, 1 - win - loss]))
                if chance > 1e-9:
                    passing += chance * (paired_p_value(wins, losses, n, -0.12, above=True) <= 0.05)
                    failing += chance * (paired_p_value(wins, losses, n, -0.12, above=False) <= 0.05)
        # Tables of p-values agree with single ones within a few per cent of alpha: a table of counts may change sides.
        assert point.promote == pytest.approx(passing, abs=0.012)
        assert point.block == pytest.approx(failing, abs=0.012)


class TestRequests:
    def test_a_latency_quantile(self) -> None:
        checked = policy({"id": "ttft", "metric": "ttft_s", "quantile": 0.9, "test": "ceiling", "threshold": 1.0})
        plan = plan_of(
            checked, [prompt_set(easy=50)], expected=0.9, latency=LatencyLoad(rate=1.0, requests_per_bucket=200)
        )
        found = simulated(checked, plan, rates={"ttft": 0.05})
        rank = quantile_ranks(200, 0.9, confidence=0.95, side="upper")[1]
        assert rank is not None
        assert close(found.cells[0].power, float(stats.binom.sf(rank - 1, 200, 0.95)))
        assert close(found.at_limit[0].passes, float(stats.binom.sf(rank - 1, 200, 0.9)))

    def test_reliability_on_every_request(self) -> None:
        checked = policy({"id": "requests", "metric": "request_success_rate", "test": "floor", "threshold": 0.97})
        plan = plan_of(checked, [prompt_set(easy=500)], expected=0.995)
        found = simulated(checked, plan)
        n = plan.by_check["requests"].n
        assert found.most_generations == n * found.answers_per_prompt
        assert close(found.cells[0].power, power_for_limit(n, 0.97, 0.995, direction="floor"))
        assert close(found.at_limit[0].passes, power_for_limit(n, 0.97, 0.97, direction="floor"))


class TestPooledAndCells:
    def test_a_pooled_check_rests_on_the_prompts_of_its_cells(self) -> None:
        """Both pass together more often than independent checks would."""
        checked = policy({**FLOOR, "each": ["tier"]}, {**FLOOR, "id": "pooled"})
        plan = plan_of(checked, [prompt_set(easy=100, hard=100)], expected=0.86)
        found = simulated(checked, plan)
        n, total = plan.by_check["floor/easy"].n, plan.by_check["pooled"].n
        assert plan.by_check["floor/hard"].n == n
        assert total == 2 * n
        (cell_needs,), _ = floor_counts([n], 0.8, [0.05], [0.05])
        (needs,), _ = floor_counts([total], 0.8, [0.05], [0.05])
        pmf = stats.binom.pmf(np.arange(n + 1), n, 0.86)
        both = sum(
            pmf[a] * pmf[b] for a in range(cell_needs, n + 1) for b in range(cell_needs, n + 1) if a + b >= needs
        )
        assert close(found.a_a.promote, float(both))
        independent = float(pmf[cell_needs:].sum()) ** 2 * float(stats.binom.sf(needs - 1, total, 0.86))
        assert found.a_a.promote > independent + 0.02
