"""The planner: every cell by its own rate, a random prefix of the set, honest about what is missing."""

from __future__ import annotations

from typing import Literal

import pytest

from evalharness.plan import LatencyLoad, Plan, Requirement
from evalharness.planning import (
    ASSUMED_SENSITIVITY,
    LARGEST_EXACT_SIZE,
    PlanInputs,
    RateSource,
    make_plan,
    naive_total,
)
from evalharness.statistics import power_for_limit, size_for_limit, size_for_margin
from golden_sets.errors import InputError
from golden_sets.records import Message, Prompt, PromptSet, SetKind


def prompt_set(kind: SetKind, n: int, **cells: int) -> PromptSet:
    tiers = [tier for tier, count in cells.items() for _ in range(count)] or ["only"] * n
    prompts = tuple(
        Prompt(
            id=f"{kind}-{i}",
            messages=(Message(role="user", content=f"{kind} {i}"),),
            dimensions={"tier": tiers[i], "length_bucket": "le16"},
        )
        for i in range(n)
    )
    return PromptSet(kind=kind, name=kind.value, version="1", prompts=prompts)


def requirement(check: str, **fields: object) -> Requirement:
    data: dict[str, object] = {
        "check": check,
        "purpose": "floor",
        "metric": "pass_rate",
        "set_kind": "golden",
        "limit": 0.8,
        "alpha": 0.05,
        "power": 0.8,
    }
    return Requirement.model_validate({**data, **fields})


def plan(sets: list[PromptSet], requirements: list[Requirement], rate: float, **options: object) -> Plan:
    source: RateSource = "policy"
    inputs: dict[str, object] = {
        "name": "p",
        "lineage": "flagship/main",
        "policy_digest": "sha256:p",
        "sets": sets,
        "requirements": requirements,
        "expected": lambda _requirement: (rate, source),
        "incumbent_digest": None,
        "judge_digest": None,
        "alpha": 0.05,
        "joint_power": 0.8,
        "repeats": 1,
        "seed": 0,
        "labels_per_arm": 0,
        "latency": None,
        "judged_kinds": frozenset(),
    }
    return make_plan(PlanInputs(**{**inputs, **options}))  # type: ignore[arg-type]


def test_cells_get_what_their_own_rate_takes() -> None:
    golden = prompt_set(SetKind.GOLDEN, 2000, easy=1000, hard=1000)
    cells = [requirement(f"floor/{t}", cell={"tier": t}) for t in ("easy", "hard")]
    made = plan([golden], cells, 0.9)
    wanted = size_for_limit(0.8, 0.9, direction="floor", alpha=0.05, power=0.8)
    assert [c.n_wanted for c in made.cells] == [wanted, wanted]
    assert all(wanted <= c.n < 1.4 * wanted for c in made.cells)
    assert naive_total(made.cells) == 2 * wanted


def test_the_asked_prompts_are_a_prefix_of_one_random_order() -> None:
    golden = prompt_set(SetKind.GOLDEN, 500)
    small = plan([golden], [requirement("floor")], 0.95).prompts["golden"]
    large = plan([golden], [requirement("floor")], 0.88).prompts["golden"]
    assert len(small) < len(large)
    assert large[: len(small)] == small
    assert list(small) != sorted(small)


def test_the_plan_does_not_depend_on_the_order_in_the_file_but_on_the_seed() -> None:
    golden = prompt_set(SetKind.GOLDEN, 300)
    turned = golden.model_copy(update={"prompts": tuple(reversed(golden.prompts))})
    first, second = (plan([one], [requirement("floor")], 0.9) for one in (golden, turned))
    assert first.digest == second.digest
    assert plan([golden], [requirement("floor")], 0.9, seed=1).digest != first.digest


def test_a_cell_with_too_few_prompts_says_so_and_what_power_is_left() -> None:
    made = plan([prompt_set(SetKind.GOLDEN, 40)], [requirement("floor")], 0.9)
    (cell,) = made.cells
    assert cell.n == 40 < cell.n_wanted
    assert cell.note is not None
    assert "40 of the" in cell.note
    assert cell.power == pytest.approx(power_for_limit(40, 0.8, 0.9, direction="floor", alpha=0.05))


def test_a_rate_on_the_wrong_side_of_the_limit_cannot_be_sized() -> None:
    (cell,) = plan([prompt_set(SetKind.GOLDEN, 40)], [requirement("floor")], 0.7).cells
    assert cell.note is not None
    assert "no sample size" in cell.note


def test_judged_ceilings_pay_for_the_judges_sensitivity() -> None:
    unsafe = prompt_set(SetKind.ADVERSARIAL, 600)
    ceiling = requirement(
        "v", purpose="ceiling", metric="violation_rate", set_kind="adversarial", limit=0.02, power=0.9
    )
    checked = plan([unsafe], [ceiling], 0.0)
    judged = plan([unsafe], [ceiling], 0.0, judged_kinds=frozenset({"adversarial"}))
    assert checked.cells[0].n_wanted == 149
    assert judged.cells[0].n_wanted > 180


