"""Checks that only routers have: what a policy may say of them, and how the gate decides them without a plan."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from gates.decision import Status
from gates.gate import gate
from tests.support.evidence import measured, policy, rows, table

SHARE = {"id": "share", "metric": "flagship_share", "test": "ceiling", "threshold": 0.6}
JUMP = {"id": "jump", "metric": "flagship_share", "test": "non_inferiority", "margin": 0.05}
TIME = {"id": "time", "metric": "routing_s", "quantile": 0.99, "test": "ceiling", "threshold": 0.01}


def sent(share: float, n: int = 1000, **columns: Any) -> Any:
    flagship = [1.0] * round(share * n) + [0.0] * (n - round(share * n))
    return rows([1.0] * n, routed=flagship, **columns)


@pytest.mark.parametrize(("share", "status"), [(0.55, Status.PASS), (0.59, Status.INCONCLUSIVE), (0.65, Status.FAIL)])
def test_a_ceiling_of_the_share(share: float, status: Status) -> None:
    (check,) = gate(policy(SHARE), measured(table(sent(share)))).checks
    assert check.status is status
    assert check.estimate.value == pytest.approx(share)


@pytest.mark.parametrize(
    ("after", "status"), [(0.50, Status.PASS), (0.52, Status.PASS), (0.55, Status.INCONCLUSIVE), (0.60, Status.FAIL)]
)
def test_a_bound_on_the_jump(after: float, status: Status) -> None:
    (check,) = gate(policy(JUMP), measured(table(sent(after), sent(0.5, arm="incumbent")))).checks
    assert check.status is status
    assert check.limit == 0.05
    assert check.candidate is not None
    assert check.incumbent is not None
    assert (check.candidate.value, check.incumbent.value) == (after, 0.5)


def test_a_model_cannot_pass_a_router_s_check() -> None:
    (check,) = gate(policy(SHARE), measured(table(rows([1.0] * 500)))).checks
    assert check.status is Status.INCONCLUSIVE
    assert "it is no router" in check.reason


def test_routing_time_is_not_the_models_latency() -> None:
    timed = [{**row, "phase": "routing", "outcome": None, "scored_by": None} for row in rows([1.0] * 400, e2e_s=0.004)]
    answers = rows([1.0] * 400, e2e_s=2.0)
    (check,) = gate(policy(TIME), measured(table(answers, timed))).checks
    assert (check.status, check.estimate.n, check.estimate.value) == (Status.PASS, 400, 0.004)


@pytest.mark.parametrize(
    ("change", "what"),
    [
        ({"test": "floor"}, "takes a ceiling"),
        ({"test": "ratio_ceiling"}, "no ratio to the incumbent"),
        ({"threshold": 1.5}, "strictly between 0 and 1"),
        ({"half_width": 0.02}, "takes no half_width"),
    ],
)
def test_what_makes_no_sense_is_refused(change: dict[str, Any], what: str) -> None:
    with pytest.raises(ValidationError, match=what):
        policy({**SHARE, **change})
