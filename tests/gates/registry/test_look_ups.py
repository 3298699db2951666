"""The write path reads by keys alone: what a release or a promotion costs does not grow with the log."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import Engine, event

from gates.registry import Registry, ledger
from gates.registry.transactions import reading, writing
from tests.support.recorded_releases import Maker
from tests.support.signed_registry import SignedRegistry


class Statements:
    """Every SELECT that an engine ran, with its parameters."""

    def __init__(self, engine: Engine) -> None:
        self.run: list[tuple[str, Any]] = []
        event.listen(engine, "before_cursor_execute", self._note)

    def _note(self, _connection: Any, _cursor: Any, statement: str, parameters: Any, *_: Any) -> None:
        if statement.startswith("SELECT"):
            self.run.append((statement, parameters))


@pytest.mark.parametrize("url", ["sqlite"], indirect=True)
def test_no_step_of_a_release_scans_the_log(registry: Registry, engine: Engine) -> None:
    signed = SignedRegistry(registry)
    first = signed.seed()
    statements = Statements(engine)
    release = signed.release("v2", first)
    signed.people.sign_off(release.decision)
    signed.promote(release)
    registry.rollback("flagship", "production", first.digest, expected_generation=2, reason="too slow")
    # The people in the test read the whole log to find out which one it is; the registry does not.
    seen = {one: None for one in statements.run if "FROM ledger ORDER BY" not in one[0]}
    assert len(seen) > 20
    with engine.connect() as connection:
        steps = [
            (row.detail, statement)
            for statement, parameters in seen
            for row in connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", parameters)
        ]
    assert [step for step in steps if step[0].startswith("SCAN ") and "ledger_head" not in step[0]] == []


def test_the_oldest_event_of_a_type_is_found_among_later_ones_with_the_same_term(registry: Registry) -> None:
    make = Maker()
    first = make.seed(registry)
    for number in range(3):
        make.record(registry, make.release(f"v{number}", first))
    with reading(registry._engine) as connection:
        found = ledger.first_event(connection, "policy_recorded", "policy", make.policy.digest)
        planned = ledger.first_event(connection, "planned", "policy", make.policy.digest)
        assert ledger.first_event(connection, "promoted", "policy", make.policy.digest) is None
    assert found is not None
    assert planned is not None
    by_type = {one.type: one.position for one in reversed(registry.log())}
    assert (found.position, planned.position) == (by_type["policy_recorded"], by_type["planned"])


def test_events_are_found_by_all_their_terms_newest_first(registry: Registry, engine: Engine) -> None:
    with writing(engine) as connection:
        for subject, policy in (("a", "p"), ("a", "q"), ("b", "p"), ("a", "p")):
            ledger.append(connection, "decided", "me", {"subject": subject, "policy": policy})
        ledger.append(connection, "evaluated", "me", {"subject": "a", "policy": "p"})
    with reading(engine) as connection:

        def positions(types: tuple[str, ...], **terms: str | None) -> list[int]:
            return [one.position for one in ledger.find_events(connection, types, terms)]

        assert positions(("decided",), subject="a", policy="p") == [3, 0]
        assert positions(("decided", "evaluated"), subject="a", policy="p") == [4, 3, 0]
        assert positions(("decided",), subject="a", policy=None) == [3, 1, 0]
        assert positions(("decided",), subject="b", policy="q") == []
        assert positions(("decided",)) == [3, 2, 1, 0]
