"""Run a server so that it never outlives relgate: ``python -I supervise.py -- COMMAND...``.

relgate holds the other end of standard input. When that closes, because relgate stopped the server or was killed, and
also on SIGTERM or SIGINT, the server gets SIGTERM, then whatever it leaves behind; SIGKILL after :data:`GRACE_S`.
Should this process itself be killed, the kernel sends SIGTERM to the server (``PR_SET_PDEATHSIG``, prctl(2); Linux).
Standard library only: it starts fast and stays small.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Iterable
from pathlib import Path

GRACE_S = 10.0
"""Seconds between SIGTERM and SIGKILL."""
_POLL_S = 0.5
_PR_SET_PDEATHSIG = 1


def main(command: list[str]) -> int:
    """Run ``command`` until it ends or standard input closes; its exit code (128 + signal when it was killed)."""
    stopping = False

    def stop(_signal: int, _frame: object) -> None:
        nonlocal stopping
        stopping = True

    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)
    prctl = ctypes.CDLL(None).prctl

    def die_with_parent() -> None:  # safe here: this process has one thread
        prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)

    with subprocess.Popen(command, stdin=subprocess.DEVNULL, preexec_fn=die_with_parent) as server:
        while server.poll() is None and not stopping:
            readable, _, _ = select.select([0], [], [], _POLL_S)
            stopping = stopping or (bool(readable) and os.read(0, 1) == b"")
        if server.poll() is None:
            server.terminate()
        _reap(server)
    return server.returncode if server.returncode >= 0 else 128 - server.returncode


def _reap(server: subprocess.Popen[bytes]) -> None:
    """Wait for the server, then end what it left behind; kill whatever is still there after the grace period."""
    deadline = time.monotonic() + GRACE_S
    asked: set[int] = set()
    while time.monotonic() < deadline:
        left = others_in_session(os.getsid(0))
        if server.poll() is not None:
            if not left:
                return
            _signal(set(left) - asked, signal.SIGTERM)
            asked.update(left)
        time.sleep(0.05)
    kill_session(os.getsid(0))


def kill_session(session: int) -> None:
    """SIGKILL everything of a session but its leader; wait until it is gone (a killed process takes time to die)."""
    deadline = time.monotonic() + GRACE_S
    while (left := others_in_session(session)) and time.monotonic() < deadline:
        _signal(left, signal.SIGKILL)
        time.sleep(0.05)


def _signal(pids: Iterable[int], number: signal.Signals) -> None:
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)


def others_in_session(session: int) -> list[int]:
    """Processes of a session other than its leader, zombies left out, from ``/proc`` (proc_pid_stat(5))."""
    found = []
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit() or int(entry.name) == session:
            continue
        try:
            state, _parent, _group, its_session = (entry / "stat").read_text().rpartition(")")[2].split()[:4]
        except OSError:
            continue  # it ended while we looked
        if int(its_session) == session and state not in ("Z", "X"):
            found.append(int(entry.name))
    return found


if __name__ == "__main__":
    sys.exit(main(sys.argv[sys.argv.index("--") + 1 :]))
