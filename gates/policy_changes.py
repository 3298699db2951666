"""How one policy differs from another: everything that could change a verdict or a move, and which way it goes."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from gates.policy import Check, Policy
from gates.promotion_rules import PromotionRules, StageRules
from gates.signing.predicates import PolicyPin
from golden_sets.digests import Digest, short

_ABSENT = "none"


@dataclass(frozen=True, slots=True)
class PolicyChange:
    """One difference between two policies."""

    check: str | None
    """The check; None: it is about the whole policy."""
    field: str
    """What differs: ``threshold``, ``margin``, ``alpha``, ``promotion.stages.production.signatures.ml-owner``...;
    ``check`` where a check was added or removed."""
    before: str
    """What it was, exactly."""
    after: str
    """What it is, exactly."""
    owner: str | None
    """Who answers for it: the check's owner, or the role to which a check without one belongs."""
    loosened: bool | None
    """Whether it makes it easier to pass or to move; False: harder; None: neither way, or that depends."""


Direction = Callable[[Any, Any], bool | None]
"""Whether a step from one value to another loosens; None: neither way, or that depends."""


def changes(old: Policy, new: Policy) -> tuple[PolicyChange, ...]:
    """Every difference from one policy to another: checks in the new policy's order, then the policy as a whole.

    Name, version and description say nothing about verdicts and are left out.
    """
    return (*_check_changes(old, new), *_whole_changes(old, new), *_promotion_changes(old.promotion, new.promotion))


def pin_changes(old: PolicyPin, new: PolicyPin) -> tuple[PolicyChange, ...]:
    """What evidence must rest on from one pin of a channel to the next: its sets and its judge.

    What is pinned no longer is loosened, what is pinned from now on is tightened; another one is neither.
    """
    named = {f"pinned set {name}": (old.sets.get(name), new.sets.get(name)) for name in {**old.sets, **new.sets}}
    both = {**named, "pinned judge": (old.judge, new.judge)}
    owners = ", ".join(new.owners)
    return tuple(
        PolicyChange(None, field, _pinned(was), _pinned(now), owners, None if was and now else was is not None)
        for field, (was, now) in both.items()
        if was != now
    )


def _pinned(digest: Digest | None) -> str:
    return "not pinned" if digest is None else short(digest)


# -- directions ----------------------------------------------------------------------------------------------


def _more_is_looser(old: Any, new: Any) -> bool | None:
    return None if old is None or new is None else bool(new > old)


def _less_is_looser(old: Any, new: Any) -> bool | None:
    return None if old is None or new is None else bool(new < old)


def _depends(_old: Any, _new: Any) -> None:
    return None


def _precision(old: float | None, new: float | None) -> bool:
    """A wider interval is enough; none at all asks for least."""
    return new is None or (old is not None and new > old)


def _required(old: bool | None, new: bool | None) -> bool:
    """Unplanned evidence: required, as the command decides, not required."""
    order = {True: 0, None: 1, False: 2}
    return order[new] > order[old]


def _split(old: Iterable[str], new: Iterable[str]) -> bool | None:
    """Fewer cells that must pass each for itself."""
    before, after = set(old), set(new)
    if before == after:
        return None
    return True if after < before else False if before < after else None


_OF_POLICY: Mapping[str, Direction] = {
    "alpha": _more_is_looser,
    "primary": _depends,
    "on_inconclusive": _depends,
    "max_unscored": _more_is_looser,
    "joint_power": _depends,
    "require_plan": _required,
    "labels_per_arm": _depends,
    "attempts": lambda _, new: bool(new == "constant"),
    "anchor": _depends,
}
_OF_CHECK: Mapping[str, Direction] = {
    "metric": _depends,
    "test": _depends,
    "where": _depends,
    "each": _split,
    "against": _depends,
    "threshold": _depends,
    "margin": _more_is_looser,
    "quantile": _less_is_looser,
    "waivable": lambda _, new: bool(new),
    "owner": _depends,
    "expected": _depends,
    "half_width": _precision,
}


# -- checks --------------------------------------------------------------------------------------------------


