"""How good is a router on real models' outcomes, by the metrics of RouteLLM, against the baselines?

``python -m benchmarks.router [--quick] [--cache FILE] [--out DIR]`` writes ``router.json`` and
``router.md``. For every data set, number of training prompts and seed: the prompts are split by group, features and
head are chosen and fitted on the training part alone (`router_training.choosing`), and all the rest is the test, looked
at once. Beside the chosen head stand the single heads, each with the setting that was best in the same validation, and
prompt length. Seeds 0 to 9.

APGR is given twice: over the whole curve (``area``; the issue's figures for length are of this kind) and with
RouteLLM's ten thresholds (``apgr``), which cuts a little off a curved frontier. P(hard) is calibrated on the held-out
predictions of the training prompts. Differences are paired bootstraps by group, of the area.

Leave-subject-out holds each MMLU subject out of the fit in turn, with one head for all (``kernel``, default setting,
all cheap features), and ranks all prompts together.

``--encoders`` compares, instead, depths and precisions of the encoder by held-out predictions *within* the training
parts: ``router_encoders.json`` and ``router_encoders.md``.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks.router_report import encoder_table, markdown
from benchmarks.routing_data import embedded, mmlu, nine_models
from router_training.baselines import length_scores
from router_training.calibrating import brier, calibrated, ece, fit_p_hard
from router_training.choosing import Choice, choose_head, grouped_folds
from router_training.comparing import order_gain
from router_training.features import CHEAP, features
from router_training.frontier import apgr, cpt
from router_training.heads.fitting import fit_head
from router_training.heads.head import Matrix
from router_training.pairs import Codes, Floats, Pairs
from router_training.resampling import Resamples
from router_training.training import Settings

SEEDS = 10
DRAWS = 1000
SIMPLE = ("ridge", "logistic", "knn")
"""Single heads that are as simple as the usual recipe."""
ENCODERS: tuple[Settings, ...] = (
    Settings(layers=0),
    Settings(layers=1),
    Settings(layers=2),
    Settings(layers=3),
    Settings(layers=6),
    Settings(precision="fp32"),
    Settings(precision="fp32", layers=6),
    Settings(max_tokens=256),
)


@dataclass(frozen=True)
class Task:
    """Prompts, and how many of them are for training."""

    name: str
    pairs: Callable[[], Pairs]
    training: int


@cache
def _mmlu() -> Pairs:
    return mmlu()


@cache
def _without_moral_scenarios() -> Pairs:
    pairs = _mmlu()
    assert pairs.families is not None
    return pairs.take(np.array([family != "moral_scenarios" for family in pairs.families]))


TASKS = (
    Task("MMLU", _mmlu, 5000),
    Task("MMLU", _mmlu, 1500),
    Task("MMLU without moral_scenarios", _without_moral_scenarios, 5000),
    Task("nine models", cache(nine_models), 2800),
)


def area(predictions: Floats, delta: Floats) -> float:
    """APGR over the whole curve."""
    return order_gain(predictions, delta)[0] / float(delta.mean()) + 0.5


def split(groups: Codes, training: int, seed: int) -> tuple[Codes, Codes]:
    """Rows to train and to test on: groups in random order until there are enough training prompts."""
    names, codes = np.unique(groups, return_inverse=True)
    place = np.random.default_rng(seed).permutation(len(names))[codes]
    order = np.argsort(place, kind="stable")
    last = place[order[training - 1]]
    return np.flatnonzero(place <= last), np.flatnonzero(place > last)


def once(pairs: Pairs, vectors: Matrix, training: int, seed: int) -> dict[str, Any]:
    """One split: what was chosen, and the metrics of every way on the test."""
    train, test = split(pairs.groups, training, seed)
    learnt, unseen = pairs.take(train), pairs.take(test)
    start = time.process_time()
    choice = choose_head(learnt, vectors[train], seed=seed)
    seconds = time.process_time() - start
    seen = features(unseen.prompts, vectors[test], choice.features)
    scores = {
        "router": choice.head.predict(seen),
        "length": length_scores(unseen.prompts),
        **_single_heads(choice, learnt, vectors[train], seen, seed),
    }
    p_hard = calibrated(fit_p_hard(choice.out_of_fold, learnt.hard, learnt.groups), scores["router"])
    best = max(SIMPLE, key=lambda name: area(scores[name], unseen.delta))
    areas = _areas(scores, unseen)
    return {
        "seed": seed,
        "training": len(train),
        "test": len(test),
        "cpu_seconds": seconds,
        "chosen": choice.chosen.to_json(learnt.delta),
        "ways": {name: _metrics(scores[name], unseen) for name in scores},
        "characters": area(np.array([float(len(prompt)) for prompt in unseen.prompts]), unseen.delta),
        "best_simple": best,
        "minus_length": _difference(areas["router"] - areas["length"]),
        "minus_best_simple": _difference(areas["router"] - areas[best]),
        "ece": ece(p_hard, unseen.hard),
        "brier": brier(p_hard, unseen.hard),
        "brier_of_a_constant": float(unseen.hard.mean() * (1 - unseen.hard.mean())),
    }


def _single_heads(choice: Choice, learnt: Pairs, vectors: Matrix, seen: Matrix, seed: int) -> Mapping[str, Floats]:
    """Each kind of head alone, with the setting that validation liked best."""
    inputs = features(learnt.prompts, vectors, choice.features)
    found: dict[str, Floats] = {}
    for kind in dict.fromkeys(trial.members[0][0] for trial in choice.trials if len(trial.members) == 1):
        trials = [trial for trial in choice.trials if len(trial.members) == 1 and trial.members[0][0] == kind]
        settings = dict(max(trials, key=lambda trial: trial.gain).members[0][1])
        settings.pop("seeds", None)
        found[kind] = fit_head(kind, inputs, learnt, seed=seed, **settings).predict(seen)
    return found


def _metrics(scores: Floats, pairs: Pairs) -> dict[str, float | None]:
    return {
        "area": area(scores, pairs.delta),
        "apgr": apgr(scores, pairs.delta),
        "cpt50": cpt(scores, pairs.delta, 0.5),
        "cpt80": cpt(scores, pairs.delta, 0.8),
    }


def _areas(scores: Mapping[str, Floats], pairs: Pairs) -> Mapping[str, Floats]:
    """Area of every way on resamples of the test by group; the same resamples for all."""
    delta = pairs.delta
    orders = {name: np.unique(values, return_inverse=True)[1] for name, values in scores.items()}
    draws: dict[str, list[float]] = {name: [] for name in scores}
    for times in Resamples(pairs.groups, draws=DRAWS).chunks():
        for row in times:
            gap = float(row @ delta)
            for name, places in orders.items():
                counts = np.bincount(places, weights=row)
                below = (np.cumsum(counts) - counts / 2) / counts.sum()
                draws[name].append(float((row * delta) @ below[places]) / gap)
    return {name: np.array(values) for name, values in draws.items()}


def _difference(draws: Floats) -> dict[str, float]:
    low, high = np.quantile(draws, [0.025, 0.975])
    return {"value": float(draws.mean()), "low": float(low), "high": float(high)}


def leave_subject_out(pairs: Pairs, vectors: Matrix, *, training: int = 5000) -> dict[str, Any]:
    """Every subject predicted by a head that was fitted on prompts of the other subjects."""
    assert pairs.families is not None
    subjects = np.array(pairs.families)
    inputs = features(pairs.prompts, vectors, CHEAP)
    predicted = np.zeros(len(pairs))
    for number, subject in enumerate(np.unique(subjects)):
        held_out = subjects == subject
        others = np.flatnonzero(~held_out & ~np.isin(pairs.groups, pairs.groups[held_out]))
        rows = np.sort(np.random.default_rng(number).choice(others, training, replace=False))
        predicted[held_out] = fit_head("kernel", inputs[rows], pairs.take(rows)).predict(inputs[held_out])
    length = length_scores(pairs.prompts)
    areas = _areas({"router": predicted, "length": length}, pairs)
    return {
        "training": training,
        "router": {**_metrics(predicted, pairs), "interval": _difference(areas["router"])},
        "length": {**_metrics(length, pairs), "interval": _difference(areas["length"])},
        "minus_length": _difference(areas["router"] - areas["length"]),
    }


def encoders(tasks: Sequence[Task], cache_file: Path, seeds: int) -> Iterator[dict[str, Any]]:
    """Held-out area within the training parts, by encoder; ``kernel`` with its default setting, no cheap features."""
    for settings in ENCODERS:
        for task in tasks:
            pairs = task.pairs()
            vectors = embedded(pairs, cache_file, settings)
            found = [_held_out_area(pairs, vectors, task.training, seed) for seed in range(seeds)]
            yield {
                "data": task.name,
                "training": task.training,
                "precision": settings.precision,
                "layers": settings.layers,
                "max_tokens": settings.max_tokens,
                "area": float(np.mean(found)),
                "sd": float(np.std(found, ddof=1)),
                "seeds": seeds,
            }


def _held_out_area(pairs: Pairs, vectors: Matrix, training: int, seed: int) -> float:
    train, _ = split(pairs.groups, training, seed)
    learnt, seen = pairs.take(train), vectors[train]
    parts = grouped_folds(learnt.groups, 3, seed)
    predicted = np.zeros(len(learnt))
    for part in range(3):
        fitted, held_out = np.flatnonzero(parts != part), np.flatnonzero(parts == part)
        head = fit_head("kernel", seen[fitted], learnt.take(fitted), seed=seed)
        predicted[held_out] = head.predict(seen[held_out])
    return area(predicted, learnt.delta)


def measure(options: argparse.Namespace) -> dict[str, Any]:
    """All that was asked for."""
    settings, seeds = Settings(), 2 if options.quick else SEEDS
    found: dict[str, Any] = {
        "encoder": {"precision": settings.precision, "layers": settings.layers, "max_tokens": settings.max_tokens},
        "seeds": seeds,
        "bootstrap": DRAWS,
        "tasks": [],
    }
    for task in TASKS:
        pairs = task.pairs()
        vectors = embedded(pairs, options.cache)
        runs = []
        for seed in range(seeds):
            runs.append(once(pairs, vectors, task.training, seed))
            ways = runs[-1]["ways"]
            print(
                task.name, task.training, seed, {name: round(way["area"], 3) for name, way in ways.items()}, flush=True
            )
        found["tasks"].append({"data": task.name, "prompts": len(pairs), "training": task.training, "runs": runs})
    found["leave_subject_out"] = leave_subject_out(_mmlu(), embedded(_mmlu(), options.cache))
    return found


def main() -> None:
    """Measure, write JSON and Markdown, print the latter."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="two seeds only")
    parser.add_argument("--encoders", action="store_true", help="compare depths and precisions instead")
    parser.add_argument(
        "--cache", type=Path, default=Path("routing-embeddings.sqlite"), help="where embeddings are kept"
    )
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results"), help="directory for the two files")
    options = parser.parse_args()
    torch.set_num_threads(1)
    if options.encoders:
        rows = list(encoders((TASKS[0], TASKS[3]), options.cache, 2 if options.quick else 3))
        _write(options.out, "router_encoders", rows, encoder_table(rows))
    else:
        found = measure(options)
        _write(options.out, "router", found, markdown(found))


def _write(out: Path, name: str, found: Any, text: str) -> None:
    out.mkdir(parents=True, exist_ok=True)
    (out / f"{name}.json").write_text(json.dumps(found, indent=1) + "\n", "utf-8")
    (out / f"{name}.md").write_text(text, "utf-8")
    print(text, end="")


if __name__ == "__main__":
    main()
