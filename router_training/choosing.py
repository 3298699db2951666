"""Choosing features and head by nested validation: every candidate predicts training prompts it was not fitted on.

The training prompts are split into folds by group. Every candidate is fitted on all folds but one and predicts that
one, so that each prompt has one prediction made without it; candidates are compared by how well these order the prompts
of a fold (APGR). Cheap features first, with one head; then, for each kind of head, its best setting; then the heads. At
each step the simplest candidate is taken that is within one standard error of the best; the standard error is that of
the *difference* of the two, by group (the one-standard-error rule of Breiman et al. 1984, paired). The frozen test is
not seen, and as the winner of a comparison is flattered by it, its result here is no evidence of quality.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from pydantic import JsonValue

from golden_sets.errors import InputError
from router_training.comparing import order_gain, standard_error
from router_training.features import CHEAP, LENGTH, features
from router_training.heads.average import Average
from router_training.heads.fitting import Kind, fit_head
from router_training.heads.head import Floats, Head, Matrix
from router_training.pairs import Codes, Pairs

FOLDS = 5
"""Parts into which the training prompts are split."""
FEATURE_SETS: tuple[tuple[str, ...], ...] = ((), LENGTH, CHEAP)
"""Cheap features that are tried beside the embedding, simplest first."""
SCOUT: Kind = "scores"
"""The head with which feature sets are compared."""
_STREAM = 1
"""Folds are drawn apart from whatever else was drawn with the same seed: where the training prompts themselves were,
the folds would not be random."""
Settings = Mapping[str, float]
GRID: Mapping[Kind, tuple[Settings, ...]] = {
    "ridge": ({"penalty": 6400}, {"penalty": 1600}),
    "scores": ({"penalty": 6000}, {"penalty": 2000}, {"penalty": 600}, {"penalty": 100}),
    "logistic": ({"penalty": 3000}, {"penalty": 1000}),
    "kernel": ({"penalty": 6}, {"penalty": 2}, {"penalty": 0.7}, {"penalty": 1, "sharpness": 4}),
    "mlp": ({"seeds": 2},),
    "knn": ({"neighbours": 400}, {"neighbours": 150}),
}
"""Kinds of head from simple to complex, with their settings. ``logistic`` is as simple as the two before it, but knows
less of the labels: to it, ties and prompts on which the small model is better are alike. The perceptron is validated
with fewer seeds than it is fitted with."""
AVERAGES: tuple[tuple[Kind, ...], ...] = (("scores", "kernel", "mlp"), tuple(GRID))
"""Heads that are averaged, each with its best setting; the last candidates in order of simplicity."""


@dataclass(frozen=True, eq=False)
class Trial:
    """One candidate and how its held-out predictions did."""

    name: str
    """Kind of the head, or ``average of ...``."""
    members: tuple[tuple[Kind, Settings], ...]
    """Heads with their settings; several are averaged."""
    features: tuple[str, ...]
    """Cheap features beside the embedding."""
    predicted: Floats = field(repr=False)
    """Held-out predictions, shape (n,)."""
    gain: float
    """`comparing.order_gain` of them within the folds."""
    contributions: Floats = field(repr=False)
    """Of each prompt to the gain, shape (n,)."""

    def to_json(self, delta: Floats) -> dict[str, JsonValue]:
        """For ``training.json``: APGR (null without a gap) and the mean squared error of the predicted delta."""
        gap = float(delta.mean())
        return {
            "head": self.name,
            "members": [{"kind": kind, "settings": dict(settings)} for kind, settings in self.members],
            "features": list(self.features),
            "apgr": self.gain / gap + 0.5 if gap > 0 else None,
            "squared_error": float(np.square(self.predicted - delta).mean()),
        }


@dataclass(frozen=True, eq=False)
class Choice:
    """The chosen head, fitted on all training prompts, and what it was chosen from."""

    head: Head
    """Fitted on all of them."""
    features: tuple[str, ...]
    """Cheap features it sees beside the embedding."""
    out_of_fold: Floats
    """Its prediction for every training prompt, by a fit without that prompt's fold; shape (n,)."""
    trials: tuple[Trial, ...]
    """Everything that was tried."""
    chosen: Trial
    """What was taken."""
    delta: Floats
    """Of the training prompts, shape (n,)."""
    groups: Codes
    """Of the training prompts, shape (n,)."""
    folds: int
    """How many there were."""

    def to_json(self) -> dict[str, JsonValue]:
        """For ``training.json``."""
        best = max(self.trials, key=lambda trial: trial.gain)
        behind = standard_error(best.contributions - self.chosen.contributions, self.groups)
        gap = float(self.delta.mean())
        return {
            "rule": "simplest within one standard error of the best, paired by group",
            "folds": self.folds,
            "prompts": len(self.delta),
            "chosen": self.chosen.to_json(self.delta),
            "best": best.to_json(self.delta),
            "standard_error_of_the_difference": behind / gap if gap > 0 else None,
            "tried": [trial.to_json(self.delta) for trial in self.trials],
        }


