"""Policies: what is accepted, and how a mistake is reported."""

from __future__ import annotations

from pathlib import Path

import pytest

from gates.policy import Policy, load_policy
from golden_sets.errors import InputError

HEAD = "name: p\nversion: 3\nalpha: 0.05\nprimary: floor\nchecks:\n"
FLOOR = "  - {id: floor, metric: pass_rate, test: floor, threshold: 0.8}\n"


def load(tmp_path: Path, text: str) -> Policy:
    path = tmp_path / "policy.yaml"
    path.write_text(text, encoding="utf-8")
    return load_policy(path).policy


def test_the_least_policy_has_documented_defaults(tmp_path: Path) -> None:
    policy = load(tmp_path, HEAD + FLOOR)
    assert (policy.version, policy.max_unscored, policy.on_inconclusive) == ("3", 0.01, "block")
    assert policy.require_plan is None
    assert policy.checks[0].waivable


def test_the_place_of_every_check_is_known(tmp_path: Path) -> None:
    path = tmp_path / "policy.yaml"
    path.write_text(HEAD + FLOOR, encoding="utf-8")
    assert load_policy(path).where == {"floor": f"{path}:6"}


def test_a_looser_threshold_is_another_policy(tmp_path: Path) -> None:
    assert load(tmp_path, HEAD + FLOOR).digest != load(tmp_path, HEAD + FLOOR.replace("0.8", "0.7")).digest


@pytest.mark.parametrize(
    ("check", "message"),
    [
        ("{id: floor, metric: pass_rate, test: floor, treshold: 0.8}", "threshold"),
        ("{id: floor, metric: pass_rat, test: floor, threshold: 0.8}", "unknown metric 'pass_rat'"),
        ("{id: floor, metric: pass_rate, test: floor, threshold: 80}", "strictly between 0 and 1"),
        ("{id: floor, metric: pass_rate, test: floor}", "needs a threshold"),
        ("{id: floor, metric: violation_rate, test: floor, threshold: 0.02}", "takes a ceiling"),
        ("{id: floor, metric: pass_rate, test: ceiling, threshold: 0.02}", "takes a floor"),
        ("{id: floor, metric: pass_rate, test: non_inferiority, threshold: 0.8}", "needs a margin"),
        ("{id: floor, metric: ttft_s, test: ceiling, threshold: 0.8}", "needs a quantile"),
        ("{id: floor, metric: pass_rate, test: floor, threshold: 0.8, quantile: 0.5}", "takes no quantile"),
        ("{id: floor, metric: ttft_s, quantile: 0.95, test: non_inferiority, margin: 0.1}", "no paired difference"),
        ("{id: floor, metric: pass_rate, test: ratio_ceiling, threshold: 0.9}", "no ratio"),
        ("{id: floor, metric: violation_rate, where: {set: golden}, test: ceiling, threshold: 0.1}", "adversarial"),
        ("{id: floor, metric: pass_rate, where: {set: goldne}, test: floor, threshold: 0.1}", "where.set must be"),
        ("{id: floor, metric: pass_rate, test: floor, threshold: .nan}", "not a plain value"),
        ("{id: floor, metric: ttft_s, quantile: 0.9, test: ceiling, threshold: 1, half_width: 0.1}", "no half_width"),
        ("{id: floor, metric: pass_rate, test: floor, threshold: 0.8, half_width: 0.7}", "half_width"),
    ],
)
def test_a_mistake_is_reported_with_file_and_line(tmp_path: Path, check: str, message: str) -> None:
    with pytest.raises(InputError, match=message) as caught:
        load(tmp_path, HEAD + f"  - {check}\n")
    assert "policy.yaml:6" in str(caught.value)


def test_an_unknown_key_names_the_nearest_known_one(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="alpha") as caught:
        load(tmp_path, HEAD.replace("alpha", "alhpa") + FLOOR)
    assert "alhpa" in str(caught.value)


def test_two_checks_with_one_id_and_an_unknown_primary_are_errors(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="unique"):
        load(tmp_path, HEAD + FLOOR + FLOOR)
    with pytest.raises(InputError, match="primary names 'other'"):
        load(tmp_path, HEAD.replace("primary: floor", "primary: other") + FLOOR)
