"""Candidate against incumbent on the same prompts: differences of rates and ratios of costs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from evalharness.metrics.calibrated import Calibrations, flipped_on, missing_text, scored_by_judge
from evalharness.metrics.catalogue import MetricSpec
from evalharness.metrics.measurement import IntervalAt, Measurement, once, prepared, two_bounds
from evalharness.metrics.rates import filled_outcomes
from evalharness.metrics.ratios import Sums, nothing_to_divide, sums, uncalibrated
from evalharness.outcomes import Arm, Codes, Floats, Mask, OutcomeTable
from evalharness.statistics.clustered import ClusteredDifference
from evalharness.statistics.prediction_powered import PoweredDifference
from evalharness.statistics.ratios import RatioOfSums
from evalharness.text_columns import joint_codes
from golden_sets.errors import InputError

MIN_LABELLED_PAIRS = 20
"""Fewer pairs labelled on both arms than this say nothing about the judge's error on differences."""


@dataclass(frozen=True)
class Pairs:
    """The same prompts answered by both arms, row by row."""

    candidate: OutcomeTable
    incumbent: OutcomeTable

    @classmethod
    def of(cls, rows: OutcomeTable, reference: Arm) -> Pairs:
        """Pair the candidate's rows with those of a reference.

        Raises:
            InputError: the arms did not answer the same prompts.
        """
        keys = joint_codes([rows.codes("set_name"), rows.codes("prompt_id"), rows.repeats()])
        places = [np.flatnonzero(rows.matches("arm", arm)) for arm in ("candidate", reference)]
        ours, theirs = (place[np.argsort(keys[place], kind="stable")] for place in places)
        if not np.array_equal(keys[ours], keys[theirs]):
            alone = np.setxor1d(keys[ours], keys[theirs])
            example = rows.take(np.flatnonzero(keys == alone[0])[:1])
            name, prompt, repeat = example.distinct("set_name"), example.distinct("prompt_id"), example.repeats()
            raise InputError(
                f"candidate and {reference} did not answer the same prompts "
                f"({alone.size} differ, e.g. prompt '{prompt[0]}' of '{name[0]}', repeat {repeat[0]})",
                do="evaluate both on the same sets with the same plan",
            )
        digests = rows.codes("prompt_digest")
        if (digests[ours] != digests[theirs]).any():
            raise InputError(
                f"candidate and {reference} answered different versions of the same prompt ids",
                do="evaluate both on the same version of the sets",
            )
        return cls(rows.take(ours), rows.take(theirs))

    def __len__(self) -> int:
        return len(self.candidate)


def rate_difference(spec: MetricSpec, pairs: Pairs, calibrations: Calibrations = ()) -> Measurement:
    """Candidate minus incumbent, by prompt: Tango's interval on true outcomes, PPI where a judge scored them.

    The labels of the pairs themselves correct the judge; its measured error tells whether it is to be used at all.
    """
    arms = (pairs.candidate, pairs.incumbent)
    failed = [table.failed() for table in arms]
    gaps = [np.isnan(t.numbers("outcome")) & ~f for t, f in zip(arms, failed, strict=True)]
    clusters = pairs.candidate.clusters()
    judged = scored_by_judge(pairs.candidate) | scored_by_judge(pairs.incumbent)
    broken = failed[0] | failed[1]

    def differences(ours: float, theirs: float, *, half_known: tuple[float, float]) -> Floats:
        """Differences with gaps filled; where one answer failed and a judge saw the other, ``half_known`` decides."""
        found = filled_outcomes(pairs.candidate, "candidate", ours)
        found = found - filled_outcomes(pairs.incumbent, "incumbent", theirs)
        found[judged & failed[0]] = half_known[0]
        found[judged & failed[1]] = half_known[1]
        return found

    labels = _Labels.of(pairs, judged & ~broken)

    # A gap takes the worst value for the candidate in one bound and the best in the other. A failed request of the
    # candidate is no event, one of the incumbent is one; the other arm's judged answer may be right or wrong.
    low = differences(0.0, 1.0, half_known=(-1.0, -1.0))
    open_ended = any(g.any() for g in gaps) or bool((judged & broken).any())
    worst = best = _sample(low, clusters, labels, judged)
    if open_ended:
        best = _sample(differences(1.0, 0.0, half_known=(0.0, 0.0)), clusters, labels, judged)
    return Measurement(
        metric=spec.name,
        unit=spec.unit,
        interval=two_bounds(_interval(worst), _interval(best)) if open_ended else _interval(worst),
        n=len(pairs),
        errors=int(failed[0].sum() + failed[1].sum()),
        unscored=int(gaps[0].sum() + gaps[1].sum()),
        discordance=float(np.mean(low != 0.0)),
        incomplete=(
            "requests of a safety set failed: run again to complete the cell"
            if spec.is_safety and broken.any()
            else None
        ),
        lacking=next((found for t in arms if (found := flipped_on(t, calibrations)) is not None), labels.lacking())
        if judged.any()
        else None,
        p_value=lambda limit, above: (worst if above else best)().p_value(limit, above=above),
    )


