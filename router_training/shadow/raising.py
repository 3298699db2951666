"""From a test that rang to the alert a person reads: what was shown, since when, on what evidence, what to do."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from router_training.heads.head import Floats
from router_training.router import Router
from router_training.shadow.alerts import WHAT_TO_DO, Alert, AlertKind, NewCluster
from router_training.shadow.clusters import EXAMPLES, Seen, new_clusters
from router_training.shadow.drift import DriftTests, Question
from router_training.shadow.quality import LARGE, LARGE_SHARE, Day, Labelled
from router_training.shadow.store import ShadowStore, vector_of

_NAMES = {"composition": "which clusters requests fall into", "novelty": "how far requests are from every cluster"}


@dataclass(frozen=True)
class Watched:
    """What alerts are made from."""

    router: Router
    store: ShadowStore
    drift: DriftTests
    least_probability: float
    """No small-routed request is sampled with a smaller one."""
    alpha: float
    """Chance of a false alarm for each kind of alert."""
    seed: int
    """Of the clustering of what is new."""


def onset(watch: Watched, question: Question, rang_at: int) -> int:
    """Number of the request with which a change began, as far as the test that rang can tell."""
    p: Floats = np.array(watch.store.requests([f"p_{question}"])[f"p_{question}"][:rang_at])
    return watch.drift.onset(question, p) + 1


def drift_alert(watch: Watched, question: Question, rang_at: int) -> Alert:
    """The alert of a drift test, or of the band's."""
    began = onset(watch, question, rang_at)
    time = watch.store.requests(["time"])["time"][rang_at - 1]
    if question == "band":
        return _band_alert(watch, rang_at, began, time)
    found = clusters_since(watch, began)
    what = f"the traffic is no longer like the calibration prompts: {_NAMES[question]} has changed"
    if found:
        new = "a cluster is new" if len(found) == 1 else f"{len(found)} clusters are new, the largest"
        what += f"; {new}, with {100 * found[0].share:.1f} % of the requests since (calibration prompts: "
        what += f"{100 * found[0].reference_share:.1f} %)"
    return Alert(
        kind="drift",
        test=question,
        request=rang_at,
        time=time,
        what=what,
        do=WHAT_TO_DO["drift"],
        false_alarm=watch.drift.alpha(question),
        evidence=1.0 / watch.drift.alpha(question),
        n=rang_at,
        numbers={"since": float(rang_at - began + 1)},
        began=began,
        clusters=found,
        router=watch.router.digest,
    )


def clusters_since(watch: Watched, began: int, *, examples: int = EXAMPLES) -> tuple[NewCluster, ...]:
    """What is new among the requests since one, as far back as embeddings are kept."""
    assert watch.router.reference is not None  # noqa: S101 - a watch has one
    rows = watch.store.recent(began, watch.store.count())
    if not rows:
        return ()
    seen = [Seen(id_, prompt, family, model == "flagship") for _, id_, prompt, family, model, _ in rows]
    window = np.array([vector_of(embedding) for *_, embedding in rows])
    return new_clusters(watch.router.reference.embeddings, window, seen, seed=watch.seed, examples=examples)


def quality_alert(watch: Watched, name: str, number: int, labelled: Sequence[Labelled]) -> Alert:
    """The alert of a test of quality: ``loss`` or ``large``."""
    until = [one for one in labelled if one.request <= number]
    weights = np.array([watch.least_probability / one.probability for one in until])
    deltas = np.array([one.delta for one in until])
    mean, large = float(np.average(deltas, weights=weights)), float(np.average(deltas > LARGE, weights=weights))
    models = watch.store.requests(["model"])["model"][:number]
    small_share = models.count("small") / len(models)
    limit = watch.router.manifest.operating_point.max_loss
    kind: AlertKind = "quality given up" if name == "loss" else "large differences"
    what = (
        f"the router gives up more than the {100 * limit:g} points it promised: {100 * small_share * mean:.1f} points "
        f"on average over all requests so far, judged on {len(until)} replayed ones"
        if name == "loss"
        else f"the flagship's answer scores more than {LARGE} higher on more than {100 * LARGE_SHARE:g} % of what the "
        f"small model answers: {100 * large:.0f} % of {len(until)} replayed requests"
    )
    return Alert(
        kind=kind,
        test=name,
        request=number,
        time=next((one.time for one in until if one.request == number), None),
        what=what,
        do=WHAT_TO_DO[kind],
        false_alarm=watch.alpha,
        evidence=1.0 / watch.alpha,
        n=len(until),
        numbers={
            "mean_delta": mean,
            "large": large,
            "small_share": small_share,
            "given_up": small_share * mean,
            "limit": limit if name == "loss" else LARGE_SHARE,
        },
        router=watch.router.digest,
    )


def daily_notice(watch: Watched, day: Day) -> Alert:
    """The plain daily P75: that day's third quartile exceeds .12 among what was replayed, proved or not."""
    return Alert(
        level="notice",
        kind="p75 exceeded",
        test="p75",
        request=day.last_request,
        time=day.last_time,
        what=f"on day {day.day} the third quartile of delta is {day.p75:.2f} among {day.n} replayed requests, above "
        f"{LARGE}" + ("" if day.proved_by is not None else ": seen, not proved"),
        do=WHAT_TO_DO["p75 exceeded"],
        n=day.n,
        numbers=_of_day(day),
        router=watch.router.digest,
    )


def daily_alert(watch: Watched, day: Day) -> Alert:
    """The alert of one day whose third quartile provably exceeds .12."""
    assert day.proved_by is not None  # noqa: S101 - that is why there is an alert
    return Alert(
        kind="daily p75",
        test="p75",
        request=day.proved_by,
        time=None,
        what=f"on day {day.day} the third quartile of delta was {day.p75:.2f}, above {LARGE}: {100 * day.large:.0f} % "
        f"of {day.n} replayed requests had a large difference",
        do=WHAT_TO_DO["daily p75"],
        false_alarm=watch.alpha,
        evidence=day.evidence,
        n=day.n,
        numbers=_of_day(day),
        router=watch.router.digest,
    )


def _of_day(day: Day) -> dict[str, float]:
    return {"day": float(day.day), "p75": day.p75, "large": day.large, "mean_delta": day.mean, "limit": LARGE}


def _band_alert(watch: Watched, rang_at: int, began: int, time: float | None) -> Alert:
    band = np.array(watch.store.requests(["band"])["band"][:rang_at]) == 0
    reference, since = watch.drift.reference_band_share, float(band[began - 1 :].mean())
    return Alert(
        kind="excess band",
        test="band",
        request=rang_at,
        time=time,
        what=f"more requests fall into the band of uncertainty than among the calibration prompts: {100 * since:.1f} % "
        f"since request {began:,}, there {100 * reference:.1f} %",
        do=WHAT_TO_DO["excess band"],
        false_alarm=watch.drift.alpha("band"),
        evidence=1.0 / watch.drift.alpha("band"),
        n=rang_at,
        numbers={"band_share": float(band.mean()), "band_share_since": since, "reference_band_share": reference},
        began=began,
        router=watch.router.digest,
    )
