"""Corrected rates hold what people see, for good judges and bad ones: a part of ``benchmarks.judging``."""

from __future__ import annotations

import pytest

from benchmarks.judging import DRAWS, GOOD, coverage, judges
from tests.support.shared_data import needs_data

RESAMPLES = 300
CHOSEN = [
    ("XSTest", "the other annotator"),
    ("XSTest, gpt4", "GPT-4"),
    ("XSTest, gpt4", "GPT-4, flipped"),
    ("XSTest, mistralguard", "string match"),
    ("GPTFuzz", "sm_zou2023universal"),
    ("LLMBar, answer 1 better", "ChatGPT"),
]


@pytest.mark.slow
@pytest.mark.shared_data
@needs_data
@pytest.mark.parametrize(("name", "judge"), CHOSEN)
@pytest.mark.parametrize("drawn", DRAWS)
def test_corrected_rates_cover_and_good_judges_narrow_them(name: str, judge: str, drawn: str) -> None:
    population = next(one for one in judges() if (one.name, one.judge) == (name, judge))
    found = coverage(population, drawn, RESAMPLES)
    assert found.corrected >= 0.93
    assert found.width_ratio < (0.95 if found.kappa >= GOOD else 1.1)
    if found.kappa < 0.1:
        assert found.rogan_gladen_refused > 0.8
