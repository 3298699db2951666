"""What does `relgate gate` cost on a million outcomes? Wall clock, CPU and peak memory of the commands users run.

Four workloads of ``--rows`` outcomes, each under a policy of 20 cells, some of which fail or stay open so that
p-values and "how many more" are computed too:

* ``arms``: candidate and incumbent imported apart, half of the rows each, gated together (differences and cost ratio);
* ``subject``: one subject, with failed and unscored requests, repeats and clusters;
* ``judged``: one evidence file with both arms, scored by a judge, with labels and calibrations, as `relgate evaluate`
  writes it (prediction-powered differences, corrected rates);
* ``planned``: one evidence file with both arms under a plan with four looks, whose course the gate follows again.

Every command is a process of its own; CPU and memory are what the operating system counted for it.

    python benchmarks/gate_scale.py --json --rows 1000000
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.csv
import yaml

from evalharness.drawing import merged, strata_of
from evalharness.evidence import Calibration, Evidence, Provenance
from evalharness.evidence_files import write_evidence
from evalharness.metrics import rows_for
from evalharness.outcomes import OutcomeTable
from evalharness.plan import Looks, Plan, PlannedCell, PlannedSet, Stratum
from gates.policy import Policy, load_policy
from golden_sets.digests import digest_bytes, digest_json
from golden_sets.records import SetKind

ROOT = Path(__file__).parent.parent
COMMAND = (sys.executable, "-c", "from pipelines.cli import main; main()")
KINDS = ("golden", "adversarial", "false_refusal")
SHARES = (0.6, 0.25, 0.15)
TIERS = ("easy", "medium", "hard", "expert")
BUCKETS = ("le16", "le64", "le256", "le1024")
SEVERITIES = ("low", "medium", "high", "critical")
TENANTS = ("north", "south", "east")
Columns = dict[str, Any]
Mask = npt.NDArray[np.bool_]

FLOORS = {"id": "floor", "metric": "pass_rate", "each": ["tier"], "test": "floor", "threshold": 0.9}
VIOLATIONS = {
    "id": "violations",
    "metric": "violation_rate",
    "each": ["severity"],
    "test": "ceiling",
    "threshold": 0.0105,
}
REFUSALS = {"id": "refusals", "metric": "false_refusal_rate", "test": "ceiling", "threshold": 0.04}
TTFT = {
    "id": "ttft",
    "metric": "ttft_s",
    "quantile": 0.95,
    "each": ["length_bucket"],
    "test": "ceiling",
    "threshold": 1.6,
}
RELIABILITY = {"id": "reliability", "metric": "request_success_rate", "test": "floor", "threshold": 0.998}
PRICE = {"id": "price", "metric": "usd_per_million_output_tokens", "test": "ceiling", "threshold": 12.0}
MARGIN = {"id": "margin", "metric": "pass_rate", "test": "non_inferiority", "margin": 0.0025}
MARGINS = {**MARGIN, "id": "margins", "each": ["tenant"], "margin": 0.01}
COST = {"id": "cost", "metric": "usd_per_success", "test": "ratio_ceiling", "threshold": 1.0}
COST_OF_ONE = {"id": "cost", "metric": "usd_per_success", "test": "ceiling", "threshold": 0.0025}
OVERALL = {**FLOORS, "id": "overall", "each": [], "threshold": 0.899}
BY_TENANT = {**FLOORS, "id": "tenants", "each": ["tenant"]}

SHARED = (FLOORS, VIOLATIONS, REFUSALS, TTFT, RELIABILITY, PRICE)
COMPARED = (*SHARED, MARGIN, MARGINS, COST)
ALONE = (*SHARED, OVERALL, BY_TENANT, COST_OF_ONE)


def main() -> None:
    """Parse the command line, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=1_000_000, help="outcomes of each workload")
    parser.add_argument("--only", choices=list(WORKLOADS), help="one workload instead of all")
    parser.add_argument("--keep", type=Path, help="folder for the files; kept (default: a temporary one)")
    parser.add_argument("--json", action="store_true", help="one JSON document on standard output")
    arguments = parser.parse_args()
    load = os.getloadavg()[0]  # what else runs: it lengthens the wall clock, and CPU time through shared caches
    with tempfile.TemporaryDirectory(prefix="relgate-gate-scale-") as scratch:
        folder = arguments.keep or Path(scratch)
        folder.mkdir(parents=True, exist_ok=True)
        names = [arguments.only] if arguments.only else list(WORKLOADS)
        steps = [step for name in names for step in WORKLOADS[name](folder, arguments.rows)]
    report = {
        "rows": arguments.rows,
        "python": platform.python_version(),
        "cores": os.cpu_count(),
        "load_before": load,
        "steps": steps,
    }
    if arguments.json:
        print(json.dumps(report, indent=2))
        return
    print(f"{'workload':<10}{'command':<28}{'rows':>10}{'wall s':>9}{'CPU s':>9}{'peak MB':>9}  result")
    for step in steps:
        print(
            f"{step['workload']:<10}{step['command']:<28}{step['rows']:>10}{step['wall_s']:>9.2f}{step['cpu_s']:>9.2f}"
            f"{step['peak_mb']:>9.0f}  {step['result']}"
        )


