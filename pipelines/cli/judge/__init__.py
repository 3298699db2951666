"""``relgate judge``: how far a judge can be trusted, from files of labels and verdicts."""

from __future__ import annotations

import typer

from pipelines.cli.judge import calibrating, classify, fit_refusals, pairwise

app = typer.Typer(
    help="How far a judge can be trusted: its error against people, its biases between two answers.",
    no_args_is_help=True,
)


@app.callback()
def group() -> None:
    """How far a judge can be trusted: its error against people, its biases between two answers."""


app.command("calibrate")(calibrating.calibrate)
app.command("pairwise")(pairwise.pairwise)
app.command("classify")(classify.classify)
app.command("fit-refusals")(fit_refusals.fit_refusals)
