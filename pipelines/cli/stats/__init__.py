"""``relgate stats``: the statistics that gates use, for a person with two numbers."""

from __future__ import annotations

import typer

from pipelines.cli.stats import quantiles, rates, sequences, sizes

app = typer.Typer(
    help="The statistics behind the gates: intervals, sizes, quantiles, judge-corrected rates, looking more than once.",
    no_args_is_help=True,
)
app.command("interval")(rates.interval)
app.command("size")(sizes.size)
app.command("paired")(rates.paired)
app.command("quantile")(quantiles.quantile)
app.command("corrected")(rates.corrected)
app.command("sequence")(sequences.sequence)
