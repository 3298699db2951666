"""The commands of ``relgate registry``."""

from __future__ import annotations

import typer

from pipelines.cli.registry import (
    checking,
    checkpoints,
    databases,
    exporting,
    keys,
    mirroring,
    moving,
    pinning,
    reading,
    signing,
    verifying,
    weights,
)

app = typer.Typer(
    help="Versions, decisions, signatures and channels: list, show, sign, promote, roll back, prove.",
    no_args_is_help=True,
)
app.command("list")(reading.list_)
app.command("show")(reading.show)
app.command("log")(reading.log)
app.command("checkpoint")(checkpoints.checkpoint)
app.command("prove")(checkpoints.prove)
app.command("verify")(verifying.verify)
app.command("export")(exporting.export)
app.command("pin")(pinning.pin)
app.command("sign")(signing.sign)
app.command("waive")(signing.waive)
app.command("record")(signing.record)
app.command("check")(checking.check)
app.command("promote")(moving.promote)
app.command("rollback")(moving.rollback)
app.command("migrate")(databases.migrate)
app.command("grant")(databases.grant)
app.command("weights")(weights.weights)
app.command("mirror")(mirroring.mirror)
app.add_typer(keys.app, name="key")
