"""A policy's checks in the planner's words: one requirement per cell, none of the prompts dropped in silence."""

from __future__ import annotations

from typing import Any

import pytest

from evalharness.plan import Requirement
from gates.policy import Policy
from gates.requirements import requirements
from golden_sets.errors import InputError
from golden_sets.records import Message, Prompt, PromptSet, SetKind


def prompt_set(kind: SetKind, name: str, *tiers: str | None) -> PromptSet:
    prompts = tuple(
        Prompt(
            id=f"{name}-{i}",
            messages=(Message(role="user", content=f"{name} {i}"),),
            dimensions={} if tier is None else {"tier": tier},
        )
        for i, tier in enumerate(tiers)
    )
    return PromptSet(kind=kind, name=name, version="1", prompts=prompts)


SETS = (
    prompt_set(SetKind.GOLDEN, "maths", "easy", "hard"),
    prompt_set(SetKind.GOLDEN, "code", "easy"),
    prompt_set(SetKind.ADVERSARIAL, "attacks", "hard"),
)


def asked(*sets: PromptSet, lines: dict[str, str] | None = None, **check: Any) -> list[Requirement]:
    data = {"id": "c", "metric": "pass_rate", "test": "floor", "threshold": 0.8, **check}
    policy = Policy.model_validate(
        {"name": "p", "version": "1", "alpha": 0.05, "primary": "c", "joint_power": 0.81, "checks": [data]}
    )
    return requirements(policy, sets or SETS, where=lines)


def test_a_dimension_splits_into_cells_that_share_the_power() -> None:
    found = asked(each=["tier"])
    assert [(r.check, dict(r.cell)) for r in found] == [("c/easy", {"tier": "easy"}), ("c/hard", {"tier": "hard"})]
    assert [r.power for r in found] == pytest.approx([0.9, 0.9])


def test_set_names_are_no_dimension_of_prompts() -> None:
    found = asked(each=["set_name"])
    assert [(r.check, r.set_name, dict(r.cell)) for r in found] == [("c/code", "code", {}), ("c/maths", "maths", {})]
    assert {r.set_kind for r in found} == {SetKind.GOLDEN}


def test_kinds_of_sets_are_no_dimension_of_prompts() -> None:
    found = asked(metric="request_success_rate", each=["set", "tier"])
    assert [(r.check, r.set_kind, dict(r.cell)) for r in found] == [
        ("c/adversarial/hard", SetKind.ADVERSARIAL, {"tier": "hard"}),
        ("c/golden/easy", SetKind.GOLDEN, {"tier": "easy"}),
        ("c/golden/hard", SetKind.GOLDEN, {"tier": "hard"}),
    ]


def test_where_names_set_and_dimension_apart() -> None:
    (only,) = asked(where={"set": "golden", "set_name": "maths", "tier": "easy"})
    assert (only.set_kind, only.set_name, dict(only.cell)) == (SetKind.GOLDEN, "maths", {"tier": "easy"})


def test_prompts_without_the_dimension_are_an_error() -> None:
    some = prompt_set(SetKind.GOLDEN, "maths", "easy", None, "hard", None)
    with pytest.raises(InputError, match=r"policy.yaml:7: check 'c': 2 of the 4 prompts .*no tier.*'maths-1'"):
        asked(some, each=["tier"], lines={"c": "policy.yaml:7"})


def test_prompts_outside_the_check_may_lack_the_dimension() -> None:
    other = prompt_set(SetKind.ADVERSARIAL, "attacks", None)
    assert len(asked(SETS[0], other, each=["tier"])) == 2


def test_a_check_that_matches_nothing_is_an_error() -> None:
    with pytest.raises(InputError, match="'c' matches no prompt"):
        asked(SETS[2], each=["tier"])


@pytest.mark.parametrize(
    ("check", "purpose", "basis"),
    [
        ({}, "floor", "sample"),
        ({"test": "non_inferiority", "threshold": None, "margin": 0.05}, "margin", "sample"),
        ({"metric": "violation_rate", "test": "ceiling", "threshold": 0.1}, "ceiling", "sample"),
        ({"metric": "request_success_rate"}, "floor", "requests"),
        ({"metric": "usd_per_success", "test": "ratio_ceiling", "threshold": 1.1}, "display", "sample"),
        ({"metric": "output_tokens_per_second", "threshold": 20}, "display", "end"),
        ({"metric": "ttft_s", "test": "ceiling", "quantile": 0.95}, "quantile", "end"),
        ({"metric": "judge_sensitivity", "where": {"set": "golden"}}, "calibration", "end"),
    ],
)
def test_every_metric_has_its_purpose_and_rests_on_its_own_outcomes(
    check: dict[str, Any], purpose: str, basis: str
) -> None:
    (found,) = asked(**check)
    assert (found.purpose, found.basis) == (purpose, basis)


def test_a_later_attempt_has_another_alpha() -> None:
    check = {"id": "c", "metric": "pass_rate", "test": "floor", "threshold": 0.8, "half_width": 0.02}
    policy = Policy.model_validate(
        {"name": "p", "version": "1", "alpha": 0.05, "primary": "c", "attempts": "spend", "checks": [check]}
    )
    first, second = (requirements(policy, SETS, attempt=k)[0] for k in (1, 2))
    assert second.alpha == policy.alpha_of(2) < first.alpha
    assert first.half_width == 0.02


def test_a_rubric_must_judge_every_prompt_of_a_check() -> None:
    data = {"id": "f", "metric": "pass_rate", "test": "floor", "threshold": 0.5, "where": {"rubric": "tone"}}
    named = Policy.model_validate({"name": "p", "version": "1", "alpha": 0.05, "primary": "f", "checks": [data]})
    plain = prompt_set(SetKind.GOLDEN, "plain", "easy")
    own = plain.model_copy(
        update={"name": "own", "prompts": tuple(p.model_copy(update={"rubric": "tone"}) for p in plain.prompts)}
    )
    further = plain.model_copy(update={"name": "further", "criteria": ("tone",)})
    assert [one.rubric for one in requirements(named, [own, further])] == ["tone"]
    with pytest.raises(InputError, match="not judged by rubric 'tone'"):
        requirements(named, [own, plain])
    # Where checkers score, a prompt's own rubric judges nothing.
    with pytest.raises(InputError, match="not judged by rubric 'tone'"):
        requirements(named, [own, further], checked=["own"])


@pytest.mark.parametrize(
    ("check", "message"),
    [
        (
            {"metric": "request_success_rate", "test": "floor", "where": {"rubric": "tone"}},
            "does not depend on a rubric",
        ),
        ({"metric": "judge_sensitivity", "test": "floor", "where": {"tier": "hard"}}, "whole kind of set"),
    ],
)
def test_a_selection_that_would_be_ignored_is_refused(check: dict[str, Any], message: str) -> None:
    data = {"id": "f", "threshold": 0.5, **check}
    with pytest.raises(ValueError, match=message):
        Policy.model_validate({"name": "p", "version": "1", "alpha": 0.05, "primary": "f", "checks": [data]})
