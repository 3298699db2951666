"""The gate, through its public function: what passes, what fails, what stays open, and how often it is wrong."""

from __future__ import annotations

import numpy as np
import pytest

from evalharness.evidence import Calibration
from gates.decision import Decision, Status, Verdict
from gates.gate import Measured, gate
from golden_sets.errors import InputError
from golden_sets.records import SetKind
from tests.support.evidence import (
    COST,
    FLOOR,
    MARGIN,
    REFUSALS,
    RELIABILITY,
    TTFT,
    VIOLATIONS,
    measured,
    policy,
    rows,
    simulated,
    table,
)


def ones(successes: int, n: int) -> list[float | None]:
    found: list[float | None] = [1.0] * successes
    return found + [0.0] * (n - successes)


def status_of(decision: Decision) -> dict[str, Status]:
    return {check.id: check.status for check in decision.checks}


class TestFloor:
    @pytest.mark.parametrize(
        ("successes", "status"),
        [(462, Status.PASS), (461, Status.INCONCLUSIVE), (439, Status.INCONCLUSIVE), (438, Status.FAIL)],
    )
    def test_exact_limits_of_a_floor_of_90_percent_at_500(self, successes: int, status: Status) -> None:
        decision = gate(policy(FLOOR), measured(table(rows(ones(successes, 500)))))
        assert status_of(decision) == {"floor": status}

    def test_verdict_and_exit_codes(self) -> None:
        verdicts = [gate(policy(FLOOR), measured(table(rows(ones(k, 500))))).verdict for k in (470, 450, 400)]
        assert verdicts == [Verdict.PROMOTE, Verdict.INCONCLUSIVE, Verdict.BLOCK]
        assert [v.exit_code for v in verdicts] == [0, 3, 1]

    def test_an_inconclusive_check_says_how_many_prompts_would_settle_it(self) -> None:
        (check,) = gate(policy(FLOOR), measured(table(rows(ones(460, 500), usd=0.002)))).checks
        assert check.more is not None
        assert check.more.n > 100
        assert check.more.usd == pytest.approx(check.more.n * 0.002)

    def test_each_splits_into_cells_that_must_all_pass(self) -> None:
        easy = rows(ones(300, 300), dim_tier="easy")
        hard = rows(ones(200, 300), dim_tier="hard", start=300)
        decision = gate(policy({**FLOOR, "each": ["tier"]}), measured(table(easy, hard)))
        assert status_of(decision) == {"floor/easy": Status.PASS, "floor/hard": Status.FAIL}
        assert decision.verdict is Verdict.BLOCK

    def test_clustered_prompts_do_not_count_as_independent(self) -> None:
        clusters = [f"c{i // 50}" for i in range(500)]
        independent = gate(policy(FLOOR), measured(table(rows(ones(500, 500)))))
        clustered = gate(policy(FLOOR), measured(table(rows(ones(500, 500), cluster=clusters))))
        assert independent.verdict is Verdict.PROMOTE
        assert clustered.verdict is Verdict.INCONCLUSIVE


class TestDenominators:
    def test_failed_requests_of_the_candidate_are_not_passes(self) -> None:
        answers = rows(ones(470, 470))
        failed = rows([None] * 30, error="timeout", start=470)
        found = gate(policy(FLOOR), measured(table(answers, failed))).checks[0].estimate
        assert found.value == pytest.approx(470 / 500)
        assert (found.n, found.errors) == (500, 30)

    def test_failed_requests_of_the_incumbent_count_as_passes(self) -> None:
        candidate = rows(ones(400, 500))
        incumbent = rows(ones(400, 470), arm="incumbent")
        failed = rows([None] * 30, arm="incumbent", error="timeout", start=470)
        found = gate(policy(MARGIN), measured(table(candidate, incumbent, failed))).checks[0].estimate
        assert found.value == pytest.approx((400 - 430) / 500)

    def test_unscored_answers_neither_pass_nor_fail(self) -> None:
        decision = gate(policy(FLOOR, max_unscored=0.5), measured(table(rows([*ones(450, 450), *[None] * 50]))))
        (check,) = decision.checks
        assert check.estimate.low is not None
        assert check.estimate.high is not None
        assert check.estimate.low < 450 / 500 < 1.0 == check.estimate.high
        assert check.status is Status.INCONCLUSIVE

    def test_too_many_unscored_answers_keep_a_check_open(self) -> None:
        decision = gate(policy(FLOOR), measured(table(rows([*ones(490, 490), *[None] * 10]))))
        assert status_of(decision) == {"floor": Status.INCONCLUSIVE}
        assert "10 of 500" in decision.checks[0].reason

    def test_client_errors_are_left_out_of_reliability_and_said(self) -> None:
        good = rows(ones(600, 600))
        ours = rows([None] * 20, error="http_4xx", start=600)
        decision = gate(policy(RELIABILITY), measured(table(good, ours)))
        assert decision.checks[0].estimate.n == 600
        assert decision.verdict is Verdict.PROMOTE
        assert any("20 client errors" in note for note in decision.notes)

    def test_rate_limiting_counts_against_reliability(self) -> None:
        good = rows(ones(570, 570))
        limited = rows([None] * 30, error="rate_limited", start=570)
        assert gate(policy(RELIABILITY), measured(table(good, limited))).verdict is Verdict.BLOCK

    def test_failed_requests_are_infinitely_slow(self) -> None:
        fast = rows(ones(900, 900), ttft_s=0.1)
        failed = rows([None] * 100, error="timeout", start=900)
        assert gate(policy(TTFT), measured(table(fast))).verdict is Verdict.PROMOTE
        assert gate(policy(TTFT), measured(table(fast, failed))).verdict is Verdict.BLOCK


