"""Planned runs with ten looks, followed through the real course: their error rates, and the prompts they save."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from benchmarks.error_rates_report import Saving
from benchmarks.judged_at_the_limit import JUDGED, judged_outcomes
from benchmarks.simulated_evidence import (
    Floats,
    Setting,
    bernoulli,
    beta_rates,
    floor,
    margin,
    paired_outcomes,
    policy,
    rows,
)
from evalharness.drawing import sample_of
from evalharness.outcomes import OutcomeTable
from evalharness.plan import Looks, Plan, PlannedCell
from evalharness.planning import PlanInputs, make_plan
from evalharness.statistics import Spending, design_sequence
from gates.course import Course
from gates.policy import Policy
from gates.requirements import requirements
from golden_sets.digests import digest_json
from golden_sets.records import Message, Prompt, PromptSet, SetKind
from pipelines.asking import FIRST_LABELS
from pipelines.judge_run import LEAST_OF_FIRST, LEAST_OF_LATER

TEN = tuple((k + 1) / 10 for k in range(10))
EFFECTS = (-2.0, -1.5, -1.0, -0.5, 0.0, 0.5, 1.0, 1.5, 2.0)
GIVING_UP: tuple[Spending | None, ...] = (None, "cubic")
DISCORDANCE = 0.15


@dataclass(frozen=True)
class Planned:
    """A policy of one check with its plan, and the outcome table of everything planned, to be filled in.

    Rows are in the order in which the check takes the prompts, arm by arm.
    """

    rules: Policy
    plan: Plan
    frame: pd.DataFrame

    @property
    def cell(self) -> PlannedCell:
        """The check's cell."""
        return self.plan.cells[0]

    def table(self, outcomes: Sequence[Floats], **columns: Any) -> OutcomeTable:
        """The table with these outcomes, arm by arm."""
        return OutcomeTable.from_frame(self.frame.assign(outcome=np.concatenate(outcomes), **columns))

    def course(self, outcomes: Sequence[Floats], **columns: Any) -> Course:
        """The course of a run with these outcomes, look by look to its end."""
        course, table = Course(self.rules, self.plan), self.table(outcomes, **columns)
        while course.wanted() is not None:
            course.look(table, ())
        return course


def planned(
    check: Mapping[str, Any],
    *,
    rate: float,
    power: float = 0.9,
    looks: Looks | None = None,
    prompts: int = 6000,
    **columns: Any,
) -> Planned:
    """Plan a policy of one check on a golden set.

    Args:
        check: the check; a margin is run on both arms.
        rate: expected rate, or discordance for a margin.
        power: of the check.
        looks: when it is looked at; default: ten looks, giving nothing up early.
        prompts: what the set holds.
        **columns: of the outcome table.
    """
    rules = policy(check, joint_power=power)
    golden = PromptSet(
        name="golden",
        version="1",
        kind=SetKind.GOLDEN,
        prompts=tuple(Prompt(id=f"p{i}", messages=(Message(role="user", content=f"{i}"),)) for i in range(prompts)),
    )
    plan = make_plan(
        PlanInputs(
            name="simulated",
            lineage="flagship/simulated",
            policy_digest=rules.digest,
            sets=[golden],
            requirements=requirements(rules, [golden]),
            expected=lambda _: (rate, "policy"),
            incumbent_digest=digest_json("incumbent"),
            judge_digest=None,
            alpha=rules.alpha,
            joint_power=power,
            repeats=1,
            seed=0,
            labels_per_arm=0,
            latency=None,
            judged_kinds=frozenset(),
            looks=Looks(fractions=TEN) if looks is None else looks,
        )
    )
    order = [prompt for _, prompt in sample_of(plan, plan.cells[0])]
    arms = ("candidate", "incumbent") if rules.checks[0].compares else ("candidate",)
    here: dict[str, Any] = {"prompt_id": order, "prompt_digest": order, "cluster": order, **columns}
    frame = pd.concat([rows(np.zeros(len(order)), arm=arm, **here) for arm in arms], ignore_index=True)
    return Planned(rules, plan, frame)


def verdict_of(course: Course) -> str:
    """Promote, block or inconclusive, of a policy with one check."""
    settled = {what for look in course.looks for what in look.settled.values()}
    return "promote" if "pass" in settled else "block" if "fail" in settled else "inconclusive"


