"""Judges of known error on real data: agreement, corrected rates with their coverage, position and verbosity bias.

``python -m benchmarks.judging [--quick] [--json] [--no-demo] [--out DIR]`` writes ``judging.json`` and ``judging.md``.
The demo's judge is served by vLLM on this machine (``--no-demo`` leaves it out). Seeded; takes about a quarter of an
hour, with ``--quick`` a few minutes.

Coverage: every answer of a file has a person's label, so the rate that people see is known. Of these labels 100 are
drawn, the rest hidden, and the rate is estimated from all verdicts and the 100 labels, as ``relgate judge calibrate``
does. Three ways of drawing:

* labels: the file as it is, 100 labels at random;
* by verdict: 50 labels from each verdict of the judge, weighted by the inverse of their probability;
* answers: whole clusters of answers drawn anew with replacement, then 100 labels: the file's rate is the truth of a
  population.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.judging_files import DEMO_JUDGE, MODELS, DemoVerdicts, Population, annotators, pairwise, populations
from evalharness.event_loop import run_async
from evalharness.judging.file_calibration import Agreement, agreement, calibrate_answers
from evalharness.judging.labelled_file import LabelledAnswers
from evalharness.judging.pair_agreement import judge_pairs
from evalharness.judging.trust import trust
from evalharness.statistics import Interval
from golden_sets.records import SetKind

LABELS = 100
RESAMPLES = 1000
QUICK = 100
GOOD = 0.6
"""Kappa from which a judge is called good here: its verdicts must then narrow the interval."""
SEED = 401
Draw = Callable[[LabelledAnswers, np.random.Generator], LabelledAnswers]


@dataclass(frozen=True)
class Coverage:
    """How often intervals from 100 labels held the rate that people see."""

    population: str
    judge: str
    kappa: float
    drawn: str
    truth: float
    by_judge: float
    """Rate by the judge's word."""
    corrected: float
    """Share of resamples in which the corrected interval held the truth."""
    labels_alone: float
    """The same for the labels alone (Wilson)."""
    rogan_gladen: float | None
    """The same for Rogan-Gladen, where it gave an interval; None where it never did."""
    rogan_gladen_refused: float
    """Share of resamples in which it gave none."""
    width: float
    """Mean width of the corrected interval."""
    width_ratio: float
    """The same over that of the labels alone."""
    rogan_gladen_ratio: float | None
    """The same of Rogan-Gladen, where it gave an interval."""
    resamples: int


def labels_at_random(answers: LabelledAnswers, rng: np.random.Generator, labels: int = LABELS) -> LabelledAnswers:
    """The file as it is, all labels hidden but some at random."""
    shown = np.zeros(len(answers), dtype=np.bool_)
    shown[rng.choice(len(answers), labels, replace=False)] = True
    return replace(answers, truth=np.where(shown, answers.truth, np.nan))


