"""Number formatting and text safety, where the reports promise more than one example shows."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evalharness.evidence import Estimate
from gates.decision import CheckResult, Status
from gates.reports.figures import measured_scale, own_scale
from gates.reports.text import markdown_code, markdown_text, well_formed, xml_text
from golden_sets.visible_text import visible


def made(
    value: float | None, low: float | None, high: float | None, *, unit: str = "1", limit: float = 0.8
) -> CheckResult:
    measured = Estimate(metric="m", value=value, low=low, high=high, confidence=0.9, method="exact", n=100, unit=unit)
    return CheckResult(
        id="c", check="c", metric="m", test="floor", status=Status.PASS, limit=limit, estimate=measured, reason="r"
    )


@pytest.mark.parametrize(
    ("value", "low", "high", "unit", "limit", "expected"),
    [
        (0.861, 0.840, 0.880, "1", 0.8, "86.1 % [84.0, 88.0]"),
        (0.0, 0.0, 0.00994, "1", 0.02, "0.00 % [0.00, 0.99]"),
        (0.5, 0.2, 0.8, "1", 0.9, "50.0 % [20.0, 80.0]"),
        (0.0521, 0.0414, 0.0661, "s", 0.8, "52 ms [41, 66]"),
        (0.00521, 0.00514, 0.00561, "s", 0.008, "5.21 ms [5.14, 5.61]"),
        (1.4, 0.9, None, "s", 3.0, "1.40 s [0.90, –]"),
        (2.5, 2.25, 2.75, "USD", 3.0, "2.50 USD [2.25, 2.75]"),
        (1234.5, 1180.0, 1301.0, "tokens/s", 900.0, "1,234.5 tokens/s [1,180.0, 1,301.0]"),
        (None, None, None, "1", 0.8, "not measured"),
    ],
)
def test_intervals_in_words(
    value: float | None, low: float | None, high: float | None, unit: str, limit: float, expected: str
) -> None:
    check = made(value, low, high, unit=unit, limit=limit)
    assert measured_scale([check]).interval(check.estimate) == expected


def test_a_bound_never_looks_equal_to_a_limit_that_it_misses() -> None:
    check = made(0.83, 0.79996, 0.86, limit=0.8)
    scale = measured_scale([check])
    assert scale.number(check.estimate.low) != scale.number(check.limit)


def test_cells_of_one_check_share_their_decimals() -> None:
    scale = measured_scale([made(0.9, 0.85, 0.95), made(0.991, 0.988, 0.994)])
    assert [scale.number(v) for v in (0.9, 0.991)] == ["90.00", "99.10"]


@given(st.floats(-1e6, 1e6))
def test_no_number_is_minus_zero(value: float) -> None:
    estimate = Estimate(metric="m", value=value, low=None, high=None, confidence=0.9, method="exact", n=1, unit="x")
    text = own_scale([estimate]).number(value)
    assert text.lstrip("−").strip("0.") or not text.startswith("−")


@given(st.text(st.characters(codec=None)))
def test_visible_text_can_be_encoded_and_hides_nothing(text: str) -> None:
    shown = visible(text + "\u202e\x00\ud800")
    shown.encode()
    assert visible(shown) == shown
    assert not {"\u202e", "\x00", "\u2066"} & set(shown)


@given(st.text(st.characters(exclude_categories=["Cc", "Cf", "Cs", "Cn"])))
def test_ordinary_text_is_left_alone(text: str) -> None:
    assert visible(text) == xml_text(text) == well_formed(text) == text


def test_joined_emoji_survive() -> None:
    family = "\U0001f468\u200d\U0001f469\u200d\U0001f467"
    assert visible(family) == family


@given(st.text())
def test_markdown_stays_on_one_line_and_within_its_cell(text: str) -> None:
    for written in (markdown_text(text), markdown_code(text)):
        assert "\n" not in written
        assert "|" not in written.replace("\\\\", "").replace("\\|", "")
