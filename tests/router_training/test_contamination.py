"""Contamination: labelled prompts that evaluation sets hold, too, are found and refused."""

from __future__ import annotations

import numpy as np
import pytest

from golden_sets.errors import InputError
from golden_sets.records import Message, Prompt, PromptSet, SetKind
from router_training.contamination import overlap, refuse_overlap
from router_training.pairs import Pairs

PASSAGE = " ".join(f"word{k}" for k in range(30))


def pairs(*texts: str) -> Pairs:
    n = len(texts)
    return Pairs(texts, tuple(f"p{k}" for k in range(n)), np.zeros(n), np.ones(n), np.arange(n))


def evaluation_set(name: str, *texts: str) -> PromptSet:
    prompts = tuple(
        Prompt(id=f"{name}-{k}", messages=(Message(role="user", content=text),)) for k, text in enumerate(texts)
    )
    return PromptSet(kind=SetKind.GOLDEN, name=name, version="1", prompts=prompts)


def test_near_duplicates_and_shared_payloads_are_found() -> None:
    labelled = pairs(
        "How many legs has a common garden spider?",
        "What is the capital of France?",
        f"Sum this up: {PASSAGE}",
        "How many legs has a common garden spider",
        "What is 9 - 4?",
    )
    sets = [
        evaluation_set("golden", "how many legs has a common garden spider??", "What is the capital of Spain?"),
        evaluation_set("reading", f"Who speaks here? {PASSAGE} Answer in one word.", "What is 9 + 4?"),
    ]
    found = [(one.row, one.set_name, one.prompt_id) for one in overlap(labelled, sets)]
    assert found == [(0, "golden", "golden-0"), (2, "reading", "reading-0"), (3, "golden", "golden-0")]
    with pytest.raises(
        InputError, match=r"labels\.csv: 3 of 5 labelled prompts .*'golden-0' of set 'golden'; 'Sum"
    ) as e:
        refuse_overlap(labelled, overlap(labelled, sets), where="labels.csv")
    assert "word29" not in str(e.value), "long prompts are shortened"
    assert "--allow-contamination" in str(e.value)


def test_nothing_in_common_is_nothing_to_refuse() -> None:
    labelled = pairs("How many legs has a spider?", "Name three rivers.")
    assert overlap(labelled, [evaluation_set("golden", "Name three mountains.")]) == ()
    assert overlap(labelled, []) == ()
    refuse_overlap(labelled, ())


def test_a_preamble_that_both_share_is_no_contamination() -> None:
    preamble = f"You are a helpful assistant of the house. {PASSAGE}"
    labelled = pairs(*(f"{preamble} labelled question number {k}?" for k in range(40)))
    sets = [evaluation_set("golden", *(f"{preamble} tested matter {k}, please" for k in range(40)))]
    assert overlap(labelled, sets) == ()
