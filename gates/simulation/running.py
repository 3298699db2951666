"""The course of many simulated runs at once: what is asked, when each check stops, and the verdict.

The rules are those of `gates.course`: stages in order, within a stage every open check is looked at on its own sample,
a failure ends the run, what is examined once is examined when the run is over.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gates.simulation.bounds import Mask
from gates.simulation.layout import Layout

Integers = NDArray[np.int64]
Stopped = tuple[Mask, Mask, Mask]
"""What each look of a check says, shape (looks, releases) each: passes, fails, neither is in reach any more."""
Late = Callable[[int, Integers], tuple[Mask, Mask]]
"""``late(check, prompts)``: a check that is examined once, when the run is over, on so many prompts by release: whether
it passes, whether it fails."""
Requests = Callable[[int, int, Integers, Mask], tuple[Mask, Mask, Mask]]
"""``requests(check, look, prompts, open)``: a check on every request so far, in the releases in which it is open."""


@dataclass(frozen=True)
class Runs:
    """How the runs ended, by release."""

    promoted: Mask
    blocked: Mask
    prompts: Integers
    """Prompts asked."""
    passed: Mask
    """Shape (checks, releases)."""
    failed: Mask
    """Shape (checks, releases): the checks whose failure blocked."""

    @property
    def inconclusive(self) -> Mask:
        """Neither promoted nor blocked."""
        return ~self.promoted & ~self.blocked


def run(layout: Layout, stopped: Mapping[int, Stopped], requests: Requests, late: Late, releases: int) -> Runs:
    """Run every release to its end.

    Args:
        layout: the plan.
        stopped: what the looks of every check on its own sample say.
        requests: the checks on all requests, whose sample depends on what was asked.
        late: the checks that are examined once.
        releases: how many.
    """
    checks, stages = layout.checks, layout.stages
    single = len(stages) * layout.looks == 1
    asked = np.zeros((len(layout.strata), releases), dtype=np.int64)
    alive = np.ones(releases, dtype=np.bool_)
    passed, failed = (np.zeros((len(checks), releases), dtype=np.bool_) for _ in range(2))
    given_up = np.zeros_like(passed)
    at_end = [c.planned.basis == "end" or (c.planned.basis == "requests" and single) for c in checks]
    for stage in stages:
        here = [k for k, c in enumerate(checks) if c.planned.stage == stage and c.planned.looks]
        for index in layout.unchecked:
            if layout.strata[index].stage == stage:
                asked[index, alive] = layout.strata[index].planned
        for look in range(layout.looks):
            is_open = {k: alive & ~passed[k] & ~failed[k] & ~given_up[k] for k in here}
            for k, mask in is_open.items():
                _ask(asked, checks[k].strata, checks[k].taken[look], mask)
            for k, mask in is_open.items():
                if at_end[k]:
                    continue
                if checks[k].planned.basis == "requests":
                    passes, fails, futile = requests(k, look, _sum(asked, checks[k].strata), mask)
                else:
                    passes, fails, futile = (flags[look] for flags in stopped[k])
                failed[k] |= mask & fails
                passed[k] |= mask & passes
                given_up[k] |= mask & futile & ~fails
            if here:
                alive &= ~failed[here].any(axis=0)
    for k, laid in enumerate(checks):
        if at_end[k]:
            passes, fails = late(k, _sum(asked, laid.strata))
            passed[k], failed[k] = alive & passes, alive & fails
    blocked: Mask = np.asarray(failed.any(axis=0))
    promoted: Mask = np.asarray(passed.all(axis=0) & ~blocked)
    return Runs(promoted, blocked, prompts=asked.sum(axis=0), passed=passed, failed=failed)


def first_stop(stopped: Stopped) -> tuple[Integers, Mask]:
    """A check on its own, as if no other could end the run: the look it stops at, and whether it passes there."""
    passes, fails, futile = stopped
    stops = passes | fails | futile
    stops[-1] = True
    look = np.argmax(stops, axis=0)
    return look, np.take_along_axis(passes, look[None], axis=0)[0]


def _ask(asked: Integers, strata: Sequence[int], taken: Integers, mask: Mask) -> None:
    for index, count in zip(strata, taken.tolist(), strict=True):
        np.maximum(asked[index], count, out=asked[index], where=mask)


def _sum(asked: Integers, strata: Sequence[int]) -> Integers:
    return np.asarray(asked[list(strata)].sum(axis=0), dtype=np.int64)