class TestSafety:
    def test_zero_violations_prove_a_ceiling_only_with_enough_prompts(self) -> None:
        few, enough = (measured(table(rows([0.0] * n, kind="adversarial"))) for n in (148, 149))
        assert gate(policy(VIOLATIONS), few).verdict is Verdict.INCONCLUSIVE
        assert gate(policy(VIOLATIONS), enough).verdict is Verdict.PROMOTE

    def test_nothing_buys_back_a_violation(self) -> None:
        golden = [
            *rows(ones(1000, 1000), usd=0.001),
            *rows(ones(500, 1000), arm="incumbent", usd=0.1),
        ]
        unsafe = rows(ones(60, 300), kind="adversarial")
        decision = gate(policy(MARGIN, COST, VIOLATIONS), measured(table(golden, unsafe)))
        assert decision.superior
        assert decision.verdict is Verdict.BLOCK
        assert decision.ids(Status.FAIL) == ["violations"]
        assert next(c for c in decision.checks if c.id == "violations").safety

    def test_a_failed_request_leaves_a_safety_cell_incomplete_but_is_no_violation(self) -> None:
        answers = rows([0.0] * 400, kind="adversarial")
        failed = rows([None], kind="adversarial", error="timeout", start=400)
        (check,) = gate(policy(VIOLATIONS), measured(table(answers, failed))).checks
        assert check.status is Status.INCONCLUSIVE
        assert check.estimate.value == 0.0
        assert "run again" in check.reason

    def test_an_unscored_answer_counts_against_the_candidate(self) -> None:
        scored = rows([0.0] * 200, kind="adversarial")
        unscored = rows([None] * 2, kind="adversarial", start=200)
        (check,) = gate(policy(VIOLATIONS, max_unscored=0.1), measured(table(scored, unscored))).checks
        assert check.estimate.value == pytest.approx(2 / 202)
        assert check.status is Status.INCONCLUSIVE

    def test_violations_and_false_refusals_are_separate_numbers(self) -> None:
        safe = rows([0.0] * 300, kind="adversarial")
        refusing = rows(ones(100, 300), kind="false_refusal")
        decision = gate(policy(VIOLATIONS, REFUSALS), measured(table(safe, refusing)))
        assert status_of(decision) == {"violations": Status.PASS, "refusals": Status.FAIL}


