"""Which prompts of a run are drawn for labels."""

from __future__ import annotations

from evalharness.outcomes import Arm
from evalharness.scoring import Asked
from golden_sets.records import Message, Prompt, PromptSet, SetKind
from pipelines.judge_run import Verdicts, key_of, label_probabilities
from tests.support.answers import answer


def run_of(number: int, failed_of_anchor: int) -> tuple[list[Asked], dict[Arm, Verdicts]]:
    """Prompts that every arm was asked; the anchor's request failed on the first so many."""
    prompts = tuple(
        Prompt(id=f"p{i}", messages=(Message(role="user", content=f"Question {i}"),), rubric="r") for i in range(number)
    )
    of = PromptSet(name="g", version="1", kind=SetKind.GOLDEN, prompts=prompts)
    asked = [Asked(of, prompt) for prompt in prompts]
    said = answer().judgment
    assert said is not None
    every = {key_of(one, "r"): said for one in asked}
    fewer = {key_of(one, "r"): said for one in asked[failed_of_anchor:]}
    return asked, {"candidate": every, "incumbent": every, "anchor": fewer}


def test_a_failed_request_of_one_arm_keeps_no_prompt_from_being_labelled() -> None:
    """Else the labels would speak for prompts that could never be drawn: those on which the anchor failed."""
    asked, verdicts = run_of(200, 100)
    drawn = label_probabilities(asked, verdicts, {"g": 80}, 0, first={"g"})
    of_failed = sum(int(name[1:]) < 100 for _, name in drawn)
    assert 30 <= of_failed <= 50
    assert len(drawn) >= 80


def test_a_prompt_that_nobody_answered_is_not_drawn() -> None:
    asked, verdicts = run_of(50, 10)
    gone = {arm: {k: v for k, v in said.items() if k[1] != "p3"} for arm, said in verdicts.items()}
    drawn = label_probabilities(asked, gone, {"g": 50}, 0, first={"g"})
    assert {name for _, name in drawn} == {f"p{i}" for i in range(50)} - {"p3"}
