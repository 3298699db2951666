"""Attempts of a lineage and exposure of sets, on both databases."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from gates.decision import Decision
from gates.registry import Registry, ledger
from gates.registry.transactions import writing
from golden_sets.digests import digest_bytes
from golden_sets.errors import InputError

if TYPE_CHECKING:
    from sqlalchemy import Engine

    from tests.gates.registry.conftest import Maker

LINEAGE = "flagship/main"
ROOT = Path(__file__).parents[3]

BEGIN = """
import sys
from evalharness.database import open_database
from gates.registry import Registry
url, subject = sys.argv[1:]
registry = Registry(open_database(url))
print("ready", flush=True)
sys.stdin.readline()
print(registry.begin_attempt("flagship/main", {"golden": "sha256:set"}, subject, "sha256:question"))
"""


def named(name: str) -> str:
    return digest_bytes(name.encode())


def begin(registry: Registry, subject: str, *sets: str, question: str = "is it good?", lineage: str = LINEAGE) -> int:
    return registry.begin_attempt(lineage, {s: named(s) for s in sets or ("golden",)}, named(subject), named(question))


def look_up(registry: Registry, subject: str | None, *sets: str, question: str = "is it good?") -> int:
    digest = None if subject is None else named(subject)
    return registry.attempt_number(LINEAGE, {s: named(s) for s in sets or ("golden",)}, digest, named(question))


def test_every_new_subject_on_the_same_sets_is_another_attempt(registry: Registry) -> None:
    assert [begin(registry, name) for name in ("v2", "v3", "v4")] == [1, 2, 3]
    assert registry.verify().problems == ()


def test_the_same_attempt_keeps_its_number_and_writes_nothing(registry: Registry) -> None:
    assert (begin(registry, "v2"), begin(registry, "v3")) == (1, 2)
    before = registry.log()
    assert (begin(registry, "v2"), begin(registry, "v3")) == (1, 2)
    assert registry.log() == before


def test_another_question_about_the_same_subject_is_another_attempt(registry: Registry) -> None:
    assert begin(registry, "v2") == 1
    assert begin(registry, "v2", question="is it good, other prompts?") == 2
    assert begin(registry, "v2") == 1


def test_only_attempts_that_share_a_set_are_counted(registry: Registry) -> None:
    assert begin(registry, "v2", "golden", "adversarial") == 1
    assert begin(registry, "v3", "another") == 1
    assert begin(registry, "v4", "adversarial", "another") == 3
    assert begin(registry, "v5", "golden") == 2


def test_a_set_is_known_by_its_digest_and_by_its_name(registry: Registry) -> None:
    assert begin(registry, "v2", "golden") == 1
    renamed = {"renamed": named("golden")}
    assert registry.begin_attempt(LINEAGE, renamed, named("v3"), named("is it good?")) == 2
    changed = {"golden": named("golden with other prompts")}
    assert registry.begin_attempt(LINEAGE, changed, named("v4"), named("is it good?")) == 2
    fresh = {"golden-2": named("golden with other prompts, all of them")}
    assert registry.begin_attempt(LINEAGE, fresh, named("v5"), named("is it good?")) == 1


def test_lineages_are_counted_apart(registry: Registry) -> None:
    assert begin(registry, "v2") == 1
    assert begin(registry, "v2", lineage="small/main") == 1
    assert begin(registry, "v3") == 2


def test_looking_up_a_number_writes_nothing_and_foretells_it(registry: Registry) -> None:
    begin(registry, "v2")
    before = registry.log()
    assert (look_up(registry, "v2"), look_up(registry, "v3"), look_up(registry, None)) == (1, 2, 2)
    assert look_up(registry, "v3", "another") == 1
    assert registry.log() == before
    assert begin(registry, "v3") == 2


@pytest.mark.parametrize(("subjects", "numbers"), [(("v2", "v3", "v4"), [1, 2, 3]), (("v2", "v2", "v2"), [1, 1, 1])])
def test_several_processes_at_once_count_correctly(
    url: str, registry: Registry, subjects: tuple[str, ...], numbers: list[int]
) -> None:
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", BEGIN, url, named(subject)],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
        )
        for subject in subjects
    ]
    for process in processes:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("\n")
        process.stdin.flush()
    assert sorted(int(process.communicate(timeout=60)[0]) for process in processes) == numbers
    assert len(registry.log()) == len(set(subjects))
    assert registry.verify().problems == ()


def test_an_attempt_is_in_the_log_under_its_subject(registry: Registry, make: Maker) -> None:
    release = make.release("v2", None)
    make.record(registry, release)
    (event,) = [e for e in registry.show("v2").events if e.type == "attempted"]
    assert event.payload == {
        "lineage": release.plan.lineage,
        "sets": release.plan.set_digests,
        "subject": release.candidate.digest,
        "name": "v2",
        "question": release.plan.digest,
        "number": 1,
    }


def test_a_decision_needs_the_attempt_that_it_says_it_was(registry: Registry, make: Maker) -> None:
    second = make.release("v2", None, lineage=LINEAGE, attempt=2)
    registry.record_policy(make.policy)
    registry.record_plan(second.plan)
    registry.record_evidence(second.evidence, second.outcomes)
    subject = second.candidate.digest

    def refused(
        decision: Decision = second.decision, match: str = "attempt 2 of flagship/main, .* not counted"
    ) -> None:
        before = registry.log()
        with pytest.raises(InputError, match=match):
            registry.record_decision(decision)
        assert registry.log() == before
        assert not registry.has_begun(second.plan, subject)

    refused()
    assert make.begin(registry, second) == 1  # the ledger counts, not the plan
    refused()
    refused(second.decision.model_copy(update={"attempt": 1}), "attempt 1 of")
    assert make.begin(registry, make.release("v3", None, lineage=LINEAGE)) == 2
    refused()
    another = {"another": named("another set")}
    for question, number in (("first", 1), ("second", 2)):
        assert registry.begin_attempt(LINEAGE, another, subject, named(question)) == number
    refused()
    registry.record_decision(second.decision.model_copy(update={"attempt": None}))


def test_a_decision_whose_attempt_was_begun_is_recorded(registry: Registry, make: Maker) -> None:
    first = make.release("v2", None, lineage=LINEAGE)
    make.record(registry, first)
    second = make.release("v3", None, lineage=LINEAGE, attempt=2)
    make.record(registry, second)
    assert registry.has_begun(second.plan, second.candidate.digest)
    assert not registry.has_begun(second.plan, first.candidate.digest)
    assert registry.verify().problems == ()


def test_exposure_counts_the_subjects_that_a_set_has_measured(registry: Registry, make: Maker) -> None:
    (golden,) = make.release("v2", None).plan.set_digests.values()
    assert registry.exposures(golden) == 0
    for name in ("v2", "v3"):
        make.record(registry, make.release(name, None))
    assert registry.exposures(golden) == 2
    again = make.release("v2", None, lineage="small/main")
    make.record(registry, again)
    assert registry.exposures(golden) == 2
    assert registry.exposures(named("never asked")) == 0
    assert registry.exposures(again.candidate.digest) == 0


@pytest.mark.parametrize(
    ("change", "finding"),
    [
        ({"number": 1}, "counts attempt 1, it is attempt 2"),
        ({"number": 7}, "counts attempt 7, it is attempt 2"),
        ({"subject": named("v2"), "number": 2}, "counts an attempt that was counted before"),
        ({"number": None}, "has no number that could be one"),
    ],
)
def test_an_attempt_counted_wrongly_is_found(
    registry: Registry, engine: Engine, change: dict[str, Any], finding: str
) -> None:
    begin(registry, "v2")
    payload = {**registry.log()[0].payload, "subject": named("v3"), **change}
    with writing(engine) as connection:
        ledger.append(connection, "attempted", "mallory", payload)
    problems = registry.verify().problems
    assert any(finding in problem for problem in problems), problems


def test_an_attempt_without_its_sets_is_found(registry: Registry, engine: Engine) -> None:
    payload = {"lineage": LINEAGE, "subject": named("v2"), "question": named("question"), "number": 1}
    with writing(engine) as connection:
        ledger.append(connection, "attempted", "mallory", payload)
    assert any("lacks 'sets'" in problem for problem in registry.verify().problems)
