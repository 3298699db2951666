"""A batch of simulated releases in one world, drawn once and looked at by every check.

Worlds that differ in a few strata share the draws of all others, so a scenario costs what it changes.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from evalharness.latency import BUCKET
from gates.simulation.assumptions import COST_VARIATION
from gates.simulation.bounds import BinomialBound, Bound, Mask, NoBound, RatioBound, VaryingBinomialBound
from gates.simulation.drawing import Drawn
from gates.simulation.layout import LaidCheck, Layout
from gates.simulation.running import Integers, Runs, Stopped, first_stop, run
from gates.simulation.sampling import Sampler
from gates.simulation.stopping import stopping
from gates.simulation.worlds import World
from golden_sets.records import SetKind

Seeds = tuple[int, ...]
"""What makes a stream of random numbers: seed, batch, scenario."""


@dataclass(frozen=True)
class Batch:
    """Releases that were drawn in one world."""

    sampler: Sampler
    world: World
    seeds: Seeds
    releases: int
    drawn: Sequence[Drawn]
    controls: Mapping[SetKind, NDArray[np.int64]]
    stopped: Mapping[int, Stopped]
    """What the looks of every check on its own sample say."""

    @classmethod
    def of(cls, sampler: Sampler, world: World, seeds: Seeds, releases: int) -> Batch:
        """Draw everything."""
        layout = sampler.layout
        drawn = [sampler.draw(world, index, _stream(seeds, 1, index), releases) for index in range(len(layout.strata))]
        controls = {}
        for number, kind in enumerate(SetKind):
            judge = sampler.judge_of(kind)
            rng = _stream(seeds, 2, number)
            seen = np.zeros(releases) if judge is None else rng.binomial(judge.positives, judge.sensitivity, releases)
            controls[kind] = seen.astype(np.int64)
        empty = cls(sampler, world, seeds, releases, drawn, controls, {})
        return empty._with_stopped(range(len(layout.checks)), {})

    def moved(self, world: World, scenario: int) -> Batch:
        """The same releases in another world: what differs is drawn again."""
        layout = self.sampler.layout
        seeds = (*self.seeds[:-1], scenario)
        changed = {s for s, (a, b) in enumerate(zip(self.world.strata, world.strata, strict=True)) if a != b}
        drawn = [
            self.sampler.draw(world, index, _stream(seeds, 1, index), self.releases) if index in changed else one
            for index, one in enumerate(self.drawn)
        ]
        # Labels drawn again with a stratum count for the checks on it; the others keep what they had seen of the judge.
        stale = [
            k
            for k, laid in enumerate(layout.checks)
            if changed.intersection(laid.strata) or _differ(self.world.own[k], world.own[k])
        ]
        found = Batch(self.sampler, world, seeds, self.releases, drawn, self.controls, {})
        return found._with_stopped(stale, self.stopped)

    def runs(self) -> Runs:
        """Every release run to its end."""
        late = _Late(self)
        return run(self.sampler.layout, self.stopped, late.requests, late.at_end, self.releases)

    def alone(self, check: int) -> tuple[Integers, Mask] | None:
        """Prompts that a check takes and whether it passes, as if it were the only one; None: it has no sample."""
        if check not in self.stopped:
            return None
        look, passes = first_stop(self.stopped[check])
        return self.sampler.layout.checks[check].sizes[look], passes

    def _with_stopped(self, stale: Sequence[int], kept: Mapping[int, Stopped]) -> Batch:
        found = dict(kept)
        for index in stale:
            laid = self.sampler.layout.checks[index]
            if laid.planned.basis != "sample" or not laid.planned.looks:
                continue
            bounds: list[Bound] = [NoBound(self.releases)] * laid.sizes.size
            if laid.strata:
                rng = _stream(self.seeds, 3, index)
                bounds = self.sampler.bounds(index, self.world, self.drawn, self.controls, rng, self.releases)
            found[index] = stopping(bounds, self.sampler.levels[index], self.releases)
        return Batch(self.sampler, self.world, self.seeds, self.releases, self.drawn, self.controls, found)


@dataclass
class _Late:
    """Checks that depend on how a run went: on all requests, or examined when it is over."""

    batch: Batch
    good: dict[int, Integers] = field(default_factory=dict)
    """Requests that ended well so far, by check and release."""
    seen: dict[int, Integers] = field(default_factory=dict)
    """Requests so far."""

    def requests(self, check: int, look: int, prompts: Integers, mask: Mask) -> tuple[Mask, Mask, Mask]:
        """A check on every request so far, at one look; False where it is not open."""
        bound = self._requests(check, look, prompts, mask)
        found = []
        for flags in stopping([bound], self.batch.sampler.levels[check][look : look + 1], int(mask.sum())):
            everywhere = np.zeros_like(mask)
            everywhere[mask] = flags[0]
            found.append(everywhere)
        return found[0], found[1], found[2]

    def at_end(self, check: int, prompts: Integers) -> tuple[Mask, Mask]:
        """A check that is examined once. What is not simulated passes."""
        if not self.batch.sampler.layout.checks[check].check.spec.is_simulated:
            everywhere = np.ones(self.batch.releases, dtype=np.bool_)
            return everywhere, ~everywhere
        passes, fails, _ = stopping([self._bound(check, prompts)], self.batch.sampler.end_levels, self.batch.releases)
        return passes[0], fails[0]

    def _bound(self, check: int, prompts: Integers) -> Bound:
        layout, own = self.batch.sampler.layout, self.batch.world.own[check]
        laid = layout.checks[check]
        family = laid.check.spec.family
        if family == "judge":
            return self._judge(laid, check)
        if family == "reliability":
            everywhere = np.ones(self.batch.releases, dtype=np.bool_)
            return self._requests(check, layout.looks, prompts + timed_requests(layout, laid), everywhere)
        n = timed_requests(layout, laid)
        asked = prompts if layout.plan.latency is None else np.full(self.batch.releases, n)
        rng = _stream(self.batch.seeds, 4, check)
        if family == "quantile":
            assert laid.check.quantile is not None  # noqa: S101 - the policy requires it
            if layout.plan.latency is not None:
                return BinomialBound(rng.binomial(n, own, self.batch.releases), n, laid.check.quantile)
            return VaryingBinomialBound(rng.binomial(asked, own), asked, laid.check.quantile)
        return _speed(rng, laid, own, asked)

    def _requests(self, check: int, look: int, requests: Integers, mask: Mask) -> Bound:
        laid, rate = self.batch.sampler.layout.checks[check], self.batch.world.own[check]
        good, seen = (counts.setdefault(check, np.zeros_like(requests)) for counts in (self.good, self.seen))
        rng = _stream(self.batch.seeds, 5, check, look)
        good[mask] += rng.binomial(requests[mask] - seen[mask], rate)
        seen[mask] = requests[mask]
        return VaryingBinomialBound(good[mask], seen[mask], laid.check.limit)

    def _judge(self, laid: LaidCheck, check: int) -> Bound:
        sampler, rate = self.batch.sampler, self.batch.world.own[check]
        if math.isnan(rate):
            return NoBound(self.batch.releases)
        kinds = [laid.check.set_kind] if laid.check.set_kind is not None else list(SetKind)
        n = np.zeros(self.batch.releases, dtype=np.int64)
        for kind in kinds:
            judge = sampler.judge_of(kind)
            if judge is None:
                continue
            if any(stratum.kind is kind for stratum in sampler.layout.strata):
                counts = sampler.calibration(kind, self.batch.drawn, -1)
                n += counts[0] if laid.check.spec.name == "judge_sensitivity" else counts[2]
            if kind is not SetKind.GOLDEN and laid.check.spec.name == "judge_sensitivity":
                n += judge.positives
        rng = _stream(self.batch.seeds, 4, check)
        return VaryingBinomialBound(rng.binomial(n, rate), n, laid.check.limit)


def timed_requests(layout: Layout, laid: LaidCheck) -> int:
    """Requests of the latency pass that a check is about; 0 without one."""
    latency = layout.plan.latency
    if latency is None:
        return 0
    buckets = {layout.strata[index].cell.get(BUCKET) for index in laid.strata}
    return latency.requests_per_bucket * max(1, len(buckets))


def _speed(rng: np.random.Generator, laid: LaidCheck, own: float, n: Integers) -> Bound:
    """A ratio of sums over requests, on the log scale."""
    error = COST_VARIATION / np.sqrt(np.maximum(n, 1))
    sign = 1.0 if laid.check.test == "floor" else -1.0
    gap = sign * (math.log(own / laid.check.limit) + error * rng.normal(size=n.size))
    return RatioBound(gap, error, n, n)


def _stream(seeds: Seeds, *key: int) -> np.random.Generator:
    return np.random.Generator(np.random.PCG64(np.random.SeedSequence(seeds[0], spawn_key=(*seeds[1:], *key))))


def _differ(one: float, other: float) -> bool:
    return not (one == other or (math.isnan(one) and math.isnan(other)))
