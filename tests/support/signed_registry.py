"""People with keys, and releases that they sign: a registry in which moves need signatures."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from evalharness.candidate import Candidate
from gates.decision import CheckResult, Decision
from gates.policy import Check, Policy
from gates.promotion_rules import PromotionRules, Role, StageRules
from gates.registry import ChannelState, Event, Registry
from gates.signing.envelopes import seal_act
from gates.signing.keys import SigningKey
from gates.signing.predicates import Act, Approval, KeyEnrolment, KeyRevocation, PolicyPin, Submission, Waiver
from gates.signing.statements import submission_of
from gates.verifier.promotion import later
from golden_sets.digests import Digest
from tests.support.recorded_releases import Maker, Release

RULES = PromotionRules(
    roles={
        "submitter": ("sam", "mia"),
        "ml-owner": ("mia", "max", "sam"),
        "safety-reviewer": ("sara", "mia"),
        "release-manager": ("rita",),
    },
    stages={
        "canary": StageRules(signatures={"ml-owner": 1}),
        "production": StageRules(signatures={"ml-owner": 1, "safety-reviewer": 1}),
    },
)
"""``sam`` submits; ``mia`` and ``max`` approve for the ML owners, ``sara`` (and ``mia``) for safety."""

POLICY = Policy(
    name="enterprise",
    version="4",
    alpha=0.05,
    primary="golden-floor",
    checks=(
        Check(id="golden-floor", metric="pass_rate", test="floor", where={"set": "golden"}, threshold=0.8),
        Check(id="reliability", metric="request_success_rate", test="floor", threshold=0.9, owner="release-manager"),
        Check(id="price", metric="usd_per_million_output_tokens", test="ceiling", threshold=3.0, owner="max"),
        Check(id="false-refusals", metric="false_refusal_rate", test="ceiling", threshold=0.05),
        Check(id="violations", metric="violation_rate", test="ceiling", threshold=0.02, waivable=False),
    ),
    promotion=RULES,
)
"""A policy whose moves to canary and production need signatures, with one check that nobody may waive."""

OWNER = "olga"
"""Holds the root key and owns what is pinned."""
SUBMITTER = "sam"
APPROVERS: Mapping[str, Role] = {"max": "ml-owner", "sara": "safety-reviewer"}
"""Who signs :meth:`SignedRegistry.sign_off`, each in their role."""
EVERYBODY = (SUBMITTER, "mia", "max", "sara", "rita")


def now() -> str:
    """Now, as the log writes it."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


