"""What is left when a release is killed? SIGKILL at random moments of recording and promoting, then the same again.

Each round forks a process that records a release and promotes it, and kills it at a random moment. Then the store must
open and verify, and the whole operation, repeated, must come to the same end: every event of the release once,
production one generation further, and the log still the one of the last checkpoint.

    python benchmarks/registry_kills.py --url sqlite:////tmp/relgate.db --kills 200 --seed 1
"""

from __future__ import annotations

import argparse
import json
import os
import random
import signal
import time
from collections import Counter
from statistics import median
from typing import Any

from benchmarks.registry_releases import CHANNEL, STAGE, Release, candidate, opened, release, seed
from gates.registry import Checkpoint

EVENTS = ("registered", "planned", "attempted", "evaluated", "decided", "promoted")
"""What the log holds about a release in the end, once each."""
_OVER = "over"


def measure(url: str, *, kills: int, random_seed: int) -> dict[str, Any]:
    """Kill so many releases.

    Args:
        url: of an empty database.
        kills: rounds in which it was killed; those in which it was over before are made up for.
        random_seed: decides the moments.
    """
    moments = random.Random(random_seed)
    with opened(url) as (registry, _):
        served = seed(registry, "version 0")
        checkpoint = registry.checkpoint()
    durations = [0.1]
    landed: Counter[str] = Counter()
    broken: list[str] = []
    number = 0
    while landed.total() - landed[_OVER] < kills and number < 4 * kills + 20:
        number += 1
        one = release(candidate(f"version {number}"), served, lineage=f"{CHANNEL}/{number}", outcomes_bytes=200_000)
        killed, took = _kill(url, one, number, moments.uniform(0, median(durations[-9:])))
        if not killed:
            durations.append(took)
        reached, checkpoint, wrong = _repeat(url, one, number, checkpoint)
        landed[reached if killed else _OVER] += 1
        broken += [f"round {number}: {text}" for text in wrong]
        served = one.candidate
    over = landed.pop(_OVER, 0)
    return {
        "kills": landed.total(),
        "seed": random_seed,
        "last_event_before": dict(landed),
        "over_before_the_kill": over,
        "broken": broken,
    }


def _kill(url: str, one: Release, number: int, after_s: float) -> tuple[bool, float]:
    """Fork a process that makes the release, and kill it; false where it was over before, and how long it took."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reading)
        try:
            with opened(url) as (registry, _):
                os.write(writing, b"x")  # from here on it may be killed
                one.record(registry)
                one.promote(registry, number)
        finally:
            os._exit(0)
    os.close(writing)
    ready = os.read(reading, 1)
    started = time.perf_counter()
    give_up = started + (after_s if ready else 0.0)
    over = 0
    while not over and time.perf_counter() < give_up:
        over, _ = os.waitpid(child, os.WNOHANG)
        time.sleep(0.0005)
    took = time.perf_counter() - started
    os.close(reading)
    if over:
        return False, took
    os.kill(child, signal.SIGKILL)
    _, status = os.waitpid(child, 0)
    return os.WIFSIGNALED(status), took


def _repeat(url: str, one: Release, number: int, checkpoint: Checkpoint) -> tuple[str, Checkpoint, list[str]]:
    """Open and verify what is left, make the release again, and check the end; says how far it had come."""
    with opened(url) as (registry, _):
        wrong = [f"after the kill: {text}" for text in registry.verify(checkpoint=checkpoint).problems]
        left = [event.type for event in registry.log()[checkpoint.size :] if event.type != "policy_recorded"]
        if tuple(left) != EVENTS[: len(left)]:
            wrong.append(f"the log goes on with {left}")
        one.record(registry)
        state = one.promote(registry, registry.channel(CHANNEL, STAGE).generation)
        if (state.digest, state.generation) != (one.candidate.digest, number + 1):
            wrong.append(f"generation {state.generation} serves {state.name}")
        added = [event.type for event in registry.log()[checkpoint.size :] if event.type != "policy_recorded"]
        if tuple(added) != EVENTS:
            wrong.append(f"the log holds {added}")
        wrong += [f"at the end: {text}" for text in registry.verify(checkpoint=checkpoint).problems]
        return left[-1] if left else "nothing", registry.checkpoint(), wrong


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--url", required=True, help="address of an empty database")
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    print(json.dumps(measure(arguments.url, kills=arguments.kills, random_seed=arguments.seed), indent=2))


if __name__ == "__main__":
    main()
