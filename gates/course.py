"""The course of a planned run: which prompts are asked next, when each check stops, and what it then is.

The pipeline drives a course while it asks; the gate follows the same course again through the outcomes, so the verdict
never rests on what the run said of itself.

Stages run in order, sets of lower stages first. Within a stage every check is looked at when its own sample reaches
its planned sizes (`evalharness.drawing`). It stops when it passes (its bound at the look's share of alpha clears the
limit), when it fails (Holm over the sequential p-values of all checks of the policy), when neither is in reach any more
(futility; never binding for the error rates), or at its maximum. The first failure ends the run: the verdict is clear.
Sources: `evalharness.statistics.sequential`, `sequential_design`, `sequential_levels`.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Literal

from scipy import special

from evalharness.drawing import PromptId, sample_of
from evalharness.evidence import Look
from evalharness.metrics import Calibrations, rows_for
from evalharness.outcomes import Codes, OutcomeTable
from evalharness.plan import Plan, PlannedCell
from evalharness.prompt_rows import PromptRows
from evalharness.statistics import design_for, holm, look_alphas, overall_level
from gates.checking import Examined, clears, conclude, examine, not_examined
from gates.decision import CheckResult, Status
from gates.fitting import selector_of
from gates.policy import Check, Policy
from golden_sets.errors import InputError

Settled = Literal["pass", "fail", "futile"]

_BUCKET = "length_bucket"
"""The dimension of whose values a latency pass asks equal numbers."""


@dataclass
class _Tracked:
    """One check in one cell on its way through the run."""

    planned: PlannedCell
    check: Check
    sample: tuple[PromptId, ...]
    examined: Examined | None = None
    look: int | None = None
    """Number of the newest look, 1 being the first."""
    level: float = 1.0
    """Sequential p-value, so far, of the claim that the limit is violated."""
    settled: Settled | None = None
    broken: str | None = None
    """Why it could not be looked at any more."""

    _places: tuple[PromptRows, Codes] | None = None

    def places_in(self, rows: PromptRows) -> Codes:
        """Where the rows of its sample are; looked up once for each table."""
        if self._places is None or self._places[0] is not rows:
            self._places = rows, rows.places(self.sample)
        return self._places[1]

    @property
    def open(self) -> bool:
        return self.settled is None and self.broken is None and bool(self.planned.looks)

    @cached_property
    def selector(self) -> Mapping[str, str]:
        """What its rows have in common."""
        return selector_of(self.planned)

    @property
    def cell(self) -> dict[str, str]:
        """The same as the policy's author wrote it."""
        return {**self.check.where, **{key: self.selector[key] for key in self.check.each}}


