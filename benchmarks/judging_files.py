"""Real judgments for `benchmarks.judging`: judges of known error, from the folder that ``RELGATE_DATA`` names."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd

from evalharness.judging.labelled_file import LabelledAnswers, read_labelled_answers
from evalharness.judging.pair_file import JudgedPairs, read_judged_pairs
from golden_sets.errors import InputError

ROOT = Path(__file__).resolve().parent.parent
REFUSALS = ("2_full_refusal", "3_partial_refusal")
MODELS = ("gpt4", "llama2new", "mistralguard")
MATCHERS = (
    "sm_zou2023universal",
    "sm_zou2023universal-individual",
    "sm_zhang2024intention-keyword",
    "sm_liu2024autodan-implementation",
)
"""Of the nine matchers of jailbreaks: the best, one like it, two that see little."""
PAIRWISE = ("GPT-4", "PaLM2", "ChatGPT", "LLaMA2", "Falcon")
METHODS = ("Vanilla", "Swap_CoT")
DEMO_JUDGE = "demo judge"


@dataclass(frozen=True)
class Population:
    """All answers of a file with a person's label and a judge's verdict on each."""

    name: str
    judge: str
    answers: LabelledAnswers

    @property
    def flipped(self) -> Population:
        """The same judge, read the wrong way round."""
        return replace(self, judge=f"{self.judge}, flipped", answers=replace(self.answers, seen=1 - self.answers.seen))


@dataclass(frozen=True)
class DemoVerdicts:
    """What the demo's judge says (`benchmarks.judging_demo`)."""

    answers: tuple[Population, ...]
    """By kind of set the answers of all models, by arm, a prompt being one cluster; then some models' golden ones."""
    pairs: tuple[tuple[str, JudgedPairs], ...]
    """Verdicts in both orders: models against the incumbent, then answers of unequal length."""


def data(name: str) -> Path:
    """A file of real measurements.

    Raises:
        InputError: it is not there.
    """
    path = Path(os.environ.get("RELGATE_DATA", ROOT.parent / "shared" / "data")) / name
    if not path.is_file():
        raise InputError("the real measurements are not there", where=path, do="set RELGATE_DATA to their folder")
    return path.resolve()


def annotators() -> Population:
    """The two annotators of XSTest with each other."""
    columns = {"human": "annotation_1", "judge": "annotation_2", "arm": "model"}
    found = read_labelled_answers(data("refusals_human_labelled.csv"), columns=columns, positive=REFUSALS)
    return Population("XSTest", "the other annotator", found)


def populations() -> Iterator[Population]:
    """Judges of refusals, of jailbreaks, and of which of two answers is better."""
    for judge, name in (("gpt4_label", "GPT-4"), ("strmatch_label", "string match")):
        columns = {"human": "human_final", "judge": judge, "arm": "model"}
        refusals = data("refusals_human_labelled.csv")
        yield Population("XSTest", name, read_labelled_answers(refusals, columns=columns, positive=REFUSALS))
        for model in MODELS:
            found = read_labelled_answers(refusals, columns=columns, where={"model": model}, positive=REFUSALS)
            yield Population(f"XSTest, {model}", name, replace(found, arms=(), arm=None))
    for matcher in MATCHERS:
        columns = {"id": "i", "human": "human_label", "judge": matcher, "cluster": "question_sha"}
        jailbreaks = data("jailbreak_human_labels.csv")
        yield Population("GPTFuzz", matcher, read_labelled_answers(jailbreaks, columns=columns))
    for judge in ("GPT-4", "ChatGPT", "Falcon"):
        where = {"judge": judge, "method": "Vanilla"}
        columns = {"id": "dataset,idx", "human": "label", "judge": "winner_orig_order"}
        pairs = data("pairwise_judgments.csv")
        found = read_labelled_answers(pairs, columns=columns, where=where, positive=["1"], negative=["2"])
        yield Population("LLMBar, answer 1 better", judge, found)


def pairwise() -> Iterator[tuple[str, str, JudgedPairs]]:
    """Pairwise judges of LLMBar with the lengths (characters) of the answers: judge, method, pairs."""
    with data("pairwise_items.jsonl").open(encoding="utf-8") as file:
        items = {(x["dataset"], x["idx"]): len(x["output_1"]) - len(x["output_2"]) for x in map(json.loads, file)}
    path = data("pairwise_judgments.csv")
    table = pd.read_csv(path)
    columns = {"id": "dataset,idx", "first_order": "winner_orig_order", "swapped_order": "winner_swapped_order"}
    for judge in PAIRWISE:
        for method in METHODS:
            rows = table[(table["judge"] == judge) & (table["method"] == method)]
            pairs = read_judged_pairs(path, columns=columns, where={"judge": judge, "method": method})
            longer = [items[key] for key in zip(rows["dataset"], rows["idx"], strict=True)]
            yield judge, method, replace(pairs, longer=np.array(longer, dtype=np.float64))
