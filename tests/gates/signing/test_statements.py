"""What a submitter signs: the inference of the decision, and a SLSA verification summary that says no more."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest

from gates.signing.envelopes import open_envelope, seal_act
from gates.signing.keys import SigningKey
from gates.signing.predicates import Submission
from gates.signing.statements import open_summary, says, seal_submission, submission_of, summary_of
from golden_sets.digests import digest_bytes
from golden_sets.errors import InputError
from tests.support.acts import LOG
from tests.support.recorded_releases import Maker
from tests.support.submissions import decision, submission

KEY = SigningKey.generate()
TIME = "2026-01-31T12:00:00.000000Z"


def test_a_submission_carries_the_inference_of_its_decision() -> None:
    made = decision()
    said = submission_of(made, log=LOG, person="sam")
    (check,) = made.checks
    (inference,) = said.inference
    assert inference.to_json() == {
        "id": "golden-floor",
        "status": "pass",
        "metric": "pass_rate",
        "test": "floor",
        "method": "clopper-pearson",
        "n": 500,
        "value": check.estimate.value,
        "low": check.estimate.low,
        "high": check.estimate.high,
        "limit": 0.8,
        "alpha": 0.05,
    }
    assert (said.decision, said.evidence, said.policy) == (made.digest, made.evidence_digest, made.policy_digest)
    assert says(said, made)


@pytest.mark.parametrize(
    "change",
    [
        {"verdict": "block"},
        {"inference": ()},
        {"attempt": 2},
        {"plan": None},
        {"incumbent": digest_bytes(b"another")},
        {"policy": digest_bytes(b"another")},
        {"subject": digest_bytes(b"another")},
    ],
)
def test_a_submission_that_says_something_else_is_not_about_the_decision(change: dict[str, Any]) -> None:
    assert not says(submission("sam").model_copy(update=change), decision())


def test_a_submission_that_flatters_a_number_is_not_about_the_decision() -> None:
    said = submission("sam")
    flattered = said.inference[0].model_copy(update={"low": 0.99})
    assert not says(said.model_copy(update={"inference": (flattered,)}), decision())
    assert not says(said, Maker().release("v3", None).decision)


def sealed(verdict: Any = "promote") -> Submission:
    made = Maker().release("v2", None, verdict=verdict).decision
    envelope = seal_submission(submission_of(made, log=LOG, person="Sam Ö"), KEY, time=TIME)
    return open_envelope(envelope).act(Submission)


def test_the_summary_is_a_slsa_verification_summary_that_stands_alone() -> None:
    said = sealed()
    envelope = summary_of(said)
    assert envelope is not None
    opened = open_envelope(envelope)
    assert opened.signed_by(KEY.public)
    statement = json.loads(base64.b64decode(json.loads(envelope)["payload"]))
    assert statement["predicateType"] == "https://slsa.dev/verification_summary/v1"
    assert statement["subject"] == [{"name": "manifest", "digest": {"sha256": said.subject.removeprefix("sha256:")}}]
    predicate = statement["predicate"]
    assert predicate["verificationResult"] == "PASSED"
    assert predicate["timeVerified"] == TIME
    assert predicate["verifier"]["id"] == "urn:relgate:submitter:Sam%20%C3%96"
    assert predicate["policy"]["digest"]["sha256"] == said.policy.removeprefix("sha256:")
    inputs = ["sha256:" + one["digest"]["sha256"] for one in predicate["inputAttestations"]]
    assert inputs == [said.evidence, said.decision]
    # What the specification requires (https://slsa.dev/spec/v1.0/verification_summary).
    assert set(predicate) == {
        "verifier",
        "timeVerified",
        "resourceUri",
        "policy",
        "inputAttestations",
        "verificationResult",
        "verifiedLevels",
    }


@pytest.mark.parametrize(
    ("verdict", "result", "levels"),
    [
        ("promote", "PASSED", ["RELGATE_PROMOTE"]),
        ("block", "FAILED", ["FAILED"]),
        ("inconclusive", "FAILED", ["FAILED"]),
    ],
)
def test_only_a_verdict_to_promote_has_passed(verdict: str, result: str, levels: list[str]) -> None:
    opened = open_summary(sealed(verdict))
    assert opened is not None
    assert (opened.predicate["verificationResult"], opened.predicate["verifiedLevels"]) == (result, levels)


def test_a_summary_says_what_its_submission_says() -> None:
    good = sealed()
    assert open_summary(good) is not None
    assert open_summary(submission("sam")) is None
    for change in ({"verdict": "block"}, {"policy": digest_bytes(b"")}, {"person": "eve"}, {"subject": LOG}):
        with pytest.raises(InputError, match="does not say what the submission says"):
            open_summary(good.model_copy(update=change))
    other = json.loads(seal_act(submission("sam"), [KEY]))
    with pytest.raises(InputError, match="no SLSA verification summary"):
        open_summary(good.model_copy(update={"summary": other}))
