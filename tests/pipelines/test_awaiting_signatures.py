"""A release that passed and waits for people: its submitter signs it, nothing moves, and it moves once all signed."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from gates.decision import Verdict
from gates.registry import Registry
from gates.signing.predicates import Submission
from golden_sets.errors import InputError
from pipelines.router_release import RouterRelease
from tests.support.router_releases import POLICY, RouterLine, scored
from tests.support.signed_registry import People

RULES = """\
promotion:
  roles: {submitter: [sam], ml-owner: [max]}
  stages: {production: {signatures: {ml-owner: 1}}}
"""


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("base")
    RouterLine(directory).router("any")
    return directory / "base"


@pytest.fixture
def line(tmp_path: Path, base: Path, monkeypatch: pytest.MonkeyPatch) -> RouterLine:
    """A line of routers whose policy wants an ML owner's approval."""
    monkeypatch.delenv("RELGATE_KEY", raising=False)
    shutil.copytree(base, tmp_path / "base")
    (tmp_path / "router-policy.yaml").write_text(POLICY + RULES)
    return RouterLine(tmp_path)


@pytest.fixture
def people(line: RouterLine) -> People:
    return People(line.place().registry)


def submissions(registry: Registry, result: RouterRelease) -> list[Submission]:
    given = registry.authority(result.decision.digest).given.get(result.decision.digest, [])
    return [one.act for one in given if isinstance(one.act, Submission)]


def key_of(people: People, person: str, folder: Path) -> str:
    path = folder / "keys" / person
    if not path.exists():
        people.keys[person].write(path)
    return str(path)


def test_it_waits_and_moves_when_all_have_signed(
    line: RouterLine, people: People, monkeypatch: pytest.MonkeyPatch
) -> None:
    router = line.router("first")
    unsigned = line.release(router, scored())
    assert (unsigned.decision.verdict, unsigned.exit_code, unsigned.promoted) == (Verdict.PROMOTE, 5, False)
    assert unsigned.awaiting == ("no submitter has signed the decision", "1 of ml-owner must approve")
    assert unsigned.to_json()["awaiting"] == list(unsigned.awaiting)
    assert unsigned.state.generation == 1

    monkeypatch.setenv("RELGATE_KEY", key_of(people, "sam", line.directory))
    submitted = line.release(router, scored())
    assert (submitted.exit_code, submitted.recorded) == (5, True)
    assert submitted.awaiting == ("1 of ml-owner must approve",)
    again = line.release(router, scored())
    (submission,) = submissions(people.registry, again)
    assert (submission.person, submission.verdict) == ("sam", "promote")
    assert submission.inference

    people.approve(again.decision, "max", channel="router")
    done = line.release(router, scored())
    assert (done.exit_code, done.promoted, done.awaiting) == (0, True, ())
    assert done.state.digest == router.digest
    assert people.registry.verify().problems == ()


def test_without_a_wish_to_promote_nothing_is_awaited(line: RouterLine, people: People) -> None:
    result = line.release(line.router("first"), scored(), promote=False)
    assert (result.exit_code, result.promoted, result.awaiting) == (0, False, ())
    assert people.registry.channels() == []


def test_a_blocked_release_is_blocked_whoever_signs(
    line: RouterLine, people: People, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RELGATE_KEY", key_of(people, "sam", line.directory))
    result = line.release(line.router("greedy", threshold=1.0), scored())
    assert (result.exit_code, result.awaiting) == (1, ())
    (submission,) = submissions(people.registry, result)
    assert submission.verdict == "block"


@pytest.mark.parametrize(("person", "why"), [("max", "does not hold the role 'submitter'"), ("gone", "is revoked")])
def test_a_key_that_does_not_submit_is_a_warning(
    line: RouterLine, people: People, monkeypatch: pytest.MonkeyPatch, person: str, why: str
) -> None:
    people.enrol("gone")
    monkeypatch.setenv("RELGATE_KEY", key_of(people, person, line.directory))
    people.revoke("gone")
    result = line.release(line.router("first"), scored())
    assert result.exit_code == 5
    assert [why in warning for warning in result.warnings if "not signed as submitter" in warning] == [True]


def test_a_release_to_a_stage_that_comes_after_another_says_where_to_begin(line: RouterLine, people: People) -> None:
    rules = RULES.replace("{ml-owner: 1}}}", "{ml-owner: 1}, after: canary}}")
    (line.directory / "router-policy.yaml").write_text(POLICY + rules)
    result = line.release(line.router("first"), scored())
    assert (result.exit_code, result.promoted) == (1, False)
    assert "moves the project's stage, production" in result.warnings[-1]


def test_another_policy_than_the_pinned_one_moves_nothing(line: RouterLine, people: People) -> None:
    place = line.place()
    first = line.release(line.router("first"), scored(), promote=False)
    place.registry.promote(
        "router",
        "production",
        place.registry.resolve("always-flagship"),
        decision_digest=None,
        expected_generation=0,
        reason="first",
    )
    stricter = place.policy.policy.model_copy(update={"version": "2"})
    people.pin(stricter, channel="router")
    result = line.release(line.router("first"), scored())
    assert result.decision.digest == first.decision.digest
    assert (result.exit_code, result.promoted) == (1, False), "no signature would help"
    assert "moves under the pinned policy" in result.to_json()["refused"][0]
    assert any("not promoted" in warning for warning in result.warnings)
    with pytest.raises(InputError, match="moves under the pinned policy"):
        place.registry.promote(
            "router",
            "production",
            result.decision.subject_digest,
            decision_digest=result.decision.digest,
            expected_generation=1,
        )