def labels_by_verdict(answers: LabelledAnswers, rng: np.random.Generator, labels: int = LABELS) -> LabelledAnswers:
    """Half of the labels from each verdict (unparsed: none of either), weighted."""
    truth, weights = np.full(len(answers), np.nan), np.ones(len(answers))
    strata = [np.flatnonzero(answers.seen == verdict) for verdict in (0, 1)]
    strata = [stratum for stratum in (*strata, np.flatnonzero(np.isnan(answers.seen))) if stratum.size]
    for stratum in strata:
        count = min(stratum.size, max(1, labels // 2))
        chosen = rng.choice(stratum, count, replace=False)
        truth[chosen], weights[chosen] = answers.truth[chosen], stratum.size / count
    return replace(answers, truth=truth, weights=weights)


def answers_anew(answers: LabelledAnswers, rng: np.random.Generator, labels: int = LABELS) -> LabelledAnswers:
    """Whole clusters with replacement, then labels at random."""
    codes = np.unique(answers.clusters, return_inverse=True)[1]
    order = np.argsort(codes, kind="stable")
    members = np.split(order, np.flatnonzero(np.diff(codes[order])) + 1)
    drawn = rng.integers(len(members), size=len(members))
    rows = np.concatenate([members[code] for code in drawn])
    resampled = LabelledAnswers(
        truth=answers.truth[rows],
        seen=answers.seen[rows],
        clusters=np.repeat(np.arange(len(drawn)), [members[code].size for code in drawn]),
        weights=np.ones(rows.size),
    )
    return labels_at_random(resampled, rng, labels)


DRAWS: dict[str, Draw] = {
    "labels": labels_at_random,
    "by verdict": labels_by_verdict,
    "answers": answers_anew,
}


def coverage(population: Population, drawn: str, resamples: int, *, seed: int = SEED) -> Coverage:
    """Draw labels again and again, and count how often the interval holds the rate of all."""
    rng = np.random.default_rng([seed, *population.name.encode(), *population.judge.encode(), *drawn.encode()])
    whole = replace(population.answers, arms=(), arm=None)
    all_labels = agreement(whole)
    truth = float(np.mean(whole.truth))
    found = [agreement(DRAWS[drawn](whole, rng)) for _ in range(resamples)]
    bounded = [one for one in found if one.rogan_gladen.low is not None]
    alone = np.mean([_width(one.human_rate) for one in found])
    return Coverage(
        population=population.name,
        judge=population.judge,
        kappa=all_labels.kappa.value or 0.0,
        drawn=drawn,
        truth=truth,
        by_judge=all_labels.judge_rate.value or 0.0,
        corrected=float(np.mean([_holds(one.corrected, truth) for one in found])),
        labels_alone=float(np.mean([_holds(one.human_rate, truth) for one in found])),
        rogan_gladen=float(np.mean([_holds(one.rogan_gladen, truth) for one in bounded])) if bounded else None,
        rogan_gladen_refused=1 - len(bounded) / len(found),
        width=float(np.mean([_width(one.corrected) for one in found])),
        width_ratio=float(np.mean([_width(one.corrected) for one in found]) / alone),
        rogan_gladen_ratio=float(np.mean([_width(one.rogan_gladen) for one in bounded]) / alone) if bounded else None,
        resamples=resamples,
    )


def judges(demo: DemoVerdicts | None = None) -> Iterator[Population]:
    """Good judges and bad ones, and two that are read the wrong way round."""
    yield annotators()
    for population in populations():
        yield population
        if (population.name, population.judge) in (("XSTest, gpt4", "GPT-4"), ("GPTFuzz", "sm_zou2023universal")):
            yield population.flipped
    yield from () if demo is None else demo.answers


def _holds(interval: Interval, truth: float) -> bool:
    return (interval.low is None or interval.low <= truth) and (interval.high is None or truth <= interval.high)


def _width(interval: Interval) -> float:
    low, high = interval.low, interval.high
    return (1.0 if high is None else high) - (0.0 if low is None else low)


# -- tables ------------------------------------------------------------------------------------------------------------


def agreements(demo: DemoVerdicts | None) -> list[dict[str, Any]]:
    """Every judge against people, overall and by arm."""
    rows = []
    single_models = {f"XSTest, {model}" for model in MODELS}  # arms of XSTest already
    whole = [population for population in populations() if population.name not in single_models]
    for population in (annotators(), *whole, *(() if demo is None else demo.answers[: len(SetKind)])):
        found = calibrate_answers(population.answers)
        verdict = trust(found)
        for arm, part in (("", found.overall), *found.arms.items()):
            row = {"population": population.name, "judge": population.judge, "arm": arm, **_numbers(part)}
            rows.append({**row, "trusted": verdict.trusted} if not arm else row)
    return rows


def _numbers(found: Agreement) -> dict[str, Any]:
    names = ("agreement", "kappa", "sensitivity", "specificity", "human_rate", "judge_rate")
    estimates = {name: getattr(found, name) for name in names}
    plain = {name: None if one is None else one.to_json() for name, one in estimates.items()}
    return {"labelled": found.labelled, "unparsed": found.unparsed, **plain}


def biases(demo: DemoVerdicts | None) -> list[dict[str, Any]]:
    """Position and verbosity bias of the pairwise judges."""
    known = [("LLMBar", judge, method, pairs) for judge, method, pairs in pairwise()]
    served = [] if demo is None else [("demo", DEMO_JUDGE, name, pairs) for name, pairs in demo.pairs]
    return [
        {"data": data, "judge": judge, "method": method, **asdict(judge_pairs(pairs))}
        for data, judge, method, pairs in (*known, *served)
    ]


def markdown(agreed: list[dict[str, Any]], covered: list[Coverage], biased: list[dict[str, Any]]) -> str:
    """The tables."""
    tables = [*_agreement_table(agreed), "", *_coverage_table(covered), ""]
    for data, introduction in _BIAS_INTRODUCTIONS.items():
        rows = [row for row in biased if row["data"] == data]
        tables += [*_bias_table(introduction, rows), ""] if rows else []
    return "\n".join(tables)


def _agreement_table(rows: list[dict[str, Any]]) -> list[str]:
    lines = [
        "Agreement with people (95 % intervals, clustered by prompt or question where answers share one).",
        "",
        "| data | judge | n | agreement | kappa | sensitivity | specificity | people | judge's word |",
        "|---" * 9 + "|",
    ]
    for row in rows:
        name = row["population"] + (f", {row['arm']}" if row["arm"] else "")
        estimates = [_percent(row["agreement"]), _decimal(row["kappa"])]
        estimates += [_percent(row[x]) for x in ("sensitivity", "specificity", "human_rate", "judge_rate")]
        lines.append(f"| {name} | {row['judge']} | {row['labelled']} | " + " | ".join(estimates) + " |")
    return lines


def _coverage_table(rows: list[Coverage]) -> list[str]:
    """One line a judge, the three ways of drawing side by side."""
    lines = [
        f"Coverage of 95 % intervals for the rate that people see, from {LABELS} labels, in percent of "
        f"{rows[0].resamples} resamples. Side by side: labels drawn anew at random / half of them from each verdict, "
        "weighted / whole clusters of answers drawn anew, then labels. Width: mean, over that of the labels alone "
        "(Wilson). Rogan-Gladen: where it gives an interval; in brackets the percentage of resamples without one.",
        "",
        "| data | judge | kappa | people | judge's word | corrected | width | labels alone | Rogan-Gladen | width |",
        "|---" * 10 + "|",
    ]
    for key in dict.fromkeys((r.population, r.judge) for r in rows):
        group = [r for r in rows if (r.population, r.judge) == key]
        through = [
            ("-" if r.rogan_gladen is None else f"{100 * r.rogan_gladen:.1f}")
            + f" ({100 * r.rogan_gladen_refused:.0f})"
            for r in group
        ]
        cells = [
            " / ".join(f"{100 * r.corrected:.1f}" for r in group),
            " / ".join(f"{r.width_ratio:.2f}" for r in group),
            " / ".join(f"{100 * r.labels_alone:.1f}" for r in group),
            " / ".join(through),
            " / ".join("-" if r.rogan_gladen_ratio is None else f"{r.rogan_gladen_ratio:.2f}" for r in group),
        ]
        one = group[0]
        rates = [f"{one.kappa:.2f}", f"{100 * one.truth:.1f} %", f"{100 * one.by_judge:.1f} %"]
        lines.append("| " + " | ".join([one.population, one.judge, *rates, *cells]) + " |")
    good = [r for r in rows if r.kappa >= GOOD]
    return [
        *lines,
        "",
        f"Lowest coverage of corrected rates: {100 * min(r.corrected for r in rows):.1f} %. Judges with kappa of at "
        f"least {GOOD}: width {min(r.width_ratio for r in good):.2f} to {max(r.width_ratio for r in good):.2f} of that "
        "of the labels alone.",
    ]


_BIAS_INTRODUCTIONS = {
    "LLMBar": "Pairwise judges on LLMBar (554 pairs, both orders). Position: share of verdicts for the answer shown "
    "first minus that for the second. Length: how much more often than people the judge prefers the longer answer. "
    "Answers are numbered at random there: length wins nothing for answer 1, with or without control.",
    "demo": "The demo's judge in pairs: golden answers of two models where they differ, and answers of unequal length "
    "(written by program); people are the checkers here. Where the long answer is always the wrong one, every near "
    "miss that the judge overlooks counts as a preference for length.",
}


def _bias_table(introduction: str, rows: list[dict[str, Any]]) -> list[str]:
    lines = [
        introduction,
        "",
        "| judge | prompt or pairs | n | agreement | without ties | kappa | turned | position | length, beyond people "
        "| win rate | length-controlled |",
        "|---" * 11 + "|",
    ]
    for row in rows:
        labels, position, verbosity = row["labels"], row["position"], row["verbosity"]
        cells = [
            _percent(labels["agreement"]),
            _percent(labels["decided"]),
            _decimal(labels["kappa"]),
            _percent(position["turned"]),
            _decimal(position["bias"]),
            _decimal(verbosity["excess"]),
            _percent(verbosity["win_rate"]),
            _percent(verbosity["length_controlled"]),
        ]
        lines.append(f"| {row['judge']} | {row['method']} | {row['pairs']} | " + " | ".join(cells) + " |")
    return lines


def _percent(estimate: dict[str, Any] | None) -> str:
    return _shown(estimate, lambda x: f"{100 * x:.1f}")


def _decimal(estimate: dict[str, Any] | None) -> str:
    return _shown(estimate, lambda x: f"{x:.3f}")


def _shown(estimate: dict[str, Any] | None, wording: Callable[[float], str]) -> str:
    if estimate is None or estimate["value"] is None:
        return "-"
    bounds = ", ".join("-" if estimate[end] is None else wording(estimate[end]) for end in ("low", "high"))
    return f"{wording(estimate['value'])} [{bounds}]"


def _demo_verdicts() -> DemoVerdicts:
    from benchmarks.judging_demo import demo_verdicts  # brings PyTorch and vLLM, which the files do not need

    return run_async(demo_verdicts())


def main() -> None:
    """Measure, write JSON and Markdown, print one of them."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results"), help="directory for the two files")
    parser.add_argument("--quick", action="store_true", help=f"{QUICK} resamples instead of {RESAMPLES}")
    parser.add_argument("--json", action="store_true", help="print JSON instead of Markdown")
    parser.add_argument("--no-demo", action="store_true", help="leave out the demo's judge, which needs vLLM")
    options = parser.parse_args()
    resamples = QUICK if options.quick else RESAMPLES
    demo = None if options.no_demo else _demo_verdicts()
    agreed, biased = agreements(demo), biases(demo)
    covered = [coverage(population, drawn, resamples) for population in judges(demo) for drawn in DRAWS]
    document = {
        "labels": LABELS,
        "seed": SEED,
        "agreement": agreed,
        "coverage": [asdict(row) for row in covered],
        "biases": biased,
    }
    text = json.dumps(document, indent=1) + "\n"
    if not options.quick:
        options.out.mkdir(parents=True, exist_ok=True)
        (options.out / "judging.json").write_text(text, "utf-8")
        (options.out / "judging.md").write_text(markdown(agreed, covered, biased), "utf-8")
    print(text if options.json else markdown(agreed, covered, biased), end="")


if __name__ == "__main__":
    main()
