"""What a submitter signs about a decision: relgate's own predicate with the inference, and a SLSA verification summary.

The summary (https://slsa.dev/verification_summary/v1) is an envelope of its own, for tools that know SLSA and not
relgate. It travels inside the submission, signed with the same key, and says nothing that the submission does not say:
everything in it but the moment and relgate's version follows from the submission.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

from gates.decision import CheckResult, Decision, Verdict
from gates.signing.envelopes import Opened, open_envelope, seal, seal_act
from gates.signing.keys import SigningKey
from gates.signing.predicates import NAMESPACE, VSA_TYPE, Inference, Submission
from golden_sets.digests import Digest, canonical_json
from golden_sets.errors import InputError
from golden_sets.version import relgate_version


def submission_of(decision: Decision, *, log: Digest, person: str) -> Submission:
    """What a person signs who submits a decision, with a nonce of its own."""
    return Submission(
        log=log,
        person=person,
        nonce=new_nonce(),
        subject=decision.subject_digest,
        evidence=decision.evidence_digest,
        decision=decision.digest,
        policy=decision.policy_digest,
        verdict=decision.verdict.value,
        incumbent=decision.incumbent_digest,
        plan=decision.plan_digest,
        attempt=decision.attempt,
        inference=tuple(_inference(check, decision.alpha) for check in decision.checks),
    )


def says(submission: Submission, decision: Decision) -> bool:
    """Whether a submission says of a decision what the decision itself says."""
    own = ("person", "nonce", "log", "summary")
    said = submission_of(decision, log=submission.log or "", person=submission.person).to_json()
    return all(submission.to_json()[name] == value for name, value in said.items() if name not in own)


def seal_submission(submission: Submission, key: SigningKey, *, time: str) -> bytes:
    """A submission as an envelope, with its SLSA verification summary inside, both signed by the key.

    Args:
        submission: from :func:`submission_of`.
        key: the submitter's.
        time: when the decision was verified, UTC.
    """
    summary = seal(VSA_TYPE, _summary(submission, time, relgate_version()), _subjects(submission), (key,))
    return seal_act(submission.model_copy(update={"summary": json.loads(summary)}), (key,))


def summary_of(submission: Submission) -> bytes | None:
    """The SLSA verification summary inside a submission, as the DSSE envelope that SLSA's tools read; None: none."""
    return None if submission.summary is None else canonical_json(dict(submission.summary))


def open_summary(submission: Submission) -> Opened | None:
    """The SLSA verification summary inside a submission, taken apart; None: none. No signature is checked.

    Raises:
        InputError: it is none, or it does not say what the submission says.
    """
    envelope = summary_of(submission)
    if envelope is None:
        return None
    opened = open_envelope(envelope)
    try:
        time, version = opened.predicate["timeVerified"], opened.predicate["verifier"]["version"]["relgate"]
        expected = seal(VSA_TYPE, _summary(submission, time, version), _subjects(submission), ())
    except (KeyError, TypeError) as error:
        raise InputError("the submission holds no SLSA verification summary") from error
    if opened.unsigned != expected:
        raise InputError("the SLSA verification summary does not say what the submission says")
    return opened


def new_nonce() -> str:
    """A nonce for an act."""
    return secrets.token_hex(16)


def _inference(check: CheckResult, alpha: float) -> Inference:
    estimate = check.estimate
    return Inference(
        id=check.id,
        status=check.status.value,
        metric=check.metric,
        test=check.test,
        method=estimate.method,
        n=estimate.n,
        value=estimate.value,
        low=estimate.low,
        high=estimate.high,
        limit=check.limit,
        alpha=alpha,
    )


def _summary(submission: Submission, time: str, version: str) -> Mapping[str, Any]:
    passed = submission.verdict == Verdict.PROMOTE.value
    return {
        "verifier": {"id": f"{NAMESPACE}submitter:{quote(submission.person)}", "version": {"relgate": version}},
        "timeVerified": time,
        "resourceUri": f"{NAMESPACE}manifest:{submission.subject}",
        "policy": {"uri": f"{NAMESPACE}policy:{submission.policy}", "digest": _digest(submission.policy)},
        "inputAttestations": [
            {"uri": f"{NAMESPACE}{kind}:{digest}", "digest": _digest(digest)}
            for kind, digest in (("evidence", submission.evidence), ("decision", submission.decision))
        ],
        "verificationResult": "PASSED" if passed else "FAILED",
        # A custom level: SLSA's own (SLSA_BUILD_...) speak of builds, which nobody looked at here.
        "verifiedLevels": ["RELGATE_PROMOTE"] if passed else ["FAILED"],
    }


def _subjects(submission: Submission) -> dict[str, Digest]:
    return {"manifest": submission.subject}


def _digest(digest: Digest) -> dict[str, str]:
    return {"sha256": digest.removeprefix("sha256:")}
