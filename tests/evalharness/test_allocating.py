"""Strata: by the cells that matter, weighted as declared, asked as far as the longest sample takes them."""

from __future__ import annotations

import numpy as np
import pytest

from evalharness.allocating import Allocation, DeclaredWeight, stratified
from evalharness.averages import Demand, expected_prompts
from evalharness.plan import PlannedCell, PlannedSet
from golden_sets.errors import InputError
from golden_sets.records import Message, Prompt, PromptSet, SetKind


def prompt_set(cells: dict[tuple[str, str], int]) -> PromptSet:
    prompts = tuple(
        Prompt(
            id=f"{tier}-{language}-{i}",
            messages=(Message(role="user", content=f"{tier} {language} {i}"),),
            dimensions={"tier": tier, **({"language": language} if language else {})},
        )
        for (tier, language), count in cells.items()
        for i in range(count)
    )
    return PromptSet(kind=SetKind.GOLDEN, name="golden", version="1", prompts=prompts)


MIXED = prompt_set({("easy", "en"): 60, ("easy", "de"): 20, ("hard", "en"): 15, ("hard", ""): 5})


def cell(**dimensions: str) -> PlannedCell:
    return PlannedCell(
        check="c",
        purpose="floor",
        metric="pass_rate",
        set_kind=SetKind.GOLDEN,
        cell=dimensions,
        rate=None,
        rate_source="none",
        n_wanted=0,
        n_available=0,
        n=0,
    )


def shares(planned: PlannedSet) -> dict[str, float]:
    total = sum(s.weight for s in planned.strata)
    return {",".join(f"{k}={v}" for k, v in s.cell.items()): s.weight / total for s in planned.strata}


class TestStrata:
    def test_only_dimensions_that_matter_split_a_set(self) -> None:
        assert len(stratified(MIXED, [], seed=0).strata) == 1
        assert len(stratified(MIXED, ["tier"], seed=0).strata) == 2
        both = stratified(MIXED, ["tier", "language"], seed=0)
        assert sorted(s.available for s in both.strata) == [5, 15, 20, 60]
        assert {"tier": "hard"} in [dict(s.cell) for s in both.strata]

    def test_by_default_every_prompt_counts_alike(self) -> None:
        assert [s.weight for s in stratified(MIXED, ["tier"], seed=0).strata] == [80, 20]

    def test_a_declared_group_is_split_in_proportion(self) -> None:
        weights = [DeclaredWeight({"tier": "easy"}, 1.0), DeclaredWeight({"tier": "hard"}, 3.0)]
        planned = stratified(MIXED, ["tier", "language"], seed=0, declared=weights)
        assert shares(planned) == pytest.approx(
            {
                "language=de,tier=easy": 0.25 * 20 / 80,
                "language=en,tier=easy": 0.25 * 60 / 80,
                "tier=hard": 0.75 * 5 / 20,
                "language=en,tier=hard": 0.75 * 15 / 20,
            }
        )
        assert sum(s.weight for s in planned.strata) == pytest.approx(100)

    def test_weights_split_a_set_by_dimensions_that_no_check_uses(self) -> None:
        weights = [DeclaredWeight({"tier": "easy"}, 0.5), DeclaredWeight({"tier": "hard"}, 0.5)]
        assert shares(stratified(MIXED, [], seed=0, declared=weights)) == {"tier=easy": 0.5, "tier=hard": 0.5}

    @pytest.mark.parametrize(
        ("groups", "message"),
        [
            ([{"tier": "easy"}], "prompts without a declared weight: tier=hard"),
            ([{"tier": "easy"}, {"tier": "none"}], "has no prompt with tier=none"),
            ([{"tier": "easy"}, {"tier": "hard"}, {"tier": "hard", "language": "en"}], "weights of the same prompts"),
        ],
    )
    def test_weights_that_do_not_fit_are_an_error_with_its_place(
        self, groups: list[dict[str, str]], message: str
    ) -> None:
        declared = [DeclaredWeight(group, 1.0, "relgate.yaml:7") for group in groups]
        with pytest.raises(InputError, match=message) as found:
            stratified(MIXED, [], seed=0, declared=declared)
        assert found.value.where == "relgate.yaml:7"


class TestAllocation:
    @pytest.fixture
    def allocation(self) -> Allocation:
        return Allocation({"golden": stratified(MIXED, ["tier"], seed=0)}, seed=0)

    def test_the_longest_sample_of_every_stratum_counts(self, allocation: Allocation) -> None:
        pooled, hard = allocation.draw(cell()), allocation.draw(cell(tier="hard"))
        allocation.ask(pooled, 50)
        allocation.ask(hard, 18)
        assert sorted(allocation.counts.tolist()) == pytest.approx([18, 40], abs=1)
        assert allocation.reach(hard) == 18
        assert 50 <= allocation.reach(pooled) <= 52

    def test_a_sample_reaches_to_the_first_prompt_that_is_not_asked(self, allocation: Allocation) -> None:
        pooled, easy = allocation.draw(cell()), allocation.draw(cell(tier="easy"))
        allocation.ask(easy, 80)
        assert allocation.reach(pooled) < 10
        allocation.ask(pooled, 100)
        assert allocation.reach(pooled) == 100

    def test_strata_without_a_size_follow_the_least_asked(self, allocation: Allocation) -> None:
        allocation.ask(allocation.draw(cell(tier="easy")), 40)
        allocation.fill()
        assert sorted(allocation.counts.tolist()) == [10, 40]

    def test_a_set_without_sizes_is_asked_whole_or_in_part(self, allocation: Allocation) -> None:
        allocation.fill(0.5)
        assert sorted(allocation.counts.tolist()) == [10, 40]
        allocation.reset()
        allocation.fill()
        assert allocation.counts.sum() == 100

    def test_extending_stops_when_enough_is_asked_for_any_check(self, allocation: Allocation) -> None:
        everything = allocation.draw(cell())
        allocation.ask(allocation.draw(cell(tier="hard")), 20)
        allocation.extend(everything, 60)
        assert allocation.asked_of(everything) == 60
        allocation.extend(everything, 1000)
        assert allocation.asked_of(everything) == 100

    def test_what_is_planned_is_a_prefix_of_each_stratum(self, allocation: Allocation) -> None:
        allocation.ask(allocation.draw(cell()), 30)
        full = {tuple(s.cell.items()): s.prompts for s in stratified(MIXED, ["tier"], seed=0).strata}
        for stratum in allocation.planned()["golden"].strata:
            assert stratum.prompts == full[tuple(stratum.cell.items())][: len(stratum.prompts)]
            assert len(stratum.prompts) < stratum.available


class TestAverages:
    def test_one_check_takes_its_mean(self) -> None:
        demand = Demand(np.array([[10], [20]]), np.array([0.25, 0.75]))
        assert expected_prompts([demand], np.array([20])) == pytest.approx(17.5)

    def test_of_two_checks_on_one_stratum_the_longer_counts(self) -> None:
        demands = [Demand(np.array([[10], [20]]), np.array([0.5, 0.5])) for _ in range(2)]
        assert expected_prompts(demands, np.array([20])) == pytest.approx(0.25 * 10 + 0.75 * 20)

    def test_checks_on_different_strata_add_up_and_the_rest_counts_in_full(self) -> None:
        first = Demand(np.array([[10, 0, 0], [20, 0, 0]]), np.array([0.5, 0.5]))
        second = Demand(np.array([[0, 4, 0], [0, 8, 0]]), np.array([1.0, 0.0]))
        assert expected_prompts([first, second], np.array([20, 8, 7])) == pytest.approx(15 + 4 + 7)
