"""Is the harness the bottleneck? Requests per second of generating and of judging against a bare aiohttp loop.

Both ask the same vLLM server the same prompts with the same sampling parameters, streaming, at the same concurrency
and on the same event loop. The harness does all its work: it parses every event, takes timings and stores every
answer durably in SQLite. The bare loop posts prepared bytes and throws the reply away unread. The two take turns in
pairs, the order within a pair alternating, because the speed of a small machine drifts; each pair has prompts of its
own; reported is the median of the pairs' ratios.

Judging is measured likewise, on the judge's own server: ``judge_pointwise()`` and ``judge_pairwise()`` guard and render
every answer, read the verdict from text and log-probabilities and store it. Counted are requests, those for an output
that could not be read included.

    python benchmarks/throughput.py --json --model examples/models/small --concurrency 64 16
    python benchmarks/throughput.py --only judging --judge examples/demo/judge.yaml
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp

from evalharness.candidate import Candidate, Engine, Manifest, Runtime, Sampling
from evalharness.database import open_database
from evalharness.engines import ServedModel, open_engine
from evalharness.engines.workers import run_workers
from evalharness.event_loop import run_async
from evalharness.generation import GenerationSettings, chat_request, generate
from evalharness.judging.judge import Judge, load_judge
from evalharness.judging.pairwise import PairItem, judge_pairwise, pair_questions
from evalharness.judging.pointwise import JudgeItem, judge_pointwise, score_questions
from evalharness.judging.requesting import JudgeRequests, Question
from evalharness.judging.rubric import Rubric
from evalharness.model_directory import hash_directory
from evalharness.samples import SampleStore
from golden_sets.records import Message, Prompt

EXAMPLES = Path(__file__).parent.parent / "examples"
CPU_ENVIRONMENT = {"VLLM_CPU_KVCACHE_SPACE": "1", "VLLM_CPU_OMP_THREADS_BIND": "nobind", "OMP_NUM_THREADS": "1"}
"""One engine thread: two on two cores wait for each other whenever a client takes one of them."""
SAMPLING = Sampling(temperature=0.0, max_tokens=48, seed=0)
SCORE_RUBRIC = Rubric(id="correctness", version="1", criteria="The answer gives the reference value.")
PAIR_RUBRIC = Rubric(id="preference", version="1", kind="pairwise", criteria="Which answer gives the reference value?")


@dataclass(frozen=True)
class Work:
    """The same requests for both sides."""

    bodies: list[bytes]
    """For the bare loop, prepared."""
    harness: Callable[[GenerationSettings], Awaitable[int]]
    """Does the same through relgate and returns how many requests it sent."""


MakeWork = Callable[[str, int], Work]
"""(name of its prompts, requests) -> work."""


def main() -> None:
    """Parse the command line, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--model", type=Path, default=EXAMPLES / "models" / "small", help="directory of the model to serve"
    )
    parser.add_argument("--url", help="use a server that is already up (base address ending in /v1)")
    parser.add_argument("--served-model", default="small", help="model id behind --url")
    parser.add_argument("--judge", type=Path, default=EXAMPLES / "demo" / "judge.yaml", help="judge file")
    parser.add_argument("--only", choices=["generation", "judging"], help="measure one of the two")
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
            f"{setting['setting']:16s} concurrency {setting['concurrency']:4d}: ratio {setting['ratio']:.3f}   "
            f"harness {setting['harness_rps']:.0f}/s, {setting['harness_cpu_ms']:.2f} ms CPU   "
            f"bare {setting['bare_rps']:.0f}/s, {setting['bare_cpu_ms']:.2f} ms CPU"
        )


async def measure(arguments: argparse.Namespace) -> dict[str, Any]:
    """Every setting's ratio, as documented in the module."""
    settings: list[dict[str, Any]] = []
    version = None
    if arguments.only != "judging":
        candidate = _candidate(arguments)
        async with _server(candidate) as (served, store):
            version = served.engine_version
            settings += await _measured("generation", _generating(candidate, served, store), served, arguments)
    if arguments.only != "generation":
        judge = load_judge(arguments.judge)
        async with _server(judge.candidate) as (served, store):
            version = version or served.engine_version
            settings += await _measured("judging", _scoring(judge, served, store), served, arguments)
            settings += await _measured("judging in pairs", _comparing(judge, served, store), served, arguments)
    return {"settings": settings, "requests": arguments.requests, "engine_version": version}


@asynccontextmanager
async def _server(candidate: Candidate) -> AsyncIterator[tuple[ServedModel, SampleStore]]:
    with tempfile.TemporaryDirectory(prefix="relgate-throughput-") as scratch:
        async with open_engine(candidate, log_dir=Path(scratch)) as served:
            yield served, SampleStore(open_database(f"sqlite:///{scratch}/samples.db"))


