"""Shadow validation so far, as one record: what was seen, what was replayed, every test and every alert."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from evalharness.statistics.interval import Interval
from router_training.shadow.alerts import Alert
from router_training.shadow.dashboard import DashboardDay, Prices, dashboard, prices_of
from router_training.shadow.drift import QUESTIONS
from router_training.shadow.quality import LARGE, LARGE_SHARE, Day, days_of, sequences_of
from router_training.shadow.raising import daily_notice
from router_training.shadow.watching import Watch

CONFIDENCE = 0.95


@dataclass(frozen=True, slots=True)
class TestSummary:
    """How far one test has come."""

    __test__ = False  # no test of pytest's

    name: str
    evidence: float
    """Capital won against "nothing is wrong"."""
    needed: float
    """Capital at which it rings: one over the chance of a false alarm."""
    rang_at: int | None
    """Number of the request that rang it."""


@dataclass(frozen=True, slots=True)
class FamilySeen:
    """A task family that the log names."""

    family: str
    first: int
    """Number of its first request."""
    requests: int
    flagship_share: float


@dataclass(frozen=True, slots=True)
class Delay:
    """How long it took from a family's first request to an alert about it: the drill."""

    family: str
    alert: str
    """Kind of the alert, with the test that rang."""
    first: int
    """Number of the family's first request."""
    rang_at: int
    """Number of the request that rang the alarm."""
    passed: int
    """Requests from the first to the alarm, both counted."""
    of_family: int
    """Those of them that belong to the family."""
    replays: int
    """Those of them that were replayed."""
    green_days: int
    """Days of the cost dashboard from the family's first request on, up to the end, on which it stays green."""
    red_days: int
    """Those on which it does not."""


@dataclass(frozen=True)
class ShadowSummary:
    """Everything a run tells."""

    router: str
    requests: int
    flagship_share: float | None
    forecast_flagship_share: float
    """What the calibration prompts promised."""
    reasons: Mapping[str, int]
    """Requests by why they went where they went."""
    band_share: float | None
    reference_band_share: float
    sampled: int
    scored: int
    unscored: int
    waiting: int
    sample: float
    least_probability: float
    false_alarm: float
    """Chance that any alert ever rings although nothing is wrong."""
    mean_delta: Interval | None
    """Of small-routed requests, with a confidence sequence."""
    large: Interval | None
    """P(delta > .12) of small-routed requests, likewise."""
    given_up: float | None
    """Mean quality given up over all requests: mean delta of small-routed ones times their share."""
    max_loss: float
    tests: tuple[TestSummary, ...]
    days: tuple[Day, ...]
    dashboard: tuple[DashboardDay, ...]
    prices: Prices
    families: tuple[FamilySeen, ...]
    delays: tuple[Delay, ...]
    alerts: tuple[Alert, ...]
    notices: tuple[Alert, ...]
    """Days whose plain P75 exceeds its limit, as records: what was seen, proved or not; of the last day, so far."""

    def to_json(self) -> dict[str, Any]:
        """Plain JSON data."""
        own = {
            name: value
            for name, value in vars(self).items()
            if name
            not in (
                *("mean_delta", "large", "tests", "days", "dashboard", "prices", "families", "delays"),
                *("alerts", "notices"),
            )
        }
        return {
            **own,
            "mean_delta": None if self.mean_delta is None else self.mean_delta.to_json(),
            "large_differences": None if self.large is None else self.large.to_json(),
            "limits": {"given_up": self.max_loss, "delta": LARGE, "large_share": LARGE_SHARE},
            "tests": {one.name: _without(asdict(one), "name") for one in self.tests},
            "days": [_day_json(one) for one in self.days],
            "dashboard": [asdict(one) for one in self.dashboard],
            "prices": asdict(self.prices),
            "families": [asdict(one) for one in self.families],
            "delays": [asdict(one) for one in self.delays],
            "alerts": [_record(one) for one in self.alerts],
            "notices": [_record(one) for one in self.notices],
        }

    def records(self) -> list[dict[str, Any]]:
        """Alerts, then notices, as they are written."""
        return [_record(one) for one in (*self.alerts, *self.notices)]


