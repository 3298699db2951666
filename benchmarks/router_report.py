"""The tables of `benchmarks.router`."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

Run = Mapping[str, Any]


def markdown(found: Mapping[str, Any]) -> str:
    """All tables."""
    encoder = found["encoder"]
    lines = [
        f"Encoder: {encoder['precision']}, {encoder['layers']} layers, {encoder['max_tokens']} tokens.",
        f"Mean (standard deviation) over {found['seeds']} seeds; no test prompt is in a group that was trained on.",
        "",
        "Area under the curve of the gap recovered (APGR over all thresholds), on the test:",
        "",
        *_ways(found["tasks"], "area"),
        "",
        "APGR with RouteLLM's ten thresholds:",
        "",
        *_ways(found["tasks"], "apgr"),
        "",
        "The router:",
        "",
        *_router(found["tasks"]),
        "",
        *_leave_subject_out(found["leave_subject_out"]),
    ]
    return "\n".join([*lines, ""])


def _of_way(name: str, metric: str) -> Callable[[Run], Any]:
    """What reads a metric of one way to route from a run."""
    return lambda run: run["ways"][name][metric]


def _ways(tasks: Sequence[Mapping[str, Any]], metric: str) -> list[str]:
    names = list(tasks[0]["runs"][0]["ways"])
    table = [_header("data", "training", *names)]
    for task in tasks:
        cells = [_spread(task["runs"], _of_way(name, metric)) for name in names]
        table.append(_row(task["data"], task["training"], *cells))
    return table


def _router(tasks: Sequence[Mapping[str, Any]]) -> list[str]:
    table = [
        _header(
            "data",
            "training",
            "CPT(50)",
            "CPT(80)",
            "minus length [lowest bound]",
            "minus the best of ridge, logistic, kNN [lowest bound]",
            "ECE (worst)",
            "Brier (constant)",
            "choosing and fitting, CPU s",
            "chosen",
        )
    ]
    for task in tasks:
        runs = task["runs"]
        chosen = [run["chosen"]["head"] for run in runs]
        table.append(
            _row(
                task["data"],
                task["training"],
                *(_spread(runs, _of_way("router", name)) for name in ("cpt50", "cpt80")),
                *(_difference(runs, name) for name in ("minus_length", "minus_best_simple")),
                f"{_mean(runs, lambda run: run['ece']):.3f} ({max(run['ece'] for run in runs):.3f})",
                f"{_mean(runs, lambda r: r['brier']):.3f} ({_mean(runs, lambda r: r['brier_of_a_constant']):.3f})",
                f"{_mean(runs, lambda run: run['cpu_seconds']):.0f}",
                ", ".join(f"{head} x {chosen.count(head)}" for head in dict.fromkeys(chosen)),
            )
        )
    return table


def _leave_subject_out(found: Mapping[str, Any]) -> list[str]:
    router, length, minus = found["router"], found["length"], found["minus_length"]
    return [
        f"MMLU, each subject held out of the fit in turn ({found['training']} training prompts of other subjects), all"
        " prompts ranked together:",
        f"area {_interval(router['interval'], router['area'])} (RouteLLM's thresholds {router['apgr']:.3f}), length"
        f" {_interval(length['interval'], length['area'])}, difference {_interval(minus)}.",
    ]


def encoder_table(found: Sequence[Mapping[str, Any]]) -> str:
    """The encoders compared."""
    lines = [
        "Encoders: area of held-out predictions within the training parts (kernel head, embedding alone, 3 folds):",
        "",
        _header("precision", "layers", "tokens", "data", "training", "area"),
        *(
            _row(
                row["precision"],
                row["layers"],
                row["max_tokens"],
                row["data"],
                row["training"],
                f"{row['area']:.3f} ({row['sd']:.3f})",
            )
            for row in found
        ),
    ]
    return "\n".join([*lines, ""])


def _header(*names: str) -> str:
    return f"{_row(*names)}\n{'|---' * len(names)}|"


def _row(*cells: object) -> str:
    return "| " + " | ".join(map(str, cells)) + " |"


def _values(runs: Sequence[Run], read: Callable[[Run], Any]) -> list[float]:
    return [float(read(run)) for run in runs]


def _mean(runs: Sequence[Run], read: Callable[[Run], Any]) -> float:
    return float(np.mean(_values(runs, read)))


def _spread(runs: Sequence[Run], read: Callable[[Run], Any]) -> str:
    return f"{_mean(runs, read):.3f} ({np.std(_values(runs, read), ddof=1):.3f})"


def _difference(runs: Sequence[Run], name: str) -> str:
    mean = _mean(runs, lambda run: run[name]["value"])
    return f"{mean:+.3f} [{min(run[name]['low'] for run in runs):+.3f}]"


def _interval(bounds: Mapping[str, float], value: float | None = None) -> str:
    return f"{bounds['value'] if value is None else value:.3f} [{bounds['low']:.3f}, {bounds['high']:.3f}]"
