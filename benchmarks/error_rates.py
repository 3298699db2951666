"""Measured error rates of the gate: identical models, candidates exactly at a limit, real outcomes, planned looks.

``python -m benchmarks.error_rates [--quick] [--json] [--only SECTION] [--out DIR]`` writes ``error_rates.json`` and
``error_rates.md``. Verdicts are those of `gates.gate`; planned runs go through `gates.course`, real outcomes through
the command line. Beside them stand rules that peers gate by. Seeded: the same call gives the same numbers.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.at_the_limit import at_the_limit, in_clusters, twenty_peeks
from benchmarks.error_rates_report import ALPHA, KnownOrder, Rates, Saving, markdown
from benchmarks.identical_models import identical_models
from benchmarks.judged_at_the_limit import judged_at_the_limit
from benchmarks.real_outcomes import real_outcomes
from benchmarks.sequential_runs import EFFECTS, looked_at_ten_times, saved_by_design, saved_by_runs
from golden_sets.errors import InputError

Result = Rates | KnownOrder | Saving


@dataclass(frozen=True)
class Scale:
    """How many releases to simulate."""

    quick: bool
    identical: int
    clustered: int
    judged: int
    planned: int
    saving: int
    draws: int

    @staticmethod
    def of(*, quick: bool) -> Scale:
        """The full benchmark, or one that takes less than a minute."""
        return Scale(True, 5, 20, 30, 10, 4, 20) if quick else Scale(False, 200, 800, 2000, 500, 100, 200)


def _limits(scale: Scale) -> Iterator[Rates]:
    yield from at_the_limit(quick=scale.quick)
    yield twenty_peeks()


def _savings(scale: Scale) -> Iterator[Saving]:
    yield from saved_by_design()
    yield from saved_by_runs(scale.saving, effects=(-2.0, 0.0, 1.0) if scale.quick else EFFECTS)


SECTIONS: dict[str, Callable[[Scale], Iterator[Result]]] = {
    "identical": lambda scale: identical_models(scale.identical),
    "limit": _limits,
    "clusters": lambda scale: (one.rates(scale.clustered) for one in in_clusters()),
    "judged": lambda scale: (one.rates(scale.judged) for one in judged_at_the_limit()),
    "looks": lambda scale: (one.rates(scale.planned) for one in looked_at_ten_times()),
    "real": lambda scale: real_outcomes(scale.draws, quick=scale.quick),
    "saving": _savings,
}


def main() -> None:
    """Run the sections, write JSON and Markdown, print one of them."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="fewer releases: to see that it works")
    parser.add_argument("--json", action="store_true", help="print JSON in place of the tables")
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results"), help="directory for the two files")
    parser.add_argument("--only", choices=list(SECTIONS), action="append", help="run only this section (repeatable)")
    options = parser.parse_args()
    document, text = measure(Scale.of(quick=options.quick), options.only or list(SECTIONS))
    options.out.mkdir(parents=True, exist_ok=True)
    written = json.dumps(document, indent=1) + "\n"
    (options.out / "error_rates.json").write_text(written, encoding="utf-8")
    (options.out / "error_rates.md").write_text(text, encoding="utf-8")
    print(written if options.json else text)


def measure(scale: Scale, sections: list[str]) -> tuple[dict[str, Any], str]:
    """Run sections: the results as JSON and as Markdown. Without the real data, that section is left out and said."""
    found: list[Result] = []
    seconds: dict[str, float] = {}
    for name in sections:
        started = time.perf_counter()
        try:
            found += SECTIONS[name](scale)
        except InputError as error:
            if name != "real":
                raise
            print(f"section 'real' is left out: {error}", file=sys.stderr)
        seconds[name] = round(time.perf_counter() - started, 1)
        print(f"{name}: {seconds[name]} s", file=sys.stderr)
    rates = [one for one in found if isinstance(one, Rates)]
    ordered = [one for one in found if isinstance(one, KnownOrder)]
    savings = [one for one in found if isinstance(one, Saving)]
    document = {
        "quick": scale.quick,
        "alpha": ALPHA,
        "seconds": seconds,
        "all_kept": all(one.kept for one in rates) and all(one.kept for one in ordered),
        "rates": [one.to_json() for one in rates],
        "known_order": [one.to_json() for one in ordered],
        "savings": [one.to_json() for one in savings],
    }
    return document, markdown(rates, ordered, savings)


if __name__ == "__main__":
    main()
