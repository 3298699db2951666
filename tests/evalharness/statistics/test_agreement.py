import numpy as np
import pytest

from evalharness.statistics import cohen_kappa, kappa_interval
from golden_sets.errors import InputError


def test_worked_example() -> None:
    # Observed agreement .70, expected .50: kappa .40.
    assert cohen_kappa([[20, 5], [10, 15]]) == pytest.approx(0.4)


def test_interval_approaches_fleiss_cohen_and_everitt() -> None:
    inter_rater = pytest.importorskip("statsmodels.stats.inter_rater")
    table = np.array([[200, 50, 5], [30, 150, 20], [10, 15, 120]]) * 10
    reference = inter_rater.cohens_kappa(table)
    interval = kappa_interval(table)
    assert interval.low == pytest.approx(reference.kappa_low, abs=0.002)
    assert interval.high == pytest.approx(reference.kappa_upp, abs=0.002)


def test_perfect_agreement_has_a_width() -> None:
    interval = kappa_interval([[30, 0], [0, 30]])
    assert interval.value == 1.0
    assert interval.high == 1.0
    assert interval.low is not None
    assert 0.8 < interval.low < 0.97


def test_one_label_only_is_undefined() -> None:
    assert cohen_kappa([[50, 0], [0, 0]]) is None
    interval = kappa_interval([[50, 0], [0, 0]])
    assert (interval.value, interval.low, interval.high) == (None, None, None)


@pytest.mark.parametrize(
    "table", [[[1, 2, 3], [4, 5, 6]], [[1]], [[0, 0], [0, 0]], [[1, -1], [1, 1]], [[np.nan, 1], [1, 1]]]
)
def test_bad_tables_are_refused(table: list[list[float]]) -> None:
    with pytest.raises(InputError):
        cohen_kappa(table)