class TestJudgedSafety:
    calibration = Calibration(
        rubric="r", set_kind=SetKind.ADVERSARIAL, positives=200, true_positives=196, negatives=200, true_negatives=190
    )

    def test_refuted_flags_do_not_count_and_unresolved_ones_do(self) -> None:
        clean = rows([0.0] * 300, kind="adversarial", scored_by="judge")
        refuted = rows([1.0] * 20, kind="adversarial", scored_by="judge", adjudicated=0.0, start=300)
        unresolved = rows([1.0] * 20, kind="adversarial", scored_by="judge", start=300)
        calibrated = [self.calibration]
        passed = gate(policy(VIOLATIONS), measured(table(clean, refuted), calibrations=calibrated))
        opened = gate(policy(VIOLATIONS), measured(table(clean, unresolved), calibrations=calibrated))
        assert passed.verdict is Verdict.PROMOTE
        assert opened.verdict is Verdict.INCONCLUSIVE

    def test_the_judges_blindness_widens_the_bound(self) -> None:
        clean = table(rows([0.0] * 300, kind="adversarial", scored_by="judge"))
        blind = self.calibration.model_copy(update={"true_positives": 100})
        assert gate(policy(VIOLATIONS), measured(clean, calibrations=[self.calibration])).verdict is Verdict.PROMOTE
        assert gate(policy(VIOLATIONS), measured(clean, calibrations=[blind])).verdict is Verdict.INCONCLUSIVE

    def test_without_positive_controls_nothing_can_be_passed(self) -> None:
        clean = table(rows([0.0] * 3000, kind="adversarial", scored_by="judge"))
        (check,) = gate(policy(VIOLATIONS), measured(clean)).checks
        assert check.status is Status.INCONCLUSIVE
        assert "calibration" in check.reason
        blind = self.calibration.model_copy(update={"positives": 0, "true_positives": 0})
        (check,) = gate(policy(VIOLATIONS), measured(clean, calibrations=[blind])).checks
        assert check.status is Status.INCONCLUSIVE
        assert "positive controls" in check.reason


class TestComparison:
    def test_an_identical_model_is_not_worse(self) -> None:
        same = rows(ones(800, 1000))
        decision = gate(policy(MARGIN), measured(table(same, rows(ones(800, 1000), arm="incumbent"))))
        assert decision.verdict is Verdict.PROMOTE
        assert not decision.superior

    def test_a_regression_inside_the_margin_is_stated(self) -> None:
        candidate, incumbent = rows(ones(1960, 2000)), rows(ones(2000, 2000), arm="incumbent")
        (check,) = gate(policy(MARGIN), measured(table(candidate, incumbent))).checks
        assert check.status is Status.PASS
        assert check.regressed
        assert "worse than the incumbent" in check.reason

    def test_incumbent_evidence_of_its_own(self) -> None:
        candidate = measured(table(rows(ones(900, 1000))))
        worse = measured(table(rows(ones(990, 1000))), name="v1")
        decision = gate(policy(MARGIN), candidate, worse)
        assert decision.verdict is Verdict.BLOCK
        assert decision.incumbent_name == "v1"

    def test_incumbent_on_other_sets_is_an_error(self) -> None:
        candidate = measured(table(rows(ones(10, 10))))
        other = measured(table(rows(ones(10, 10))), name="v1", sets={"golden-set": "sha256:other"})
        with pytest.raises(InputError, match="different versions of set"):
            gate(policy(MARGIN), candidate, other)

    def test_arms_on_other_prompts_are_an_error(self) -> None:
        mixed = table(rows(ones(10, 10)), rows(ones(10, 10), arm="incumbent", start=5))
        with pytest.raises(InputError, match="same prompts"):
            gate(policy(MARGIN), measured(mixed))

    def test_without_an_incumbent_a_comparison_is_open(self) -> None:
        (check,) = gate(policy(MARGIN), measured(table(rows(ones(1000, 1000))))).checks
        assert check.status is Status.INCONCLUSIVE
        assert "incumbent" in check.reason

    def test_cost_per_success_is_a_ratio_of_sums(self) -> None:
        cheap = rows(ones(800, 1000), usd=0.005)
        dear = rows(ones(800, 1000), arm="incumbent", usd=0.01)
        (check,) = gate(policy(COST), measured(table(cheap, dear))).checks
        assert check.estimate.value == pytest.approx(0.5)
        assert check.status is Status.PASS

    def test_judged_differences_without_labels_stay_open(self) -> None:
        both = table(
            rows(ones(900, 1000), scored_by="judge"), rows(ones(500, 1000), arm="incumbent", scored_by="judge")
        )
        (check,) = gate(policy(MARGIN), measured(both)).checks
        assert check.status is Status.INCONCLUSIVE
        assert "labels" in check.reason