def choose_head(
    pairs: Pairs,
    embeddings: Matrix,
    *,
    seed: int = 0,
    folds: int = FOLDS,
    progress: Callable[[int, int], None] | None = None,
) -> Choice:
    """Choose features and head on the training prompts, and fit the head on all of them.

    Args:
        pairs: training prompts, n of them.
        embeddings: of the same prompts, shape (n, width).
        seed: of the folds and of what heads draw.
        folds: parts, at least 2; no more than there are groups.
        progress: told how many fits are done, of how many.

    Raises:
        InputError: fewer than two groups of prompts or two folds, or embeddings that are not these prompts'.
    """
    parts = grouped_folds(pairs.groups, folds, seed)
    bench = _Bench(pairs, embeddings, parts, seed, progress)
    scouted = [bench.trial(SCOUT, {}, names) for names in FEATURE_SETS]
    names = simplest(scouted, pairs.groups).features
    of_kind: dict[Kind, Trial] = {}
    tried = list(scouted)
    for kind, grid in GRID.items():
        trials = [bench.trial(kind, settings, names) for settings in grid]
        of_kind[kind] = max(trials, key=lambda trial: trial.gain)
        tried += trials
    averages = [bench.average([of_kind[kind] for kind in kinds]) for kinds in AVERAGES]
    chosen = simplest([*of_kind.values(), *averages], pairs.groups)
    head = bench.fit(chosen)
    return Choice(
        head, names, chosen.predicted, (*tried, *averages), chosen, pairs.delta, pairs.groups, int(parts.max()) + 1
    )


def simplest(trials: Sequence[Trial], groups: Codes) -> Trial:
    """The first of ``trials``, which go from simple to complex, within one standard error of the best.

    The standard error is that of the difference of the two, by group of shape (n,).
    """
    best = max(trials, key=lambda trial: trial.gain)
    for trial in trials:
        if best.gain - trial.gain <= standard_error(best.contributions - trial.contributions, groups):
            return trial
    return best


def grouped_folds(groups: Codes, folds: int, seed: int) -> Codes:
    """Part of every prompt, shape (n,): whole groups, in random order and largest first, to the emptiest part.

    Raises:
        InputError: fewer than two groups, or fewer than two folds.
    """
    names, codes, counts = np.unique(groups, return_inverse=True, return_counts=True)
    if len(names) < 2 or folds < 2:
        raise InputError(
            f"a head cannot be validated on {len(names)} group(s) of prompts in {folds} fold(s): it takes two of each",
            do="label more prompts that have nothing to do with each other",
        )
    parts = min(folds, len(names))
    shuffled = np.random.default_rng([seed, _STREAM]).permutation(len(names))
    filled, part = np.zeros(parts, dtype=np.int64), np.zeros(len(names), dtype=np.int64)
    for name in shuffled[np.argsort(-counts[shuffled], kind="stable")]:
        part[name] = int(np.argmin(filled))
        filled[part[name]] += counts[name]
    return part[codes]


class _Bench:
    """Where candidates are tried: the prompts in folds, and their features as they are asked for."""

    def __init__(
        self,
        pairs: Pairs,
        embeddings: Matrix,
        parts: Codes,
        seed: int,
        progress: Callable[[int, int], None] | None,
    ) -> None:
        self._pairs, self._parts, self._seed = pairs, parts, seed
        self._all = features(pairs.prompts, embeddings, CHEAP)
        self._width = embeddings.shape[1]
        self._progress = progress
        self._done, self._total = 0, len(FEATURE_SETS) + sum(map(len, GRID.values()))

    def trial(self, kind: Kind, settings: Settings, names: tuple[str, ...]) -> Trial:
        seen = self._features(names)
        predicted = np.zeros(len(self._pairs))
        for fitted, held_out in self._folds():
            head = fit_head(kind, seen[fitted], self._pairs.take(fitted), seed=self._seed, **settings)
            predicted[held_out] = head.predict(seen[held_out])
        self._done += 1
        if self._progress is not None:
            self._progress(self._done, self._total)
        return self._judged(kind, ((kind, settings),), names, predicted)

    def average(self, trials: Sequence[Trial]) -> Trial:
        members = tuple(member for trial in trials for member in trial.members)
        name = "average of " + ", ".join(trial.name for trial in trials)
        predicted = np.mean([trial.predicted for trial in trials], axis=0)
        return self._judged(name, members, trials[0].features, predicted)

    def fit(self, trial: Trial) -> Head:
        """The candidate, fitted on all prompts."""
        seen = self._features(trial.features)
        heads = [
            fit_head(kind, seen, self._pairs, seed=self._seed, **_final(settings)) for kind, settings in trial.members
        ]
        return heads[0] if len(heads) == 1 else Average(tuple(heads))

    def _judged(
        self, name: str, members: tuple[tuple[Kind, Settings], ...], names: tuple[str, ...], predicted: Floats
    ) -> Trial:
        gain, contributions = _gain_within_folds(predicted, self._pairs.delta, self._parts)
        return Trial(name, members, names, predicted, gain, contributions)

    def _features(self, names: tuple[str, ...]) -> Matrix:
        columns = [*range(self._width), *(self._width + CHEAP.index(name) for name in names)]
        return self._all[:, columns]

    def _folds(self) -> Iterator[tuple[Codes, Codes]]:
        for part in range(int(self._parts.max()) + 1):
            yield np.flatnonzero(self._parts != part), np.flatnonzero(self._parts == part)


def _gain_within_folds(predicted: Floats, delta: Floats, parts: Codes) -> tuple[float, Floats]:
    """Mean over the folds of `comparing.order_gain`, and the contributions, shape (n,).

    Prompts are only ranked against those of their own fold: a fold with more hard prompts than the rest is predicted by
    a fit that saw fewer of them, so ranking across folds would count against every head that shrinks to the mean.
    """
    gain, contributions = 0.0, np.zeros(len(delta))
    for part in np.unique(parts):
        rows = parts == part
        within, contributions[rows] = order_gain(predicted[rows], delta[rows])
        gain += within * float(rows.mean())
    return gain, contributions


def _final(settings: Settings) -> Settings:
    """Settings of the fit on all prompts: the perceptron with all its seeds."""
    return {name: value for name, value in settings.items() if name != "seeds"}
