"""A policy's rules of promotion: who must sign what, and what must be true, before a version moves to a stage."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from pydantic import Field, field_validator, model_validator

from golden_sets.records import Record

Role = Literal["submitter", "ml-owner", "safety-reviewer", "release-manager"]
"""``submitter`` vouches for a decision; the others approve it."""
Stage = Literal["shadow", "canary", "production"]

APPROVERS: tuple[Role, ...] = ("ml-owner", "safety-reviewer", "release-manager")
"""The roles that approve."""


class StageRules(Record):
    """What a stage asks of a version that is to be promoted to it."""

    signatures: Mapping[Role, int] = Field(default_factory=dict)
    """How many distinct people of a role must approve. Nobody counts twice, in whatever roles, and whoever submitted,
    registered, evaluated or decided counts not at all. Where anybody must approve, a submitter must have signed the
    decision."""
    after: Stage | None = None
    """The stage to which the version must have been promoted before."""

    @field_validator("signatures")
    @classmethod
    def _approvers(cls, value: Mapping[Role, int]) -> Mapping[Role, int]:
        for role, n in value.items():
            if role not in APPROVERS:
                raise ValueError(f"role '{role}' does not approve: name {', '.join(APPROVERS)}")
            if n < 1:
                raise ValueError(f"the number of signatures of '{role}' must be at least 1, not {n}")
        return value


class PromotionRules(Record):
    """Who holds which role, what each stage asks, and how long things hold."""

    roles: Mapping[Role, tuple[str, ...]] = Field(default_factory=dict)
    """People by role, named as their keys were enrolled."""
    stages: Mapping[Stage, StageRules] = Field(default_factory=dict)
    """What each stage asks; a stage that is not named asks for a passing decision and no more."""
    max_age_h: float = Field(default=720.0, gt=0)
    """Age of evidence, hours, above which it is not fresh any more."""
    approval_h: float = Field(default=168.0, gt=0)
    """Longest life of an approval, hours."""
    waiver_h: float = Field(default=2160.0, gt=0)
    """Longest life of a waiver, hours."""

    @model_validator(mode="after")
    def _can_be_met(self) -> PromotionRules:
        for role, people in self.roles.items():
            if len(set(people)) != len(people) or not all(person.strip() for person in people):
                raise ValueError(f"the people of role '{role}' must have names, each its own")
        for stage, rules in self.stages.items():
            if rules.after == stage:
                raise ValueError(f"stage '{stage}' cannot come after itself")
            for role, n in rules.signatures.items():
                there = len(self.roles.get(role, ()))
                if there < n:
                    raise ValueError(f"stage '{stage}' wants {n} signatures of '{role}', a role that {there} hold")
            holders = {p for role in rules.signatures for p in self.roles[role]}
            if len(holders) < (wanted := sum(rules.signatures.values())):
                raise ValueError(f"stage '{stage}' wants {wanted} people to sign, its roles are held by {len(holders)}")
            if rules.signatures and not self.roles.get("submitter"):
                raise ValueError(f"stage '{stage}' wants signatures: name who may submit, under roles.submitter")
        return self

    def of(self, stage: str) -> StageRules:
        """What a stage asks."""
        return {str(name): rules for name, rules in self.stages.items()}.get(stage, StageRules())

    def holds(self, person: str, role: str) -> bool:
        """Whether a person holds a role."""
        return person in {str(name): people for name, people in self.roles.items()}.get(role, ())
