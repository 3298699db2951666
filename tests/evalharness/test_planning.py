"""The planner: every cell by its own rate, proportional samples, a joint power, honest about what is missing."""

from __future__ import annotations

import itertools
from collections import Counter
from typing import Literal

import numpy as np
import pytest

from evalharness.allocating import DeclaredWeight
from evalharness.cell_sizes import LARGEST_EXACT_SIZE
from evalharness.drawing import sample_of
from evalharness.judge_error import JudgedFloor, JudgeError
from evalharness.label_sizes import LEAST_OWN_LABELS
from evalharness.plan import LatencyLoad, Looks, Plan, Requirement
from evalharness.planning import PlanInputs, RateSource, joint_power, make_plan, naive_total
from evalharness.statistics import (
    power_for_labelled_limit,
    power_for_limit,
    size_for_half_width,
    size_for_limit,
    size_for_margin,
    violation_upper,
)
from golden_sets.errors import InputError
from golden_sets.records import Message, Prompt, PromptSet, SetKind

TEN = Looks(fractions=tuple((k + 1) / 10 for k in range(10)))


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


def plan(
    sets: list[PromptSet], requirements: list[Requirement], rate: float | dict[str, float], **options: object
) -> Plan:
    source: RateSource = "policy"
    inputs: dict[str, object] = {
        "name": "p",
        "lineage": "flagship/main",
        "policy_digest": "sha256:p",
        "sets": sets,
        "requirements": requirements,
        "expected": lambda r: (rate[r.check] if isinstance(rate, dict) else rate, source),
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


def asked(made: Plan, name: str = "golden") -> dict[str, str]:
    """Tier of every prompt asked, by id."""
    return {i: stratum.cell.get("tier", "-") for stratum in made.sets[name].strata for i in stratum.prompts}


def total(made: Plan) -> int:
    return sum(len(stratum.prompts) for planned in made.sets.values() for stratum in planned.strata)


GOLDEN = prompt_set(SetKind.GOLDEN, 3000, easy=1000, hard=2000)


class TestCells:
    def test_each_gets_what_its_own_rate_takes(self) -> None:
        cells = [requirement(f"floor/{t}", cell={"tier": t}, power=0.8**0.5) for t in ("easy", "hard")]
        made = plan([GOLDEN], cells, {"floor/easy": 0.95, "floor/hard": 0.86})
        easy, hard = made.cells
        power = easy.power_wanted
        assert power == hard.power_wanted
        assert power is not None
        for cell, rate in ((easy, 0.95), (hard, 0.86)):
            assert cell.n == cell.n_wanted == size_for_limit(0.8, rate, direction="floor", alpha=0.05, power=power)
        assert easy.n < hard.n / 5
        assert Counter(asked(made).values()) == {"easy": easy.n, "hard": hard.n}
        assert total(made) < 0.7 * naive_total(made.cells)

    def test_the_joint_power_is_reached_and_not_overdone(self) -> None:
        cells = [requirement(f"floor/{t}", cell={"tier": t}, power=0.8**0.5) for t in ("easy", "hard")]
        made = plan([GOLDEN], cells, {"floor/easy": 0.9, "floor/hard": 0.86})
        assert 0.8 <= joint_power(made.cells) < 0.82

    def test_what_is_asked_anyway_is_used_and_saves_elsewhere(self) -> None:
        """A floor whose prompts the margin asks anyway is nearly certain, so the margin takes less."""
        margin = requirement("margin", purpose="margin", limit=-0.05, power=0.8**0.5)
        floor = requirement("floor", power=0.8**0.5)
        made = plan([GOLDEN], [margin, floor], {"margin": 0.15, "floor": 0.9})
        found = made.by_check
        assert found["floor"].n_wanted < found["floor"].n < found["margin"].n
        assert (found["floor"].power or 0) > 0.99
        alone = size_for_margin(0.05, 0.15, alpha=0.05, power=0.8**0.5)
        assert total(made) == found["margin"].n < 0.85 * alone

    def test_a_cell_with_too_few_prompts_says_so_and_what_power_is_left(self) -> None:
        made = plan([prompt_set(SetKind.GOLDEN, 40)], [requirement("floor")], 0.9)
        (cell,) = made.cells
        assert cell.n == 40 < cell.n_wanted
        assert cell.note is not None
        assert "40 of the" in cell.note
        assert cell.power == pytest.approx(power_for_limit(40, 0.8, 0.9, direction="floor", alpha=0.05), abs=1e-6)
        assert joint_power(made.cells) == cell.power

    def test_a_short_cell_makes_the_others_surer_where_that_reaches_the_joint_power(self) -> None:
        adversarial = prompt_set(SetKind.ADVERSARIAL, 150)
        short = requirement(
            "v", purpose="ceiling", metric="violation_rate", set_kind="adversarial", limit=0.02, power=0.8**0.5
        )
        floor = requirement("floor", power=0.8**0.5)
        made = plan([GOLDEN, adversarial], [floor, short], {"floor": 0.86, "v": 0.001})
        found = made.by_check
        assert found["v"].n == 150 < found["v"].n_wanted
        assert (found["v"].power or 1) < 0.8**0.5 < (found["floor"].power or 0)
        assert joint_power(made.cells) >= 0.8

    def test_a_rate_on_the_wrong_side_of_the_limit_cannot_be_sized(self) -> None:
        made = plan([prompt_set(SetKind.GOLDEN, 40)], [requirement("floor")], 0.7)
        (cell,) = made.cells
        assert cell.note is not None
        assert "no sample will pass it" in cell.note
        assert joint_power(made.cells) < 0.05

    def test_a_requirement_that_matches_nothing_is_an_error(self) -> None:
        with pytest.raises(InputError, match=r"floor/none.*matches no prompt"):
            plan([prompt_set(SetKind.GOLDEN, 5)], [requirement("floor/none", cell={"tier": "none"})], 0.9)

    def test_a_cell_of_one_set_says_which(self) -> None:
        sets = [prompt_set(SetKind.GOLDEN, 30), prompt_set(SetKind.GOLDEN, 50).model_copy(update={"name": "other"})]
        (cell,) = plan(sets, [requirement("floor", set_name="other")], 0.9).cells
        assert (cell.set_name, cell.n_available) == ("other", 50)

    def test_a_display_width_is_sized_for(self) -> None:
        wide, narrow = (
            plan([GOLDEN], [requirement("floor", half_width=width)], 0.9).cells[0] for width in (None, 0.02)
        )
        assert narrow.n == size_for_half_width(0.9, 0.02) > wide.n

    def test_reliability_is_sized_over_all_requests_and_asks_more_where_it_must(self) -> None:
        reliability = requirement(
            "up", metric="request_success_rate", set_kind=None, limit=0.99, basis="requests", power=0.8
        )
        small = requirement("floor", cell={"tier": "easy"})
        made = plan([GOLDEN], [small, reliability], {"floor": 0.97, "up": 0.999})
        up = made.by_check["up"]
        assert up.basis == "requests"
        assert total(made) >= up.n_wanted > made.by_check["floor"].n
        assert up.power == pytest.approx(power_for_limit(up.n, 0.99, 0.999, direction="floor", alpha=0.05), abs=1e-6)
        repeated = plan([GOLDEN], [small, reliability], {"floor": 0.97, "up": 0.999}, repeats=3)
        assert repeated.by_check["up"].n_wanted == -(-up.n_wanted // 3)

    def test_prompts_of_one_cluster_are_said_to_be_worth_less(self) -> None:
        clustered = tuple(p.model_copy(update={"cluster": f"c{i // 5}"}) for i, p in enumerate(GOLDEN.prompts))
        (cell,) = plan([GOLDEN.model_copy(update={"prompts": clustered})], [requirement("floor")], 0.83).cells
        assert cell.note is not None
        assert "in clusters worth" in cell.note
        assert int(cell.note.split("worth ")[1].split()[0]) < cell.n
        (independent,) = plan([GOLDEN], [requirement("floor")], 0.83).cells
        assert independent.note is None


class TestSamples:
    def test_a_pooled_sample_is_proportional_at_every_prefix_though_cells_are_unequal(self) -> None:
        hard = requirement("hard", cell={"tier": "hard"}, power=0.9)
        pooled = requirement("pooled", purpose="margin", limit=-0.06)
        made = plan([GOLDEN], [hard, pooled], {"hard": 0.83, "pooled": 0.15})
        tiers = asked(made)
        counts = Counter(tiers.values())
        assert counts["hard"] > 3 * counts["easy"]
        sample = [tiers[i] for _, i in sample_of(made, made.by_check["pooled"])]
        assert len(sample) == made.by_check["pooled"].n
        for n in range(1, len(sample) + 1):
            assert abs(sample[:n].count("easy") - n / 3) <= 1

    def test_a_stratum_holds_the_prefix_of_every_check(self) -> None:
        cells = [requirement(f"floor/{t}", cell={"tier": t}) for t in ("easy", "hard")]
        pooled = requirement("pooled", purpose="margin", limit=-0.08)
        made = plan([GOLDEN], [*cells, pooled], {"floor/easy": 0.95, "floor/hard": 0.86, "pooled": 0.15})
        for cell in made.cells:
            assert len(sample_of(made, cell)) == cell.n

    def test_declared_weights_decide_the_mix(self) -> None:
        weights = {"golden": [DeclaredWeight({"tier": "easy"}, 0.8), DeclaredWeight({"tier": "hard"}, 0.2)]}
        made = plan([GOLDEN], [requirement("floor")], 0.86, weights=weights)
        assert Counter(asked(made).values())["easy"] == pytest.approx(0.8 * total(made), abs=1)

    def test_samples_grow_without_changing(self) -> None:
        small, large = (plan([GOLDEN], [requirement("floor")], rate) for rate in (0.95, 0.88))
        short, long = (sample_of(made, made.cells[0]) for made in (small, large))
        assert len(short) < len(long)
        assert long[: len(short)] == short
        assert list(short) != sorted(short)

    def test_the_plan_does_not_depend_on_the_order_in_the_file_but_on_the_seed(self) -> None:
        golden = prompt_set(SetKind.GOLDEN, 300)
        turned = golden.model_copy(update={"prompts": tuple(reversed(golden.prompts))})
        first, second = (plan([one], [requirement("floor")], 0.9) for one in (golden, turned))
        assert first.digest == second.digest
        assert plan([golden], [requirement("floor")], 0.9, seed=1).digest != first.digest

    def test_what_no_check_sizes_is_asked_whole(self) -> None:
        cost = requirement("cost", purpose="display", metric="usd_per_success", limit=1.1)
        made = plan([GOLDEN], [cost], 0.5)
        assert made.cells[0].n == total(made) == 3000

    def test_what_no_check_sizes_follows_the_rest_of_its_set(self) -> None:
        """A cost over the whole set is not cut off because one tier has no check of its own."""
        easy = requirement("floor", cell={"tier": "easy"})
        cost = requirement("cost", purpose="display", metric="usd_per_success", limit=1.1)
        made = plan([GOLDEN], [easy, cost], {"floor": 0.9, "cost": 0.0})
        assert made.by_check["cost"].n == pytest.approx(3 * made.by_check["floor"].n, abs=2)


class TestLooks:
    def test_they_grow_to_a_little_more_than_one_look_takes(self) -> None:
        made = plan([GOLDEN], [requirement("floor")], 0.86, looks=TEN)
        (cell,) = made.cells
        assert cell.n_fixed < cell.n <= 1.15 * cell.n_fixed
        assert len(cell.looks) == 10
        assert cell.looks[-1] == cell.n
        assert all(a <= b for a, b in itertools.pairwise(cell.looks))
        assert (cell.power or 0) >= 0.8

    def test_they_save_prompts_on_average_and_more_where_the_case_is_clear(self) -> None:
        made = plan([GOLDEN], [requirement("floor")], 0.86, looks=TEN, joint_power=0.9)
        (cell,) = made.cells
        assert cell.expected_n is not None
        assert cell.expected_n_clear is not None
        assert cell.expected_n < 0.7 * cell.n_fixed
        assert cell.expected_n_clear < 0.4 * cell.n_fixed
        assert made.expected_prompts == pytest.approx(cell.expected_n, rel=0.05)

    def test_the_average_of_several_checks_is_that_of_the_slowest(self) -> None:
        cells = [requirement(f"floor/{t}", cell={"tier": t}, power=0.8**0.5) for t in ("easy", "hard")]
        pooled = requirement("pooled", limit=0.7)
        made = plan([GOLDEN], [*cells, pooled], 0.88, looks=TEN)
        separate = sum(made.by_check[f"floor/{t}"].expected_n or 0 for t in ("easy", "hard"))
        assert made.expected_prompts is not None
        assert separate - 0.5 <= made.expected_prompts < total(made)

    def test_one_look_is_the_whole_sample(self) -> None:
        made = plan([GOLDEN], [requirement("floor")], 0.86)
        (cell,) = made.cells
        assert cell.looks == (cell.n,)
        assert cell.expected_n == cell.n

    def test_checks_that_are_examined_at_the_end_have_none(self) -> None:
        p95 = requirement("ttft", purpose="quantile", metric="ttft_s", limit=0.5, quantile=0.95, basis="end")
        assert plan([GOLDEN], [p95], 0.9, looks=TEN).cells[0].looks == ()


class TestStages:
    def test_a_check_belongs_to_the_latest_stage_of_its_sets(self) -> None:
        unsafe = prompt_set(SetKind.ADVERSARIAL, 300)
        floor = requirement("floor")
        cost = requirement("cost", purpose="display", metric="usd_per_million_output_tokens", set_kind=None)
        made = plan([GOLDEN, unsafe], [floor, cost], 0.9, stages={"adversarial": 2})
        assert {name: s.stage for name, s in made.sets.items()} == {"golden": 1, "adversarial": 2}
        assert {c.check: c.stage for c in made.cells} == {"floor": 1, "cost": 2}


class TestJudges:
    def test_every_judged_floor_gets_the_labels_of_its_own_cell(self) -> None:
        cells = [requirement(f"floor/{t}", cell={"tier": t}) for t in ("easy", "hard")]
        made = plan([GOLDEN], cells, {"floor/easy": 0.99, "floor/hard": 0.88}, labels_per_arm=None, **judged("golden"))
        for cell in made.cells:
            assert cell.labels >= LEAST_OWN_LABELS, cell.check
        hard = made.by_check["floor/hard"]
        power = power_for_labelled_limit(hard.n, hard.labels, 0.8, 0.88, 0.9, 0.9, direction="floor")
        assert power == pytest.approx(hard.power, abs=1e-6)
        assert power >= 0.79

    @pytest.mark.parametrize("error", [JudgeError(), JudgeError(0.99, 0.99), JudgeError(0.5, 0.5)])
    def test_a_judged_floor_takes_fewer_labels_of_more_answers_unless_the_judge_is_blind(
        self, error: JudgeError
    ) -> None:
        floor = JudgedFloor(error, 0.8, 0.87, 0.05)
        n, labels = floor.size(size_for_limit(0.8, 0.87, direction="floor"), 0.8)
        more = floor.labels(3 * n, 0.8)
        assert more is not None
        assert floor.power(n, labels) >= 0.8
        if error.sensitivity == 0.5:
            assert labels == more > 0.9 * n
        else:
            assert more < labels < n

    def test_judged_ceilings_pay_for_the_judges_sensitivity(self) -> None:
        unsafe = prompt_set(SetKind.ADVERSARIAL, 900)
        ceiling = requirement(
            "v", purpose="ceiling", metric="violation_rate", set_kind="adversarial", limit=0.02, power=0.9
        )
        sizes = {
            name: plan([unsafe], [ceiling], 0.0, **options).cells[0].n_wanted
            for name, options in {
                "checked": {},
                "good": judged("adversarial", sensitivity=0.99, positives=400),
                "fair": judged("adversarial", sensitivity=0.9, positives=100),
                "poor": judged("adversarial", sensitivity=0.7, positives=30),
            }.items()
        }
        assert sizes["checked"] == 149
        assert 149 < sizes["good"] < sizes["fair"] < sizes["poor"]

    def test_power_and_size_of_a_ceiling_agree_about_the_judge(self) -> None:
        ceiling = requirement("v", purpose="ceiling", metric="violation_rate", set_kind="adversarial", limit=0.02)
        unsafe = prompt_set(SetKind.ADVERSARIAL, 600)
        (checked,) = plan([unsafe], [ceiling], 0.002).cells
        power = power_for_limit(checked.n, 0.02, 0.002, direction="ceiling", alpha=0.05)
        assert checked.power == pytest.approx(power, abs=1e-6)
        (cell,) = plan([unsafe], [ceiling], 0.002, **judged("adversarial", sensitivity=0.9, positives=200)).cells
        rng = np.random.default_rng(5)
        found, seen = rng.binomial(200, 0.9, 4000), rng.binomial(cell.n, 0.002 * 0.9, 4000)
        upper = np.array(
            [violation_upper(k, cell.n, f, 200, confidence=0.95).high for k, f in zip(seen, found, strict=True)]
        )
        assert cell.power == pytest.approx(float((upper <= 0.02).mean()), abs=0.025)
        assert cell.power is not None
        assert cell.power >= 0.8

    def test_without_a_labelled_event_no_ceiling_can_be_proved(self) -> None:
        ceiling = requirement("v", purpose="ceiling", metric="violation_rate", set_kind="adversarial", limit=0.02)
        made = plan([prompt_set(SetKind.ADVERSARIAL, 600)], [ceiling], 0.0, **judged("adversarial", positives=0))
        assert "positive controls" in (made.cells[0].note or "")
        assert joint_power(made.cells) == 0.0


def judged(kind: str, **error: float) -> dict[str, object]:
    return {"judged_kinds": frozenset({kind}), "judges": {kind: JudgeError(**error)}}  # type: ignore[arg-type]


def test_latency_buckets_get_enough_for_a_bound() -> None:
    golden = prompt_set(SetKind.GOLDEN, 40)
    p99 = requirement("ttft", purpose="quantile", metric="ttft_s", set_kind=None, limit=0.5, quantile=0.99, basis="end")
    made = plan([golden], [p99], 0.9, latency=LatencyLoad(rate=5.0, requests_per_bucket=10))
    assert made.latency is not None
    assert made.latency.requests_per_bucket >= 299


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
@pytest.mark.parametrize("looks", [Looks(), TEN])
def test_a_rate_too_near_the_limit_is_capped_and_says_about_how_many(
    purpose: str, limit: float, rate: float, looks: Looks
) -> None:
    near = requirement("near", purpose=purpose, limit=limit)
    (cell,) = plan([prompt_set(SetKind.GOLDEN, 40)], [near], rate, looks=looks).cells
    assert (cell.n_fixed, cell.n) == (LARGEST_EXACT_SIZE, 40)
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


def test_what_else_decides_the_numbers_is_in_the_digest() -> None:
    golden = prompt_set(SetKind.GOLDEN, 30)
    first, second = (plan([golden], [requirement("floor")], 0.9, also={"labels": {"seed": s}}) for s in (0, 1))
    assert first.inputs == {"labels": {"seed": 0}}
    assert first.digest != second.digest
