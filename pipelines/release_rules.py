"""The rules of a release: which decisions may be evaluated again, and which may move a channel."""

from __future__ import annotations

from collections.abc import Sequence

from evalharness.evidence import Evidence
from gates.decision import CheckResult, Decision, Status, Verdict
from gates.registry import ChannelState, Event
from gates.registry.history import last_withdrawal
from gates.verifier.promotion import allowed_incumbents
from golden_sets.digests import Digest, short
from golden_sets.errors import InputError


def is_repairable(decision: Decision) -> bool:
    """Whether a decision is open for one reason only: safety cells in which requests failed.

    Asking those requests again completes the cells and is no new attempt. Everything else that is open stays as it was
    recorded: a failed request is itself what reliability and latency are about, and too little data is a result.
    """
    unsettled = [c for c in decision.checks if c.status is Status.INCONCLUSIVE]
    return decision.verdict is Verdict.INCONCLUSIVE and bool(unsettled) and all(map(_is_incomplete, unsettled))


def was_exploration(decision: Decision, evidence: Evidence) -> bool:
    """Whether a decision is open on answers older than the plan: it could not have been a promotion.

    Asking those answers again under the same plan is no new attempt. A block stands, whatever it was made on.
    """
    return decision.verdict is Verdict.INCONCLUSIVE and evidence.exploratory > 0


def _is_incomplete(check: CheckResult) -> bool:
    from evalharness.metrics import METRICS  # brings statistics with it: a rollback must not wait for those

    # Reliability and latency of a safety set are safety checks too, but only safety rates have incomplete cells.
    return check.safety and METRICS[check.metric].is_safety and check.estimate.errors > 0


def newest_passing(decided: Sequence[Event], name: str) -> Digest:
    """The newest decision about a version, which must have passed: an older one was overtaken by it.

    Args:
        decided: the events of the decisions about the version, newest first.
        name: the version's name, for messages.

    Raises:
        InputError: there is none, or its verdict is not promote.
    """
    if not decided:
        raise InputError(f"there is no passing decision about '{name}'", do="release it first: 'relgate release NAME'")
    newest = decided[0]
    if newest.payload["verdict"] != Verdict.PROMOTE.value:
        raise InputError(
            f"there is no passing decision about '{name}': the newest one, {short(newest.payload['decision'])} of "
            f"{newest.time}, is {newest.payload['verdict']}",
            do="release it again; or name with --decision an older one that still holds, or this one if its checks are "
            "waived",
        )
    return str(newest.payload["decision"])


def against_another(
    state: ChannelState,
    production: Digest | None,
    *,
    subject: Digest,
    incumbent: Digest | None,
    incumbent_name: str | None,
) -> str | None:
    """Why a comparison with this incumbent cannot move the stage, for people; None where it can.

    Args:
        state: the stage.
        production: what the channel's production stage serves.
        subject: the version that is to be promoted; where it is served already there is nothing to move.
        incumbent: whom it is compared with.
        incumbent_name: the incumbent's name.
    """
    if state.digest == subject or incumbent in allowed_incumbents(state.digest, production):
        return None
    compared = "nothing" if incumbent is None else f"'{incumbent_name}'"
    served = "nothing" if state.digest is None else f"'{state.name}'"
    return f"{state.where} serves {served} and the comparison is with {compared}: nothing can be promoted on it"


def withdrawn(state: ChannelState, subject: Digest, decided: Sequence[Event], decision: Digest) -> str | None:
    """Why a decision no longer speaks for a version, for people; None where it does.

    A rollback says that a version failed where it was served: what was decided before that must not put it back
    unless a person says why.

    Args:
        state: the stage.
        subject: the version.
        decided: the events of the decisions about the version.
        decision: the decision; one that is not recorded is nothing to speak of.
    """
    away = last_withdrawal(state.history, subject)
    made = next((event for event in decided if event.payload["decision"] == decision), None)
    if away is None or made is None or made.position > away.position:
        return None
    return f"{state.where} was rolled back from it at {away.time} ({away.reason}), after this decision was made"
