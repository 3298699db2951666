"""``python -m examples.refusals`` makes the shipped refusal detector again (a minute or two on one core)."""

from __future__ import annotations

import argparse
from pathlib import Path

import evalharness.refusals
from examples.refusals.composing import examples
from examples.refusals.training import train

SHIPPED = Path(evalharness.refusals.__file__).parent / "shipped.json"


def main() -> None:
    """Fit and write."""
    parser = argparse.ArgumentParser(prog="python -m examples.refusals", description=__doc__)
    parser.add_argument("--out", type=Path, default=SHIPPED, help="file to write")
    out = parser.parse_args().out
    detector = train(examples())
    detector.save(out)
    print(f"{detector.training.rows} answers, {detector.training.refusals} refusals -> {out} ({detector.digest})")


if __name__ == "__main__":
    main()
