"""Is the harness the bottleneck? Requests per second of ``generate()`` against a bare aiohttp loop.

Both ask the same vLLM server the same prompts with the same sampling parameters, streaming, at the same concurrency
and on the same event loop. The harness does all its work: it parses every event, takes timings and stores every
answer durably in SQLite. The bare loop posts prepared bytes and throws the reply away unread. The two take turns in
pairs, the order within a pair alternating, because the speed of a small machine drifts; each pair has prompts of its
own; reported is the median of the pairs' ratios.

    python benchmarks/throughput.py --json --model examples/models/small --concurrency 64 16
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
import time
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import aiohttp

from evalharness.candidate import Candidate, Engine, Manifest, Runtime, Sampling
from evalharness.database import open_database
from evalharness.engines import ServedModel, open_engine
from evalharness.engines.workers import run_workers
from evalharness.event_loop import run_async
from evalharness.generation import GenerationSettings, chat_request, generate
from evalharness.samples import SampleStore
from golden_sets.records import Message, Prompt

DEFAULT_MODEL = Path(__file__).parent.parent / "examples" / "models" / "small"
CPU_ENVIRONMENT = {"VLLM_CPU_KVCACHE_SPACE": "1", "VLLM_CPU_OMP_THREADS_BIND": "nobind", "OMP_NUM_THREADS": "1"}
"""One engine thread: two on two cores wait for each other whenever a client takes one of them."""
SAMPLING = Sampling(temperature=0.0, max_tokens=48, seed=0)


def main() -> None:
    """Parse the command line, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path, default=DEFAULT_MODEL, help="directory of the model to serve")
    parser.add_argument("--url", help="use a server that is already up (base address ending in /v1)")
    parser.add_argument("--served-model", default="small", help="model id behind --url")
    parser.add_argument("--concurrency", type=int, nargs="+", default=[64, 16], help="one setting each")
    parser.add_argument("--requests", type=int, default=1000, help="requests per side and pair")
    parser.add_argument("--pairs", type=int, default=5, help="interleaved pairs per setting")
    parser.add_argument("--json", action="store_true", help="one JSON document on standard output")
    arguments = parser.parse_args()
    report = run_async(measure(arguments))
    if arguments.json:
        print(json.dumps(report))
        return
    for setting in report["settings"]:
        print(
            f"concurrency {setting['concurrency']:4d}: ratio {setting['ratio']:.3f}   "
            f"harness {setting['harness_rps']:.0f}/s, {setting['harness_cpu_ms']:.2f} ms CPU   "
            f"bare {setting['bare_rps']:.0f}/s, {setting['bare_cpu_ms']:.2f} ms CPU"
        )


async def measure(arguments: argparse.Namespace) -> dict[str, Any]:
    """Every setting's ratio, as documented in the module."""
    candidate = _candidate(arguments)
    async with AsyncExitStack() as stack:
        scratch = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="relgate-throughput-")))
        served = await stack.enter_async_context(open_engine(candidate, log_dir=scratch))
        store = SampleStore(open_database(f"sqlite:///{scratch}/samples.db"))
        await _pair(candidate, served, store, _prompts("warm-up", 100), 16, harness_first=True)
        settings = []
        for concurrency in arguments.concurrency:
            pairs = []
            for pair in range(arguments.pairs):
                prompts = _prompts(f"{concurrency}-{pair}", arguments.requests)
                pairs.append(await _pair(candidate, served, store, prompts, concurrency, harness_first=pair % 2 == 0))
                print(f"concurrency {concurrency} pair {pair + 1}: {pairs[-1]}", file=sys.stderr)
            settings.append(_summary(concurrency, pairs))
    return {"settings": settings, "requests": arguments.requests, "engine_version": served.engine_version}


async def _pair(
    candidate: Candidate,
    served: ServedModel,
    store: SampleStore,
    prompts: list[Prompt],
    concurrency: int,
    *,
    harness_first: bool,
) -> dict[str, float]:
    """Of both sides over the same prompts: requests per second, and this process's CPU milliseconds per request."""
    result = {}
    for side in ("harness", "bare") if harness_first else ("bare", "harness"):
        started, cpu_started = time.perf_counter(), time.process_time()
        if side == "harness":
            settings = GenerationSettings(concurrency=concurrency)
            generations = await generate(prompts, candidate, served, store, settings=settings)
            assert all(g.error is None for g in generations), next(g for g in generations if g.error is not None)
        else:
            await _bare(served, candidate, prompts, concurrency)
        result[f"{side}_rps"] = len(prompts) / (time.perf_counter() - started)
        result[f"{side}_cpu_ms"] = (time.process_time() - cpu_started) / len(prompts) * 1000
    return result


async def _bare(served: ServedModel, candidate: Candidate, prompts: list[Prompt], concurrency: int) -> None:
    """The loop to compare with: prepared bodies, one session, replies read to their end and thrown away."""
    bodies = iter([chat_request(p, candidate, served.model_id, 0).body() for p in prompts])
    connector = aiohttp.TCPConnector(limit=0)
    async with aiohttp.ClientSession(connector=connector, headers={"Content-Type": "application/json"}) as session:

        async def work() -> None:
            for body in bodies:
                async with session.post(f"{served.urls[0]}/chat/completions", data=body) as response:
                    assert response.status == 200, await response.text()
                    async for _ in response.content.iter_any():
                        pass

        await run_workers(concurrency, work)


def _summary(concurrency: int, pairs: list[dict[str, float]]) -> dict[str, Any]:
    ratios = [pair["harness_rps"] / pair["bare_rps"] for pair in pairs]
    medians = {name: statistics.median(pair[name] for pair in pairs) for name in pairs[0]}
    return {"concurrency": concurrency, "ratio": statistics.median(ratios), **medians, "ratios": ratios}


def _prompts(name: str, count: int) -> list[Prompt]:
    """Short questions, different for every name, so that no cache and no stored answer helps either side."""
    return [
        Prompt(id=f"{name}-{i}", messages=(Message(role="user", content=f"[{name}] What is {i} + {i % 97}?"),))
        for i in range(count)
    ]


def _candidate(arguments: argparse.Namespace) -> Candidate:
    if arguments.url is not None:
        runtime = Runtime(urls=(arguments.url,), served_model=arguments.served_model)
        engine = Engine(kind="endpoints")
    else:
        runtime = Runtime(
            args={"max_num_seqs": max(arguments.concurrency)},
            env=CPU_ENVIRONMENT,
        )
        engine = Engine(kind="vllm", args={"dtype": "bfloat16", "enforce_eager": True, "max_model_len": 512})
    manifest = Manifest(model={}, sampling=SAMPLING, engine=engine)
    return Candidate(name="small", manifest=manifest, runtime=runtime, directory=arguments.model)


if __name__ == "__main__":
    main()
