"""``relgate stats quantile``: a latency quantile with bounds that hold for any distribution."""

from __future__ import annotations

import math
from typing import Annotated

import typer

from golden_sets.errors import InputError
from pipelines.cli.output import Json
from pipelines.cli.stats.options import Confidence, SideOption, option, question


def quantile(
    file: Annotated[
        str,
        typer.Argument(help="Numbers, one a line; - for stdin. inf stands for a failed request.", show_default=False),
    ],
    *,
    q: Annotated[float, option("--q", "Quantile in (0, 1); p95 is 0.95.")],
    confidence: Confidence = 0.95,
    side: SideOption = "two-sided",
    as_json: Json = False,
) -> None:
    """Order-statistic interval for a quantile; a bound that n is too small for is missing, with the n it takes."""
    from evalharness.statistics.quantiles import quantile_interval, quantile_ranks
    from pipelines.cli.stats.columns import read_numbers
    from pipelines.cli.stats.showing import answer, claim, plain

    with question("quantile"):
        if not 1e-7 <= q <= 1 - 1e-7:
            raise InputError(f"--q must lie between 1e-07 and 0.9999999, got {q}", do="write p95 as 0.95")
        values = read_numbers(file, allow_infinite=True)
        found = quantile_interval(values, q, confidence=confidence, side=side)
        low_rank, high_rank = quantile_ranks(len(values), q, confidence=confidence, side=side)
    failed = sum(math.isinf(x) for x in values)
    ranks = {"low_rank": low_rank, "high_rank": high_rank}
    document = {**found.to_json(), "side": side, "q": q, **ranks, "infinite": failed}
    name = f"p{100 * q:g}"
    among = f"{len(values)} numbers" + (f", {failed} of them infinite" if failed else "")
    answer(f"{among}: {claim(found, name, plain)}.", {name: (found, plain)}, document, as_json=as_json)
