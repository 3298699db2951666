"""What the arms do to the prompts of one stratum, drawn as counts: which of them show the event, and what a judge says.

Every prompt is in one of a few states (does the event happen in each arm's answer, does the judge see it, is the prompt
labelled). Prompts of a stratum are exchangeable, so the counts of the states at growing prefixes of its committed order
are sums of multinomial increments, and a check on several strata adds up what it took of each.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from evalharness.judge_error import JudgeError
from evalharness.outcomes import Arm
from gates.simulation.worlds import StratumTruth

Tally = NDArray[np.int32]
"""Counts by mark of the stratum and release: shape (marks, releases)."""
Floats = NDArray[np.float64]
DIFFERENCES = (-1, 0, 1)

_BY_PROMPT = 160
"""Increments up to this size are drawn prompt by prompt: quicker than a multinomial draw, and small enough to count
in bytes."""


@dataclass(frozen=True)
class Drawn:
    """Counts of one stratum at every mark, for every release."""

    events: Mapping[Arm, Tally]
    """Prompts on which the event is seen in an arm's answer."""
    wins: Mapping[Arm, Tally]
    """Prompts on which it is seen in the candidate's answer alone, by the arm compared with."""
    losses: Mapping[Arm, Tally]
    """Prompts on which it is seen in the other arm's answer alone."""
    confirmed: Tally
    """Prompts on which it is seen in the candidate's answer and true: what adjudication confirms."""
    unlabelled: Mapping[Arm, NDArray[np.int32]]
    """Shape (3, marks, releases): unlabelled prompts by the difference that the judge sees."""
    labelled: Mapping[Arm, NDArray[np.int32]]
    """Shape (3, 3, marks, releases): labelled prompts by the difference that the judge sees and the true one."""
    unlabelled_seen: NDArray[np.int32]
    """Shape (2, marks, releases): the candidate's unlabelled answers without and with the event that the judge sees."""
    labelled_seen: NDArray[np.int32]
    """Shape (2, 2, marks, releases): its labelled answers by what the judge sees and by the truth, no before yes."""
    calibration: NDArray[np.int32]
    """Shape (4, marks, releases): labelled answers of candidate and incumbent with the event, of these seen by the
    judge, without the event, of these not seen by it."""


@dataclass(frozen=True)
class _States:
    """The states of a prompt: their chances, and for each arm whether the event is true and whether it is seen."""

    chances: Floats
    true: NDArray[np.bool_]
    """Shape (arms, states)."""
    seen: NDArray[np.bool_]
    """Shape (arms, states)."""

    def merged(self, rows: Sequence[NDArray[np.bool_]]) -> _States:
        """States that agree in ``rows`` become one; of the others' columns the first is kept."""
        _, first, inverse = np.unique(np.stack(rows), axis=1, return_index=True, return_inverse=True)
        chances = np.zeros(first.size)
        np.add.at(chances, inverse.reshape(-1), self.chances)
        return _States(chances, self.true[:, first], self.seen[:, first])


def draw(
    rng: np.random.Generator,
    truth: StratumTruth,
    arms: Sequence[Arm],
    steps: NDArray[np.int64],
    labels: NDArray[np.int64],
    judge: JudgeError | None,
    releases: int,
) -> Drawn:
    """Counts of one stratum for many releases.

    Args:
        rng: source of randomness.
        truth: what is true of its prompts.
        arms: the arms that answer them, the candidate first.
        steps: prompts between its marks.
        labels: of these, how many are labelled; zeros without a judge.
        judge: who scores the answers; None: every outcome is the truth.
        releases: how many.
    """
    states = _states(truth, arms, judge)
    confirmed_rows = [states.true[0] & states.seen[0]]
    plain = states.merged([*states.seen, *confirmed_rows])
    counts = multinomial_path(rng, steps - labels, plain.chances, releases)
    labelled_counts = multinomial_path(rng, labels, states.chances, releases if judge is not None else 0)

    def total(plain_mask: NDArray[np.bool_], full_mask: NDArray[np.bool_]) -> Tally:
        found: Tally = counts[plain_mask].sum(axis=0, dtype=np.int32)
        if judge is not None:
            found += labelled_counts[full_mask].sum(axis=0, dtype=np.int32)
        return found

    def alone(one: int, other: int) -> Tally:
        return total(plain.seen[one] & ~plain.seen[other], states.seen[one] & ~states.seen[other])

    others = list(enumerate(arms))[1:]
    labelled_arms = [k for k, arm in enumerate(arms) if arm != "anchor" and judge is not None]
    return Drawn(
        events={arm: total(plain.seen[k], states.seen[k]) for k, arm in enumerate(arms)},
        wins={arm: alone(0, k) for k, arm in others},
        losses={arm: alone(k, 0) for k, arm in others},
        confirmed=total(plain.seen[0] & plain.true[0], states.seen[0] & states.true[0]),
        unlabelled={} if judge is None else {arm: _by_difference(counts, plain, k) for k, arm in others},
        labelled={} if judge is None else {arm: _by_differences(labelled_counts, states, k) for k, arm in others},
        unlabelled_seen=_by_events(counts, plain.seen[0]),
        labelled_seen=np.stack([_by_events(labelled_counts, states.true[0], among=m) for m in _no_yes(states.seen[0])]),
        calibration=_calibration(labelled_counts, states, labelled_arms),
    )


