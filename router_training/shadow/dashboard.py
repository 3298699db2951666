"""The cost dashboard as most teams have it: flagship share and cost per request, day by day, against the forecast.

It is here for comparison: a router that sends an unknown kind of prompt to the small model costs no more than forecast.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from router_training.pairs import Mask
from router_training.shadow.quality import SECONDS_A_DAY

TOLERANCE = 1.10
"""The dashboard is green while a day costs at most this times the forecast."""


@dataclass(frozen=True, slots=True)
class Prices:
    """Mean cost of a replayed request, USD; None where the replays are not priced."""

    small_usd: float | None
    flagship_usd: float | None

    def per_request(self, flagship_share: float) -> float | None:
        """Cost of a request at a flagship share."""
        if self.small_usd is None or self.flagship_usd is None:
            return None
        return (1.0 - flagship_share) * self.small_usd + flagship_share * self.flagship_usd


@dataclass(frozen=True, slots=True)
class DashboardDay:
    """One day; days without times are one."""

    day: int
    requests: int
    first_request: int
    """Number of its first request."""
    last_request: int
    flagship_share: float
    usd_per_request: float | None
    green: bool
    """Whether cost (without prices: the flagship share) stays within 10 % of what was forecast."""


def prices_of(replays: Sequence[Mapping[str, Any]]) -> Prices:
    """Mean costs of the replays that have one."""

    def mean(name: str) -> float | None:
        known = [float(one[name]) for one in replays if one[name] is not None]
        return sum(known) / len(known) if known else None

    return Prices(mean("small_usd"), mean("flagship_usd"))


def dashboard(
    times: Sequence[float | None], flagship: Mask, prices: Prices, *, forecast_share: float
) -> list[DashboardDay]:
    """Every day with requests, in order.

    Args:
        times: arrivals, seconds; None counts to day 0.
        flagship: True where the flagship answered.
        prices: mean costs.
        forecast_share: flagship share that was forecast.
    """
    days = np.array([0 if time is None else int(time // SECONDS_A_DAY) for time in times], dtype=np.int64)
    forecast = prices.per_request(forecast_share)
    found = []
    for day in np.unique(days):
        rows = np.flatnonzero(days == day)
        share = float(flagship[rows].mean())
        usd = prices.per_request(share)
        green = share <= TOLERANCE * forecast_share if usd is None or forecast is None else usd <= TOLERANCE * forecast
        found.append(DashboardDay(int(day), rows.size, int(rows[0]) + 1, int(rows[-1]) + 1, share, usd, green))
    return found
