"""Answers of a run, made without a model."""

from __future__ import annotations

from typing import Any

from evalharness.generation_records import ErrorKind, Generation, Judgment, ParseStatus
from evalharness.scoring import Answer, Asked
from golden_sets.records import Message, Prompt, PromptSet, SetKind


def answer(
    text: str = "Paris",
    *,
    verdict: str | None = "pass",
    prompt_id: str = "p1",
    kind: SetKind = SetKind.GOLDEN,
    arm: Any = "candidate",
    failed: bool = False,
    **known: Any,
) -> Answer:
    """An answer with the judge's verdict; ``prompt``: keys of the prompt; the rest as `Answer` has it."""
    keys = {"rubric": "correctness", **known.pop("prompt", {})}
    prompt = Prompt(id=prompt_id, messages=(Message(role="user", content=f"Question {prompt_id}"),), **keys)
    of = PromptSet(name=f"{kind.value}-set", version="1", kind=kind, prompts=(prompt,))
    generation = Generation(
        candidate_digest=arm,
        request_digest=prompt.request_digest,
        repeat=0,
        text=text,
        finish_reason="stop",
        error=ErrorKind.TIMEOUT if failed else None,
        error_detail=None,
        prompt_tokens=1,
        output_tokens=1,
        ttft_s=None,
        tpot_s=None,
        e2e_s=0.1,
    )
    said = None if verdict is None else float(verdict == "pass")
    judgment = Judgment("judge", "rubric", "input", 0, 0, said, verdict, "", ParseStatus.TEXT)
    fields = {
        "phase": "quality",
        "usd": None,
        "judgment": None if failed else judgment,
        "label_source": "file",
        **known,
    }
    return Answer(asked=Asked(of, prompt), arm=arm, generation=generation, **fields)
