"""``relgate registry mirror``: MLflow written again from the registry."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from golden_sets.errors import InputError
from pipelines.cli.options import ProjectOption, StoreOption
from pipelines.cli.output import Json, emit, line, stdout
from pipelines.cli.registry.common import open_workspace

if TYPE_CHECKING:
    from gates.decision import Decision


def mirror(*, project: ProjectOption = Path(), store: StoreOption = None, as_json: Json = False) -> None:
    """Set the MLflow mirror right where it is not what the registry says, and tell what was wrong.

    Runs and model versions that the registry does not know are removed from the mirror's models and experiments.
    """
    from pipelines.tracking_mending import mend_mirror

    workspace = open_workspace(project, store)
    uri = workspace.project.mlflow_uri
    if uri is None:
        raise InputError("the project has no MLflow mirror", where=workspace.project.path, do="set 'mlflow: local'")

    def report_of(decision: Decision) -> Path:
        from pipelines.release import existing_report

        return existing_report(workspace.registry, decision, workspace.project.reports).html.parent

    mended = mend_mirror(uri, workspace.registry, report_of)
    if as_json:
        emit({"mended": list(mended)})
        return
    console = stdout()
    for what in mended:
        line(console, f"mended: {what}")
    line(console, "MLflow says what the registry says")
