"""Verdicts derived again: from what was measured together or apart, planned or not; and what is told otherwise."""

from __future__ import annotations

from typing import Any

import pytest

from gates.decision import Decision, Status, Verdict
from gates.gate import Measured, gate
from gates.policy import Policy
from gates.verifier.contents import Contents
from gates.verifier.verdicts import differences, rests_on
from golden_sets.digests import Digest, canonical_json, digest_bytes, digest_json
from golden_sets.errors import InputError
from golden_sets.records import Record
from tests.support.evidence import FLOOR, MARGIN, measured, policy, rows, table
from tests.support.measured_releases import POLICY, SETS, right
from tests.support.plans import plan_of
from tests.support.plans import run as run_plan


class Store:
    """Contents in memory."""

    def __init__(self, *measured: Measured, policy: Policy) -> None:
        self.held: dict[Digest, bytes] = {}
        self.add(policy)
        for one in measured:
            self.add(one.evidence)
            self.held[one.evidence.outcomes] = one.outcomes.to_parquet()
            if one.plan is not None:
                self.add(one.plan)

    def add(self, record: Record) -> None:
        self.held[record.digest] = canonical_json(record.to_json())

    @property
    def contents(self) -> Contents:
        return Contents(self.held.get)

    def differences(self, decision: Decision, **options: Any) -> list[str]:
        return differences(decision, self.contents, **{"planned_at": None, **options})


def answers(name: str, right: int, n: int = 400) -> Measured:
    return measured(table(rows([1.0] * right + [0.0] * (n - right))), name=name)


BOTH = policy(FLOOR, MARGIN)
ANCHORED = policy(FLOOR, {**MARGIN, "against": "anchor"}, anchor="first")


def planned() -> tuple[Policy, Measured]:
    """A run of a plan that stood at place 1 of the log."""
    bare = POLICY.model_copy(update={"promotion": None})
    plan = plan_of(bare, SETS)
    return bare, run_plan(bare, plan, SETS, lambda arm, _set, prompt, _dims: right(arm, prompt))[0]


def test_planned_evidence() -> None:
    bare, found = planned()
    store, decision = Store(found, policy=bare), gate(bare, found)
    assert decision.verdict is Verdict.PROMOTE
    assert store.differences(decision, planned_at=1) == []
    assert rests_on(decision, store.contents).keys() == {"policy", "evidence", "outcomes", "plan"}


@pytest.mark.parametrize("planned_at", [None, 0, 2])
def test_a_plan_that_stood_elsewhere_in_the_log_counts_as_none(planned_at: int | None) -> None:
    bare, found = planned()
    told = Store(found, policy=bare).differences(gate(bare, found), planned_at=planned_at)
    assert "verdict: recorded promote, derived inconclusive" in told
    assert "attempt: recorded 1, derived nothing" in told


@pytest.mark.parametrize("must_plan", [True, False])
def test_unplanned_evidence_whether_a_plan_was_required_or_not(must_plan: bool) -> None:
    found = answers("new", 390)
    only = policy(FLOOR)
    decision = gate(only, found, require_plan=must_plan)
    assert decision.verdict is (Verdict.INCONCLUSIVE if must_plan else Verdict.PROMOTE)
    assert Store(found, policy=only).differences(decision) == []


def test_evidence_measured_apart() -> None:
    new, old = answers("new", 390), answers("old", 385)
    decision = gate(BOTH, new, old)
    assert decision.incumbent_evidence_digest == old.evidence.digest
    store = Store(new, old, policy=BOTH)
    assert store.differences(decision) == []
    assert {"incumbent's evidence", "incumbent's outcomes"} <= rests_on(decision, store.contents).keys()
    better = answers("old", 399)
    lie = decision.model_copy(update={"incumbent_evidence_digest": better.evidence.digest})
    assert Store(new, better, policy=BOTH).differences(lie) != []


def test_an_anchor_measured_apart() -> None:
    new, first = answers("new", 390), answers("first", 385)
    decision = gate(ANCHORED, new, anchor=first)
    assert decision.anchor_evidence_digest == first.evidence.digest
    assert Store(new, first, policy=ANCHORED).differences(decision) == []


def changed(decision: Decision, **check: Any) -> Decision:
    first, *others = decision.checks
    estimate = first.estimate.model_copy(update={k: v for k, v in check.items() if k in ("value", "low", "n")})
    said = {k: v for k, v in check.items() if k not in ("value", "low", "n")}
    return decision.model_copy(update={"checks": (first.model_copy(update={**said, "estimate": estimate}), *others)})


