"""Labels from outcomes: what an answer scores, what a failed request scores, and what is left out."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from evalharness.drawing import PromptId
from evalharness.outcomes import OutcomeTable
from golden_sets.errors import InputError
from golden_sets.records import Message, Prompt
from router_training.labels import pairs_from_outcomes, routed_text


def prompt(id_: str, text: str | None = None, **more: Any) -> Prompt:
    return Prompt(id=id_, messages=(Message(role="user", content=text or f"What about {id_} then?"),), **more)


def row(arm: str, id_: str, **columns: Any) -> dict[str, Any]:
    return {
        "arm": arm,
        "phase": "quality",
        "set_kind": "golden",
        "set_name": "routing",
        "prompt_id": id_,
        "cluster": id_,
        "usd": 0.01 if arm == "incumbent" else 0.1,
        **columns,
    }


def prompts(*found: Prompt, name: str = "routing") -> Mapping[PromptId, Prompt]:
    return {(name, one.id): one for one in found}


def test_a_known_truth_counts_in_place_of_the_judges_score() -> None:
    table = OutcomeTable.from_rows(
        [
            row("candidate", "a", outcome=1.0, score=0.75, label=1.0, label_p=1.0, scored_by="judge"),
            row("incumbent", "a", outcome=1.0, score=0.75, label=0.0, label_p=1.0, scored_by="judge"),
        ]
    )
    assert pairs_from_outcomes(table, prompts(prompt("a"))).pairs.delta.tolist() == [1.0]


def test_scores_are_the_judges_else_the_outcomes_and_failures_score_zero() -> None:
    table = OutcomeTable.from_rows(
        [
            row("candidate", "a", outcome=1.0, score=0.75, scored_by="judge"),
            row("incumbent", "a", outcome=0.0, score=0.25, scored_by="judge"),
            row("candidate", "b", outcome=1.0, scored_by="checker"),
            row("incumbent", "b", error="timeout"),
            row("incumbent", "c", outcome=1.0, scored_by="checker"),
            row("candidate", "c"),
            row("candidate", "a", phase="latency", e2e_s=1.0),
            row("candidate", "a", phase="criterion", variant="tone", outcome=0.0, score=0.0),
        ]
    )
    found = pairs_from_outcomes(table, prompts(prompt("a"), prompt("b"), prompt("c")))
    pairs = found.pairs
    assert pairs.ids == ("a", "b")
    assert pairs.prompts == ("What about a then?", "What about b then?")
    assert (pairs.small.tolist(), pairs.flagship.tolist()) == ([0.25, 0.0], [0.75, 1.0])
    assert pairs.small_usd is not None
    assert pairs.flagship_usd is not None
    assert (pairs.small_usd.tolist(), pairs.flagship_usd.tolist()) == ([0.01] * 2, [0.1] * 2)
    assert found.keys == (("routing", "a"), ("routing", "b"))
    assert found.unscored == (("routing", "c"),)
    assert found.failed == 1
    assert found.notes() == ["1 prompts are left out: an answer could not be scored", "1 requests failed: they score 0"]


def test_several_answers_count_with_their_mean() -> None:
    table = OutcomeTable.from_rows(
        [
            row("candidate", "a", outcome=1.0, usd=0.3),
            row("candidate", "a", outcome=0.0, repeat=1, usd=0.1),
            row("incumbent", "a", outcome=0.0),
            row("incumbent", "a", repeat=1),
        ]
    )
    found = pairs_from_outcomes(table, prompts(prompt("a")))
    assert (found.pairs.small.tolist(), found.pairs.flagship.tolist()) == ([0.0], [0.5])
    assert found.pairs.flagship_usd is not None
    assert found.pairs.flagship_usd.tolist() == [pytest.approx(0.2)]


def test_families_groups_and_names_come_from_the_sets() -> None:
    both = [
        row(arm, id_, set_name=name, outcome=1.0, usd=None)
        for arm in ("candidate", "incumbent")
        for name, id_ in (("x", "1"), ("x", "2"), ("y", "1"))
    ]
    known = {
        **prompts(prompt("1", "Name a bird.", cluster="k", dimensions={"category": "zoo"}), name="x"),
        **prompts(prompt("2", "Sing me a song about it.", cluster="k"), name="x"),
        **prompts(prompt("1", "Who wrote this?", cluster="k"), name="y"),
    }
    pairs = pairs_from_outcomes(OutcomeTable.from_rows(both), known).pairs
    assert pairs.ids == ("x/1", "x/2", "y/1")
    assert pairs.families == ("zoo", "x", "y")
    assert pairs.groups.tolist() == [0, 0, 1], "a cluster is one of its set"
    assert (pairs.small_usd, pairs.flagship_usd) == (None, None)


@pytest.mark.parametrize(
    ("rows", "what"),
    [
        ([row("candidate", "a", outcome=1.0)], "the small model did not answer prompt 'a' of 'routing'"),
        ([row("incumbent", "a", outcome=1.0)], "the flagship did not answer prompt 'a'"),
        ([row(arm, "z", outcome=1.0) for arm in ("candidate", "incumbent")], "no prompt 'z' in set 'routing'"),
        ([row(arm, "a") for arm in ("candidate", "incumbent")], "none of 1 prompts has a score of both"),
        (
            [row("candidate", "a", set_kind="adversarial", outcome=1.0)],
            "are of kind adversarial - label",
        ),
    ],
)
def test_outcomes_that_label_nothing_are_refused(rows: list[dict[str, Any]], what: str) -> None:
    with pytest.raises(InputError, match=what):
        pairs_from_outcomes(OutcomeTable.from_rows(rows), prompts(prompt("a")))


def test_the_text_that_is_routed() -> None:
    assert routed_text(prompt("a", " Hello? \n")) == "Hello?"
    said = (("system", "Be brief."), ("user", "What is 2 + 2?"), ("assistant", "4"), ("user", "And 3 + 3?"))
    talk = Prompt(id="t", messages=tuple(Message.model_validate({"role": r, "content": c}) for r, c in said))
    assert routed_text(talk) == "And 3 + 3?\n\n4\n\nWhat is 2 + 2?"