class People:
    """People with keys of their own that are enrolled in one registry; the first of them with the root key."""

    def __init__(self, registry: Registry, owner: str = OWNER, others: tuple[str, ...] = EVERYBODY) -> None:
        self.registry = registry
        self.keys: dict[str, SigningKey] = {}
        self.enrol(owner, root=True)
        self.owner = owner
        for person in others:
            self.enrol(person)

    @property
    def log(self) -> Digest | None:
        """What tells the registry's log from others."""
        events = self.registry.log()
        return "sha256:" + events[0].leaf_hash.hex() if events else None

    def about(self, person: str) -> dict[str, Any]:
        """What every act of a person says first, with a nonce of its own."""
        return {"log": self.log, "person": person, "nonce": secrets.token_hex(16)}

    def record(self, act: Act, *signers: str | SigningKey) -> Event:
        """Sign an act (default: by the person it names) and record it."""
        return self.registry.record_act(self.sealed(act, *signers), actor=act.person)

    def sealed(self, act: Act, *signers: str | SigningKey) -> bytes:
        """An act as an envelope, signed by people or keys; default: by the person it names."""
        keys = [self.keys[one] if isinstance(one, str) else one for one in signers or (act.person,)]
        return seal_act(act, keys)

    def enrol(self, person: str, *, key: SigningKey | None = None, root: bool = False) -> SigningKey:
        """Make a key (or take one) and enrol it as a person's, countersigned by the owner's root key."""
        key = key or SigningKey.generate()
        act = KeyEnrolment(**self.about(person), key=key.public.id, public=key.public, root=root)
        self.record(act, key, *([self.owner] if self.keys else []))
        self.keys[person] = key
        return key

    def revoke(self, person: str, *, by: str | None = None) -> Event:
        """Revoke a person's key; default: by the owner."""
        key = self.keys[person].public
        by = by or self.owner
        return self.record(KeyRevocation(**self.about(by), key=key.id, public=key, reason="lost"))

    def pin(self, policy: Policy, *, channel: str = "flagship", by: str | None = None, **fields: Any) -> Event:
        """Record a policy and pin it to a channel, owned by the owner."""
        self.registry.record_policy(policy)
        before = [e for e in self.registry.log() if e.type == "policy_pinned" and e.payload["channel"] == channel]
        said = {
            "channel": channel,
            "policy": policy.digest,
            "previous": before[-1].payload["policy"] if before else None,
            "owners": (self.owner,),
            "reason": "from now on",
            **fields,
        }
        return self.record(PolicyPin(**self.about(by or self.owner), **said))

    def submission(self, decision: Decision, person: str = SUBMITTER, **fields: Any) -> Submission:
        """What a submitter signs about a decision."""
        return submission_of(decision, log=self.log or "", person=person).model_copy(update=fields)

    def approval(self, decision: Decision, person: str, role: Role | None = None, **fields: Any) -> Approval:
        """What an approver signs for the move that the decision would make now; default: to production."""
        return Approval(**self.about(person), **self._move(decision, role or APPROVERS[person], fields))

    def waiver(self, decision: Decision, person: str, check: str, **fields: Any) -> Waiver:
        """What lifts a check of a decision for the move that it would make now, in the first role of who signs."""
        said = {"reason": "a known gap", "scope": "tenant a", "control": "answers are reviewed", **fields}
        role: Role = next((role for role, people in RULES.roles.items() if person in people), "ml-owner")
        return Waiver(**self.about(person), check=check, **self._move(decision, role, said))

    def submit(self, decision: Decision, person: str = SUBMITTER, **fields: Any) -> Event:
        """Sign and record a submission."""
        return self.record(self.submission(decision, person, **fields))

    def approve(self, decision: Decision, person: str, role: Role | None = None, **fields: Any) -> Event:
        """Sign and record an approval."""
        return self.record(self.approval(decision, person, role, **fields))

    def waive(self, decision: Decision, person: str, check: str, **fields: Any) -> Event:
        """Sign and record a waiver."""
        return self.record(self.waiver(decision, person, check, **fields))

    def sign_off(self, decision: Decision, *, stage: str = "production", **fields: Any) -> None:
        """Everything that :data:`RULES` ask: the submission, and an approval of each role."""
        self.submit(decision)
        for person in APPROVERS:
            self.approve(decision, person, stage=stage, **fields)

    def _move(self, decision: Decision, role: Role, fields: Mapping[str, Any]) -> dict[str, Any]:
        channel, stage = fields.get("channel", "flagship"), fields.get("stage", "production")
        state = self.registry.channel(channel, stage)
        return {
            **_about(decision),
            "name": decision.subject_name,
            "channel": channel,
            "stage": stage,
            "incumbent": state.digest,
            "generation": state.generation,
            "expires": later(now(), hours=24),
            "role": role,
            **fields,
        }


class SignedRegistry:
    """A registry, the people who sign in it, and releases under a policy that wants signatures.

    Args:
        registry: an empty one.
        policy: the policy of the releases.
    """

    def __init__(self, registry: Registry, policy: Policy = POLICY) -> None:
        self.registry = registry
        self.people = People(registry)
        self.make = Maker(policy)

    def pin(self, policy: Policy | None = None, **fields: Any) -> Event:
        """Pin a policy (default: that of the releases) to channel ``flagship``, which takes no seed from then on."""
        return self.people.pin(policy or self.make.policy, **fields)

    def seed(self, name: str = "v1") -> Candidate:
        """A first version in production."""
        return self.make.seed(self.registry, name)

    def release(
        self,
        name: str,
        incumbent: Candidate | None,
        *,
        checks: tuple[CheckResult, ...] | None = None,
        actor: str = "pipeline",
        **changes: Any,
    ) -> Release:
        """Record a release, everything up to the decision: planned, counted, evaluated and decided just now."""
        make, registry = self.make, self.registry
        planned = make.release(name, incumbent, **changes).plan
        registry.record_policy(make.policy, actor=actor)
        index = registry.record_plan(planned, actor=actor)
        changes = {"plan_index": index, "finished_at": now(), **changes}
        release = make.release(name, incumbent, checks=checks, **changes)
        registry.register_candidate(release.candidate, actor=actor)
        make.begin(registry, release)
        registry.record_evidence(release.evidence, release.outcomes, actor=actor)
        registry.record_decision(release.decision, actor=actor)
        return release

    def promote(self, release: Release, *, stage: str = "production", channel: str = "flagship") -> ChannelState:
        """Move a stage by a release's decision."""
        return self.registry.promote(
            channel,
            stage,
            release.candidate.digest,
            decision_digest=release.decision.digest,
            expected_generation=self.registry.channel(channel, stage).generation,
            reason="better",
        )


def _about(decision: Decision) -> dict[str, Digest]:
    return {
        "subject": decision.subject_digest,
        "evidence": decision.evidence_digest,
        "decision": decision.digest,
        "policy": decision.policy_digest,
    }
