"""The policy: which checks a release must pass, each with its limit, owner and error rate."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import ClassVar, Literal

from pydantic import Field, field_validator, model_validator

from evalharness.metrics import METRICS, MetricSpec
from gates.promotion_rules import PromotionRules, Role
from golden_sets.records import GrownRecord, Record, SetKind
from golden_sets.yaml_files import read_yaml

AttemptRule = Literal["constant", "spend"]
Test = Literal["floor", "ceiling", "non_inferiority", "ratio_ceiling"]


class Check(Record):
    """One check of a policy. ``each`` splits it into one check per cell, all of which must pass."""

    id: str = Field(min_length=1, pattern=r"^[A-Za-z0-9_.-]+$")
    """Name of the check; a cell's values follow after slashes."""
    metric: str
    """What is measured: one of the metrics in the docs."""
    test: Test
    """``floor`` / ``ceiling``: a bound against ``threshold``; ``non_inferiority``: the paired difference to the
    incumbent against ``margin``; ``ratio_ceiling``: candidate / incumbent against ``threshold``."""
    where: Mapping[str, str] = Field(default_factory=dict)
    """Rows it is about: ``set`` (kind), ``set_name``, or any dimension."""
    each: tuple[str, ...] = ()
    """Dimensions by whose values it is split into cells."""
    threshold: float | None = None
    """Floor, ceiling or ratio, in the metric's unit."""
    margin: float | None = Field(default=None, gt=0, lt=1)
    """How much worse than the incumbent is tolerated, in the metric's unit."""
    quantile: float | None = Field(default=None, gt=0, lt=1)
    """For latency metrics: which quantile."""
    against: Literal["incumbent", "anchor"] = "incumbent"
    """Whom a comparison is with: the incumbent, or the policy's fixed ``anchor``, so that ten small steps down from
    one incumbent to the next do not add up."""
    waivable: bool = True
    """False: no waiver may lift it."""
    owner: str | None = None
    """Who answers for the limit."""
    expected: float | None = Field(default=None, ge=0)
    """The rate the planner expects where no incumbent evidence says it (for a margin: the discordance)."""
    half_width: float | None = Field(default=None, gt=0, lt=0.5)
    """For rates: half the width wanted of the two-sided 95 % interval, where the number itself matters. A run with
    several looks may stop before it is reached."""

    @property
    def spec(self) -> MetricSpec:
        """What the metric is."""
        return METRICS[self.metric]

    @property
    def is_safety(self) -> bool:
        """True for checks whose block no other check can buy back."""
        kind = self.where.get("set")
        return self.spec.is_safety or kind in (SetKind.ADVERSARIAL.value, SetKind.FALSE_REFUSAL.value)

    @property
    def compares(self) -> bool:
        """Whether it compares the candidate with another version."""
        return self.test in ("non_inferiority", "ratio_ceiling")

    @property
    def set_kind(self) -> SetKind | None:
        """The kind of set it is about, where that is fixed."""
        named = self.where.get("set")
        return SetKind(named) if named is not None else self.spec.set_kind

    @property
    def limit(self) -> float:
        """The number that the bound must clear."""
        if self.test == "non_inferiority":
            assert self.margin is not None  # noqa: S101 - validated below
            return -self.margin if self.spec.better == "higher" else self.margin
        assert self.threshold is not None  # noqa: S101 - validated below
        return self.threshold

    @field_validator("metric")
    @classmethod
    def _known_metric(cls, value: str) -> str:
        if value not in METRICS:
            raise ValueError(f"unknown metric '{value}': use one of {', '.join(METRICS)}")
        return value

    @field_validator("where")
    @classmethod
    def _known_set_kind(cls, value: Mapping[str, str]) -> Mapping[str, str]:
        if "set" in value and value["set"] not in [k.value for k in SetKind]:
            raise ValueError(f"where.set must be one of {', '.join(k.value for k in SetKind)}, not '{value['set']}'")
        return value

    @model_validator(mode="after")
    def _makes_sense(self) -> Check:
        spec = self.spec
        if (self.margin is not None) != (self.test == "non_inferiority"):
            raise ValueError("a non_inferiority test needs a margin, and no other test takes one")
        if (self.threshold is None) != (self.test == "non_inferiority"):
            raise ValueError(f"a {self.test} test {'takes no' if self.threshold is not None else 'needs a'} threshold")
        if (self.quantile is not None) != (spec.family == "quantile"):
            raise ValueError(f"metric {self.metric} {'takes no' if self.quantile is not None else 'needs a'} quantile")
        if self.half_width is not None and spec.family not in ("rate", "reliability"):
            raise ValueError(f"metric {self.metric} takes no half_width: only rates are sized for one")
        if self.against == "anchor" and not self.compares:
            raise ValueError(f"a {self.test} test compares with nobody: take 'against' away")
        if self.test == "non_inferiority" and spec.family not in ("rate", "share"):
            raise ValueError(f"metric {self.metric} has no paired difference: use floor, ceiling or ratio_ceiling")
        if self.test == "ratio_ceiling" and (spec.family != "ratio" or spec.better != "lower"):
            raise ValueError(f"metric {self.metric} has no ratio to the incumbent that a ceiling could bound")
        if self.test in ("floor", "ceiling") and (self.test == "floor") != (spec.better == "higher"):
            raise ValueError(
                f"metric {self.metric} is better the {spec.better}: it takes a "
                f"{'floor' if spec.better == 'higher' else 'ceiling'}, not a {self.test}"
            )
        if self.threshold is not None:
            if spec.unit == "1" and not 0 < self.threshold < 1:
                raise ValueError(f"the threshold of a rate lies strictly between 0 and 1, not {self.threshold:g}")
            if self.threshold <= 0:
                raise ValueError(f"the threshold must be above 0, not {self.threshold:g}")
        split = sorted({*self.where, *self.each} - {"set", "set_name"})
        if "rubric" in self.where and spec.family not in ("rate", "ratio", "judge"):
            raise ValueError(f"metric {self.metric} does not depend on a rubric: take 'rubric' away")
        told = sorted({*self.where, *self.each} - {"set", "rubric"})
        if spec.family == "judge" and told:
            raise ValueError(f"metric {self.metric} is measured for a whole kind of set: take '{told[0]}' away")
        if spec.family == "bias" and split:
            raise ValueError(f"metric {self.metric} is about the judge on whole sets: take '{split[0]}' away")
        if spec.set_kind is not None and self.where.get("set", spec.set_kind.value) != spec.set_kind.value:
            raise ValueError(f"metric {self.metric} is about {spec.set_kind.value} sets, not '{self.where['set']}'")
        return self


