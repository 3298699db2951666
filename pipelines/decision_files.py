"""Decisions on disk: the decision, the policy it applied, and where its evidence lies."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from gates.decision import Decision
from gates.policy import Policy
from golden_sets.documents import json_text, read_document, write_whole
from golden_sets.errors import InputError

FORMAT = "relgate.decision/1"


@dataclass(frozen=True)
class DecisionFile:
    """A decision as it is written down."""

    decision: Decision
    policy: Policy
    evidence: Path
    """Where the evidence lay when it was written."""


def write_decision(decision: Decision, policy: Policy, evidence: Path, path: Path) -> None:
    """Write a decision; it appears whole or not at all.

    Raises:
        InfrastructureError: it cannot be written.
    """
    document = {
        "format": FORMAT,
        "digest": decision.digest,
        **decision.summary(),
        "decision": decision.to_json(),
        "policy_text": policy.to_json(),
        "evidence_file": os.path.relpath(evidence.resolve(), path.resolve().parent),
    }
    write_whole(path, json_text(document).encode())


def read_decision(path: Path) -> DecisionFile:
    """Read a decision, checking its digest.

    Raises:
        InputError: unreadable, not a decision, or changed after it was written.
    """
    document = read_document(path, FORMAT)
    try:
        decision = Decision.model_validate(document.get("decision"))
        policy = Policy.model_validate(document.get("policy_text"))
    except ValidationError as error:
        first = error.errors()[0]
        raise InputError(f"not a decision: {'.'.join(map(str, first['loc']))}: {first['msg']}", where=path) from error
    if decision.digest != document.get("digest") or policy.digest != decision.policy_digest:
        raise InputError("the decision was changed after it was written", where=path, do="gate the evidence again")
    return DecisionFile(decision, policy, (path.parent / str(document.get("evidence_file"))).resolve())