@dataclass
class Course:
    """Follows one run of a plan.

    Raises:
        InputError: the plan was made for another policy, or does not fit it.
    """

    policy: Policy
    plan: Plan
    looks: list[Look] = field(default_factory=list)
    """What every look so far has settled."""

    def __post_init__(self) -> None:
        if self.plan.policy_digest != self.policy.digest:
            raise InputError(
                f"the plan '{self.plan.name}' was made for another policy than '{self.policy.name}'", do="plan again"
            )
        self._tracked = [self._track(cell) for cell in self.plan.cells]
        stages = sorted({s.stage for s in self.plan.sets.values()} | {c.stage for c in self.plan.cells})
        self._left = [(stage, number) for stage in stages for number in range(1, self._count + 1)]
        self._single = len(self._left) == 1
        self._asked: set[PromptId] = set()
        self._cut = False
        self._rows: PromptRows | None = None

    @property
    def stopped(self) -> bool:
        """Whether the run ended before everything planned was asked, because a check failed."""
        return self._cut

    def wanted(self) -> tuple[PromptId, ...] | None:
        """The prompts to ask before the next look; None when the run is over."""
        while self._left and not self._anything_open(*self._left[0]):
            self._left.pop(0)
        if not self._left:
            return None
        stage, number = self._left[0]
        wanted: dict[PromptId, None] = {}
        if number == 1:
            wanted.update(dict.fromkeys(self._unchecked(stage)))
        for one in self._open(stage):
            wanted.update(dict.fromkeys(one.sample[: one.planned.looks[number - 1]]))
        return tuple(prompt for prompt in wanted if prompt not in self._asked)

    def look(self, table: OutcomeTable, calibrations: Calibrations) -> Look:
        """Examine every open check of the stage on its sample so far.

        Args:
            table: outcomes of everything asked so far; what a check has not come to yet is not looked at.
            calibrations: the judge's measured error as it is known now.

        Raises:
            InputError: the run is over, or arms that did not answer the same prompts.
        """
        asked = self.wanted()
        if asked is None:
            raise InputError("the run is over: there is nothing left to look at")
        stage, number = self._left.pop(0)
        self._asked.update(asked)
        rows = self._rows_of(table)
        for one in self._open(stage):
            self._examine(one, number, rows, calibrations)
        settled = self._settle(stage, number)
        found = Look(
            stage=stage,
            number=number,
            prompts=len(self._asked),
            calibrations=tuple(calibrations),
            settled=settled,
        )
        self.looks.append(found)
        if "fail" in settled.values():
            self._cut = any(self._anything_open(*rest) for rest in self._left)
            self._left = []
        return found

    def results(self, table: OutcomeTable, calibrations: Calibrations) -> list[CheckResult]:
        """Every check's result when the run is over, those that are examined once, at the end, included.

        Raises:
            InputError: arms that did not answer the same prompts.
        """
        for one in self._tracked:
            if self._at_end(one):
                self._examine_at_end(one, table, calibrations)
        rejected = holm([one.level for one in self._tracked], self.plan.alpha)
        return [self._result(one, rejected=bool(r)) for one, r in zip(self._tracked, rejected, strict=True)]

    # -- inside ----------------------------------------------------------------------------------------------

    @property
    def _count(self) -> int:
        return len(self.plan.looks.fractions)

    def _track(self, cell: PlannedCell) -> _Tracked:
        check = self.policy.by_id.get(cell.check.split("/")[0])
        if check is None:
            raise InputError(f"the plan names check '{cell.check}', which the policy does not have", do="plan again")
        return _Tracked(cell, check, sample_of(self.plan, cell) if cell.looks else ())

    def _at_end(self, one: _Tracked) -> bool:
        """Checks that are examined once. Requests are looked at as they come only where that may end the run early."""
        return one.planned.basis == "end" or (one.planned.basis == "requests" and self._single)

    def _open(self, stage: int) -> list[_Tracked]:
        return [one for one in self._tracked if one.planned.stage == stage and one.open]

    def _anything_open(self, stage: int, number: int) -> bool:
        return bool(self._open(stage)) or (number == 1 and bool(self._unchecked(stage)))

    def _unchecked(self, stage: int) -> list[PromptId]:
        """Prompts of sets that no looked-at check is about: their numbers are reported all the same."""
        checked = {name for one in self._tracked for name, _ in one.sample}
        return [
            (name, prompt)
            for name, planned in self.plan.sets.items()
            if planned.stage == stage and name not in checked
            for stratum in planned.strata
            for prompt in stratum.prompts
        ]

    def _rows_of(self, table: OutcomeTable) -> PromptRows:
        """The table's rows by prompt; a finished run is followed through the same table look after look."""
        if self._rows is None or self._rows.table is not table:
            self._rows = PromptRows(table)
        return self._rows

    def _examine(self, one: _Tracked, number: int, rows: PromptRows, calibrations: Calibrations) -> None:
        if self._at_end(one):
            return
        places = one.places_in(rows)[: one.planned.looks[number - 1]]
        answers, missing = rows.at(places)
        if missing:
            one.broken = f"{missing} of the {places.size} prompts of look {number} were not asked"
            return
        if one.planned.basis == "requests":
            answers, _ = rows.at(rows.places(self._asked))
        looks = self.plan.looks
        one.look = number
        one.examined = examine(
            one.planned.check,
            one.check,
            one.cell,
            rows_for(one.check.spec, answers, one.selector),
            self.policy,
            calibrations,
            alpha=look_alphas(looks.fractions, self.plan.alpha, looks.spending)[number - 1],
        )
        if one.examined.p_fail is not None:
            level = float(overall_level(looks.fractions, number - 1, one.examined.p_fail, looks.spending))
            one.level = min(one.level, level)

    def _settle(self, stage: int, number: int) -> dict[str, Settled]:
        """Close what is decided at this look."""
        found: dict[str, Settled] = {}
        rejected = holm([one.level for one in self._tracked], self.plan.alpha)
        for one, fails in zip(self._tracked, rejected, strict=True):
            if fails and one.settled in (None, "futile"):
                found[one.planned.check] = "fail"
            elif one.planned.stage == stage and one.open and one.look == number and one.examined is not None:
                if one.examined.passes:
                    found[one.planned.check] = "pass"
                elif self._futile(one, number):
                    found[one.planned.check] = "futile"
            if (settled := found.get(one.planned.check)) is not None:
                one.settled = settled
            if one.settled == "pass":
                one.level = 1.0
        return found

    def _futile(self, one: _Tracked, number: int) -> bool:
        """Whether neither pass nor fail is in reach any more: the Z of the limit lies inside the design's wedge."""
        looks, power = self.plan.looks, one.planned.power_wanted
        if looks.futility is None or power is None or one.examined is None:
            return False
        wedge = design_for(looks.fractions, self.plan.alpha, power, looks.spending, looks.futility).futility_z
        above, below = float(special.ndtr(wedge[number - 1])), float(special.ndtr(-wedge[number - 1]))
        return above > below and clears(one.examined, above) is False and clears(one.examined, below) is True

    def _examine_at_end(self, one: _Tracked, table: OutcomeTable, calibrations: Calibrations) -> None:
        check, alpha = one.check, self.plan.alpha
        apart = (check.spec.family == "quantile" or check.spec.denominator == "e2e_s") and not check.spec.is_of_router
        if apart and self.plan.latency is not None and not len(table.phase("latency")):
            lacking = "latency pass: the run ended before it"
            one.examined = not_examined(one.planned.check, check, one.cell, alpha=alpha, lacking=lacking)
            return
        rows = rows_for(check.spec, table, one.selector)
        if self._cut and check.spec.is_probed and not len(table.phase("pairwise", "consistency", "planted")):
            lacking = "what the judge is asked besides: the run ended before that"
            one.examined = not_examined(one.planned.check, check, one.cell, alpha=alpha, lacking=lacking)
            return
        if apart and self.plan.latency is not None:
            one.broken = _requests_lacking(table.phase("latency"), self.plan.latency.requests_per_bucket)
        if one.planned.basis == "requests":
            by_prompt = self._rows_of(table)
            _, missing = by_prompt.at(by_prompt.places(self._asked))
            if missing:
                one.broken = f"{missing} of the {len(self._asked)} prompts that the plan asks are not there"
        one.examined = examine(one.planned.check, check, one.cell, rows, self.policy, calibrations, alpha=alpha)
        if one.examined.p_fail is not None:
            one.level = one.examined.p_fail

    def _result(self, one: _Tracked, *, rejected: bool) -> CheckResult:
        if one.examined is None:
            lacking = "answers: the run ended before its stage" if self._cut else "answers: none was asked for"
            one.examined = not_examined(one.planned.check, one.check, one.cell, alpha=self.plan.alpha, lacking=lacking)
        if rejected:
            status = Status.FAIL
        elif one.examined.passes and one.broken is None:
            status = Status.PASS
        else:
            status = Status.INCONCLUSIVE
        return conclude(
            one.examined,
            status,
            self.policy,
            p_fail=None if one.examined.p_fail is None else one.level if status is not Status.PASS else 1.0,
            look=one.look,
            looks=self._count if one.planned.looks else 1,
            stopped=self._why_stopped(one) if status is Status.INCONCLUSIVE else None,
        )

    def _why_stopped(self, one: _Tracked) -> str | None:
        if one.broken is not None:
            return one.broken
        if one.settled == "futile":
            return "stopped early: neither pass nor fail was in reach any more"
        if self._cut and one.look is not None and one.look < self._count:
            return "the run ended with the first failure"
        return None