class Policy(GrownRecord):
    """Which checks a release must pass. Only name, version, alpha, primary and checks are needed."""

    grown: ClassVar[tuple[str, ...]] = ("promotion",)

    name: str = Field(min_length=1)
    """Name of the policy."""
    version: str = Field(min_length=1)
    """Version of the policy."""
    alpha: float = Field(gt=0, lt=0.5)
    """One-sided error rate of every check."""
    primary: str
    """The pre-registered check: the only one that may claim superiority."""
    checks: tuple[Check, ...] = Field(min_length=1)
    """The checks; all must pass."""
    description: str | None = None
    """For people."""
    on_inconclusive: Literal["block", "hold"] = "block"
    """After the planned maximum: ``block`` refuses, ``hold`` waits for more data; neither promotes."""
    max_unscored: float = Field(default=0.01, ge=0, lt=1)
    """Share of unscored answers above which a check is inconclusive."""
    joint_power: float = Field(default=0.8, gt=0, lt=1)
    """Power the planner sizes the whole policy for."""
    require_plan: bool | None = None
    """Whether unplanned evidence is refused; default: false for ``gate``, true for ``release``."""
    labels_per_arm: int | None = Field(default=None, ge=0)
    """Answers per rubric and arm that are labelled to measure the judge's error; default: as many as the checks need,
    at least 50."""
    attempts: AttemptRule = "constant"
    """What a further attempt of the same lineage on the same sets costs: ``constant``: every attempt has ``alpha``, so
    the error rate holds for each subject; ``spend``: attempt k has 6 alpha / (pi k)^2, so it holds for all attempts of
    a lineage together."""
    anchor: str | None = None
    """Name or digest of the fixed version that checks ``against: anchor`` compare with."""
    promotion: PromotionRules | None = None
    """Who must sign and what must be true before a version moves; none: a passing decision is enough."""

    @field_validator("version", mode="before")
    @classmethod
    def _as_text(cls, value: object) -> object:
        return str(value) if isinstance(value, int) and not isinstance(value, bool) else value

    @model_validator(mode="after")
    def _consistent(self) -> Policy:
        ids = [c.id for c in self.checks]
        doubled = sorted({i for i in ids if ids.count(i) > 1})
        if doubled:
            raise ValueError(f"check ids must be unique: {', '.join(doubled)}")
        if self.primary not in ids:
            raise ValueError(f"primary names '{self.primary}', which is no check of this policy")
        anchored = [c.id for c in self.checks if c.against == "anchor"]
        if bool(anchored) != (self.anchor is not None):
            raise ValueError(
                f"check '{anchored[0]}' is against an anchor: name the version under 'anchor'"
                if anchored
                else "an anchor is named, but no check is 'against: anchor'"
            )
        return self

    def may_waive(self, check: Check, person: str) -> bool:
        """Whether a person may lift a check: whoever its ``owner`` names, as a person or as a role.

        A check whose owner is neither belongs to the safety reviewers where it is one of safety, else to the ML owners.
        """
        rules = self.promotion
        if rules is None or not check.waivable:
            return False
        people = {p for named in rules.roles.values() for p in named}
        if check.owner in people:
            return person == check.owner
        default: Role = "safety-reviewer" if check.is_safety else "ml-owner"
        named = [role for role in rules.roles if role == check.owner]
        return rules.holds(person, named[0] if named else default)

    def alpha_of(self, attempt: int) -> float:
        """The one-sided error rate of every check in attempt 1, 2, ... of a lineage on the same sets.

        ``spend`` takes 6 alpha / (pi k)^2: the sum over all attempts is alpha (the series of Bonferroni levels by
        which alpha-investing is introduced, Foster and Stine, JRSS B 70 (2008) 429).
        """
        return self.alpha if self.attempts == "constant" else 6 * self.alpha / (math.pi * attempt) ** 2

    @cached_property
    def by_id(self) -> dict[str, Check]:
        """The checks by id."""
        return {c.id: c for c in self.checks}


@dataclass(frozen=True)
class PolicyFile:
    """A policy with the place of every check, for messages."""

    policy: Policy
    path: Path
    where: Mapping[str, str]
    """``file:line`` of each check, by id."""


def load_policy(path: Path) -> PolicyFile:
    """Read a policy from YAML.

    Raises:
        InputError: unreadable, an unknown key, a value out of range: with file and line.
    """
    document = read_yaml(path)
    policy = document.record(Policy)
    where = {check.id: document.where("checks", index) for index, check in enumerate(policy.checks)}
    return PolicyFile(policy, path, where)