def _sample(
    seen: Floats, clusters: Codes, labels: _Labels, judged: Mask
) -> Callable[[], ClusteredDifference | PoweredDifference]:
    """True differences, or judged ones with labels, gone through when they are first asked for an interval."""
    if not judged.any():
        return once(lambda: ClusteredDifference.of(seen, clusters))
    return once(lambda: PoweredDifference.of(seen, *labels.beside_certain(seen), clusters=clusters))


def _interval(sample: Callable[[], ClusteredDifference | PoweredDifference]) -> IntervalAt:
    return lambda confidence, side: sample().interval(confidence, side)


def ratio(spec: MetricSpec, pairs: Pairs, calibrations: Calibrations) -> Measurement:
    """Candidate / incumbent of a ratio of sums, paired by prompt, on the log scale."""
    clusters = pairs.candidate.clusters()

    def both(ours: float, theirs: float) -> tuple[Sums, Sums]:
        return (
            sums(spec, pairs.candidate, "candidate", unscored=ours),
            sums(spec, pairs.incumbent, "incumbent", unscored=theirs),
        )

    worst, best = both(0.0, 1.0), both(1.0, 0.0)
    usable = np.isfinite(np.stack([x for one in worst for x in (one.above, one.below)])).all(axis=0)

    def at(found: tuple[Sums, Sums]) -> IntervalAt:
        ours, theirs = found
        return prepared(
            lambda: (
                RatioOfSums.paired(
                    ours.above[usable],
                    ours.below[usable],
                    theirs.above[usable],
                    theirs.below[usable],
                    clusters=clusters[usable],
                ).interval
            )
        )

    unscored = worst[0].unscored + worst[1].unscored
    missing = [
        nothing_to_divide(spec, who, found) or uncalibrated(spec, table, calibrations)
        for who, found, table in (("candidate", worst[0], pairs.candidate), ("incumbent", worst[1], pairs.incumbent))
    ]
    return Measurement(
        metric=spec.name,
        unit="ratio",
        interval=two_bounds(at(best), at(worst)) if unscored else at(worst),
        n=int(usable.sum()),
        errors=int(pairs.candidate.failed().sum() + pairs.incumbent.failed().sum()),
        unscored=unscored,
        lacking=next((text for text in missing if text is not None), None),
    )


@dataclass(frozen=True)
class _Labels:
    """Truth about judged pairs, where both answers of a prompt were labelled."""

    judged: Mask
    """Pairs that rest on a judge and may be labelled."""
    labelled: Mask
    """Judged pairs that are labelled on both arms."""
    truth: Floats
    """True differences of all pairs; NaN where not labelled."""
    weights: Floats
    """Inverse probability of being labelled, of all pairs."""
    same_draw: bool
    """Whether both arms were labelled by one draw: else the probability of a labelled pair is not known."""
    missing: str | None
    """What is lacking where answers of judged pairs were drawn for labelling and have no label yet."""

    @classmethod
    def of(cls, pairs: Pairs, judged: Mask) -> _Labels:
        ours, theirs = pairs.candidate.numbers("label"), pairs.incumbent.numbers("label")
        labelled = judged & ~np.isnan(ours) & ~np.isnan(theirs)
        chance = [
            np.where(np.isnan(p), 1.0, p) for p in (t.numbers("label_p") for t in (pairs.candidate, pairs.incumbent))
        ]
        same = bool(np.array_equal(chance[0][labelled], chance[1][labelled]))
        drawn = judged & ~np.isnan([t.numbers("label_p") for t in (pairs.candidate, pairs.incumbent)])
        missing = missing_text(int((drawn & np.isnan([ours, theirs])).sum()), int(drawn.sum()))
        return cls(judged, labelled, ours - theirs, 1.0 / chance[0], same, missing)

    def lacking(self) -> str | None:
        """What is missing for the judged pairs to be corrected."""
        if not self.same_draw:
            return "labels of both arms from one draw: evaluate candidate and incumbent together"
        if self.missing is not None:
            return self.missing
        count = int(self.labelled.sum())
        if count >= MIN_LABELLED_PAIRS or not self.judged.any():
            return None
        return f"labels of both arms' answers to the same prompts ({count} of at least {MIN_LABELLED_PAIRS})"

    def beside_certain(self, seen: Floats) -> tuple[Mask, Floats, Floats]:
        """Mask, truth and weights with every pair that needs no judge as a certainty stratum of weight 1."""
        mask = self.labelled | ~self.judged
        truth = np.where(self.labelled, self.truth, seen)
        weights = np.where(self.labelled, self.weights, 1.0)
        return mask, truth[mask], weights[mask]
