import math
from typing import Any

import pytest

from evalharness.statistics import Interval, quantile_interval
from golden_sets.errors import InputError


@pytest.mark.parametrize(
    "change",
    [
        {"low": 0.6}, {"high": 0.4}, {"low": 0.9, "value": None, "high": 0.1}, {"confidence": 1.0}, {"confidence": 0.0},
        {"n": 0}, {"value": math.nan}, {"low": math.nan}, {"confidence": math.nan},
    ],
)  # fmt: skip
def test_what_cannot_be_an_interval_is_refused(change: dict[str, Any]) -> None:
    good: dict[str, Any] = {"value": 0.5, "low": 0.4, "high": 0.6, "confidence": 0.95, "method": "wilson", "n": 10}
    Interval(**good)
    with pytest.raises(InputError):
        Interval(**{**good, **change})


def test_json_names_every_field_and_writes_missing_bounds_as_null() -> None:
    data = Interval(0.5, None, 0.6, 0.95, "wilson", 10, note="one-sided").to_json()
    assert data == {
        "value": 0.5, "low": None, "high": 0.6, "confidence": 0.95, "method": "wilson", "n": 10, "clusters": None,
        "note": "one-sided",
    }  # fmt: skip


def test_json_holds_no_infinity_but_says_so() -> None:
    interval = quantile_interval([1.0] * 190 + [math.inf] * 10, 0.95, side="upper")
    assert interval.high == math.inf
    data = interval.to_json()
    assert data["high"] is None
    assert data["note"] == "infinite: high"
