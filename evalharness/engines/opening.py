"""Two ways to a served model: start vLLM from the candidate's directory, or use servers that are already up."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from urllib.parse import urlsplit

from evalharness.candidate import Candidate
from evalharness.engines.served import ServedModel, engine_version, verify_served
from evalharness.engines.vllm_server import VllmServer
from evalharness.loaded_files import LoadedFiles, directories_of, resolved
from evalharness.path_watch import PathWatch
from golden_sets.errors import InputError


@asynccontextmanager
async def open_engine(candidate: Candidate, *, log_dir: Path) -> AsyncIterator[ServedModel]:
    """Serve ``candidate`` for the length of the context, and check that it is what answers.

    Several may be open at once. A server started here is stopped on leaving, on an exception, on Ctrl-C, and when
    relgate is killed. Its files are read whole before the start and compared with the manifest; nothing of them may be
    touched until it is up (:mod:`evalharness.loaded_files`).

    Raises:
        InputError: the candidate cannot be served as written, its files are not those of its manifest or were touched
            while they were loaded, an address serves something else, or the engine's version is not the manifest's.
        InfrastructureError: a server did not start or does not answer; the message has the last lines of its log.
    """
    if candidate.manifest.engine.kind == "vllm":
        async with _started(candidate, log_dir) as served:
            yield served
    else:
        files = await asyncio.to_thread(LoadedFiles, candidate)
        served = await _endpoints(candidate, files)
        await _verify(candidate, served)
        yield served


@asynccontextmanager
async def _started(candidate: Candidate, log_dir: Path) -> AsyncIterator[ServedModel]:
    """vLLM, started from files that were read and that nobody touched until it was up."""
    candidate = resolved(candidate)
    with PathWatch(await asyncio.to_thread(directories_of, candidate)) as path:
        files = await asyncio.to_thread(LoadedFiles, candidate)
        async with VllmServer(candidate, log_dir=log_dir) as server:
            served = ServedModel(
                name=candidate.name,
                model_id=candidate.name,
                urls=(server.url,),
                engine_version=await engine_version(server.url),
                check_process=server.check,
                files=files,
            )
            await _verify(candidate, served)
            await asyncio.to_thread(files.require_untouched)
            path.require_unmoved()
            yield served


async def _verify(candidate: Candidate, served: ServedModel) -> None:
    await verify_served(served)
    declared = candidate.manifest.engine.version
    if declared is not None and served.engine_version not in (None, declared):
        raise InputError(
            f"the manifest names engine version {declared}, the server is {served.engine_version}",
            where=f"candidate '{candidate.name}'",
            do="serve it with the declared version, or declare the version that serves it (another identity)",
        )


async def _endpoints(candidate: Candidate, files: LoadedFiles) -> ServedModel:
    runtime, where = candidate.runtime, f"candidate '{candidate.name}'"
    if not runtime.urls:
        raise InputError("engine.kind is 'endpoints', but there is no address", where=where, do="set runtime.urls")
    urls = tuple(url.rstrip("/") for url in runtime.urls)
    for url in urls:
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise InputError(f"{url!r} is not an http address", where=where, do="write http://HOST:PORT/v1")
    api_key = None
    if runtime.api_key_env is not None:
        api_key = os.environ.get(runtime.api_key_env)
        if not api_key:
            raise InputError(
                f"the environment variable {runtime.api_key_env} is empty",
                where=where,
                do="set it to the bearer token, or remove runtime.api_key_env",
            )
    return ServedModel(
        name=candidate.name,
        model_id=runtime.served_model or candidate.name,
        urls=urls,
        engine_version=await engine_version(urls[0], api_key),
        api_key=api_key,
        files=files,
    )
