"""Signatures, waivers and changed thresholds in words, for the page and the summary."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from gates.policy_changes import PolicyChange
from gates.reports.figures import count
from gates.reports.standing import Signature, Standing, ThresholdsSince, WaiverGiven

KEY_DIGITS = 12
"""Digits of a key's id that are shown; the whole is in the JSON."""

ON_EXPIRY = {"demote": "the stage goes back to the version before", "block": "nothing may follow on it"}
"""What the first check after a waiver's expiry does, in words."""


@dataclass(frozen=True, slots=True)
class StandingView:
    """What the page shows of a decision's standing."""

    title: str
    """Heading of the section on signatures and waivers."""
    lead: str
    """Where it stands, in one sentence."""
    opening: str
    """The same, before a list of what stands against it."""
    thresholds: tuple[ThresholdsSince, ...]
    """Differences to earlier policies."""
    loosened: int
    """How many of them make it easier to pass, at most over the earlier policies."""
    offline: tuple[str, ...]
    """Commands by which anybody may check this."""


def standing_view(standing: Standing, *, version: str) -> StandingView:
    """What the page shows.

    Args:
        standing: what the registry knows.
        version: the subject's digest, shortened, for the commands.
    """
    return StandingView(
        title="Signatures and waivers" if standing.waivers else "Signatures",
        lead=lead(standing),
        opening=_opening(standing),
        thresholds=standing.thresholds,
        loosened=max((since.loosened for since in standing.thresholds), default=0),
        offline=(
            f"relgate registry export {version} --channel {standing.channel} --stage {standing.stage} -o {version}.zip",
            f"relgate registry verify --offline {version}.zip --checkpoint CHECKPOINT --trust ROOT.pub",
        ),
    )


def lead(standing: Standing) -> str:
    """Where a decision stands, in one sentence."""
    return _opening(standing) + (f" {'; '.join(standing.missing)}." if standing.missing else "")


def _opening(standing: Standing) -> str:
    """Where it stands, before what stands against it, where anything does."""
    moved = f"It moved {', '.join(standing.moves)}" if standing.moves else f"{standing.place} has not moved"
    if standing.missing:
        return f"{moved}. What stands against {standing.place}:"
    if not standing.moves:
        return f"{moved}. Nothing stands against it."
    return f"{moved}; {standing.place} {'serves' if standing.serves else 'does not serve'} it now."


def waiver_words(waiver: WaiverGiven) -> str:
    """A waiver in one sentence, for the check that it lifts."""
    return (
        f"Waived by {waiver.person} ({waiver.role}) until {moment(waiver.expires)} for {waiver.scope}: "
        f"{waiver.reason}; meanwhile: {waiver.control}. On expiry {ON_EXPIRY.get(waiver.on_expiry, waiver.on_expiry)}."
    )


def signature_words(signature: Signature) -> str:
    """A signature in one line."""
    what = "submitted" if signature.place is None else f"approved for {signature.place}"
    until = "" if signature.expires is None else f", until {moment(signature.expires)}"
    comment = f' "{signature.comment}"' if signature.comment else ""
    return (
        f"{signature.person} ({signature.role}) {what} {moment(signature.signed_at)} with key "
        f"{signature.key[:KEY_DIGITS]}{until}: {signature.note}{comment}"
    )


def change_words(change: PolicyChange) -> str:
    """A changed threshold in one line."""
    about = "" if change.check is None else f"{change.check}: "
    owner = "no owner" if change.owner is None else f"owner {change.owner}"
    return f"{about}{change.field} {change.before} -> {change.after} ({owner}; {change_mark(change)})"


def change_mark(change: PolicyChange) -> str:
    """Whether a change makes it easier to pass, in a word."""
    return {True: "LOOSENED", False: "tightened", None: "changed"}[change.loosened]


def threshold_lines(standing: Standing) -> list[str]:
    """Every changed threshold in words, by the policy it is compared with; without changes: nothing."""
    lines = []
    for since in standing.thresholds:
        if since.changes:
            lines.append(f"Since {since.since}: {count(len(since.changes), 'change')}, {since.loosened} loosened")
            lines += [change_words(change) for change in since.changes]
    return lines


def moment(text: str) -> str:
    """An ISO 8601 time as ``2025-11-21 06:13 UTC``; anything else unchanged."""
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        return text
    return f"{at:%Y-%m-%d %H:%M}" + (" UTC" if at.tzinfo is None or not at.utcoffset() else f" {at:%z}")