class TestRefusals:
    def test_a_check_that_matches_no_cell_is_an_error_with_its_place(self) -> None:
        with pytest.raises(InputError, match=r"policy.yaml:7: check 'violations' matches no cell"):
            gate(policy(VIOLATIONS), measured(table(rows(ones(10, 10)))), where={"violations": "policy.yaml:7"})

    def test_an_unknown_dimension_is_an_error_that_names_the_known_ones(self) -> None:
        with pytest.raises(InputError, match=r"no dimension 'teir'.*tier"):
            gate(policy({**FLOOR, "each": ["teir"]}), measured(table(rows(ones(10, 10), dim_tier="easy"))))

    def test_unplanned_evidence_is_marked_and_refused_where_a_plan_is_required(self) -> None:
        good = measured(table(rows(ones(1000, 1000))))
        assert "unplanned" in gate(policy(FLOOR), good).notes[0]
        assert gate(policy(FLOOR), good, require_plan=True).verdict is Verdict.INCONCLUSIVE
        assert gate(policy(FLOOR, require_plan=True), good).verdict is Verdict.INCONCLUSIVE

    def test_the_same_evidence_gives_the_same_decision(self) -> None:
        first, second = (gate(policy(FLOOR), measured(table(rows(ones(450, 500))))) for _ in range(2))
        assert first.digest == second.digest


class TestNothingHides:
    """Ways in which a worse model once got through."""

    def judged(self, arm: str, truth: list[float], failed: int = 0) -> list[dict[str, object]]:
        n = len(truth)
        labelled = [i % 5 == 0 for i in range(n)]
        found = rows(
            truth,
            arm=arm,
            scored_by="judge",
            label=[t if one else None for t, one in zip(truth, labelled, strict=True)],
            label_p=[0.2 if one else None for one in labelled],
        )
        for row in found[:failed]:
            row.update(outcome=None, error="timeout", label=None, label_p=None)
        return found

    def test_failed_requests_count_in_judged_comparisons(self) -> None:
        incumbent = self.judged("incumbent", [1.0] * 800 + [0.0] * 200)
        candidate = self.judged("candidate", [1.0] * 800 + [0.0] * 200, failed=100)
        (check,) = gate(policy(MARGIN), measured(table(candidate, incumbent))).checks
        assert check.status is Status.INCONCLUSIVE
        assert check.estimate.low is not None
        assert check.estimate.low < -0.1

    def test_checked_and_judged_sets_are_not_corrected_alike(self) -> None:
        calibration = Calibration(
            rubric="r", set_kind=SetKind.GOLDEN, positives=100, true_positives=85, negatives=100, true_negatives=85
        )
        checked = rows(ones(880, 1000))
        judged = [{**row, "set_name": "other"} for row in rows(ones(40, 50), scored_by="judge")]
        (check,) = gate(policy(FLOOR), measured(table(checked, judged), calibrations=[calibration])).checks
        assert check.status is not Status.PASS
        assert check.estimate.value is not None
        assert check.estimate.value < 0.90

    def test_a_calibration_under_another_rubric_does_not_count(self) -> None:
        calibration = TestJudgedSafety.calibration
        clean = rows([0.0] * 400, kind="adversarial", scored_by="judge", rubric="leak")
        (check,) = gate(policy(VIOLATIONS), measured(table(clean), calibrations=[calibration])).checks
        assert check.status is Status.INCONCLUSIVE
        assert "under rubric 'leak'" in check.reason

    def test_prompts_without_the_dimension_do_not_drop_out(self) -> None:
        clean = rows([0.0] * 200, kind="adversarial", dim_severity="high")
        unlabelled = rows(ones(400, 400), kind="adversarial", start=200)
        with pytest.raises(InputError, match=r"400 outcomes .* have no severity"):
            gate(policy({**VIOLATIONS, "each": ["severity"]}), measured(table(clean, unlabelled)))

    def test_the_incumbents_bad_day_does_not_make_the_candidate_cheap(self) -> None:
        candidate = rows(ones(1000, 1000), usd=0.013)
        incumbent = rows([*ones(700, 700)], arm="incumbent", usd=0.010)
        failed = rows([None] * 300, arm="incumbent", error="timeout", usd=0.010, start=700)
        (check,) = gate(policy(COST), measured(table(candidate, incumbent, failed))).checks
        assert check.estimate.value == pytest.approx(1.3)
        assert check.status is Status.FAIL

    def test_unscored_answers_count_in_costs_too(self) -> None:
        candidate = rows(ones(600, 600), usd=0.01)
        incumbent = rows([*ones(360, 360), *[None] * 240], arm="incumbent", usd=0.01)
        (check,) = gate(policy(COST), measured(table(candidate, incumbent))).checks
        assert check.status is Status.INCONCLUSIVE
        assert check.estimate.unscored == 240

    def test_costs_of_judged_answers_need_a_calibration(self) -> None:
        both = [rows(ones(900, 1000), arm=arm, usd=0.01, scored_by="judge") for arm in ("candidate", "incumbent")]
        (check,) = gate(policy(COST), measured(table(*both))).checks
        assert check.status is Status.INCONCLUSIVE
        assert "calibration" in check.reason

    def test_the_bill_of_failed_requests_stays_in_the_price(self) -> None:
        price = {"id": "price", "metric": "usd_per_million_output_tokens", "test": "ceiling", "threshold": 12.0}
        answered = rows(ones(500, 500), usd=0.001, output_tokens=100.0)
        timed_out = rows([None] * 500, error="timeout", usd=0.010, start=500)
        (check,) = gate(policy(price), measured(table(answered, timed_out))).checks
        assert check.estimate.value == pytest.approx(110.0)
        assert check.status is Status.FAIL

    def test_latency_that_was_not_measured_is_neither_fast_nor_slow(self) -> None:
        unmeasured = rows(ones(997, 997))
        failed = rows([None] * 3, error="timeout", start=997)
        (check,) = gate(policy(TTFT), measured(table(unmeasured, failed))).checks
        assert check.status is Status.INCONCLUSIVE
        assert "not measured" in check.reason

    @pytest.mark.parametrize(("successes", "n", "limit"), [(1197, 1203, 0.995), (233, 333, 0.70), (700, 1000, 0.7001)])
    def test_an_estimate_on_its_limit_is_inconclusive_and_no_error(self, successes: int, n: int, limit: float) -> None:
        decision = gate(policy({**FLOOR, "threshold": limit}), measured(table(rows(ones(successes, n)))))
        assert decision.verdict is Verdict.INCONCLUSIVE

    def test_arms_scored_by_different_judges_are_not_compared(self) -> None:
        one = measured(table(rows(ones(10, 10))))
        other = measured(table(rows(ones(10, 10))), name="v1")
        strict = Measured(other.evidence.model_copy(update={"judge_digest": "sha256:strict"}), other.outcomes)
        with pytest.raises(InputError, match="different judges"):
            gate(policy(MARGIN), one, strict)


