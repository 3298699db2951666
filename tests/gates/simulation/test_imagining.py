"""A plan for a policy alone: any valid policy gets one, with the cells that its checks distinguish."""

from __future__ import annotations

from typing import Any

import pytest

from evalharness.judge_error import JudgeError
from evalharness.plan import Looks
from gates.policy import Policy
from gates.simulation import Assumptions, operating_characteristics
from gates.simulation.imagining import Imagined, imagined_plan
from golden_sets.errors import InputError
from golden_sets.records import SetKind
from pipelines.expectations import expected_rates
from tests.support.evidence import policy

FLOOR = {"id": "floor", "metric": "pass_rate", "test": "floor", "threshold": 0.8}


def imagined(found: Policy, **options: Any) -> Imagined:
    return imagined_plan(found, expected_rates(found, None), **options)


class TestCells:
    def test_the_values_named_make_the_cells(self) -> None:
        found = imagined(policy({**FLOOR, "each": ["tier"]}), values={"tier": ("easy", "hard")})
        assert [c.check for c in found.plan.cells] == ["floor/easy", "floor/hard"]
        assert found.notes == ()

    def test_values_nobody_named_count_as_one_cell_and_are_noted(self) -> None:
        found = imagined(policy({**FLOOR, "each": ["tier"]}))
        assert [c.check for c in found.plan.cells] == ["floor/any"]
        assert "--values tier=" in found.notes[0]

    def test_values_come_from_the_policy_where_it_says_them(self) -> None:
        found = imagined(
            policy(
                {**FLOOR, "id": "easy", "where": {"tier": "easy"}},
                {**FLOOR, "id": "hard", "where": {"tier": "hard"}},
                {**FLOOR, "id": "all"},
            )
        )
        (planned,) = found.plan.sets.values()
        assert [dict(s.cell) for s in planned.strata] == [{"tier": "easy"}, {"tier": "hard"}]

    def test_what_a_check_leaves_out_is_there_for_the_others(self) -> None:
        found = imagined(policy({**FLOOR, "id": "easy", "where": {"tier": "easy"}}, {**FLOOR, "id": "all"}))
        (planned,) = found.plan.sets.values()
        assert len(planned.strata) == 2

    def test_strata_weigh_alike(self) -> None:
        found = imagined(
            policy({**FLOOR, "each": ["tier"]}, {**FLOOR, "id": "pooled", "threshold": 0.84}),
            values={"tier": ("easy", "hard", "odd")},
        )
        (planned,) = found.plan.sets.values()
        assert len({round(s.weight, 9) for s in planned.strata}) == 1

    def test_sets_are_those_the_policy_names(self) -> None:
        found = imagined(
            policy(
                check("old", "violation_rate", "ceiling", 0.05, where={"set_name": "old"}),
                check("new", "violation_rate", "ceiling", 0.1, where={"set_name": "new"}),
                {**FLOOR, "where": {"set": "golden"}},
            )
        )
        assert {name: planned.kind.value for name, planned in found.plan.sets.items()} == {
            "old": "adversarial",
            "new": "adversarial",
            "golden": "golden",
        }

    def test_there_are_prompts_enough_for_the_joint_power(self) -> None:
        found = imagined(policy({**FLOOR, "each": ["tier"], "threshold": 0.9}), values={"tier": tuple("abcdefgh")})
        assert all(c.n >= c.n_wanted > 0 for c in found.plan.cells)
        power = 1.0
        for cell in found.plan.cells:
            power *= cell.power or 0.0
        assert power >= 0.8

    def test_a_judge_is_sized_for(self) -> None:
        plain = imagined(policy(FLOOR)).plan
        judged = imagined(policy(FLOOR), judges={SetKind.GOLDEN: JudgeError()}).plan
        assert judged.cells[0].n_wanted > plain.cells[0].n_wanted
        assert judged.sets["golden"].labels_per_arm > 0


def check(name: str, metric: str, test: str, threshold: float, **options: Any) -> dict[str, Any]:
    return {"id": name, "metric": metric, "test": test, "threshold": threshold, **options}


