"""Plans and evidence that do not belong together: a gate finds out by itself."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from evalharness.plan import Plan
from gates.decision import Verdict
from gates.gate import Measured, gate
from golden_sets.digests import digest_json
from golden_sets.errors import InputError
from tests.support.evidence import FLOOR, MARGIN, measured, policy, rows, table
from tests.support.plans import looks, plan_of, prompt_set, run

SETS = [prompt_set(easy=600, hard=600)]
TIERS = policy({**FLOOR, "each": ["tier"]})


def right(arm: str, name: str, prompt: str, dimensions: Mapping[str, str]) -> float:
    return 1.0 if dimensions["tier"] == "easy" else 0.0


def good(*_: object) -> float:
    return 1.0


def finished(**changes: Any) -> tuple[Plan, Measured]:
    plan = plan_of(TIERS, SETS, expected=0.97, incumbent_digest=None)
    found, _ = run(TIERS, plan, SETS, good, arms=("candidate",))
    return plan, Measured(found.evidence.model_copy(update=changes), found.outcomes, plan)


def test_what_belongs_together_is_promoted() -> None:
    assert gate(TIERS, finished()[1], require_plan=True).verdict is Verdict.PROMOTE


def test_a_cell_that_looks_elsewhere_than_its_name_says_is_refused() -> None:
    plan = plan_of(TIERS, SETS, expected=0.97, incumbent_digest=None)
    cells = tuple(c.model_copy(update={"cell": {"tier": "easy"}}) for c in plan.cells)
    crafted = plan.model_copy(update={"cells": cells})
    found, _ = run(TIERS, crafted, SETS, right, arms=("candidate",))
    with pytest.raises(InputError, match=r"floor/hard.*is not what policy"):
        gate(TIERS, found, require_plan=True)


def test_looks_elsewhere_than_where_alpha_was_spent_are_refused() -> None:
    plan = plan_of(TIERS, SETS, expected=0.97, incumbent_digest=None, looks=looks(4))
    bunched = plan.looks.model_copy(update={"fractions": (0.97, 0.98, 0.99, 1.0)})
    crafted = plan.model_copy(update={"looks": bunched})
    found, _ = run(TIERS, crafted, SETS, good, arms=("candidate",))
    with pytest.raises(InputError, match="is not what policy"):
        gate(TIERS, found)


def test_another_alpha_than_the_attempts_is_refused() -> None:
    plan = plan_of(TIERS, SETS, expected=0.97, incumbent_digest=None).model_copy(update={"alpha": 0.2})
    found, _ = run(TIERS, plan, SETS, good, arms=("candidate",))
    with pytest.raises(InputError, match=r"spends alpha 0\.2"):
        gate(TIERS, found)


@pytest.mark.parametrize(
    "changes",
    [
        {"set_digests": {"golden-set": digest_json("another version")}},
        {"judge_digest": digest_json("another judge")},
        {"incumbent_digest": digest_json("somebody")},
        {"plan_index": None},
    ],
    ids=lambda changes: next(iter(changes)),
)
def test_evidence_of_another_run_is_not_planned(changes: dict[str, Any]) -> None:
    decision = gate(TIERS, finished(**changes)[1], require_plan=True)
    assert decision.verdict is Verdict.INCONCLUSIVE


def test_fewer_repeats_than_planned_are_another_run() -> None:
    plan = plan_of(TIERS, SETS, expected=0.97, incumbent_digest=None, repeats=3)
    found, _ = run(TIERS, plan, SETS, good, arms=("candidate",))
    decision = gate(TIERS, found, require_plan=True)
    assert decision.verdict is Verdict.INCONCLUSIVE
    assert "3 times" in decision.reason


def test_a_weaker_incumbent_than_the_planned_one_cannot_slip_in() -> None:
    rules = policy({**MARGIN, "margin": 0.03})
    plan = plan_of(rules, SETS, expected=0.1)

    def outcome(arm: str, name: str, prompt: str, dimensions: Mapping[str, str]) -> float:
        return 1.0 if arm == "incumbent" else float(int(prompt.split("-")[1]) % 5 != 0)

    found, _ = run(rules, plan, SETS, outcome)
    assert gate(rules, found, require_plan=True).verdict is Verdict.BLOCK
    mine = found.outcomes.arm("candidate")
    ids, digests = (list(map(str, mine.frame[c])) for c in ("prompt_id", "prompt_digest"))
    weak = measured(
        table(rows([0.0] * len(ids), prompt_id=ids, prompt_digest=digests, cluster=ids)),
        name="weak",
        sets=plan.set_digests,
    )
    decision = gate(rules, found, weak, require_plan=True)
    assert decision.verdict is not Verdict.PROMOTE
    assert any("another incumbent" in note for note in decision.notes)


def test_no_record_of_looks_is_no_record() -> None:
    _, found = finished(looks=())
    with pytest.raises(InputError, match="no further look"):
        gate(TIERS, found)