@pytest.mark.slow
class TestErrorRates:
    """Seeded simulations: how often is the gate wrong? Binomial(200, .05) stays below 20 with probability .998."""

    releases = 200
    most = 19

    def test_a_model_exactly_at_the_margin_is_promoted_at_most_at_alpha(self) -> None:
        rng, promoted = np.random.default_rng(1), 0
        for _ in range(self.releases):
            # Wins 4 %, losses 9 % of the prompts: a true difference of exactly -5 points.
            draw = rng.random(600)
            incumbent = ((draw < 0.09) | (draw > 0.25)).astype(float)
            candidate = ((draw > 0.25) | ((draw > 0.09) & (draw < 0.13))).astype(float)
            decision = gate(policy(MARGIN), measured(simulated(candidate, incumbent)))
            promoted += decision.verdict is Verdict.PROMOTE
        assert 0 < promoted <= self.most

    def test_twenty_cells_exactly_at_their_floors_are_blocked_at_most_at_alpha(self) -> None:
        """Without Holm about 64 % of these releases would be; Binomial(50, .05) stays below 9 with probability .998."""
        rng, blocked = np.random.default_rng(2), 0
        tiers = [f"t{i % 20}" for i in range(2000)]
        for _ in range(50):
            outcomes = (rng.random(2000) < 0.9).astype(float)
            decision = gate(policy({**FLOOR, "each": ["tier"]}), measured(simulated(outcomes, tiers=tiers)))
            blocked += decision.verdict is Verdict.BLOCK
        assert blocked <= 8

    def test_a_judged_model_at_the_margin_is_promoted_at_most_at_alpha(self) -> None:
        """Judge of sensitivity and specificity .9, 200 of 1,000 prompts labelled on both arms."""
        rng, promoted = np.random.default_rng(3), 0
        for _ in range(self.releases):
            draw = rng.random(1000)
            incumbent, candidate = (draw < 0.09) | (draw > 0.25), (draw > 0.25) | ((draw > 0.09) & (draw < 0.13))
            labelled = np.zeros(1000, dtype=bool)
            labelled[rng.choice(1000, 200, replace=False)] = True
            said = [(truth ^ (rng.random(1000) < 0.1)).astype(float) for truth in (candidate, incumbent)]
            known = [np.where(labelled, truth.astype(float), np.nan) for truth in (candidate, incumbent)]
            outcomes = simulated(said[0], said[1], scored_by="judge", label_p=0.2, labels=(known[0], known[1]))
            promoted += gate(policy(MARGIN), measured(outcomes)).verdict is Verdict.PROMOTE
        assert promoted <= self.most
