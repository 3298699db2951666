"""What verification found, and what checkpoints and trusted keys say about a log that was replayed."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from gates.decision import Decision
from gates.signing.checkpoints import SignedCheckpoint
from gates.signing.predicates import PublicKey
from gates.verifier.authority import Enrolled
from gates.verifier.replay import Kept, Replay
from golden_sets.digests import Digest, short

Advance = Callable[[int, int], None]
"""``advance(done, total)``, for whoever waits."""

_MOST_DIFFERENCES = 5
"""How many differences of one verdict are told."""


@dataclass(frozen=True, slots=True)
class Verification:
    """What verification found."""

    size: int
    """Number of events."""
    root: Digest
    """Root of the log, recomputed from the events."""
    problems: tuple[str, ...]
    """What does not fit, for people; empty: everything fits."""
    notices: tuple[str, ...] = ()
    """What a reader must know, and is no problem."""
    trusted: bool | None = None
    """Whether a key that the reader trusts vouches for this log; None: no key was named."""
    verdicts: int = 0
    """How many verdicts were derived again from the per-prompt outcomes."""

    @property
    def ok(self) -> bool:
        """True where nothing was found."""
        return not self.problems

    def to_json(self) -> dict[str, Any]:
        """Plain JSON data, for ``--json``."""
        return {
            "ok": self.ok,
            "size": self.size,
            "root": self.root,
            "problems": list(self.problems),
            "notices": list(self.notices),
            "trusted": self.trusted,
            "verdicts": self.verdicts,
        }


def conclude(
    replay: Replay,
    *,
    kept: Sequence[Kept] = (),
    trust: Collection[PublicKey] = (),
    more: Iterable[str] = (),
    verdicts: int = 0,
) -> Verification:
    """What is to be said of a log after its last event.

    Args:
        replay: the whole log; it must have been given the same checkpoints.
        kept: checkpoints that must fit it, of the log's own store or kept elsewhere.
        trust: public keys that the reader knows to be whose they should be.
        more: further problems.
        verdicts: how many verdicts were derived again.
    """
    replay.end()
    problems, notices = [*replay.problems, *more], list(replay.notices)
    for one in kept:
        problems += _checkpoint_problems(replay, one, trust)
    trusted = _vouched(replay, kept, trust) if trust else None
    if trusted is False:
        problems.append("no key that you trust vouches for this log: it may be another, made up as a whole")
    if not replay.size:
        notices.append("the log is empty: nothing was ever recorded here")
    if trusted and not any(replay.roots.get(one.size) == one.root for one in kept):
        notices.append("no checkpoint covers this log: whoever holds it may have left out events, pins among them")
    if trusted is None and replay.authority.keys:
        notices.append("no trusted key was named (--trust): whoever made the log's first key is taken at their word")
    return Verification(replay.size, replay.root, tuple(problems), tuple(notices), trusted, verdicts)


def verdict_problems(replay: Replay, advance: Advance | None = None) -> tuple[int, list[str]]:
    """Derive again the verdicts on which the promotions of a replayed log rest.

    Returns:
        How many were derived, and what differs.
    """
    decisions = {move.event.payload["decision"]: move.case.decision for move in replay.moves}
    problems = []
    for done, (digest, decision) in enumerate(decisions.items(), start=1):
        problems += verdict_differences(replay, digest, decision)
        if advance is not None:
            advance(done, len(decisions))
    return len(decisions), problems


def verdict_differences(replay: Replay, digest: Digest, decision: Decision) -> list[str]:
    """What the gate says otherwise than one decision; empty: the same."""
    from gates.verifier.verdicts import differences  # brings statistics with it: a rollback must not wait for those

    serving, planned = replay.serving_at(digest), replay.planned_at(decision.plan_digest)
    found = differences(decision, replay.contents, planned_at=planned, serving=serving)
    if not found:
        return []
    left = f"; and {len(found) - _MOST_DIFFERENCES} more" if len(found) > _MOST_DIFFERENCES else ""
    told = "; ".join(found[:_MOST_DIFFERENCES])
    return [f"the verdict of decision {short(digest)} is not what its outcomes show: {told}{left}"]


def _checkpoint_problems(replay: Replay, one: Kept, trust: Collection[PublicKey]) -> Iterator[str]:
    if one.size > replay.size:
        yield (
            f"the log has {replay.size} events; at {one.time} it had {one.size}: its end was removed, "
            "or this is an older copy"
        )
    elif replay.roots[one.size] != one.root:
        yield f"the first {one.size} events are not those of {one.time}: the log was rewritten"
    if not isinstance(one, SignedCheckpoint):
        return
    if one.size and one.state.log != replay.authority.log:
        yield f"the checkpoint of {one.time} is one of another log"
    if not any(one.signed_by(key) for key in (*trust, *_keys_then(replay, one.size))):
        yield f"the checkpoint of {one.time} is signed by no key that counted then"


def _keys_then(replay: Replay, size: int) -> list[PublicKey]:
    """The enrolled keys that were neither replaced nor revoked while the log had so many events."""

    def signed_then(key: Enrolled) -> bool:
        return all(end is None or end >= size for end in (key.retired, key.revoked))

    return [key.key for key in replay.authority.keys.values() if signed_then(key)]


def _vouched(replay: Replay, kept: Sequence[Kept], trust: Collection[PublicKey]) -> bool:
    """Whether a trusted key is a root key of this log, or signed a checkpoint that fits it.

    A key is enrolled only with its own signature over the log's first leaf, so nobody else can put it into another log.
    """
    roots = [key.key for key in replay.authority.keys.values() if key.root and key.revoked is None]
    if any(key in roots for key in trust):
        return True
    signed = [one for one in kept if isinstance(one, SignedCheckpoint) and replay.roots.get(one.size) == one.root]
    return any(one.size and one.signed_by(key) for one in signed for key in trust)
