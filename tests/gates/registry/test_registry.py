"""The registry as its users see it: recording, finding, promoting, rolling back."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest

from gates.decision import Decision
from gates.registry import ChannelState, Registry
from golden_sets.digests import digest_bytes
from golden_sets.errors import InputError

if TYPE_CHECKING:
    from tests.gates.registry.conftest import Maker

NEVER = digest_bytes(b"never registered")


def refused(registry: Registry, action: Callable[[], object], match: str) -> None:
    """The action is refused with a message, and leaves no trace at all."""
    before = (registry.log(), registry.channels())
    with pytest.raises(InputError, match=match) as caught:
        action()
    assert caught.value.do or "already" in caught.value.what
    assert (registry.log(), registry.channels()) == before
    assert registry.verify().problems == ()


def test_a_release_from_first_version_to_promotion(registry: Registry, make: Maker) -> None:
    incumbent = make.seed(registry)
    release = make.release("v2", incumbent)
    digest = make.record(registry, release)
    state = registry.promote(
        "flagship",
        "production",
        digest,
        decision_digest=release.decision.digest,
        expected_generation=1,
        actor="ada",
        reason="better",
    )
    assert (state.digest, state.name, state.generation) == (digest, "v2", 2)
    assert [(m.kind, m.name, m.generation) for m in state.history] == [("seed", "v1", 1), ("promote", "v2", 2)]
    assert (state.history[1].previous, state.history[1].actor) == (incumbent.digest, "ada")
    assert state.history[1].decision == release.decision.digest
    assert [e.type for e in registry.log()] == [
        "registered",
        "promoted",
        "registered",
        "policy_recorded",
        "planned",
        "attempted",
        "evaluated",
        "decided",
        "promoted",
    ]
    assert registry.verify().problems == ()


def test_records_come_back_as_they_were(registry: Registry, make: Maker) -> None:
    release = make.release("v1", None)
    make.record(registry, release)
    assert registry.evidence(release.evidence.digest) == release.evidence
    assert registry.decision(release.decision.digest) == release.decision
    assert registry.plan(release.plan.digest) == release.plan
    assert registry.policy(make.policy.digest) == make.policy
    assert registry.blob(release.evidence.outcomes) == release.outcomes
    with pytest.raises(InputError, match="not a record of type Decision"):
        registry.decision(release.plan.digest)
    with pytest.raises(InputError, match="holds nothing"):
        registry.evidence(NEVER)


def test_recording_twice_writes_once(registry: Registry, make: Maker) -> None:
    release = make.release("v1", None)
    make.record(registry, release)
    before = registry.log()
    places = (
        registry.record_policy(make.policy),
        registry.record_plan(release.plan),
        registry.record_evidence(release.evidence, release.outcomes),
        registry.record_decision(release.decision),
    )
    assert make.begin(registry, release) == 1
    assert registry.register_candidate(release.candidate) == release.candidate.digest
    assert registry.log() == before
    assert places == (1, 2, 4, 5)


def test_the_plan_comes_before_the_evidence(registry: Registry, make: Maker) -> None:
    release = make.release("v1", None)
    refused(registry, lambda: registry.record_plan(release.plan), "policy .* is not recorded")
    registry.record_policy(make.policy)
    refused(registry, lambda: registry.record_evidence(release.evidence, release.outcomes), "plan .* is not recorded")
    plan_at = registry.record_plan(release.plan)
    make.begin(registry, release)
    refused(registry, lambda: registry.record_decision(release.decision), "evidence .* is not recorded")
    assert registry.record_evidence(release.evidence, release.outcomes) > plan_at


def test_outcomes_must_be_those_of_the_evidence(registry: Registry, make: Maker) -> None:
    release = make.release("v1", None)
    registry.record_policy(make.policy)
    registry.record_plan(release.plan)
    make.begin(registry, release)
    refused(registry, lambda: registry.record_evidence(release.evidence, b"better outcomes"), "have digest")


def test_a_decision_must_be_about_its_evidence(registry: Registry, make: Maker) -> None:
    good, other = make.release("good", None), make.release("other", None)
    make.record(registry, good)
    forged = other.decision.model_copy(update={"evidence_digest": good.evidence.digest})
    refused(registry, lambda: registry.record_decision(forged), "names evidence about 'good'")


def test_the_recorded_decision_is_found_by_its_inputs(registry: Registry, make: Maker) -> None:
    incumbent = make.seed(registry)
    release = make.release("v2", incumbent)
    inputs = (release.candidate.digest, release.plan.digest, make.policy.digest, incumbent.digest)

    def find(
        subject: str, plan: str | None, policy: str, incumbent: str | None, evidence: str | None = None
    ) -> Decision | None:
        return registry.find_decision(
            subject_digest=subject,
            plan_digest=plan,
            policy_digest=policy,
            incumbent_digest=incumbent,
            evidence_digest=evidence,
        )

    assert find(*inputs) is None
    make.record(registry, release)
    assert find(*inputs) == release.decision
    assert find(*inputs, release.evidence.digest) == release.decision
    assert find(*inputs, NEVER) is None
    subject, plan, policy, served = inputs
    assert find(NEVER, plan, policy, served) is None
    assert find(subject, NEVER, policy, served) is None
    assert find(subject, plan, NEVER, served) is None
    assert find(subject, plan, policy, NEVER) is None
    assert find(subject, None, policy, served) is None
    assert find(subject, plan, policy, None) is None


def test_names_point_to_what_was_registered_last(registry: Registry, make: Maker) -> None:
    old, new = make.candidate("v1", "old weights"), make.candidate("v1", "new weights")
    registry.register_candidate(old)
    assert registry.resolve("v1") == old.digest
    registry.register_candidate(new)
    assert registry.resolve("v1") == new.digest
    registry.register_candidate(old)
    assert registry.resolve("v1") == old.digest
    registry.register_candidate(make.candidate("stable", "old weights"))
    version = registry.show("stable")
    assert (version.digest, version.name, version.names) == (old.digest, "stable", ("stable", "v1"))
    assert [v.digest for v in registry.versions()] == [new.digest, old.digest]
    assert [e.type for e in registry.log()] == ["registered", "registered", "named", "named"]


def test_show_tells_what_a_version_is(registry: Registry, make: Maker) -> None:
    candidate = make.seed(registry)
    version = registry.show(candidate.digest[:20])
    assert version.digest == candidate.digest
    assert version.manifest == candidate.manifest.to_json()
    assert version.details["price"]["usd_per_gpu_hour"] == 1.5
    assert version.serves == ("flagship/production",)
    assert [e.type for e in version.events] == ["registered", "promoted"]
    assert "/somewhere/else" not in str(version.to_json())


@pytest.mark.parametrize("reference", ["nobody", "sha256:", "abcdef", "sha256:" + "0" * 64, "v%"])
def test_unknown_versions_are_named(registry: Registry, make: Maker, reference: str) -> None:
    registry.register_candidate(make.candidate("v1"))
    with pytest.raises(InputError, match="unknown version"):
        registry.show(reference)


@pytest.mark.parametrize("name", ["", "  ", "abcdef", "sha256:abcdef", "0" * 64])
def test_a_name_is_never_taken_for_a_digest(registry: Registry, make: Maker, name: str) -> None:
    manifest = make.candidate("v1").manifest
    refused(registry, lambda: registry.register(name, manifest), "cannot be a version's name")


def test_promotions_that_are_refused_leave_no_trace(registry: Registry, make: Maker) -> None:
    incumbent = make.seed(registry)
    good = make.release("good", incumbent)
    blocked = make.release("blocked", incumbent, "block")
    unsure = make.release("unsure", incumbent, "inconclusive")
    stale = make.release("stale", make.candidate("some other incumbent"))
    alone = make.release("alone", None)
    for release in (good, blocked, unsure, stale, alone):
        make.record(registry, release)

    def promote(digest: str, decision: str | None, generation: int = 1, channel: str = "flagship") -> ChannelState:
        return registry.promote(
            channel, "production", digest, decision_digest=decision, expected_generation=generation, reason="please"
        )

    good_digest, good_decision = good.candidate.digest, good.decision.digest
    refused(registry, lambda: promote(good_digest, None), "needs a passing decision")
    refused(registry, lambda: promote(good_digest, NEVER), "is not recorded here")
    refused(registry, lambda: promote(good_digest, good_decision, generation=0), "generation 1, not 0")
    refused(registry, lambda: promote(good_digest, good_decision, generation=2), "generation 1, not 2")
    refused(registry, lambda: promote(NEVER, good_decision), "is not registered")
    refused(registry, lambda: promote(blocked.candidate.digest, good_decision), "is about 'good'")
    refused(registry, lambda: promote(blocked.candidate.digest, blocked.decision.digest), "does not allow it: block")
    refused(registry, lambda: promote(unsure.candidate.digest, unsure.decision.digest), "not allow it: inconclusive")
    refused(registry, lambda: promote(stale.candidate.digest, stale.decision.digest), "not what is served now")
    refused(registry, lambda: promote(alone.candidate.digest, alone.decision.digest), "compared 'alone' with nothing")
    refused(registry, lambda: promote(good_digest, good_decision, channel="beta"), "unknown channel 'beta'")
    refused(registry, lambda: registry.channel("flagship", "live"), "unknown stage 'live'")
    assert promote(good_digest, good_decision).name == "good"


def test_a_decision_is_spent_when_the_incumbent_changes(registry: Registry, make: Maker) -> None:
    incumbent = make.seed(registry)
    first, second = make.release("first", incumbent), make.release("second", incumbent)
    for release in (first, second):
        make.record(registry, release)
    registry.promote(
        "flagship",
        "production",
        first.candidate.digest,
        decision_digest=first.decision.digest,
        expected_generation=1,
    )
    refused(
        registry,
        lambda: registry.promote(
            "flagship",
            "production",
            second.candidate.digest,
            decision_digest=second.decision.digest,
            expected_generation=2,
        ),
        "not what is served now",
    )


def test_promoting_what_is_served_already_writes_nothing(registry: Registry, make: Maker) -> None:
    incumbent = make.seed(registry)
    before = registry.log()
    state = registry.promote(
        "flagship", "production", incumbent.digest, decision_digest=None, expected_generation=1, reason="again"
    )
    assert (state.generation, registry.log()) == (1, before)


def test_only_the_first_version_of_a_channel_is_a_seed(registry: Registry, make: Maker) -> None:
    candidate = make.candidate("v1")
    digest = registry.register_candidate(candidate)

    def seed(stage: str, digest: str, reason: str = "first") -> ChannelState:
        return registry.promote("small", stage, digest, decision_digest=None, expected_generation=0, reason=reason)

    refused(registry, lambda: seed("production", digest, reason=" "), "needs a reason")
    assert seed("production", digest).history[0].kind == "seed"
    assert seed("canary", digest).digest == digest
    other = registry.register_candidate(make.candidate("v2"))
    refused(registry, lambda: seed("shadow", other), "this channel is in production")


def test_a_version_goes_through_the_stages_with_one_decision(registry: Registry, make: Maker) -> None:
    incumbent = make.seed(registry)
    release = make.release("v2", incumbent)
    digest = make.record(registry, release)
    for stage, generation in (("shadow", 0), ("canary", 0), ("production", 1)):
        state = registry.promote(
            "flagship",
            stage,
            digest,
            decision_digest=release.decision.digest,
            expected_generation=generation,
        )
        assert (state.digest, state.history[-1].kind) == (digest, "promote")
    assert registry.show("v2").serves == ("flagship/canary", "flagship/production", "flagship/shadow")
    assert [c.where for c in registry.channels()] == ["flagship/shadow", "flagship/canary", "flagship/production"]
    assert registry.verify().problems == ()


def test_rollback_goes_to_what_was_promoted_before(registry: Registry, make: Maker) -> None:
    incumbent = make.seed(registry)
    release = make.release("v2", incumbent)
    digest = make.record(registry, release)
    never = registry.register_candidate(make.candidate("v3"))
    registry.promote("flagship", "production", digest, decision_digest=release.decision.digest, expected_generation=1)

    def back(digest: str, generation: int = 2, reason: str = "too slow") -> ChannelState:
        return registry.rollback(
            "flagship", "production", digest, expected_generation=generation, actor="grace", reason=reason
        )

    refused(registry, lambda: back(never), "never promoted to this stage")
    refused(registry, lambda: back(digest), "serves already")
    refused(registry, lambda: back(incumbent.digest, generation=1), "generation 2, not 1")
    refused(registry, lambda: back(incumbent.digest, reason=""), "needs a reason")
    state = back(incumbent.digest)
    assert (state.digest, state.name, state.generation) == (incumbent.digest, "v1", 3)
    last = state.history[-1]
    assert (last.kind, last.actor, last.reason, last.previous) == ("rollback", "grace", "too slow", digest)
    assert back(digest, generation=3).digest == digest
    assert registry.verify().problems == ()


def test_the_actor_is_taken_from_the_environment(
    registry: Registry, make: Maker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RELGATE_ACTOR", "release-bot")
    registry.register_candidate(make.candidate("v1"))
    monkeypatch.delenv("RELGATE_ACTOR")
    monkeypatch.setenv("LOGNAME", "ada")
    registry.register_candidate(make.candidate("v2"))
    assert [e.actor for e in registry.log()] == ["release-bot", "ada"]


def test_log_gives_the_last_events_oldest_first(registry: Registry, make: Maker) -> None:
    for name in ("v1", "v2", "v3"):
        registry.register_candidate(make.candidate(name))
    assert [e.payload["name"] for e in registry.log(2)] == ["v2", "v3"]
    assert [e.position for e in registry.log()] == [0, 1, 2]


def test_a_registry_outlives_its_process(url: str, registry: Registry, make: Maker) -> None:
    from evalharness.database import open_database

    make.seed(registry)
    again = open_database(url)
    reopened = Registry(again)
    assert reopened.log() == registry.log()
    assert reopened.channel("flagship", "production").name == "v1"
    again.dispose()
