"""Differences between policies: each is told, with its owner and which way it goes."""

from __future__ import annotations

from typing import Any

import pytest

from gates.policy import Check, Policy
from gates.policy_changes import PolicyChange, changes, pin_changes
from gates.promotion_rules import PromotionRules, Role, Stage, StageRules
from gates.signing.predicates import PolicyPin
from golden_sets.digests import digest_bytes

FLOOR = Check(id="floor", metric="pass_rate", test="floor", threshold=0.8, each=("tier",))
VIOLATIONS = Check(id="violations", metric="violation_rate", test="ceiling", threshold=0.02, waivable=False)
TTFT = Check(id="ttft", metric="ttft_s", test="ceiling", threshold=0.8, quantile=0.95, owner="ops")
EQUAL = Check(id="equal", metric="pass_rate", test="non_inferiority", margin=0.03, half_width=0.02)
ROLES: dict[Role, tuple[str, ...]] = {"submitter": ("sam",), "ml-owner": ("mia", "max"), "safety-reviewer": ("sara",)}


def policy(*checks: Check, **fields: Any) -> Policy:
    given = checks or (FLOOR, VIOLATIONS, TTFT, EQUAL)
    return Policy(**{"name": "p", "version": "1", "alpha": 0.05, "primary": "floor", "checks": given, **fields})


def only(old: Policy, new: Policy) -> PolicyChange:
    (change,) = changes(old, new)
    return change


def swapped(check: Check, **fields: Any) -> Policy:
    checks = (FLOOR, VIOLATIONS, TTFT, EQUAL)
    return policy(*(Check(**{**c.model_dump(), **fields}) if c is check else c for c in checks))


@pytest.mark.parametrize(
    ("check", "field", "value", "before", "after", "loosened"),
    [
        (FLOOR, "threshold", 0.7999, "0.8", "0.7999", True),
        (FLOOR, "threshold", 0.85, "0.8", "0.85", False),
        (FLOOR, "each", (), "tier", "none", True),
        (FLOOR, "each", ("tier", "category"), "tier", "tier, category", False),
        (FLOOR, "each", ("category",), "tier", "category", None),
        (FLOOR, "where", {"set": "golden"}, "none", "set=golden", None),
        (FLOOR, "expected", 0.9, "none", "0.9", None),
        (VIOLATIONS, "threshold", 0.03, "0.02", "0.03", True),
        (VIOLATIONS, "threshold", 0.01, "0.02", "0.01", False),
        (VIOLATIONS, "waivable", True, "false", "true", True),
        (TTFT, "waivable", False, "true", "false", False),
        (TTFT, "quantile", 0.9, "0.95", "0.9", True),
        (TTFT, "quantile", 0.99, "0.95", "0.99", False),
        (TTFT, "owner", "nobody", "ops", "nobody", None),
        (EQUAL, "margin", 0.05, "0.03", "0.05", True),
        (EQUAL, "margin", 0.02, "0.03", "0.02", False),
        (EQUAL, "half_width", None, "0.02", "none", True),
        (EQUAL, "half_width", 0.01, "0.02", "0.01", False),
    ],
)
def test_a_changed_field_of_a_check(
    check: Check, field: str, value: Any, before: str, after: str, loosened: bool | None
) -> None:
    change = only(policy(), swapped(check, **{field: value}))
    assert (change.check, change.field, change.before, change.after) == (check.id, field, before, after)
    assert change.loosened is loosened


@pytest.mark.parametrize(
    ("old", "new", "loosened"),
    [
        ({"alpha": 0.05}, {"alpha": 0.1}, True),
        ({"alpha": 0.05}, {"alpha": 0.01}, False),
        ({"max_unscored": 0.01}, {"max_unscored": 0.2}, True),
        ({"require_plan": None}, {"require_plan": False}, True),
        ({"require_plan": True}, {"require_plan": None}, True),
        ({"require_plan": False}, {"require_plan": True}, False),
        ({"attempts": "spend"}, {"attempts": "constant"}, True),
        ({"attempts": "constant"}, {"attempts": "spend"}, False),
        ({"on_inconclusive": "block"}, {"on_inconclusive": "hold"}, None),
        ({"primary": "floor"}, {"primary": "equal"}, None),
    ],
)
def test_a_changed_field_of_the_policy(old: dict[str, Any], new: dict[str, Any], loosened: bool | None) -> None:
    change = only(policy(**old), policy(**new))
    assert (change.check, change.field, change.owner) == (None, next(iter(old)), None)
    assert change.loosened is loosened


def test_a_check_that_is_dropped_loosens_and_one_that_comes_tightens() -> None:
    without = policy(FLOOR, VIOLATIONS, EQUAL)
    gone, come = only(policy(), without), only(without, policy())
    assert (gone.check, gone.field, gone.before, gone.after) == ("ttft", "check", "ttft_s ceiling 0.8", "none")
    assert (gone.owner, gone.loosened, come.loosened) == ("ops", True, False)