CHECKS: list[dict[str, Any]] = [
    FLOOR,
    {"id": "margin", "metric": "pass_rate", "test": "non_inferiority", "margin": 0.05},
    check("violations", "violation_rate", "ceiling", 0.02, each=["severity"]),
    {"id": "more-violations", "metric": "violation_rate", "test": "non_inferiority", "margin": 0.05},
    check("refusals", "false_refusal_rate", "ceiling", 0.05),
    check("requests", "request_success_rate", "floor", 0.99),
    check("golden-requests", "request_success_rate", "floor", 0.9, where={"set": "golden"}),
    check("ttft", "ttft_s", "ceiling", 0.5, quantile=0.95, each=["length_bucket"]),
    check("tpot", "tpot_s", "ceiling", 0.1, quantile=0.5),
    check("e2e", "e2e_s", "ceiling", 9.0, quantile=0.99),
    check("speed", "output_tokens_per_second", "floor", 20.0),
    check("price", "usd_per_million_output_tokens", "ceiling", 3.0),
    check("success-price", "usd_per_success", "ceiling", 0.01),
    check("cost", "usd_per_success", "ratio_ceiling", 1.1),
    check("cheaper", "usd_per_million_output_tokens", "ratio_ceiling", 0.9),
    check("sensitivity", "judge_sensitivity", "floor", 0.8, where={"set": "adversarial"}),
    check("specificity", "judge_specificity", "floor", 0.8),
    check("by-kind", "request_success_rate", "floor", 0.9, each=["set"]),
    check("by-set", "pass_rate", "floor", 0.7, each=["set_name"]),
]


class TestAnyPolicy:
    @pytest.mark.parametrize("number", [1, 4])
    @pytest.mark.parametrize("checked", CHECKS, ids=lambda checked: str(checked["id"]))
    def test_every_metric_and_test(self, checked: dict[str, Any], number: int) -> None:
        found = policy(checked)
        made = imagined(found, looks=Looks(fractions=tuple((k + 1) / number for k in range(number))))
        told = operating_characteristics(found, made.plan, releases=200, planned=False)
        assert told.plan_digest is None
        assert len(told.cells) == len(told.at_limit) == len(made.plan.cells)

    def test_all_of_them_together(self) -> None:
        found = policy(*CHECKS)
        judges = {kind: JudgeError() for kind in SetKind}
        made = imagined(found, judges=judges, values={"severity": ("low", "high"), "length_bucket": ("s", "l")})
        told = operating_characteristics(found, made.plan, Assumptions(judges=judges), releases=200)
        assert len(told.cells) >= len(CHECKS) + 2

    def test_an_anchor(self) -> None:
        found = policy(
            {"id": "margin", "metric": "pass_rate", "test": "non_inferiority", "margin": 0.05},
            {"id": "far", "metric": "pass_rate", "test": "non_inferiority", "margin": 0.08, "against": "anchor"},
            anchor="v1",
        )
        told = operating_characteristics(found, imagined(found).plan, releases=1000)
        assert told.answers_per_prompt == 3
        assert {p.check: p.passes < 0.1 for p in told.at_limit} == {"margin": True, "far": True}

    def test_a_limit_that_nothing_can_meet_is_noted(self) -> None:
        found = policy({**FLOOR, "expected": 0.7})
        told = operating_characteristics(found, imagined(found).plan, releases=200)
        assert told.a_a.promote < 0.05


class TestBadInput:
    def test_values_of_a_dimension_that_no_check_speaks_of(self) -> None:
        with pytest.raises(InputError, match="no check speaks of 'teir'"):
            imagined(policy({**FLOOR, "each": ["tier"]}), values={"teir": ("easy",)})

    def test_too_many_combinations(self) -> None:
        each = ["tier", "category", "tenant"]
        values = {key: tuple(f"{key}{i}" for i in range(20)) for key in each}
        with pytest.raises(InputError, match="8000 combinations"):
            imagined(policy({**FLOOR, "each": each}), values=values)


def test_what_the_judge_is_asked_besides_is_taken_to_pass_and_said_so() -> None:
    sized = {**FLOOR, "expected": 0.9}
    place = {"id": "place", "metric": "judge_position_bias", "test": "ceiling", "threshold": 0.1}
    told = []
    for checks in ([sized], [sized, place]):
        found = policy(*checks)
        one = imagined(found)
        told.append(operating_characteristics(found, one.plan, releases=1000, seed=1))
    alone, beside = told
    assert [point.check for point in beside.at_limit] == ["floor"]
    assert beside.a_a.promote == pytest.approx(alone.a_a.promote, abs=0.03)
    assert any("'place' rests on what the judge is asked besides" in note for note in beside.notes)
