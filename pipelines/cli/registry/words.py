"""What is signed, in words: a person reads this before they sign."""

from __future__ import annotations

from gates.signing.predicates import Act, Approval, KeyEnrolment, KeyRevocation, PolicyPin, Sanction, Submission, Waiver
from golden_sets.digests import Digest, short


def in_words(act: Act) -> list[tuple[str, str]]:
    """What an act says, as labels and values: first in one sentence, then every digest in full."""
    said = [("says", f"{act.person}: {_sentence(act)}")]
    if isinstance(act, Sanction):
        said += [
            ("version", f"{act.name}  {act.subject}"),
            (
                "moves",
                f"{act.channel}/{act.stage}, which serves {_served(act.incumbent)} (generation {act.generation})",
            ),
            ("expires", act.expires),
        ]
    if isinstance(act, Waiver):
        said += [
            ("reason", act.reason),
            ("scope", act.scope),
            ("control", act.control),
            (
                "on expiry",
                "the stage goes back" if act.on_expiry == "demote" else "it stays, nothing follows on it",
            ),
        ]
    if isinstance(act, Approval) and act.comment:
        said.append(("comment", act.comment))
    if isinstance(act, PolicyPin):
        said += [
            ("owners", ", ".join(act.owners)),
            ("sets", ", ".join(f"{name} {short(digest)}" for name, digest in act.sets.items()) or "not pinned"),
            ("judge", "not pinned" if act.judge is None else act.judge),
            ("replaces", "nothing" if act.previous is None else act.previous),
            ("reason", act.reason),
        ]
    if isinstance(act, KeyRevocation):
        said.append(("reason", act.reason))
    if isinstance(act, (KeyEnrolment, KeyRevocation)):  # by its id, which every command names, not by its digest
        return [*said, ("key", act.key), ("log", act.log or "a new one")]
    return [*said, *((name, digest) for name, digest in act.subjects.items()), ("log", act.log or "a new one")]


def _sentence(act: Act) -> str:
    match act:
        case Waiver():
            return f"check '{act.check}' is lifted for one move of '{act.name}', as {act.role}"
        case Approval():
            return f"'{act.name}' may move to {act.channel}/{act.stage}, as {act.role}"
        case Submission():
            return f"the decision is {act.verdict}, attempt {act.attempt}, on {len(act.inference)} checks"
        case PolicyPin():
            return f"channel '{act.channel}' moves under policy {short(act.policy)} alone"
        case KeyEnrolment():
            return f"the key {act.key[:12]} is theirs{', a root key' if act.root else ''}"
        case KeyRevocation():
            return f"the key {act.key[:12]} counts no more"
    raise AssertionError(f"an act of the unknown type {type(act).__name__}")


def _served(incumbent: Digest | None) -> str:
    return "nothing" if incumbent is None else short(incumbent)
