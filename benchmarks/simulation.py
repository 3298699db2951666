"""How long ``relgate simulate`` takes, and what it says, for a policy of 20 cells.

``python -m benchmarks.simulation [--releases N] [--out DIR]`` writes ``simulation.json`` and ``simulation.md``: wall
and processor time of the whole command (start-up and planning included), peak memory, and the curves, with programs and
with a judge as the scorer, looked at once and ten times.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

POLICY = """\
name: twenty-cells
version: 1
alpha: 0.05
primary: golden-vs-incumbent
checks:
  - {id: golden-floor,        metric: pass_rate,            where: {set: golden},        each: [tier, category], test: floor,           threshold: 0.80, expected: 0.87}
  - {id: golden-vs-incumbent, metric: pass_rate,            where: {set: golden},                                test: non_inferiority, margin: 0.03, expected: 0.12}
  - {id: violations,          metric: violation_rate,       where: {set: adversarial},   each: [severity],       test: ceiling,         threshold: 0.02}
  - {id: false-refusals,      metric: false_refusal_rate,   where: {set: false_refusal},                         test: ceiling,         threshold: 0.05}
  - {id: ttft,                metric: ttft_s, quantile: 0.95,                                                    test: ceiling,         threshold: 0.8}
  - {id: completion,          metric: e2e_s,  quantile: 0.95,                                                    test: ceiling,         threshold: 3.0}
  - {id: reliability,         metric: request_success_rate,                                                      test: floor,           threshold: 0.99}
  - {id: cost,                metric: usd_per_success,                                                           test: ratio_ceiling,   threshold: 1.10}
"""  # noqa: E501
VALUES = ("tier=easy,hard", "category=code,facts,maths,tools,writing", "severity=low,medium,high,critical")
SETTINGS: dict[str, tuple[str, ...]] = {
    "programs, 1 look": ("--looks", "1"),
    "programs, 10 looks": ("--looks", "10"),
    "judge .9/.9, 1 look": ("--looks", "1", "--judge-sensitivity", "0.9", "--judge-specificity", "0.9"),
    "judge .9/.9, 10 looks": ("--looks", "10", "--judge-sensitivity", "0.9", "--judge-specificity", "0.9"),
}


@dataclass(frozen=True)
class Timed:
    """One run of the command."""

    setting: str
    wall_s: float
    cpu_s: float
    peak_mb: float
    found: dict[str, Any]


def timed(setting: str, options: tuple[str, ...], releases: int, folder: Path) -> Timed:
    """Run the command in a process of its own."""
    policy = folder / "policy.yaml"
    policy.write_text(POLICY)
    values = [part for value in VALUES for part in ("--values", value)]
    command = ["simulate", "--policy", str(policy), "--releases", str(releases), "--json", *values, *options]
    before, started = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-m", "pipelines.cli", *command], capture_output=True, check=True, text=True, cwd=Path.cwd()
    )
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return Timed(setting, time.perf_counter() - started, cpu, after.ru_maxrss / 1024, json.loads(done.stdout))


def markdown(runs: list[Timed], releases: int) -> str:
    """The results as tables."""
    lines = [
        f"# relgate simulate: {releases:,} simulated releases a point, a policy of 20 cells",
        "",
        "Whole command, start-up and planning included; peak memory of the largest process so far.",
        "",
        "| setting | wall s | processor s | peak MB | cells | worlds | prompts at most |",
        "|---|---|---|---|---|---|---|",
    ]
    for run in runs:
        found = run.found
        worlds = len(found["curve"]) + len(found["at_limit"]) + len(found["sequential"])
        prompts = found["most_generations"] // found["answers_per_prompt"]
        lines.append(
            f"| {run.setting} | {run.wall_s:.1f} | {run.cpu_s:.1f} | {run.peak_mb:.0f} | {len(found['cells'])} "
            f"| {worlds} | {prompts} |"
        )
    for run in runs:
        lines += ["", f"## {run.setting}", "", *_told(run.found)]
    return "\n".join(lines) + "\n"


def _told(found: dict[str, Any]) -> list[str]:
    worst = max(found["at_limit"], key=lambda point: float(point["passes"]))
    lines = [
        "| true difference, points | promote | block | inconclusive | generations over one look |",
        "|---|---|---|---|---|",
    ]
    lines += [f"| {100 * p['difference']:+.1f} | {_shares(p)} |" for p in found["curve"]]
    lines += [
        "",
        f"A/A: verdict flip rate {found['a_a']['verdict_flip_rate']:.3f}, blocked {found['a_a']['block']:.4f}. "
        f"Exactly at its limit a check passes at most {worst['passes']:.3f} of the time ({worst['check']}). "
        f"Every check at its limit: blocked {found['all_at_limit']['block']:.3f}.",
    ]
    if found["looks"] > 1:
        lines += [
            "",
            "| effect, over the expected | promote | block | inconclusive | generations over one look |",
            "|---|---|---|---|---|",
            *(f"| {p['effect']:g} | {_shares(p)} |" for p in found["sequential"]),
            "",
            f"At most {found['most_generations'] / found['fixed_generations']:.2f} times the generations of one look.",
        ]
    return lines


def _shares(point: dict[str, Any]) -> str:
    return (
        f"{point['promote']:.3f} | {point['block']:.3f} | {point['inconclusive']:.3f} "
        f"| {point['generations_ratio']:.2f}"
    )


def main() -> None:
    """Run every setting and write the results."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--releases", type=int, default=10_000)
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        runs = [timed(name, flags, options.releases, Path(folder)) for name, flags in SETTINGS.items()]
    options.out.mkdir(parents=True, exist_ok=True)
    (options.out / "simulation.json").write_text(json.dumps([asdict(run) for run in runs], indent=1) + "\n")
    text = markdown(runs, options.releases)
    (options.out / "simulation.md").write_text(text)
    sys.stdout.write(text)


if __name__ == "__main__":
    main()
