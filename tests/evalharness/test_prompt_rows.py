from __future__ import annotations

from evalharness.drawing import PromptId
from evalharness.outcomes import OutcomeTable
from evalharness.prompt_rows import PromptRows
from tests.support.evidence import rows, table


def answered() -> PromptRows:
    """Five golden prompts and two adversarial ones of the same ids; the incumbent left out the last golden one."""
    latency = rows([None], start=7)
    latency[0]["phase"] = "latency"
    return PromptRows(
        table(
            rows([1.0, 1.0, 0.0, 1.0, 0.0]),
            rows([0.0, 0.0], kind="adversarial"),
            rows([1.0, 1.0, 1.0, 0.0], arm="incumbent"),
            rows([0.0, 0.0], kind="adversarial", arm="incumbent"),
            latency,
        )
    )


def of(prompts: list[PromptId]) -> tuple[OutcomeTable, int]:
    rows_of = answered()
    return rows_of.at(rows_of.places(prompts))


def test_the_rows_of_some_prompts_are_found_in_every_arm() -> None:
    found, missing = of([("golden-set", "p2"), ("adversarial-set", "p1")])
    assert missing == 0
    assert sorted(zip(found.frame["arm"], found.frame["set_name"], found.frame["prompt_id"], strict=True)) == [
        (arm, name, prompt)
        for arm in ("candidate", "incumbent")
        for name, prompt in (("adversarial-set", "p1"), ("golden-set", "p2"))
    ]


def test_prompts_that_some_arm_did_not_answer_are_counted() -> None:
    asked = [("golden-set", "p0"), ("golden-set", "p4"), ("golden-set", "p5"), ("elsewhere", "p0")]
    found, missing = of(asked)
    assert missing == 3
    assert len(found) == 3


def test_answers_of_the_latency_pass_do_not_count() -> None:
    found, missing = of([("golden-set", "p7")])
    assert missing == 1
    assert len(found) == 0
