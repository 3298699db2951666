"""The MLflow mirror written again from the registry, where it is not what the registry says.

What the registry does not know is removed from the mirror's own models and experiments: runs without a decision, model
versions of nothing registered. Everything else is set right in place, so that links to runs and versions hold.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from gates.registry import Registry
from gates.registry.channels import CHANNEL_NAMES
from golden_sets.errors import InfrastructureError, RelgateError
from pipelines.subjects import Subject
from pipelines.tracking import (
    DECISION_TAG,
    DIGEST_TAG,
    NAME_TAG,
    REPORT_TAG,
    flatten_estimates,
    log_report,
    mirror_alias,
    mirror_release,
    prepare_tracking,
    run_tags,
    version_tags,
)
from pipelines.tracking_check import Divergence, divergences
from pipelines.tracking_server import connected, reason_of

if TYPE_CHECKING:
    from mlflow import MlflowClient

    from gates.decision import Decision


def mend_mirror(tracking_uri: str, registry: Registry, report_of: Callable[[Decision], Path]) -> tuple[str, ...]:
    """Make the mirror what the registry says.

    Args:
        tracking_uri: as MLflow takes it; made where there is none.
        registry: the authority.
        report_of: gives the directory of a decision's report.

    Returns:
        What was done, in words; empty: nothing needed to be.

    Raises:
        InputError: no address that MLflow takes.
        InfrastructureError: the mirror cannot be written, or a report neither found nor made.
    """
    problem = prepare_tracking(tracking_uri)
    if problem is not None:
        raise InfrastructureError(problem)
    done = _mirror_promotions(tracking_uri, registry, report_of)
    found = divergences(tracking_uri, registry)
    try:
        with connected(tracking_uri) as client:
            for one in found:
                if one.kind != "alias":
                    _mend(client, registry, one, report_of)
    except RelgateError:  # of the registry, or a report
        raise
    except Exception as error:  # MLflow raises whatever its database, server or disk raise
        raise InfrastructureError(f"MLflow cannot be written: {reason_of(error, tracking_uri)}") from error
    # Aliases last: a version that was removed took its own with it.
    for one in divergences(tracking_uri, registry):
        if one.kind == "alias":
            _mend_alias(tracking_uri, registry, one)
    return (*done, *(one.what for one in found))


def _mirror_promotions(tracking_uri: str, registry: Registry, report_of: Callable[[Decision], Path]) -> tuple[str, ...]:
    """Runs of the decisions by which something was promoted, where they are missing."""
    done = []
    present = _decisions_with_a_run(tracking_uri)
    for state in registry.channels():
        for move in state.history:
            if move.decision is None or move.decision in present:
                continue
            present.add(move.decision)
            decision = registry.decision(move.decision)
            mirrored = mirror_release(
                tracking_uri,
                candidate=Subject(decision.subject_name, decision.subject_digest),
                decision=decision,
                evidence=registry.evidence(decision.evidence_digest),
                report_dir=report_of(decision),
                channel=state.channel,
            )
            if mirrored.warning is not None:
                raise InfrastructureError(mirrored.warning)
            done.append(f"the run of decision {decision.digest[:19]} about {decision.subject_name!r} was missing")
    return tuple(done)


def _decisions_with_a_run(tracking_uri: str) -> set[str]:
    with connected(tracking_uri) as client:
        experiments = [client.get_experiment_by_name(f"relgate/{channel}") for channel in CHANNEL_NAMES]
        found = [e.experiment_id for e in experiments if e is not None]
        token: str | None = None
        decisions: set[str] = set()
        while found:
            page = client.search_runs(found, page_token=token)
            decisions |= {run.data.tags.get(DECISION_TAG, "") for run in page}
            token = page.token
            if not token:
                break
        return decisions


def _mend(client: MlflowClient, registry: Registry, one: Divergence, report_of: Callable[[Decision], Path]) -> None:
    if one.kind == "version" and one.spare:
        client.delete_model_version(one.channel, one.key)
    elif one.kind == "version":
        _mend_version(client, registry, one)
    elif one.digest is None:
        client.delete_run(one.key)
    else:
        _mend_run(client, registry, one.key, registry.decision(one.digest), report_of)


def _mend_version(client: MlflowClient, registry: Registry, one: Divergence) -> None:
    """Tags of a model version, with the newest decision about it."""
    version = registry.show(one.digest or "")
    tags = {DIGEST_TAG: version.digest, NAME_TAG: version.name}
    stale = {key for key in client.get_model_version(one.channel, one.key).tags if key.startswith("relgate.")}
    decided = registry.decisions_about(version.digest)
    if decided:
        tags |= version_tags(registry.decision(decided[0].payload["decision"]))
    for key in stale - tags.keys():
        client.delete_model_version_tag(one.channel, one.key, key)
    for key, value in tags.items():
        client.set_model_version_tag(one.channel, one.key, key, value)


def _mend_run(
    client: MlflowClient,
    registry: Registry,
    run_id: str,
    decision: Decision,
    report_of: Callable[[Decision], Path],
) -> None:
    """Tags, metrics and report of a run; of several values of a metric MLflow shows the one of the highest step."""
    from mlflow.entities import Metric
    from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository

    run = client.get_run(run_id)
    for key, value in run_tags(decision).items():
        if run.data.tags.get(key) != value:
            client.set_tag(run_id, key, value)
    estimates = flatten_estimates(registry.evidence(decision.evidence_digest).estimates)
    for key, number in estimates.items():
        if run.data.metrics.get(key) == number:
            continue
        step = max((m.step for m in client.get_metric_history(run_id, key)), default=-1) + 1
        client.log_batch(run_id, metrics=[Metric(key, number, run.info.start_time, step)])
    if REPORT_TAG in run.data.tags or client.list_artifacts(run_id, "report"):
        get_artifact_repository(run.info.artifact_uri).delete_artifacts("report")  # type: ignore[no-untyped-call]
        log_report(client, run_id, report_of(decision))
    client.set_terminated(run_id, status="FINISHED")


def _mend_alias(tracking_uri: str, registry: Registry, one: Divergence) -> None:
    if one.digest is None:
        with connected(tracking_uri) as client:
            client.delete_registered_model_alias(one.channel, one.key)
        return
    name = registry.show(one.digest).name
    moved = mirror_alias(tracking_uri, channel=one.channel, stage=one.key, digest=one.digest, name=name)
    if moved.warning is not None:
        raise InfrastructureError(moved.warning)