async def _measured(
    name: str, make: MakeWork, served: ServedModel, arguments: argparse.Namespace
) -> list[dict[str, Any]]:
    """One kind of work at every concurrency."""
    await _pair(make("warm-up", 100), served, 16, harness_first=True)
    settings = []
    for concurrency in arguments.concurrency:
        pairs = []
        for number in range(arguments.pairs):
            work = make(f"{concurrency}-{number}", arguments.requests)
            pairs.append(await _pair(work, served, concurrency, harness_first=number % 2 == 0))
            print(f"{name}, concurrency {concurrency} pair {number + 1}: {pairs[-1]}", file=sys.stderr)
        settings.append({"setting": name, **_summary(concurrency, pairs)})
    return settings


async def _pair(work: Work, served: ServedModel, concurrency: int, *, harness_first: bool) -> dict[str, float]:
    """Of both sides over the same prompts: requests per second, and this process's CPU milliseconds per request."""
    result = {}
    for side in ("harness", "bare") if harness_first else ("bare", "harness"):
        started, cpu_started = time.perf_counter(), time.process_time()
        if side == "harness":
            sent = await work.harness(GenerationSettings(concurrency=concurrency))
        else:
            sent = await _bare(served, work.bodies, concurrency)
        result[f"{side}_rps"] = sent / (time.perf_counter() - started)
        result[f"{side}_cpu_ms"] = (time.process_time() - cpu_started) / sent * 1000
    return result


async def _bare(served: ServedModel, bodies: list[bytes], concurrency: int) -> int:
    """The loop to compare with: prepared bodies, one session, replies read to their end and thrown away."""
    queue = iter(bodies)
    connector = aiohttp.TCPConnector(limit=0)
    async with aiohttp.ClientSession(connector=connector, headers={"Content-Type": "application/json"}) as session:

        async def work() -> None:
            for body in queue:
                async with session.post(f"{served.urls[0]}/chat/completions", data=body) as response:
                    assert response.status == 200, await response.text()
                    async for _ in response.content.iter_any():
                        pass

        await run_workers(concurrency, work)
    return len(bodies)


def _generating(candidate: Candidate, served: ServedModel, store: SampleStore) -> MakeWork:
    def make(name: str, requests: int) -> Work:
        prompts = _prompts(name, requests)

        async def harness(settings: GenerationSettings) -> int:
            generations = await generate(prompts, candidate, served, store, settings=settings)
            assert all(g.error is None for g in generations), next(g for g in generations if g.error is not None)
            return len(generations)

        return Work([chat_request(p, candidate, served.model_id, 0).body() for p in prompts], harness)

    return make


def _scoring(judge: Judge, served: ServedModel, store: SampleStore) -> MakeWork:
    def make(name: str, requests: int) -> Work:
        items = [JudgeItem(p, f"The answer is {i + i % 90}.") for i, p in enumerate(_prompts(name, requests))]

        async def harness(settings: GenerationSettings) -> int:
            found = await judge_pointwise(items, judge, SCORE_RUBRIC, served, store, settings=settings)
            return sum(judgment.attempts for judgment in found)

        return Work(_bodies(score_questions(items, judge, SCORE_RUBRIC), judge, SCORE_RUBRIC, served), harness)

    return make


def _comparing(judge: Judge, served: ServedModel, store: SampleStore) -> MakeWork:
    def make(name: str, requests: int) -> Work:
        prompts = _prompts(name, requests // 2)
        items = [PairItem(p, f"It is {i + i % 90}.", f"The sum: {i + i % 97}") for i, p in enumerate(prompts)]

        async def harness(settings: GenerationSettings) -> int:
            found = await judge_pairwise(items, judge, PAIR_RUBRIC, served, store, settings=settings)
            return sum(pair.first.attempts + pair.swapped.attempts for pair in found)

        return Work(_bodies(pair_questions(items, judge, PAIR_RUBRIC), judge, PAIR_RUBRIC, served), harness)

    return make


def _bodies(questions: list[Question], judge: Judge, rubric: Rubric, served: ServedModel) -> list[bytes]:
    requests = JudgeRequests(judge, rubric, questions[0].scale, served, repeat=0)
    return [requests.request(question, 0, served.declined)[0].body() for question in questions]


def _summary(concurrency: int, pairs: list[dict[str, float]]) -> dict[str, Any]:
    ratios = [pair["harness_rps"] / pair["bare_rps"] for pair in pairs]
    medians = {name: statistics.median(pair[name] for pair in pairs) for name in pairs[0]}
    return {"concurrency": concurrency, "ratio": statistics.median(ratios), **medians, "ratios": ratios}


def _prompts(name: str, count: int) -> list[Prompt]:
    """Short questions, different for every name, so that no cache and no stored answer helps either side."""
    return [
        Prompt(
            id=f"{name}-{i}",
            messages=(Message(role="user", content=f"[{name}] What is {i} + {i % 97}?"),),
            reference=f"{i + i % 97}",
        )
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
    files = hash_directory(arguments.model) if engine.kind == "vllm" else {}
    manifest = Manifest(model=files, sampling=SAMPLING, engine=engine)
    directory = arguments.model if engine.kind == "vllm" else None
    return Candidate(name="small", manifest=manifest, runtime=runtime, directory=directory)


if __name__ == "__main__":
    main()
