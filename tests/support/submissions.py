"""A small real decision, and what its submitter signs."""

from __future__ import annotations

from gates.decision import Decision
from gates.signing.predicates import Submission
from gates.signing.statements import submission_of
from tests.support.acts import LOG
from tests.support.recorded_releases import Maker


def decision() -> Decision:
    """A passing decision about ``v2``."""
    return Maker().release("v2", None).decision


def submission(person: str) -> Submission:
    """What a person signs who submits it."""
    return submission_of(decision(), log=LOG, person=person)
