"""Do promotions at once lose or repeat a generation? Many processes promote on one channel as fast as they can.

Two versions each have a passing decision against the other. Every process looks at the channel and promotes the version
that is not served, over the generation it saw; who was overtaken is refused. Afterwards the log tells what happened.

    python benchmarks/registry_promotions.py --url sqlite:////tmp/relgate.db --processes 16 --attempts 1000
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import time
from multiprocessing.queues import Queue
from multiprocessing.synchronize import Barrier
from typing import Any

from benchmarks.registry_releases import CHANNEL, STAGE, Release, candidate, opened, release, seed
from golden_sets.errors import InputError

Tally = tuple[list[int], int, list[str]]
"""Generations won, attempts that were overtaken, and whatever else went wrong."""


def measure(url: str, *, processes: int, attempts: int) -> dict[str, Any]:
    """Let processes promote at once.

    Args:
        url: of an empty database.
        processes: how many.
        attempts: of all of them together.
    """
    with opened(url) as (registry, _):
        first, other = seed(registry, "left"), candidate("right")
        pair = [
            release(other, first, lineage=f"{CHANNEL}/right"),
            release(first, other, lineage=f"{CHANNEL}/left"),
        ]
        for one in pair:
            one.record(registry)
        checkpoint = registry.checkpoint()
    forked = multiprocessing.get_context("fork")
    barrier, told = forked.Barrier(processes + 1), forked.Queue()
    shares = [attempts // processes + (i < attempts % processes) for i in range(processes)]
    workers = [forked.Process(target=_promote, args=(url, pair, share, barrier, told)) for share in shares]
    for worker in workers:
        worker.start()
    barrier.wait(timeout=120)
    started = time.perf_counter()
    tallies: list[Tally] = [told.get(timeout=600) for _ in workers]
    wall = time.perf_counter() - started
    for worker in workers:
        worker.join()
    return {"processes": processes, "attempts": attempts, "wall_s": round(wall, 2), **_check(url, tallies, checkpoint)}


def _promote(url: str, pair: list[Release], attempts: int, barrier: Barrier, told: Queue[Tally]) -> None:
    won: list[int] = []
    overtaken, wrong = 0, []
    with opened(url) as (registry, _):
        barrier.wait(timeout=120)
        for _ in range(attempts):
            try:
                state = registry.channel(CHANNEL, STAGE)
                target = next(one for one in pair if one.candidate.digest != state.digest)
                won.append(target.promote(registry, state.generation).generation)
            except InputError as error:
                if "moved meanwhile" in str(error):
                    overtaken += 1
                else:
                    wrong.append(str(error))
            except Exception as error:  # noqa: BLE001 - whatever it is, it is counted
                wrong.append(f"{type(error).__name__}: {error}")
    told.put((won, overtaken, wrong))


def _check(url: str, tallies: list[Tally], checkpoint: Any) -> dict[str, Any]:
    won = sorted(generation for tally in tallies for generation in tally[0])
    with opened(url) as (registry, _):
        found = registry.verify(checkpoint=checkpoint)
        state = registry.channel(CHANNEL, STAGE)
        logged = [e.payload["generation"] for e in registry.log() if e.type == "promoted"]
    return {
        "won": len(won),
        "overtaken": sum(tally[1] for tally in tallies),
        "wrong": [text for tally in tallies for text in tally[2]],
        "every_generation_once": won == list(range(2, len(won) + 2)),
        "log_agrees": logged == list(range(1, len(won) + 2)) and state.generation == len(won) + 1,
        "problems": list(found.problems),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--url", required=True, help="address of an empty database")
    parser.add_argument("--processes", type=int, default=16)
    parser.add_argument("--attempts", type=int, default=1000)
    arguments = parser.parse_args()
    print(json.dumps(measure(arguments.url, processes=arguments.processes, attempts=arguments.attempts), indent=2))


if __name__ == "__main__":
    main()