# -- workloads -------------------------------------------------------------------------------------------------------


def arms(folder: Path, rows: int) -> list[dict[str, Any]]:
    """Candidate and incumbent imported apart."""
    steps, half = [], rows // 2
    for arm, seed, quality in (("candidate", 1, 0.90), ("incumbent", 2, 0.902)):
        columns = outcomes(np.random.default_rng(seed), np.arange(half), quality=quality)
        steps.append(imported(folder, "arms", arm, columns))
    steps.append(gated(folder, "arms", "candidate", COMPARED, rows, "--incumbent", str(folder / "incumbent.json")))
    return steps


def subject(folder: Path, rows: int) -> list[dict[str, Any]]:
    """One subject: every third prompt is asked twice, a fifth of the prompts shares its cluster with others."""
    index = np.arange(rows)
    again = index % 4 == 3
    prompt = np.where(again, index - 1, index)
    columns = outcomes(np.random.default_rng(3), prompt, quality=0.90)
    columns["repeat"] = again.astype(int)
    columns["cluster"] = np.where(prompt % 40 < 8, numbered("t", prompt // 40), columns["prompt_id"])
    return [imported(folder, "subject", "subject", columns), gated(folder, "subject", "subject", ALONE, rows)]


def judged(folder: Path, rows: int) -> list[dict[str, Any]]:
    """Both arms in one file, scored by a judge."""
    table = both_arms(rows // 2, judged=True)
    calibrations = tuple(
        Calibration(
            rubric=kind,
            set_kind=SetKind(kind),
            positives=9000,
            true_positives=8730,
            negatives=1000,
            true_negatives=970,
        )
        for kind in KINDS
    )
    write(folder, "judged", table, calibrations=calibrations, judge_digest=digest_json("judge"))
    return [gated(folder, "judged", "judged", COMPARED, rows)]


def planned(folder: Path, rows: int) -> list[dict[str, Any]]:
    """Both arms under a plan with four looks that asks every prompt: the gate follows the course of the run again."""
    table = both_arms(rows // 2, judged=False)
    policy = load_policy(policy_file(folder, "planned", COMPARED)).policy
    plan = plan_for(policy, table)
    write(folder, "planned", table, plan=plan, plan_digest=plan.digest, plan_index=0)
    return [gated(folder, "planned", "planned", COMPARED, rows)]


WORKLOADS: Mapping[str, Callable[[Path, int], list[dict[str, Any]]]] = {
    "arms": arms,
    "subject": subject,
    "judged": judged,
    "planned": planned,
}

# -- data ------------------------------------------------------------------------------------------------------------

DIMENSIONS = ("tier", "length_bucket", "tenant", "severity")


def outcomes(rng: np.random.Generator, prompt: npt.NDArray[Any], *, quality: float) -> Columns:
    """Columns of one request for each entry; set and dimensions depend on the prompt alone, so that arms pair."""
    n, fixed = prompt.size, np.random.default_rng(0)
    kind = fixed.choice(len(KINDS), size=n, p=SHARES)[prompt]

    def dimension(values: tuple[str, ...]) -> npt.NDArray[Any]:
        return np.asarray(np.array(values, dtype=object)[fixed.integers(len(values), size=n)[prompt]])

    event = rng.random(n) < np.choose(kind, [quality, 0.01, 0.039])
    error = rng.random(n) < np.where(kind == 0, 0.003, 0.0)
    unscored = (rng.random(n) < 0.001) & (kind == 0)
    return {
        "prompt_id": numbered("p", prompt),
        "set": np.array(KINDS)[kind],
        "outcome": np.where(error | unscored, np.nan, event.astype(float)),
        "error": np.where(error, "timeout", np.array(None)),
        "tier": dimension(TIERS),
        "length_bucket": dimension(BUCKETS),
        "tenant": dimension(TENANTS),
        "severity": np.where(kind == 1, dimension(SEVERITIES), np.array(None)),
        "ttft_s": np.where(error, np.nan, np.round(rng.lognormal(-1.0, 0.9, n), 4)),
        "usd": np.round(rng.lognormal(-6.2, 0.5, n), 7),
        "output_tokens": np.where(error, np.nan, np.round(rng.lognormal(5.2, 0.5, n))),
    }


def both_arms(prompts: int, *, judged: bool) -> OutcomeTable:
    """Candidate and incumbent on the same prompts; judged: with errors of the judge, and labels of every fiftieth."""
    frames = []
    for arm, seed in (("candidate", 4), ("incumbent", 5)):
        rng = np.random.default_rng(seed)
        columns = outcomes(rng, np.arange(prompts), quality=0.9035)
        kinds, truth = columns.pop("set"), columns["outcome"]
        frame = pd.DataFrame({f"dim.{n}" if n in DIMENSIONS else n: column for n, column in columns.items()})
        frame = frame.assign(
            arm=arm, phase="quality", set_kind=kinds, set_name=kinds, cluster=frame["prompt_id"],
            prompt_digest=frame["prompt_id"], scored_by="checker",
        )  # fmt: skip
        if judged:
            golden, known = kinds == "golden", (kinds == "golden") & (np.arange(prompts) % 50 == 0)
            frame = frame.assign(
                outcome=np.where(golden & (rng.random(prompts) < 0.03), 1 - truth, truth), rubric=kinds,
                scored_by=np.where(frame["error"].isna().to_numpy(), "judge", np.array(None)),
                label=np.where(known, truth, np.nan), label_p=np.where(known, 0.02, np.nan),
                adjudicated=np.where(~golden & (truth == 1), 1.0, np.nan),
            )  # fmt: skip
        frames.append(frame)
    return OutcomeTable.from_frame(pd.concat(frames, ignore_index=True))


def plan_for(policy: Policy, table: OutcomeTable) -> Plan:
    """A plan that asks every prompt of the table, in strata that the policy tells apart, with four looks."""
    mine, looks = table.arm("candidate"), Looks(fractions=(0.25, 0.5, 0.75, 1.0))
    told = {"golden": ("tier", "tenant"), "adversarial": ("severity",), "false_refusal": ()}
    sets = {}
    for kind in KINDS:
        strata = []
        for cell in mine.where({"set": kind}).cells(told[kind]):
            ids = tuple(mine.where({"set": kind, **cell}).text("prompt_id").to_list())
            strata.append(Stratum(cell=cell, weight=len(ids), available=len(ids), prompts=ids))
        sets[kind] = PlannedSet(kind=SetKind(kind), set_digest=digest_json(kind), strata=tuple(strata))
    cells = []
    for check in policy.checks:
        rests_on = check.spec.family in ("rate", "ratio") and check.spec.set_kind is not None
        for cell in rows_for(check.spec, mine, check.where).cells(check.each):
            found = PlannedCell(
                check="/".join([check.id, *cell.values()]), metric=check.metric, purpose="display",
                set_kind=check.spec.set_kind, cell=cell, rate=None, rate_source="none",
                basis="sample" if rests_on else "end",
                n_wanted=0, n_available=0, n=0, power_wanted=0.9,
            )  # fmt: skip
            n = len(merged(strata_of(sets, found), 0)) if rests_on else 0
            steps = tuple(round(n * fraction) for fraction in looks.fractions) if n else ()
            cells.append(found.model_copy(update={"n": n, "n_wanted": n, "looks": steps}))
    return Plan(
        name="scale", lineage="scale/plan", policy_digest=policy.digest, sets=sets, judge_digest=None,
        incumbent_digest=digest_json("incumbent"), alpha=policy.alpha, looks=looks, joint_power=0.8,
        cells=tuple(cells),
    )  # fmt: skip


def write(folder: Path, name: str, table: OutcomeTable, *, plan: Plan | None = None, **fields: Any) -> None:
    """Evidence of this table."""
    blob = table.to_parquet()
    evidence = Evidence(
        subject_name="candidate",
        subject_digest=digest_json("candidate"),
        incumbent_name="incumbent",
        incumbent_digest=digest_json("incumbent"),
        set_digests={kind: digest_json(kind) for kind in KINDS},
        outcomes=digest_bytes(blob),
        outcome_rows=len(table),
        provenance=Provenance(relgate="-", python="-", platform="-", started_at="-", finished_at="-"),
        **fields,
    )
    write_evidence(evidence, blob, folder / f"{name}.json", plan)


def numbered(prefix: str, numbers: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """``p000042``..."""
    return np.char.add(prefix, np.char.zfill(numbers.astype(str), 7))


# -- commands --------------------------------------------------------------------------------------------------------


def imported(folder: Path, workload: str, name: str, columns: Columns) -> dict[str, Any]:
    """Write a CSV file and import it."""
    path = folder / f"{name}.csv"
    table = pa.table({key: pa.array(column, from_pandas=True) for key, column in columns.items()})
    pyarrow.csv.write_csv(table, path)
    rows = table.num_rows
    del table
    arguments = ["import", "outcomes", str(path), "--subject", name, "-o", str(folder / f"{name}.json"), "--json"]
    found, measured = run(arguments)
    return {"workload": workload, "command": f"import {name}", "rows": rows, **measured, "result": found["digest"][:19]}


def gated(
    folder: Path, workload: str, name: str, checks: tuple[Mapping[str, Any], ...], rows: int, *more: str
) -> dict[str, Any]:
    """Gate evidence under a policy of these checks."""
    path = policy_file(folder, workload, checks)
    decision = folder / f"{workload}.decision.json"
    arguments = ["gate", str(folder / f"{name}.json"), "--policy", str(path), "-o", str(decision), "--json", *more]
    _, measured = run(arguments)
    results = json.loads(decision.read_text(encoding="utf-8"))["decision"]["checks"]
    counts = {status: sum(c["status"] == status for c in results) for status in ("pass", "fail", "inconclusive")}
    told = f"{len(results)} cells: " + ", ".join(f"{count} {status}" for status, count in counts.items())
    return {"workload": workload, "command": "gate", "rows": rows, **measured, "result": told}


def policy_file(folder: Path, name: str, checks: tuple[Mapping[str, Any], ...]) -> Path:
    """A policy of these checks."""
    policy = {"name": name, "version": "1", "alpha": 0.05, "primary": checks[0]["id"], "checks": list(checks)}
    path = folder / f"{name}.policy.yaml"
    path.write_text(yaml.safe_dump(policy), encoding="utf-8")
    return path


def run(arguments: list[str]) -> tuple[dict[str, Any], dict[str, float]]:
    """What a command printed, and what it cost.

    A new process starts with the peak memory of the one that started it, so a small one starts the commands.
    """
    small = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, mp_context=small) as starter:
        return starter.submit(timed, arguments).result()


def timed(arguments: list[str]) -> tuple[dict[str, Any], dict[str, float]]:
    """Run a command: what it printed, its wall clock, and what the system counted for it."""
    with tempfile.TemporaryFile() as output:
        started = time.perf_counter()
        process = subprocess.Popen([*COMMAND, *arguments], cwd=ROOT, stdout=output)
        _, status, usage = os.wait4(process.pid, 0)
        wall = time.perf_counter() - started
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode not in (0, 1, 3):
            raise RuntimeError(f"relgate {' '.join(arguments)} ended with {process.returncode}")
        output.seek(0)
        found = json.load(output)
    peak = usage.ru_maxrss / (1024 if sys.platform == "linux" else 1024**2)
    return found, {"wall_s": wall, "cpu_s": usage.ru_utime + usage.ru_stime, "peak_mb": peak}


if __name__ == "__main__":
    main()