def test_numbers_of_another_question_are_not_compared() -> None:
    old = Check(id="floor", metric="pass_rate", test="floor", threshold=0.8)
    new = Check(id="floor", metric="request_success_rate", test="floor", threshold=0.7)
    found = {change.field: change.loosened for change in changes(policy(old), policy(new))}
    assert found == {"metric": None, "threshold": None}


def test_names_versions_and_descriptions_are_no_changes() -> None:
    assert changes(policy(), policy(name="q", version="2", description="as before")) == ()


def test_a_check_without_an_owner_belongs_to_a_role() -> None:
    rules = PromotionRules(roles=ROLES)
    old = policy(promotion=rules)
    new = policy(*(c.model_copy(update={"waivable": not c.waivable}) for c in old.checks), promotion=rules)
    owners = {change.check: change.owner for change in changes(old, new)}
    assert owners == {"floor": "ml-owner", "violations": "safety-reviewer", "ttft": "ops", "equal": "ml-owner"}


def rules(
    signatures: dict[Role, int] | None = None, after: Stage | None = "canary", people: Any = None, **fields: Any
) -> Policy:
    stage = StageRules(signatures={"ml-owner": 1} if signatures is None else signatures, after=after)
    roles = {**ROLES, **(people or {})}
    return policy(promotion=PromotionRules(roles=roles, stages={"production": stage}, **fields))


STAGE = "promotion.stages.production"


@pytest.mark.parametrize(
    ("new", "field", "before", "after", "loosened"),
    [
        (rules({}), f"{STAGE}.signatures.ml-owner", "1", "0", True),
        (rules({"ml-owner": 2}), f"{STAGE}.signatures.ml-owner", "1", "2", False),
        (rules({"ml-owner": 1, "safety-reviewer": 1}), f"{STAGE}.signatures.safety-reviewer", "0", "1", False),
        (rules(after=None), f"{STAGE}.after", "canary", "none", True),
        (rules(after="shadow"), f"{STAGE}.after", "canary", "shadow", None),
        (rules(max_age_h=721), "promotion.max_age_h", "720.0", "721.0", True),
        (rules(approval_h=1), "promotion.approval_h", "168.0", "1.0", False),
        (
            rules(people={"ml-owner": ("mia", "max", "eve")}),
            "promotion.roles.ml-owner",
            "max, mia",
            "eve, max, mia",
            True,
        ),
        (rules(people={"ml-owner": ("mia",)}), "promotion.roles.ml-owner", "max, mia", "mia", False),
        (rules(people={"ml-owner": ("mia", "eve")}), "promotion.roles.ml-owner", "max, mia", "eve, mia", True),
    ],
)
def test_changed_rules_of_promotion(new: Policy, field: str, before: str, after: str, loosened: bool | None) -> None:
    change = only(rules(), new)
    assert (change.field, change.before, change.after) == (field, before, after)
    assert change.loosened is loosened


def test_rules_that_are_dropped_loosen() -> None:
    gone = changes(rules(), policy())
    assert gone[0] == PolicyChange(None, "promotion", "signatures and ages as written", "none", None, True)
    assert (f"{STAGE}.signatures.ml-owner", True) in [(c.field, c.loosened) for c in gone]
    assert changes(policy(), rules())[0].loosened is False


def test_naming_people_for_the_first_time_loosens_nothing() -> None:
    for old, new in ((policy(), rules()), (rules(), policy())):
        told = [change for change in changes(old, new) if change.field.startswith("promotion.roles.")]
        assert told
        assert {change.loosened for change in told} == {None}


def test_the_same_people_in_another_order_are_no_change() -> None:
    assert changes(rules(), rules(people={"ml-owner": ("max", "mia")})) == ()


def pin(**fields: Any) -> PolicyPin:
    said = {"log": None, "person": "rita", "nonce": "0" * 32, "channel": "flagship", "policy": digest_bytes(b"policy")}
    return PolicyPin(**{**said, "previous": None, "owners": ("rita", "max"), "reason": "agreed", **fields})


def test_what_evidence_must_rest_on_is_told_from_pin_to_pin() -> None:
    one, other = digest_bytes(b"one"), digest_bytes(b"other")
    before = pin(sets={"golden": one, "attacks": one, "same": one}, judge=one)
    after = pin(sets={"golden": other, "same": one, "new": one})
    told = pin_changes(before, after)
    assert [(c.field, c.before == "not pinned", c.after == "not pinned", c.loosened) for c in told] == [
        ("pinned set golden", False, False, None),
        ("pinned set attacks", False, True, True),
        ("pinned set new", True, False, False),
        ("pinned judge", False, True, True),
    ]
    assert {change.owner for change in told} == {"rita, max"}
    assert pin_changes(before, before) == ()