def summarise(watch: Watch) -> ShadowSummary:
    """What a watch knows."""
    seen = watch.store.requests(("time", "family", "model", "reason", "band"))
    replays = watch.store.replays()
    labelled = watch.labelled()
    n = len(seen["model"])
    flagship = np.array([model == "flagship" for model in seen["model"]], dtype=np.bool_)
    share = float(flagship.mean()) if n else None
    sequences = sequences_of(labelled, least_probability=watch.least_probability, confidence=CONFIDENCE)
    mean = None if sequences is None else sequences.mean_delta.value
    alerts = watch.alerts()
    prices = prices_of(replays)
    point = watch.router.manifest.operating_point
    board = dashboard(seen["time"], flagship, prices, forecast_share=point.flagship_share)
    states = [one["state"] for one in replays]
    days = days_of(labelled, least_probability=watch.least_probability, alpha=watch.settings.alpha)
    return ShadowSummary(
        router=watch.router.digest,
        requests=n,
        flagship_share=share,
        forecast_flagship_share=point.flagship_share,
        reasons={reason: seen["reason"].count(reason) for reason in sorted(set(seen["reason"]))},
        band_share=float(np.mean(np.array(seen["band"]) == 0)) if n else None,
        reference_band_share=watch.drift.reference_band_share,
        sampled=len(replays),
        scored=states.count("scored"),
        unscored=states.count("unscored"),
        waiting=states.count("waiting"),
        sample=watch.settings.sample,
        least_probability=watch.least_probability,
        false_alarm=watch.settings.false_alarm,
        mean_delta=None if sequences is None else sequences.mean_delta,
        large=None if sequences is None else sequences.large,
        given_up=None if mean is None or share is None else (1.0 - share) * mean,
        max_loss=point.max_loss,
        tests=_tests(watch),
        days=tuple(days),
        dashboard=tuple(board),
        prices=prices,
        families=_families(seen["family"], flagship),
        delays=_delays(alerts, seen["family"], replays, board),
        alerts=tuple(alerts),
        notices=tuple(daily_notice(watch.watched, day) for day in days if day.exceeds),
    )


def _tests(watch: Watch) -> tuple[TestSummary, ...]:
    found = [
        TestSummary(name, 10 ** watch.drift.log10(name), 1 / watch.drift.alpha(name), watch.drift.rang_at(name))
        for name in QUESTIONS
    ]
    for name, bets in (("quality given up", watch.quality.loss), ("large differences", watch.quality.large)):
        rang = watch.rang_at("loss" if bets is watch.quality.loss else "large")
        found.append(TestSummary(name, bets.wager.capital, 1 / bets.wager.alpha, rang))
    return tuple(found)


def _families(families: Sequence[str | None], flagship: Any) -> tuple[FamilySeen, ...]:
    rows: dict[str, list[int]] = {}
    for row, family in enumerate(families):
        if family is not None:
            rows.setdefault(family, []).append(row)
    return tuple(
        FamilySeen(family, members[0] + 1, len(members), float(flagship[members].mean()))
        for family, members in rows.items()
    )


def _delays(
    alerts: Sequence[Alert],
    families: Sequence[str | None],
    replays: Sequence[Mapping[str, Any]],
    board: Sequence[DashboardDay],
) -> tuple[Delay, ...]:
    """For the family that most of the largest new cluster belongs to: when it came, and when each alert rang."""
    suspects = [one.clusters[0].families for one in alerts if one.clusters and one.clusters[0].families]
    if not suspects:
        return ()
    family = max(suspects[0], key=lambda name: suspects[0][name])
    first = families.index(family) + 1
    since = [one for one in board if one.last_request >= first]
    return tuple(
        Delay(
            family=family,
            alert=f"{alert.kind} ({alert.test})",
            first=first,
            rang_at=alert.request,
            passed=alert.request - first + 1,
            of_family=sum(one == family for one in families[first - 1 : alert.request]),
            replays=sum(first <= one["number"] <= alert.request for one in replays),
            green_days=sum(one.green for one in since),
            red_days=sum(not one.green for one in since),
        )
        for alert in alerts
        if alert.request >= first
    )


def _record(alert: Alert) -> dict[str, Any]:
    return {**alert.to_json(), "digest": alert.digest}


def _day_json(day: Day) -> dict[str, Any]:
    found = asdict(day)
    found["p75_alert"] = found.pop("exceeds")
    return found


def _without(values: dict[str, Any], name: str) -> dict[str, Any]:
    return {key: value for key, value in values.items() if key != name}