def follow(
    policy: Policy,
    plan: Plan,
    table: OutcomeTable,
    calibrations: Calibrations,
    recorded: Sequence[Look],
    *,
    same_arms: bool = True,
) -> Course:
    """Go through a finished run again, look by look.

    Args:
        policy: the policy the plan was made for.
        plan: the plan.
        table: the outcomes of the run.
        calibrations: the judge's error at the end.
        recorded: the looks that the evidence records: the judge's error as it was known at each of them.
        same_arms: whether the table holds the arms that the run had; else its record may settle less than this.

    Raises:
        InputError: the record contradicts what the outcomes show.
    """
    course = Course(policy, plan)
    while course.wanted() is not None:
        index = len(course.looks)
        course.look(table, recorded[index].calibrations if index < len(recorded) else calibrations)
    if same_arms:
        _compare(recorded, course.looks)
        if recorded and recorded[-1].calibrations != tuple(calibrations):
            raise InputError(
                "the judge's error at the last look is not the one that the evidence tells",
                do="evaluate again: the record was changed",
            )
    return course


def _requests_lacking(latency: OutcomeTable, wanted: int) -> str | None:
    """Why a latency pass is not whole: failed requests, too, are among those that were planned of each bucket."""
    for arm in latency.arms:
        rows = latency.arm(arm)
        buckets = rows.distinct(rows.column(_BUCKET)) if _BUCKET in rows.dimensions else []
        fewest = min((len(rows.where({_BUCKET: bucket})) for bucket in buckets), default=len(rows))
        if fewest < wanted:
            return f"{wanted - fewest} of the {arm}'s {wanted} requests of a length bucket are not there"
    return None


def _compare(recorded: Sequence[Look], derived: Sequence[Look]) -> None:
    for said, found in itertools.zip_longest(recorded, derived):
        if said is None or found is None or _claims(said) != _claims(found):
            raise InputError(
                f"the evidence records {_text(said)}, its outcomes show {_text(found)}",
                do="evaluate again: outcomes or record were changed, or policy and plan are not those of the run",
            )


def _claims(look: Look) -> tuple[int, int, Mapping[str, str]]:
    return look.stage, look.number, dict(look.settled)


def _text(look: Look | None) -> str:
    if look is None:
        return "no further look"
    settled = ", ".join(f"{check}: {what}" for check, what in sorted(look.settled.items())) or "nothing settled"
    return f"look {look.number} of stage {look.stage} ({settled})"