def _check_changes(old: Policy, new: Policy) -> Iterator[PolicyChange]:
    for check in new.checks:
        owner = _owner(new, check)
        before = old.by_id.get(check.id)
        if before is None:
            yield PolicyChange(check.id, "check", _ABSENT, _told(check), owner, loosened=False)
        else:
            yield from _field_changes(before, check, owner)
    for check in old.checks:
        if check.id not in new.by_id:
            yield PolicyChange(check.id, "check", _told(check), _ABSENT, _owner(old, check), loosened=True)


def _field_changes(old: Check, new: Check, owner: str | None) -> Iterator[PolicyChange]:
    asks_else = (old.metric, old.test, old.where, old.against) != (new.metric, new.test, new.where, new.against)
    for field, direction in _OF_CHECK.items():
        before, after = getattr(old, field), getattr(new, field)
        if before == after:
            continue
        if field == "threshold":
            direction = _less_is_looser if new.test == "floor" else _more_is_looser
        # Another question: its numbers cannot be compared with those of the old one.
        loosened = None if asks_else and field != "waivable" else direction(before, after)
        yield PolicyChange(new.id, field, _exact(before), _exact(after), owner, loosened)


def _owner(policy: Policy, check: Check) -> str | None:
    if check.owner is not None or policy.promotion is None:
        return check.owner
    return "safety-reviewer" if check.is_safety else "ml-owner"


# -- the policy as a whole -----------------------------------------------------------------------------------


def _whole_changes(old: Policy, new: Policy) -> Iterator[PolicyChange]:
    for field, direction in _OF_POLICY.items():
        before, after = getattr(old, field), getattr(new, field)
        if before != after:
            yield _whole(field, before, after, direction(before, after))


def _promotion_changes(old: PromotionRules | None, new: PromotionRules | None) -> Iterator[PolicyChange]:
    if old is None and new is None:
        return
    before, after = old or PromotionRules(), new or PromotionRules()
    if old is None or new is None:
        was, is_ = (_ABSENT if rules is None else "signatures and ages as written" for rules in (old, new))
        yield PolicyChange(None, "promotion", was, is_, owner=None, loosened=new is None)
    roles = dict.fromkeys([*before.roles, *after.roles])
    for role in roles:
        held, holds = (sorted(rules.roles.get(role, ())) for rules in (before, after))
        if held != holds:
            # A role that nobody held before, or holds now, asks for more or less by what its stages want of it.
            loosened = not set(holds) <= set(held) if held and holds else None
            yield _whole(f"promotion.roles.{role}", held, holds, loosened)
    for stage in dict.fromkeys([*before.stages, *after.stages]):
        yield from _stage_changes(f"promotion.stages.{stage}", before.of(stage), after.of(stage))
    if old is not None and new is not None:
        for field in ("max_age_h", "approval_h", "waiver_h"):
            hours = getattr(old, field), getattr(new, field)
            if hours[0] != hours[1]:
                yield _whole(f"promotion.{field}", *hours, loosened=_more_is_looser(*hours))


def _stage_changes(where: str, old: StageRules, new: StageRules) -> Iterator[PolicyChange]:
    for role in dict.fromkeys([*old.signatures, *new.signatures]):
        wanted = old.signatures.get(role, 0), new.signatures.get(role, 0)
        if wanted[0] != wanted[1]:
            yield _whole(f"{where}.signatures.{role}", *wanted, loosened=wanted[1] < wanted[0])
    if old.after != new.after:
        loosened = True if new.after is None else False if old.after is None else None
        yield _whole(f"{where}.after", old.after, new.after, loosened)


def _whole(field: str, before: object, after: object, loosened: bool | None) -> PolicyChange:
    return PolicyChange(None, field, _exact(before), _exact(after), owner=None, loosened=loosened)


# -- words ---------------------------------------------------------------------------------------------------


def _exact(value: object) -> str:
    """A value as it was written: nothing is rounded, so no change can hide."""
    if value is None or value in ((), [], {}):
        return _ABSENT
    if isinstance(value, str):
        return value
    if isinstance(value, Mapping):
        return ", ".join(f"{key}={one}" for key, one in sorted(value.items()))
    if isinstance(value, (tuple, list)):
        return ", ".join(map(str, value))
    return json.dumps(value)


def _told(check: Check) -> str:
    limit = check.margin if check.test == "non_inferiority" else check.threshold
    return f"{check.metric} {check.test} {_exact(limit)}"
