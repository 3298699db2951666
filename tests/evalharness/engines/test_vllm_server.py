"""Real vLLM on the CPU: started, asked, stopped and killed. About a minute and a half on two cores."""

from __future__ import annotations

import asyncio
import shutil
import signal
import socket
import sys
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from evalharness.candidate import Candidate, Engine, Manifest, Runtime, Sampling
from evalharness.engines import fingerprint, open_engine
from evalharness.generation import GenerationSettings, generate
from evalharness.model_directory import hash_directory
from evalharness.samples import SampleStore
from golden_sets.errors import InfrastructureError, InputError
from golden_sets.records import Prompt

ROOT = Path(__file__).parents[3]
MODEL = ROOT / "examples" / "models" / "small"
ENGINE = {"dtype": "bfloat16", "enforce_eager": True, "max_model_len": 512}
MakePrompts = Callable[..., list[Prompt]]


def candidate(directory: Path = MODEL, version: str | None = None, **runtime: object) -> Candidate:
    manifest = Manifest(
        model=hash_directory(directory) if directory.is_dir() and any(directory.iterdir()) else {},
        sampling=Sampling(max_tokens=24, seed=0),
        engine=Engine(kind="vllm", args=ENGINE, version=version),
    )
    values = Runtime(env={"VLLM_CPU_KVCACHE_SPACE": "1"}, args={"max_num_seqs": 32, **runtime})
    return Candidate(name="small", manifest=manifest, runtime=values, directory=directory)


def living(processes: list[psutil.Process]) -> list[psutil.Process]:
    """Those that still run; a zombie has ended and waits for its parent to notice."""
    found = []
    for process in processes:
        try:
            if process.is_running() and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process)
        except psutil.NoSuchProcess:
            continue
    return found


@pytest.mark.vllm
async def test_a_server_is_started_asked_and_leaves_nothing_when_it_dies_half_way(
    store: SampleStore, make_prompts: MakePrompts, tmp_path: Path
) -> None:
    settings = GenerationSettings(concurrency=16, retries=1, backoff_s=0.05)
    finished = 0

    with pytest.raises(InfrastructureError, match=r"died|answers"):  # noqa: PT012 - the run is the statement
        async with open_engine(candidate(), log_dir=tmp_path) as served:
            tree = psutil.Process().children(recursive=True)
            assert len(living(tree)) >= 3, "supervisor, server and engine"
            assert served.engine_version
            first = await fingerprint(served)
            assert first.startswith("logprobs:sha256:")

            generations = await generate(make_prompts(60), candidate(), served, store, settings=settings)
            assert all(g.error is None and g.finish_reason in ("stop", "length") for g in generations)
            assert all(g.output_tokens and 0 < g.output_tokens <= 24 and g.prompt_tokens for g in generations)
            assert all(g.ttft_s is not None and 0 < g.ttft_s <= g.e2e_s for g in generations)
            assert await generate(make_prompts(60), candidate(), served, store, settings=settings) == generations
            assert await fingerprint(served) == first, "the load has not changed what is computed"

            (server,) = (p for p in tree if "api_server" in " ".join(p.cmdline()) and "supervise" not in p.cmdline()[2])

            def kill_half_way(done: int, _total: int) -> None:
                nonlocal finished
                finished = done
                if done == 200:
                    server.kill()

            many = make_prompts(3000)
            await generate(many, candidate(), served, store, settings=settings, progress=kill_half_way)
    assert living(tree) == []
    counts = store.counts()
    assert counts["generations"] == finished >= 200
    assert (tmp_path / "small.log").stat().st_size > 0, "the log is kept"


@pytest.mark.vllm
@pytest.mark.parametrize("sent", [signal.SIGKILL, signal.SIGINT])
async def test_nothing_survives_when_relgate_is_killed_during_a_start(tmp_path: Path, sent: signal.Signals) -> None:
    script = f"""
import asyncio, sys
sys.path[:0] = [{str(ROOT)!r}]
from pathlib import Path
from evalharness.engines import open_engine
from evalharness.candidate import Candidate
candidate = Candidate.model_validate_json({candidate().model_dump_json()!r})
async def main():
    async with open_engine(candidate, log_dir=Path({str(tmp_path)!r})):
        await asyncio.sleep(600)
asyncio.run(main())
"""
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", script, stderr=asyncio.subprocess.DEVNULL)
    try:
        tree = await asyncio.to_thread(wait_for_tree, psutil.Process(process.pid), 2, 60.0)
    finally:
        process.send_signal(sent)
        await process.wait()
    _gone, left = await asyncio.to_thread(psutil.wait_procs, tree, 20)
    assert living(left) == []


def wait_for_tree(parent: psutil.Process, size: int, within_s: float) -> list[psutil.Process]:
    deadline = time.monotonic() + within_s
    while time.monotonic() < deadline:
        tree: list[psutil.Process] = parent.children(recursive=True)
        if len(tree) >= size:
            return tree
        time.sleep(0.1)
    raise AssertionError(f"no {size} processes within {within_s} s")


@pytest.mark.vllm
async def test_a_model_that_cannot_start_shows_why(tmp_path: Path) -> None:
    broken = tmp_path / "broken"
    shutil.copytree(MODEL, broken)
    (broken / "config.json").write_text('{"model_type": "no-such-architecture"}')
    before = set(psutil.Process().children(recursive=True))
    with pytest.raises(InfrastructureError) as caught:
        async with open_engine(candidate(broken), log_dir=tmp_path):
            pass
    message = str(caught.value)
    assert message.startswith(str(tmp_path / "small.log"))
    assert "did not start (exit code 1)" in message
    assert "first error: " in message
    assert "no-such-architecture" in message
    assert living(list(set(psutil.Process().children(recursive=True)) - before)) == []


async def test_a_port_in_use_is_refused_before_anything_starts(tmp_path: Path) -> None:
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        holder.listen()
        port = holder.getsockname()[1]
        with pytest.raises(InfrastructureError, match=f"port {port} cannot be used: Address already in use"):
            async with open_engine(candidate(port=port), log_dir=tmp_path):
                pass
    assert not (tmp_path / "small.log").exists()


async def test_a_missing_model_directory_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such directory"):
        async with open_engine(candidate(tmp_path / "none"), log_dir=tmp_path):
            pass


async def test_a_log_directory_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(InfrastructureError, match="cannot start the server of 'small'"):
        async with open_engine(candidate(tmp_path), log_dir=tmp_path / "file" / "logs"):
            pass


async def test_a_start_that_takes_too_long_is_given_up(tmp_path: Path) -> None:
    slow = candidate()
    slow = slow.model_copy(update={"runtime": slow.runtime.model_copy(update={"start_timeout_s": 0.3})})
    with pytest.raises(InfrastructureError, match=r"not ready within 0\.3 s"):
        async with open_engine(slow, log_dir=tmp_path / "logs"):
            pass
    assert (tmp_path / "logs" / "small.log").exists()
