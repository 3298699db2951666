"""How fast model directories are hashed, beside ``sha256sum`` under ``xargs -P2`` on the same files in the same run.

A directory of random bytes, of few large files and many small ones, is made, hashed in turns by both, read from memory
(it was just written), and removed. The ratio is the share of the reference's speed that relgate reaches: 1 is as fast.

    python benchmarks/hashing.py --dir /var/tmp
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from evalharness.model_directory import hash_directory

MIB = 1 << 20
SIZES = (*[512 * MIB] * 2, *[256 * MIB] * 2, *[64 * MIB] * 4, *[8 * MIB] * 20, *[MIB] * 60, *[64 << 10] * 480)
"""Bytes of the files: 2 GiB in all."""
REFERENCE = "find . -type f -print0 | xargs -0 -P2 -n16 sha256sum"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dir", type=Path, default=Path(tempfile.gettempdir()), help="where 2 GiB are written")
    parser.add_argument("--rounds", type=int, default=5, help="how often each is timed")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results", help="directory of the result")
    arguments = parser.parse_args()
    scratch = Path(tempfile.mkdtemp(dir=arguments.dir))
    try:
        _fill(scratch)
        result = _measure(scratch, arguments.rounds)
    finally:
        shutil.rmtree(scratch)
    text = json.dumps(result, indent=2) + "\n"
    sys.stdout.write(text)
    arguments.out.mkdir(parents=True, exist_ok=True)
    (arguments.out / "hashing.json").write_text(text, encoding="utf-8")


def _fill(directory: Path) -> None:
    block = os.urandom(MIB)
    for number, size in enumerate(SIZES):
        with (directory / f"{number:04}.safetensors").open("wb") as file:
            for start in range(0, size, MIB):
                file.write(number.to_bytes(4, "big") + block[4 : min(MIB, size - start)])
            os.fsync(file.fileno())


def _measure(directory: Path, rounds: int) -> dict[str, Any]:
    reference, relgate = [], []
    for _ in range(rounds):
        start = time.perf_counter()
        lines = subprocess.run(REFERENCE, shell=True, cwd=directory, capture_output=True, text=True, check=True)  # noqa: S602
        reference.append(time.perf_counter() - start)
        start = time.perf_counter()
        digests = hash_directory(directory)
        relgate.append(time.perf_counter() - start)
        found = dict(line.split("  ./")[::-1] for line in lines.stdout.splitlines())
        assert {name: digest.removeprefix("sha256:") for name, digest in digests.items()} == found
    size = sum(SIZES)
    return {
        "bytes": size,
        "files": len(SIZES),
        "cores": os.cpu_count(),
        "platform": platform.platform(),
        "sha256sum": subprocess.run(["sha256sum", "--version"], capture_output=True, text=True, check=True)
        .stdout.splitlines()[0]
        .strip(),
        "load_before": os.getloadavg()[0],
        "reference_s": [round(s, 3) for s in reference],
        "relgate_s": [round(s, 3) for s in relgate],
        "reference_mb_per_s": round(size / 1e6 / statistics.median(reference)),
        "relgate_mb_per_s": round(size / 1e6 / statistics.median(relgate)),
        "ratio": round(statistics.median(reference) / statistics.median(relgate), 3),
    }


if __name__ == "__main__":
    main()
