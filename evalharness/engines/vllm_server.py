"""Start vLLM from a candidate's model directory, watch it come up, and stop its whole process tree."""

from __future__ import annotations

import asyncio
import os
import re
import socket
import subprocess
import sys
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self

import aiohttp

from evalharness.candidate import CHANGES_OUTPUTS_ENV, Candidate
from evalharness.engines import supervise
from evalharness.engines.vllm_arguments import fixed_port, vllm_arguments
from golden_sets.errors import InfrastructureError

LOG_LINES = 15
"""Lines of the engine's log that an error shows."""
START_ATTEMPTS = 3
"""Ports that are tried when one turns out to be taken."""
QUIET = {
    "VLLM_NO_USAGE_STATS": "1",
    "DO_NOT_TRACK": "1",
    "HF_HUB_OFFLINE": "1",
    "TRANSFORMERS_OFFLINE": "1",
    "PYTHONUNBUFFERED": "1",
}
"""Environment of every engine: no telemetry, no model hub."""

_HEALTH_INTERVAL_S = 0.25
_PORT_TAKEN = re.compile(r"address already in use|errno 98", re.IGNORECASE)
_ROOT_CAUSE = re.compile(r"\b[A-Z]\w*(?:Error|Exception)\b: .+")

_NOISE = re.compile(r"nanobind|leaked (function|type|instance)|skipped remainder|resource_tracker|warnings\.warn")
"""What a dying server writes after the reason of its death."""


class VllmServer:
    """One vLLM server; use with ``async with``. Stopped on leaving, on any exception, and when relgate itself dies.

    Args:
        candidate: what to serve; its directory, engine and runtime arguments.
        log_dir: the log is kept there as ``<candidate name>.log``.

    Raises:
        InputError: the candidate cannot be turned into a command line.
        InfrastructureError: it did not start; the message ends with the last lines of the log.
    """

    def __init__(self, candidate: Candidate, *, log_dir: Path) -> None:
        self.candidate = candidate
        self.log_path = log_dir / f"{re.sub(r'[^A-Za-z0-9._-]+', '_', candidate.name)}.log"
        self.port = 0
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """Base address of the API."""
        return f"http://127.0.0.1:{self.port}/v1"

    async def __aenter__(self) -> Self:
        for attempt in range(1, START_ATTEMPTS + 1):
            try:
                await self._start()
            except _PortTakenError as error:
                if attempt == START_ATTEMPTS or fixed_port(self.candidate) is not None:
                    raise self._failure(f"port {self.port} is in use", do="free it, or name no port") from error
            else:
                return self
        raise AssertionError("unreachable")

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.stop()

    def check(self) -> None:
        """Raise when the server's process has died.

        Raises:
            InfrastructureError: with the last lines of its log.
        """
        if self._process is not None and (code := self._process.poll()) is not None:
            raise self._failure(f"the vLLM server died (exit code {code})", do="see the log's last lines below")

    async def stop(self) -> None:
        """SIGTERM to the process tree, SIGKILL to what is left after a while; returns when nothing of it lives."""
        process, self._process = self._process, None
        if process is not None:
            await asyncio.shield(asyncio.to_thread(_stop, process))

    async def _start(self) -> None:
        with _reserve_port(fixed_port(self.candidate)) as reservation:
            self.port = int(reservation.getsockname()[1])
            command = [sys.executable, "-m", "vllm.entrypoints.openai.api_server"]
            command += vllm_arguments(self.candidate, port=self.port)
            self._process = self._spawn(command)
            try:
                await self._wait_until_healthy(self._process)
            except BaseException:
                await self.stop()
                raise

    def _spawn(self, command: list[str]) -> subprocess.Popen[bytes]:
        try:
            self.log_path.parent.mkdir(parents=True, exist_ok=True)
            with self.log_path.open("wb") as log:
                return subprocess.Popen(
                    [sys.executable, "-I", supervise.__file__, "--", *command],
                    stdin=subprocess.PIPE,  # its closing tells the supervisor to stop
                    stdout=log,
                    stderr=subprocess.STDOUT,
                    env=_environment(self.candidate.runtime.env),
                    start_new_session=True,  # Ctrl-C reaches relgate alone, which then stops its servers in order
                )
        except OSError as error:
            raise InfrastructureError(
                f"cannot start the server of '{self.candidate.name}': {error}", where=self.log_path
            ) from error

    async def _wait_until_healthy(self, process: subprocess.Popen[bytes]) -> None:
        limit = self.candidate.runtime.start_timeout_s
        deadline = time.monotonic() + limit
        health = f"http://127.0.0.1:{self.port}/health"
        async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=5.0)) as session:
            while time.monotonic() < deadline:
                if (code := process.poll()) is not None:
                    if _PORT_TAKEN.search(self._log()):
                        raise _PortTakenError(f"port {self.port}")
                    raise self._failure(f"vLLM did not start (exit code {code})", do="see the log's last lines below")
                with suppress(aiohttp.ClientError, TimeoutError):
                    async with session.get(health) as response:
                        if response.status == 200:
                            return
                await asyncio.sleep(_HEALTH_INTERVAL_S)
        raise self._failure(f"vLLM was not ready within {limit:g} s", do="raise runtime.start_timeout_s, or see below")

    def _failure(self, what: str, *, do: str) -> InfrastructureError:
        lines = [line for line in self._log().splitlines() if not _NOISE.search(line)]
        tail = "\n".join(lines[-LOG_LINES:])
        causes = (_ROOT_CAUSE.search(line) for line in lines if " WARNING " not in line)
        cause = next((found for found in causes if found is not None), None)
        shown = f"{do}\n{tail}" if cause is None else f"{do}; first error: {cause.group(0)[:500]}\n{tail}"
        return InfrastructureError(f"candidate '{self.candidate.name}': {what}", where=self.log_path, do=shown)

    def _log(self) -> str:
        try:
            return self.log_path.read_text(encoding="utf-8", errors="replace")
        except OSError:
            return ""


class _PortTakenError(Exception):
    """Somebody else took the port between choosing it and binding it."""


def _reserve_port(port: int | None) -> socket.socket:
    """Bind a port without listening on it, so that nobody else is given it while the server starts.

    Linux lets vLLM bind beside us, because both sides set SO_REUSEADDR (older versions: SO_REUSEPORT) and we do not
    listen; the kernel gives the port to nobody who asks for a free one meanwhile.
    """
    reservation = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    try:
        if port is not None:
            with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                probe.bind(("127.0.0.1", port))
                probe.listen()  # refused where anybody listens, with whatever options
        reservation.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        reservation.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        reservation.bind(("127.0.0.1", port or 0))
    except OSError as error:
        reservation.close()
        raise InfrastructureError(
            f"port {port} cannot be used: {error.strerror}", do="end the process that holds it, or name no port"
        ) from error
    return reservation


def _environment(extra: Mapping[str, str]) -> dict[str, str]:
    inherited = {name: value for name, value in os.environ.items() if name not in CHANGES_OUTPUTS_ENV}
    return {**inherited, **extra, **QUIET}


def _stop(process: subprocess.Popen[bytes]) -> None:
    """Ask the supervisor to stop; make sure that nothing of its session is left."""
    if process.stdin is not None:
        with suppress(OSError):
            process.stdin.close()
    try:
        process.wait(supervise.GRACE_S + 5.0)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    supervise.kill_session(process.pid)