def looked_at_ten_times() -> list[Setting]:
    """Candidates exactly at the limit in plans with ten looks, none of which gives up early."""
    of_floor, of_margin = planned(floor(0.9), rate=0.95), planned(margin(0.05), rate=DISCORDANCE)
    # The set holds fewer prompts than are wanted, so that whole clusters are asked, in random order.
    codes = np.random.default_rng(0).permutation(np.arange(600) // 5)
    of_clusters = planned(floor(0.9), rate=0.92, prompts=600, cluster=[f"template-{code}" for code in codes])
    judged = planned(margin(0.05), rate=DISCORDANCE, **JUDGED)

    def alone(rng: np.random.Generator) -> str:
        return verdict_of(of_floor.course([bernoulli(rng, np.full(of_floor.cell.n, 0.9))]))

    def clustered(rng: np.random.Generator) -> str:
        return verdict_of(of_clusters.course([bernoulli(rng, beta_rates(rng, 120, 0.9, 0.5)[codes])]))

    def pairs(rng: np.random.Generator) -> str:
        n = of_margin.cell.n
        return verdict_of(of_margin.course(paired_outcomes(rng, n, discordance=DISCORDANCE, difference=-0.05)))

    told = f"margin 5 points, discordance {DISCORDANCE:g}"
    return [
        Setting("ten looks", f"floor 90%, n <= {of_floor.cell.n}", alone),
        Setting("ten looks", "floor 90%, clusters of 5 with ICC 0.5, n <= 600", clustered),
        Setting("ten looks", f"{told}, n <= {of_margin.cell.n}", pairs),
        Setting(
            "ten looks",
            f"{told}, judged, 300 labels per arm, n <= {judged.cell.n}",
            lambda rng: _judged(rng, judged, labels=300),
        ),
    ]


def saved_by_design() -> Iterator[Saving]:
    """Ten looks by theory, for three powers, without and with giving up early."""
    for futility in GIVING_UP:
        for power in (0.8, 0.9, 0.95):
            design = design_sequence(TEN, power=power, futility=futility)
            for effect in EFFECTS:
                found = design.outcome(effect)
                size, passed = design.expected_size(effect), float(sum(found.upper))
                yield Saving(_named("by theory", futility), power, effect, 0, size, design.inflation, passed)


def saved_by_runs(
    releases: int,
    *,
    effects: Sequence[float] = EFFECTS,
    giving_up: Sequence[Spending | None] = GIVING_UP,
    seed: int = 206,
) -> Iterator[Saving]:
    """A floor and a paired margin, planned by the planner and run through the course.

    Args:
        releases: runs of the margin at each effect; the floor, which takes less time, is run four times as often.
        effects: multiples of the planned effect.
        giving_up: how the chance of a missed pass is spent on giving up early.
        seed: of all chance.
    """
    rng = np.random.default_rng(seed)
    for futility in giving_up:
        looks = Looks(fractions=TEN, futility=futility)
        of_floor = planned(floor(0.9), rate=0.95, looks=looks)
        of_margin = planned(margin(0.04), rate=DISCORDANCE, looks=looks)
        for effect in effects:
            rate = np.full(of_floor.cell.n, 0.9 + 0.05 * effect)
            found = [of_floor.course([bernoulli(rng, rate)]) for _ in range(4 * releases)]
            yield _saving(_named("floor 90%, planned at 95%", futility), of_floor, effect, found)
            n, true = of_margin.cell.n, 0.04 * (effect - 1)
            pairs = [paired_outcomes(rng, n, discordance=DISCORDANCE, difference=true) for _ in range(releases)]
            found = [of_margin.course(pair) for pair in pairs]
            yield _saving(_named(f"margin 4 points, discordance {DISCORDANCE:g}", futility), of_margin, effect, found)


def _named(told: str, futility: Spending | None) -> str:
    return told if futility is None else f"{told}, giving up early"


def _saving(told: str, plan: Planned, effect: float, courses: Sequence[Course]) -> Saving:
    asked = np.array([course.looks[-1].prompts for course in courses]) / plan.cell.n_fixed
    verdicts, most = [verdict_of(course) for course in courses], plan.cell.n / plan.cell.n_fixed
    promote, block = (verdicts.count(name) / len(verdicts) for name in ("promote", "block"))
    return Saving(told, plan.plan.joint_power, effect, len(courses), float(asked.mean()), most, promote, block)


def _judged(rng: np.random.Generator, plan: Planned, *, labels: int) -> str:
    """A judged run: at every look, this batch's share of the labels is drawn, as the pipeline does."""
    n, ends = plan.cell.n, plan.cell.looks
    truth = paired_outcomes(rng, n, discordance=DISCORDANCE, difference=-0.05)
    said, label, chance = np.zeros((2, n)), np.full((2, n), np.nan), np.full((2, n), np.nan)
    for start, end in zip((0, *ends), ends, strict=False):
        share = round(labels * (end - start) / n)
        batch = judged_outcomes(
            rng,
            (truth[0][start:end], truth[1][start:end]),
            labels=max(1, share) if start else max(FIRST_LABELS, share),
            least=LEAST_OF_LATER if start else LEAST_OF_FIRST,
        )
        said[:, start:end] = batch.said
        for arm, columns in enumerate(batch.columns):
            label[arm, start:end], chance[arm, start:end] = columns["label"], columns["label_p"]
    return verdict_of(plan.course(list(said), label=label.ravel(), label_p=chance.ravel()))