def test_latency_buckets_get_enough_for_a_bound() -> None:
    golden = prompt_set(SetKind.GOLDEN, 40)
    p99 = requirement("ttft", purpose="quantile", metric="ttft_s", set_kind=None, limit=0.5, quantile=0.99)
    made = plan([golden], [p99], 0.9, latency=LatencyLoad(rate=5.0, requests_per_bucket=10))
    assert made.latency is not None
    assert made.latency.requests_per_bucket >= 299


def test_a_requirement_that_matches_nothing_is_an_error() -> None:
    with pytest.raises(InputError, match=r"floor/none.*matches no prompt"):
        plan([prompt_set(SetKind.GOLDEN, 5)], [requirement("floor/none", cell={"tier": "none"})], 0.9)


@pytest.mark.parametrize(
    ("purpose", "limit", "rate"),
    [
        ("floor", 0.8, 0.8000001),
        ("floor", 0.8, 0.8004),
        ("ceiling", 0.02, 0.0199999),
        ("ceiling", 1e-9, 0.0),
        ("floor", 1 - 1e-9, 1.0),
        ("margin", -1e-5, 0.15),
        ("margin", 1e-9, 0.0),
    ],
)
def test_a_rate_too_near_the_limit_is_capped_and_says_about_how_many(purpose: str, limit: float, rate: float) -> None:
    near = requirement("near", purpose=purpose, limit=limit)
    (cell,) = plan([prompt_set(SetKind.GOLDEN, 40)], [near], rate).cells
    assert (cell.n_wanted, cell.n) == (LARGEST_EXACT_SIZE, 40)
    assert cell.note is not None
    told = float(cell.note.split("about ")[1].split()[0])
    assert told > LARGEST_EXACT_SIZE
    assert "the sets hold 40" in cell.note


@pytest.mark.parametrize(("purpose", "limit", "rate"), [("floor", 0.8, 0.803), ("margin", -0.004, 0.15)])
def test_below_the_cap_sizes_are_exact(purpose: Literal["floor", "margin"], limit: float, rate: float) -> None:
    (cell,) = plan([prompt_set(SetKind.GOLDEN, 40)], [requirement("c", purpose=purpose, limit=limit)], rate).cells
    exact = (
        size_for_limit(limit, rate, direction="floor", alpha=0.05, power=0.8)
        if purpose == "floor"
        else size_for_margin(-limit, rate, alpha=0.05, power=0.8)
    )
    assert cell.n_wanted == exact < LARGEST_EXACT_SIZE


@pytest.mark.parametrize("purpose", ["floor", "ceiling", "margin"])
def test_an_expected_rate_that_is_none_names_the_check(purpose: str) -> None:
    with pytest.raises(InputError, match=r"check 'floor/odd'.*1\.5"):
        plan([prompt_set(SetKind.GOLDEN, 5)], [requirement("floor/odd", purpose=purpose)], 1.5)


def test_power_and_size_of_a_ceiling_agree_about_the_judge() -> None:
    """A ceiling scored without a judge is not charged for the judge's sensitivity."""
    ceiling = requirement("v", purpose="ceiling", metric="violation_rate", set_kind="adversarial", limit=0.02)
    unsafe = prompt_set(SetKind.ADVERSARIAL, 600)
    (checked,) = plan([unsafe], [ceiling], 0.002).cells
    assert checked.power == pytest.approx(power_for_limit(checked.n, 0.02, 0.002, direction="ceiling", alpha=0.05))
    (judged,) = plan([unsafe], [ceiling], 0.002, judged_kinds=frozenset({"adversarial"})).cells
    assert judged.power == pytest.approx(
        power_for_limit(judged.n, 0.02 * ASSUMED_SENSITIVITY, 0.002, direction="ceiling", alpha=0.025)
    )


def test_a_cell_of_one_set_says_which() -> None:
    sets = [prompt_set(SetKind.GOLDEN, 30), prompt_set(SetKind.GOLDEN, 50).model_copy(update={"name": "other"})]
    (cell,) = plan(sets, [requirement("floor", set_name="other")], 0.9).cells
    assert (cell.set_name, cell.n_available) == ("other", 50)


def test_what_else_decides_the_numbers_is_in_the_digest() -> None:
    golden = prompt_set(SetKind.GOLDEN, 30)
    first, second = (plan([golden], [requirement("floor")], 0.9, also={"labels": {"seed": s}}) for s in (0, 1))
    assert first.inputs == {"labels": {"seed": 0}}
    assert first.digest != second.digest
