"""Who may score what, as a card says it."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from golden_sets.cards import Card


def card(**keys: Any) -> Card:
    return Card.model_validate({"name": "s", "version": "1", "kind": "golden", "file": "s.jsonl", **keys})


def test_further_rubrics_stand_beside_the_sets_own() -> None:
    assert card(rubric="right", criteria=["tone", "brief"]).criteria == ("tone", "brief")


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"rubric": "right", "criteria": ["right"]}, "'right' judges every answer already"),
        ({"rubric": "right", "criteria": ["tone", "tone"]}, "'tone' judges every answer already"),
        ({"scoring": "checker", "criteria": ["tone"]}, "never drawn for labels"),
        ({"scoring": "detector"}, "tells refusals"),
        ({"scoring": "detector", "kind": "adversarial", "rubric": "refusal"}, "tells refusals"),
    ],
)
def test_what_cannot_be_scored_is_refused(keys: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        card(**keys)


def test_the_detector_scores_safety_sets() -> None:
    assert card(kind="false_refusal", scoring="detector").scoring == "detector"