def multinomial_path(
    rng: np.random.Generator, steps: NDArray[np.int64], chances: Floats, releases: int
) -> NDArray[np.int32]:
    """Cumulative counts of each category after each step, shape (categories, steps + 1, releases), zeros first."""
    found = np.zeros((chances.size, steps.size + 1, releases), dtype=np.int32)
    shares = chances / chances.sum()
    for index, size in enumerate(steps.tolist()):
        if size and chances.size == 1:
            found[0, index + 1] = size
        elif size and chances.size == 2 and size > _BY_PROMPT // 4:
            found[0, index + 1] = rng.binomial(size, shares[0], size=releases)
            found[1, index + 1] = size - found[0, index + 1]
        elif size > _BY_PROMPT:
            found[:, index + 1] = rng.multinomial(size, shares, size=releases).T
        elif size:
            _prompt_by_prompt(rng, size, shares, found[:, index + 1])
    for index in range(steps.size):
        found[:, index + 1] += found[:, index]
    return found


def _prompt_by_prompt(rng: np.random.Generator, size: int, shares: Floats, out: NDArray[np.int32]) -> None:
    """Add up ``size`` categorical draws; chances are rounded to 2^-32."""
    releases = out.shape[1]
    raw = rng.bit_generator.random_raw((size * releases + 1) // 2)
    lots = raw.view(np.uint32)[: size * releases].reshape(size, releases)
    below = np.zeros(releases, dtype=np.int32)
    for category, edge in enumerate(np.cumsum(shares)[:-1]):
        under = (lots < np.uint32(min(round(edge * 2**32), 2**32 - 1))).view(np.uint8)
        upto = np.add.reduce(under, axis=0, dtype=np.uint8).astype(np.int32)
        out[category] = upto - below
        below = upto
    out[-1] = size - below


def _states(truth: StratumTruth, arms: Sequence[Arm], judge: JudgeError | None) -> _States:
    """All states of a prompt with a chance above zero."""
    sensitivity, false_alarm = (1.0, 0.0) if judge is None else (judge.sensitivity, 1 - judge.specificity)
    found: list[tuple[float, tuple[bool, ...], tuple[bool, ...]]] = []
    bits = (True, False)
    for true in itertools.product(bits, repeat=len(arms)):
        chance = _chance(truth, dict(zip(arms, true, strict=True)))
        for seen in [true] if judge is None else itertools.product(bits, repeat=len(arms)):
            judged = chance
            for is_true, is_seen in zip(true, seen, strict=True) if judge is not None else ():
                flagged = sensitivity if is_true else false_alarm
                judged *= flagged if is_seen else 1 - flagged
            if judged > 0:
                found.append((judged, true, seen))
    return _States(
        np.array([chance for chance, _, _ in found]),
        np.array([true for _, true, _ in found], dtype=np.bool_).T,
        np.array([seen for _, _, seen in found], dtype=np.bool_).T,
    )


def _chance(truth: StratumTruth, event: Mapping[Arm, bool]) -> float:
    """Chance of a combination of events; given the candidate's answer, the other arms are independent."""
    ours = event["candidate"]
    chance = truth.candidate if ours else 1 - truth.candidate
    for arm, rate, discordance in (
        ("incumbent", truth.incumbent, truth.discordance),
        ("anchor", truth.anchor, truth.anchor_discordance),
    ):
        theirs = event.get("incumbent" if arm == "incumbent" else "anchor")
        if theirs is None or chance <= 0:
            continue
        # P(candidate only) = (discordance + difference) / 2, P(the other only) = (discordance - difference) / 2.
        sign = 1 if ours else -1
        apart = (discordance + sign * (truth.candidate - rate)) / 2
        differing = min(1.0, max(0.0, apart / (truth.candidate if ours else 1 - truth.candidate)))
        chance *= differing if theirs != ours else 1 - differing
    return chance


def _difference(bits: NDArray[np.bool_], other: int) -> NDArray[np.int64]:
    return np.asarray(bits[0].astype(np.int64) - bits[other])


def _by_difference(counts: NDArray[np.int32], states: _States, other: int) -> NDArray[np.int32]:
    seen = _difference(states.seen, other)
    return np.stack([counts[seen == d].sum(axis=0, dtype=np.int32) for d in DIFFERENCES])


def _by_differences(counts: NDArray[np.int32], states: _States, other: int) -> NDArray[np.int32]:
    seen, true = _difference(states.seen, other), _difference(states.true, other)
    return np.stack(
        [
            np.stack([counts[(seen == f) & (true == y)].sum(axis=0, dtype=np.int32) for y in DIFFERENCES])
            for f in DIFFERENCES
        ]
    )


def _no_yes(event: NDArray[np.bool_]) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    return ~event, event


def _by_events(
    counts: NDArray[np.int32], event: NDArray[np.bool_], among: NDArray[np.bool_] | bool = True
) -> NDArray[np.int32]:
    """Counts without and with an event, shape (2, marks, releases)."""
    return np.stack([counts[mask & among].sum(axis=0, dtype=np.int32) for mask in _no_yes(event)])


def _calibration(counts: NDArray[np.int32], states: _States, arms: Sequence[int]) -> NDArray[np.int32]:
    found = np.zeros((4, *counts.shape[1:]), dtype=np.int32)
    for arm in arms:
        true, seen = states.true[arm], states.seen[arm]
        for row, mask in enumerate((true, true & seen, ~true, ~true & ~seen)):
            found[row] += counts[mask].sum(axis=0, dtype=np.int32)
    return found