def test_every_number_counts_and_no_sentence_does() -> None:
    only, found = policy(FLOOR), answers("new", 390)
    decision, store = gate(only, found), Store(found, policy=only)
    low = decision.checks[0].estimate.low
    assert low is not None
    for lie, told in (
        (changed(decision, low=low * (1 + 1e-6)), "check floor: estimate.low"),
        (changed(decision, value=0.99), "check floor: estimate.value"),
        (changed(decision, n=401), "check floor: estimate.n: recorded 401, derived 400"),
        (changed(decision, limit=0.8), "check floor: limit: recorded 0.8, derived 0.9"),
        (changed(decision, status=Status.FAIL), "check floor: status: recorded fail, derived pass"),
        (changed(decision, waivable=False), "check floor: waivable"),
        (changed(decision, id="roof"), "checks: recorded and derived are not the same: ['floor', 'roof']"),
        (decision.model_copy(update={"checks": decision.checks * 2}), "one is there twice"),
        (decision.model_copy(update={"checks": ()}), "not the same: ['floor']"),
        (decision.model_copy(update={"alpha": 0.04}), "alpha: recorded 0.04, derived 0.05"),
        (decision.model_copy(update={"superior": True}), "superior: recorded True, derived False"),
        (decision.model_copy(update={"subject_digest": digest_json("x")}), "subject_digest: recorded sha256:"),
        (decision.model_copy(update={"verdict": Verdict.BLOCK}), "verdict: recorded block, derived promote"),
    ):
        assert told in "\n".join(store.differences(lie))
    for same in (changed(decision, low=low * (1 + 1e-12)), changed(decision, reason="in other words")):
        assert store.differences(same) == []
    assert store.differences(decision.model_copy(update={"reason": "because", "notes": ("a note",)})) == []


def test_refusals_that_were_left_out_of_a_decision() -> None:
    """No waiver lifts a refusal, so a decision that hides one might be waived into production."""
    only = policy(FLOOR, require_plan=True)
    found = answers("new", 330)
    decision = gate(only, found)
    assert decision.refusals
    hidden = decision.model_copy(update={"refusals": ()})
    assert "refusals: recorded []" in "\n".join(Store(found, policy=only).differences(hidden))


def test_contents_that_are_not_there_or_not_what_they_should_be() -> None:
    only, found = policy(FLOOR), answers("new", 390)
    decision = gate(only, found)
    for digest in (only.digest, found.evidence.digest, found.evidence.outcomes):
        store = Store(found, policy=only)
        data = store.held.pop(digest)
        assert f"the contents {digest} are missing" in store.differences(decision)[0]
        store.held[digest] = data + b" "
        assert f"the contents stored under {digest} were changed" in store.differences(decision)[0]


def test_evidence_that_tells_of_more_outcomes_than_there_are() -> None:
    only, found = policy(FLOOR), answers("new", 390)
    more = Measured(found.evidence.model_copy(update={"outcome_rows": 401}), found.outcomes)
    told = Store(more, policy=only).differences(gate(only, more))
    assert "tells of 401 outcomes, there are 400" in told[0]


def test_outcomes_that_are_no_table() -> None:
    only, found = policy(FLOOR), answers("new", 390)
    data = b"PAR1 and no more"
    other = Measured(found.evidence.model_copy(update={"outcomes": digest_bytes(data)}), found.outcomes)
    store = Store(other, policy=only)
    store.held[digest_bytes(data)] = data
    decision = gate(only, found).model_copy(update={"evidence_digest": other.evidence.digest})
    assert "the verdict cannot be derived again: not a Parquet table" in store.differences(decision)[0]


def test_contents_are_records_in_one_form_only() -> None:
    only = policy(FLOOR)
    data = canonical_json(only.to_json())
    twice = data[:-1] + b',"alpha":0.4}'
    spaced = data.replace(b":", b": ")
    store = {digest_bytes(one): one for one in (data, twice, spaced, b"[]", b"{", b"[" * 100_000)}
    contents = Contents(store.get)
    assert contents.record(only.digest, Policy) == only
    for wrong in (twice, spaced):
        with pytest.raises(InputError, match="is no Policy in canonical form"):
            contents.record(digest_bytes(wrong), Policy)
    for wrong in (b"[]", b"{", b"[" * 100_000):
        with pytest.raises(InputError, match="is no record"):
            contents.record(digest_bytes(wrong), Policy)
        with pytest.raises(InputError, match="is no"):
            contents.document(digest_bytes(wrong))
    assert contents.document(digest_bytes(b"nothing")) is None
    with pytest.raises(InputError, match="are missing"):
        contents.get(digest_bytes(b"nothing"))
