"""What a thief of a key and a submitter who flatters get through the registry: nothing."""

from __future__ import annotations

import pytest

from gates.policy import Policy
from gates.registry import Registry
from gates.signing.keys import SigningKey
from gates.verifier.promotion import refusals
from golden_sets.errors import InputError
from tests.support.acts import enrolment, revocation
from tests.support.recorded_releases import Maker
from tests.support.signed_registry import POLICY, SignedRegistry

LOOSER: Policy = POLICY.model_copy(update={"version": "5", "promotion": None})


@pytest.fixture
def signed(registry: Registry) -> SignedRegistry:
    return SignedRegistry(registry)


def test_a_policy_that_a_stolen_key_pinned_moves_nothing_once_the_key_is_revoked(signed: SignedRegistry) -> None:
    people, registry = signed.people, signed.registry
    people.enrol("otto", root=True)
    incumbent = signed.seed()
    signed.pin(owners=("mia",))
    people.pin(LOOSER, by="mia", owners=("mallory",))
    signed.make = Maker(LOOSER)
    release = signed.release("v2", incumbent)
    assert refusals(registry.case("flagship", "production", release.decision.digest)) == []
    people.revoke("mia")
    with pytest.raises(InputError, match="the key that pinned the policy of channel 'flagship' was revoked"):
        signed.promote(release)
    assert registry.channel("flagship", "production").name == "v1"

    people.enrol("mallory")
    with pytest.raises(InputError, match="'mallory' does not own the policy of 'flagship'"):
        people.pin(LOOSER, by="mallory")
    people.enrol("mia", key=SigningKey.generate())
    people.pin(POLICY, by="mia", owners=("mia",))
    with pytest.raises(InputError, match="moves under the pinned policy"):
        signed.promote(release)
    signed.make = Maker(POLICY)
    honest = signed.release("v3", incumbent)
    people.sign_off(honest.decision)
    assert signed.promote(honest).name == "v3"
    assert registry.verify().problems == ()


def test_a_submission_that_flatters_the_inference_does_not_count(signed: SignedRegistry) -> None:
    people = signed.people
    release = signed.release("v2", signed.seed())
    honest = people.submission(release.decision)
    flattered = honest.inference[0].model_copy(update={"low": 0.999})
    people.record(honest.model_copy(update={"inference": (flattered, *honest.inference[1:])}))
    for person in ("max", "sara"):
        people.approve(release.decision, person)
    with pytest.raises(InputError, match="no submitter has signed the decision"):
        signed.promote(release)
    people.submit(release.decision)
    assert signed.promote(release).name == "v2"


def test_a_key_that_a_thief_rotated_to_signs_until_it_is_revoked_too(signed: SignedRegistry) -> None:
    people = signed.people
    release = signed.release("v2", signed.seed())
    stolen, thiefs = people.keys["max"], SigningKey.generate()
    log = people.log
    people.record(enrolment(thiefs, "max", log, replaces=stolen.public.id), stolen, thiefs)
    people.record(revocation(stolen, people.owner).model_copy(update={"log": log}))
    authority = signed.registry.authority()
    assert [one.key for one in authority.successors(stolen.public.id)] == [thiefs.public]
    people.keys["max"] = thiefs
    people.sign_off(release.decision)
    people.record(revocation(thiefs, people.owner).model_copy(update={"log": log}))
    with pytest.raises(InputError, match="1 of ml-owner must approve"):
        signed.promote(release)
