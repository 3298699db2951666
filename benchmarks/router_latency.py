"""How long encoders and routers take on this machine, and what leaving out layers and bits does to an embedding.

- Encoders: the export in fp32 and int8 by number of layers, prompts whole up to 256 tokens, one prompt at a time on one
  thread; beside them sentence-transformers, whose embeddings those of all layers in fp32 are. The cosine says how far
  int8 is from fp32 on prompts of ``--data``.
- Routers: trained from ``--data`` by ``relgate router train`` with the defaults and with more layers, then measured as
  ``relgate router latency`` does, on built-in prompts and on prompts of ``--data``.

Every time is given twice: on the wall clock, and as computed by the calling thread. On a busy machine the high
quantiles of the first are other processes'.

    python benchmarks/router_latency.py --data routing_mmlu.csv \\
        --column small_score=small_correct --column flagship_score=flagship_correct
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from evalharness import minilm
from pipelines.cli.app import run
from router_training.embedding.embedder import Embedder
from router_training.embedding.export import GRAPH_FILE, export_encoder
from router_training.latency import measure_latency
from router_training.latency_prompts import LENGTHS, prompts_in_turns, read_prompts
from router_training.records import Precision

ENCODERS: tuple[tuple[Precision, int], ...] = (
    ("fp32", 6),
    ("fp32", 2),
    ("int8", 6),
    ("int8", 3),
    ("int8", 2),
    ("int8", 1),
    ("int8", 0),
)
ROUTERS: dict[str, list[str]] = {
    "default": [],
    "3 layers": ["--layers", "3"],
    "6 layers, 128 tokens": ["--layers", "6", "--max-tokens", "128"],
    "fp32": ["--precision", "fp32"],
}
WHOLE = 256
"""Tokens that the encoders keep here: no built-in prompt is cut."""
WARM_UP = 20

Times = dict[str, Any]


def encoders(folder: Path, prompts: Sequence[str], calls: int) -> list[dict[str, Any]]:
    """Times of every encoder, and how far it is from fp32 of the same layers."""
    found, exact = [], dict[int, np.ndarray[Any, Any]]()
    for layers in sorted({layers for _, layers in ENCODERS}):
        pin = export_encoder(folder / f"exact-{layers}", precision="fp32", layers=layers, max_tokens=WHOLE)
        exact[layers] = Embedder.load(folder / f"exact-{layers}", pin).embed(prompts)
    for precision, layers in ENCODERS:
        directory = folder / f"{precision}-{layers}"
        embedder = Embedder.load(
            directory, export_encoder(directory, precision=precision, layers=layers, max_tokens=WHOLE)
        )
        name = f"{precision}, {layers} layers"
        say(name)
        cosines = (embedder.embed(prompts) * exact[layers]).sum(axis=1)
        found.append(
            {
                "encoder": name,
                "megabytes": round((directory / GRAPH_FILE).stat().st_size / 1e6, 1),
                "cosine_to_fp32": {"mean": float(cosines.mean()), "least": float(cosines.min())},
                "by_tokens": timed(partial(_alone, embedder), calls),
            }
        )
    found.append({"encoder": "sentence-transformers", "by_tokens": timed(_sentence_transformers(), calls)})
    return found


def _alone(embedder: Embedder, prompt: str) -> object:
    return embedder.embed([prompt])


def _sentence_transformers() -> Callable[[str], object]:
    import torch
    from sentence_transformers import SentenceTransformer

    torch.set_num_threads(1)
    model = SentenceTransformer(str(minilm.model_directory()), device="cpu")
    return lambda prompt: model.encode(prompt, show_progress_bar=False)


def timed(encode: Callable[[str], object], calls: int) -> list[Times]:
    """P50 and P99 by prompt length, the lengths taking turns."""
    prompts = prompts_in_turns(calls)
    for prompt in prompts[:WARM_UP]:
        encode(prompt)
    seconds = np.empty((len(prompts), 2))
    for row, prompt in enumerate(prompts):
        cpu, start = time.thread_time(), time.perf_counter()
        encode(prompt)
        seconds[row] = time.perf_counter() - start, time.thread_time() - cpu
    table = []
    for place, tokens in enumerate(LENGTHS):
        wall, cpu_times = 1e3 * seconds[place :: len(LENGTHS)].T
        row_of: Times = {"tokens": tokens, "n": len(wall)}
        for name, times in (("", wall), ("cpu_", cpu_times)):
            for q in (50, 99):
                row_of[f"{name}p{q}_ms"] = float(np.percentile(times, q, method="inverted_cdf"))
        table.append(row_of)
    return table


def routers(folder: Path, data: Path, columns: Sequence[str], prompts: Sequence[str], calls: int) -> dict[str, Any]:
    """Trained by the command line, measured as it measures."""
    found: dict[str, Any] = {}
    mapped = [part for column in columns for part in ("--column", column)]
    for name, options in ROUTERS.items():
        out = folder / "router"
        train = ["router", "train", "--data", str(data), *mapped, "--out", str(out), *options]
        if run([*train, "--cache", str(folder)]) != 0:
            raise SystemExit(f"training failed: {name}")
        found[name] = {
            "built_in": measure_latency(out, calls=calls).to_json(),
            "data": measure_latency(out, prompts, source=data.name, threads=[1], calls=calls).to_json(),
        }
        say(f"router: {name}")
    return found


def say(text: str) -> None:
    """Progress, on stderr."""
    sys.stderr.write(f"{text}\n")


def markdown(found: dict[str, Any]) -> str:
    """Two tables."""
    lines = [
        f"{found['processor']}, {found['cores']} cores, load {found['load']:.1f} at the start; one prompt at a time,",
        f"one thread, {found['calls']} calls each. Milliseconds: P50 / P99 on the wall clock, in brackets as computed.",
        "",
        "| encoder | MB | cosine to fp32: mean, least | " + " | ".join(f"{n} tokens" for n in LENGTHS) + " |",
        "|---" * (3 + len(LENGTHS)) + "|",
    ]
    for row in found["encoders"]:
        cosine = row.get("cosine_to_fp32")
        near = "-" if cosine is None else f"{cosine['mean']:.4f}, {cosine['least']:.4f}"
        cells = [_cell(times, times["cpu_p50_ms"], times["cpu_p99_ms"]) for times in row["by_tokens"]]
        lines.append(f"| {row['encoder']} | {row.get('megabytes', '-')} | {near} | " + " | ".join(cells) + " |")
    lines += [
        "",
        "Routers: the whole decision, by prompt length; `data`: prompts as they are; batches per core.",
        "",
        "| router | " + " | ".join(f"{n} tokens" for n in LENGTHS) + " | up to 128 | data | prompts/s per core |",
        "|---" * (4 + len(LENGTHS)) + "|",
    ]
    for name, row in found["routers"].items():
        built_in, data = row["built_in"], row["data"]
        alone = [setting for setting in built_in["settings"] if setting["threads"] == 1]
        cells = [
            _cell(times, times["cpu"]["p50_ms"], times["cpu"]["p99_ms"])
            for times in (*alone, built_in["to_128_tokens"], data)
        ]
        rates = ", ".join(f"{t['prompts_per_s_per_core']:.0f} (x{t['workers']})" for t in data["throughput"])
        lines.append(f"| {name} | " + " | ".join(cells) + f" | {rates} |")
    return "\n".join([*lines, ""])


def _cell(times: Times, cpu_p50: float, cpu_p99: float) -> str:
    return f"{times['p50_ms']:.2f} / {times['p99_ms']:.2f} ({cpu_p50:.2f} / {cpu_p99:.2f})"


def main() -> None:
    """Measure, write JSON and Markdown, print one of them."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="labelled prompts, as for 'relgate router train'")
    parser.add_argument("--column", action="append", default=[], help="FIELD=COLUMN of the data; repeatable")
    parser.add_argument("--calls", type=int, default=500, help="timed calls per setting")
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results"), help="directory for the two files")
    parser.add_argument("--json", action="store_true", help="print JSON instead of Markdown")
    options = parser.parse_args()
    renamed = {k: v for k, _, v in (column.partition("=") for column in options.column) if k == "prompt"}
    prompts = read_prompts(options.data, columns=renamed)
    drawn = np.random.default_rng(0).choice(len(prompts), min(500, len(prompts)), replace=False)
    sample = [prompts[row] for row in drawn]
    load = os.getloadavg()[0]
    with tempfile.TemporaryDirectory() as folder:
        trained = routers(Path(folder), options.data, options.column, sample, options.calls)
        found: dict[str, Any] = {
            "processor": trained["default"]["built_in"]["processor"],
            "cores": trained["default"]["built_in"]["cores"],
            "load": load,
            "calls": options.calls,
            "encoders": encoders(Path(folder), sample, options.calls),
            "routers": trained,
        }
    text = json.dumps(found, indent=1) + "\n"
    options.out.mkdir(parents=True, exist_ok=True)
    (options.out / "router_latency.json").write_text(text, "utf-8")
    (options.out / "router_latency.md").write_text(markdown(found), "utf-8")
    print(text if options.json else markdown(found), end="")


if __name__ == "__main__":
    main()
