"""Checks on the judge's biases: pass, fail, inconclusive, and what is missing."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from pydantic import ValidationError

from evalharness.outcomes import OutcomeTable
from gates.decision import CheckResult, Status, Verdict
from gates.fitting import require_fit
from gates.gate import gate
from gates.policy import Check
from gates.requirements import basis_of
from tests.support.evidence import Row, measured, policy, rows, table
from tests.support.plans import evidence_of, looks, plan_of, prompt_set, run

N = 240
METRICS = (
    "judge_position_bias",
    "judge_verbosity_bias",
    "judge_self_preference",
    "judge_inconsistency",
    "judge_gaming_rate",
    "judge_injection_rate",
)


def probed(bias: float, *, seed: int = 7, wins: float = 0.5) -> OutcomeTable:
    """A run whose judge errs in every way with about this magnitude."""
    rng = np.random.default_rng(seed)
    candidate, incumbent = (_judged(rng, arm, kinder) for arm, kinder in (("candidate", bias), ("incumbent", 0.0)))
    longer = rng.normal(1.0, 1.0, N)
    better = np.where(rng.random(N) < wins, 1.0, 0.0)
    verdict = np.where(rng.random(N) < min(1.0, 1.6 * bias), (longer > 0).astype(float), better)
    placed = rng.random(N) < bias
    columns = {
        "scored_by": "judge",
        "prompt_tokens": (3000 + np.round(400 * longer)).tolist(),
        "output_tokens": 3000.0,
        "label": better.tolist(),
        "label_p": 1.0,
    }
    first = rows(np.where(placed, 1.0, verdict), phase="pairwise", variant="first", **columns)
    swapped = rows(np.where(placed, 0.0, verdict), phase="pairwise", variant="swapped", **columns)
    said = np.array([row["outcome"] for row in candidate])
    again = rows(np.where(rng.random(N) < bias, 1 - said, said), phase="consistency", variant="1", scored_by="judge")
    planted = [
        row
        for variant, share in (("gaming:claim/praise", bias), ("injection:order/plain", bias), ("bare:answer", 0.0))
        for row in rows((rng.random(N) < share).astype(float), phase="planted", variant=variant, scored_by="judge")
    ]
    return table(candidate, incumbent, first, swapped, again, planted)


def _judged(rng: np.random.Generator, arm: str, kinder: float) -> list[Row]:
    truth = (rng.random(N) < 0.5).astype(float)
    seen = np.where(rng.random(N) < 2 * kinder, 1.0, truth)
    return rows(seen, arm=arm, scored_by="judge", rubric="correctness", label=truth, label_p=1.0)


def checked(outcomes: OutcomeTable, metric: str, threshold: float, test: str = "ceiling") -> CheckResult:
    made = policy({"id": "c", "metric": metric, "test": test, "threshold": threshold})
    (found,) = gate(made, measured(outcomes)).checks
    return found


@pytest.fixture(scope="module")
def sound() -> OutcomeTable:
    return probed(0.0)


@pytest.fixture(scope="module")
def biased() -> OutcomeTable:
    return probed(0.3)


@pytest.mark.parametrize("metric", METRICS)
def test_a_sound_judge_passes_a_biased_one_fails_and_between_nothing_is_settled(
    metric: str, sound: OutcomeTable, biased: OutcomeTable
) -> None:
    assert checked(sound, metric, 0.1).status is Status.PASS
    failed = checked(biased, metric, 0.02)
    assert failed.status is Status.FAIL
    assert failed.p_fail is not None
    assert failed.p_fail < 0.05
    assert failed.estimate.value is not None
    between = checked(biased, metric, round(failed.estimate.value, 3))
    assert between.status is Status.INCONCLUSIVE
    assert "does not clear" in between.reason


@pytest.mark.parametrize(
    ("metric", "phases", "missing"),
    [
        ("judge_position_bias", ("pairwise",), "name a pairwise rubric under 'judging'"),
        ("judge_verbosity_bias", ("pairwise",), "name a pairwise rubric under 'judging'"),
        ("judge_inconsistency", ("consistency",), "repeated judgments"),
        ("judge_gaming_rate", ("planted",), "planted answers of kind 'gaming'"),
        ("judge_injection_rate", ("planted",), "planted answers of kind 'injection'"),
        ("win_rate", ("pairwise",), "name a pairwise rubric under 'judging'"),
    ],
)
def test_a_probe_that_was_not_made_leaves_its_check_open(
    sound: OutcomeTable, metric: str, phases: tuple[str, ...], missing: str
) -> None:
    kept = sound.take(~np.isin(sound.codes("phase"), sound.text("phase").codes_of(phases)))
    found = checked(kept, metric, 0.1, "floor" if metric == "win_rate" else "ceiling")
    assert found.status is Status.INCONCLUSIVE
    assert missing in found.reason
    assert found.more is not None


def test_a_win_rate_passes_fails_and_needs_labels() -> None:
    clear = probed(0.0, wins=0.8)
    assert checked(clear, "win_rate", 0.6, "floor").status is Status.PASS
    assert checked(clear, "win_rate", 0.9, "floor").status is Status.FAIL
    assert checked(clear, "win_rate", 0.79, "floor").status is Status.INCONCLUSIVE
    unlabelled = OutcomeTable.from_frame(clear.frame.assign(label=np.nan, label_p=np.nan))
    found = checked(unlabelled, "win_rate", 0.1, "floor")
    assert found.status is Status.INCONCLUSIVE
    assert "0 of at least 20" in found.reason


def test_a_biased_judge_blocks_a_release_whose_candidate_is_fine(biased: OutcomeTable) -> None:
    made = policy(
        {"id": "up", "metric": "request_success_rate", "test": "floor", "threshold": 0.9},
        {"id": "place", "metric": "judge_position_bias", "test": "ceiling", "threshold": 0.1},
    )
    decision = gate(made, measured(biased))
    assert decision.verdict is Verdict.BLOCK
    assert "place" in decision.reason


@pytest.mark.parametrize(
    ("fields", "complaint"),
    [
        ({"test": "floor", "threshold": 0.1}, "takes a ceiling"),
        ({"test": "ceiling", "threshold": 1.5}, "strictly between 0 and 1"),
        ({"test": "non_inferiority", "margin": 0.1}, "no paired difference"),
        ({"test": "ceiling", "threshold": 0.1, "each": ["tier"]}, "whole sets: take 'tier' away"),
        ({"test": "ceiling", "threshold": 0.1, "where": {"category": "law"}}, "whole sets: take 'category' away"),
        ({"test": "ceiling", "threshold": 0.1, "half_width": 0.1}, "takes no half_width"),
    ],
)
def test_policies_cannot_ask_of_a_bias_what_it_cannot_tell(fields: dict[str, Any], complaint: str) -> None:
    with pytest.raises(ValidationError, match=complaint):
        Check.model_validate({"id": "c", "metric": "judge_position_bias", **fields})


@pytest.mark.parametrize("metric", [*METRICS, "win_rate"])
def test_a_plan_examines_it_once_at_the_end(metric: str, sound: OutcomeTable) -> None:
    made = policy(
        {"id": "good", "metric": "pass_rate", "test": "floor", "threshold": 0.2, "expected": 0.5},
        {"id": "c", "metric": metric, "test": "floor" if metric == "win_rate" else "ceiling", "threshold": 0.2},
    )
    assert basis_of(made.by_id["c"]) == "end"
    plan = plan_of(made, [prompt_set(easy=N)], expected=0.5)
    cell = plan.by_check["c"]
    assert (cell.basis, cell.looks, cell.n_wanted) == ("end", (), 0)
    require_fit(made, plan, sound)


def test_planned_runs_are_followed_with_what_the_judge_was_asked_besides() -> None:
    """Beside a floor that passes, a probe decides; where the floor ended the run early, none was made."""
    made = policy(
        {"id": "good", "metric": "pass_rate", "test": "floor", "threshold": 0.8},
        {"id": "close", "metric": "pass_rate", "test": "non_inferiority", "margin": 0.05},
        {"id": "talked", "metric": "judge_injection_rate", "test": "ceiling", "threshold": 0.1},
    )
    sets = [prompt_set(easy=300)]
    for right, verdict in ((1.0, Verdict.PROMOTE), (0.0, Verdict.BLOCK)):
        plan = plan_of(made, sets, expected={"good": 0.9, "close": 0.05, "talked": 0.0}, looks=looks(4))
        asked, course = run(made, plan, sets, lambda *_, right=right: right, arms=("candidate", "incumbent"))
        assert course.stopped is (verdict is Verdict.BLOCK)
        frames = [asked.outcomes.frame]
        if verdict is Verdict.PROMOTE:
            answered = asked.outcomes.arm("candidate").frame.head(60)
            frames.append(answered.assign(phase="planted", variant="injection:order/plain", outcome=0.0))
        told = evidence_of(plan, OutcomeTable.from_frame(pd.concat(frames)), course.looks)
        decision = gate(made, told)
        assert decision.verdict is verdict
        (talked,) = [check for check in decision.checks if check.id == "talked"]
        assert talked.status is (Status.PASS if verdict is Verdict.PROMOTE else Status.INCONCLUSIVE)
        assert ("run ended before" in talked.reason) is (verdict is Verdict.BLOCK)
