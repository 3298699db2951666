"""A server must not outlive relgate, whoever is killed. Here with a small stand-in for the server's process tree."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator

import psutil
import pytest

from evalharness.engines import supervise

TREE = """
import subprocess, sys, time
child = subprocess.Popen([sys.executable, "-c", "import time; print('up', flush=True); time.sleep(600)"])
time.sleep(600)
"""
STUBBORN = """
import signal, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
print('up', flush=True)
time.sleep(600)
"""
Start = Callable[[str], subprocess.Popen[bytes]]


@pytest.fixture
def start() -> Iterator[Start]:
    processes: list[subprocess.Popen[bytes]] = []

    def begin(script: str) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-I", supervise.__file__, "--", sys.executable, "-c", script]
        process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True)
        processes.append(process)
        assert process.stdout is not None
        assert process.stdout.readline() == b"up\n"
        return process

    yield begin
    for process in processes:
        for pid in supervise.others_in_session(process.pid):
            psutil.Process(pid).kill()
        process.kill()
        process.wait()
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.close()
        process.stdout.close()


def gone(process: subprocess.Popen[bytes], within_s: float) -> bool:
    deadline = time.monotonic() + within_s
    while supervise.others_in_session(process.pid) and time.monotonic() < deadline:
        time.sleep(0.05)
    return not supervise.others_in_session(process.pid)


def test_the_tree_dies_when_the_pipe_to_relgate_closes(start: Start) -> None:
    process = start(TREE)
    assert len(supervise.others_in_session(process.pid)) == 2
    assert process.stdin is not None
    process.stdin.close()
    process.wait(timeout=20)
    assert supervise.others_in_session(process.pid) == []


@pytest.mark.parametrize("sent", [signal.SIGTERM, signal.SIGINT])
def test_the_tree_dies_on_a_signal_to_the_supervisor(start: Start, sent: signal.Signals) -> None:
    process = start(TREE)
    process.send_signal(sent)
    process.wait(timeout=20)
    assert supervise.others_in_session(process.pid) == []


def test_the_server_dies_when_the_supervisor_is_killed(start: Start) -> None:
    process = start("print('up', flush=True); import time; time.sleep(600)")
    process.kill()
    process.wait(timeout=20)
    assert gone(process, within_s=10)


@pytest.mark.slow
def test_a_server_that_ignores_sigterm_is_killed(start: Start) -> None:
    process = start(STUBBORN)
    assert process.stdin is not None
    started = time.monotonic()
    process.stdin.close()
    process.wait(timeout=30)
    assert supervise.GRACE_S <= time.monotonic() - started < supervise.GRACE_S + 5
    assert supervise.others_in_session(process.pid) == []


def test_the_exit_code_is_the_servers(start: Start) -> None:
    process = start("print('up', flush=True); raise SystemExit(7)")
    assert process.wait(timeout=20) == 7
