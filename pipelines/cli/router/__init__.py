"""``relgate router``: the router in front of two models, from its labels to its release."""

from __future__ import annotations

import typer

from pipelines.cli.router import evaluating, latency, releasing, shadowing, train

app = typer.Typer(
    help="The router in front of two models: trained, proven, watched and released.", no_args_is_help=True
)


@app.callback()
def group() -> None:
    """The router in front of two models: trained, proven, watched and released."""


app.command("train")(train.train)
app.command("eval")(evaluating.evaluate)
app.command("latency")(latency.latency)
app.command("release")(releasing.release)
app.command("shadow")(shadowing.shadow)
