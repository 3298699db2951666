"""MLflow as a mirror of the registry: runs, metrics, reports and aliases for people who live there.

The registry is the authority. Nothing here may break a release: every failure comes back as a warning. Everything can
be repeated: a decision has one run, a digest one model version, and mirroring them again changes nothing.

One run per decision in the experiment ``relgate/CHANNEL``; one registered model per channel, whose versions name the
registry's digest as their source (``relgate:sha256:...``: no weights are copied) and whose aliases are the stages.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from evalharness.candidate import Candidate
from evalharness.evidence import Estimate, Evidence
from evalharness.model_directory import hash_directory
from gates.decision import Decision, Status
from golden_sets.digests import Digest, digest_json, short
from pipelines.subjects import Subject
from pipelines.tracking_server import connected, database_of, reason_of, without_password

if TYPE_CHECKING:
    from mlflow import MlflowClient

DECISION_TAG = "relgate.decision"
"""Tag of a run: the digest of the decision it mirrors."""
DIGEST_TAG = "relgate.digest"
"""Tag of a run and of a model version: the digest of the version."""
SOURCE_PREFIX = "relgate:"
"""A model version's source is this and the version's digest."""
VERDICT_TAG = "relgate.verdict"
"""Tag of a run and of a model version: what was decided."""
NAME_TAG = "relgate.name"
"""Tag of a model version: the version's name."""
REPORT_TAG = "relgate.report"
"""Tag of a run: the digest of the report's files as they were logged."""

_METRICS_PER_BATCH = 500
_LONGEST_PARAM = 500


@dataclass(frozen=True, slots=True)
class Mirrored:
    """What became of a mirroring."""

    run_id: str | None
    """The MLflow run; None where there is none."""
    model_version: int | None
    """The version of the registered model; None where it failed."""
    warning: str | None
    """Why it failed, for people; None: it succeeded."""


def mirror_release(
    tracking_uri: str,
    *,
    candidate: Candidate | Subject,
    decision: Decision,
    evidence: Evidence,
    report_dir: Path | None,
    channel: str,
) -> Mirrored:
    """Mirror one decision as a run with its metrics, digests and report, and its subject as a model version.

    Args:
        tracking_uri: as MLflow takes it; ``sqlite:///FILE`` keeps artifacts in ``mlartifacts/`` beside the file.
        candidate: the subject: a model, or anything else with its own parameters.
        decision: the decision to mirror.
        evidence: what it rests on.
        report_dir: directory whose files become the run's artifacts under ``report/``; None: none.
        channel: the channel, which is the name of the registered model.
    """

    subject = candidate if isinstance(candidate, Subject) else _model(candidate)

    def mirror(client: MlflowClient) -> Mirrored:
        experiment = _experiment(client, tracking_uri, f"relgate/{channel}")
        run_id, finished = _run(client, experiment, subject, decision)
        if not finished:
            _log(client, run_id, subject, decision, evidence)
            if report_dir is not None:
                log_report(client, run_id, report_dir)
        version = _model_version(client, channel, subject.digest, subject.name, run_id)
        for key, value in version_tags(decision).items():
            client.set_model_version_tag(channel, str(version), key, value)
        if not finished:  # last, so that a run that was cut short is taken up again
            client.set_terminated(run_id, status="FINISHED")
        return Mirrored(run_id, version, None)

    return _guarded(tracking_uri, mirror)


def mirror_alias(tracking_uri: str, *, channel: str, stage: str, digest: Digest, name: str) -> Mirrored:
    """Point a stage's alias at a version, after it was promoted or rolled back in the registry.

    Args:
        tracking_uri: as MLflow takes it.
        channel: the channel, which is the name of the registered model.
        stage: the stage, which is the alias.
        digest: the version; made where it was never mirrored (a first version has no decision).
        name: its name.
    """

    def mirror(client: MlflowClient) -> Mirrored:
        version = _model_version(client, channel, digest, name, None)
        client.set_registered_model_alias(channel, stage, str(version))
        return Mirrored(None, version, None)

    return _guarded(tracking_uri, mirror)


def prepare_tracking(tracking_uri: str) -> str | None:
    """Import MLflow and create its tables, which takes seconds the first time: worth doing beside other work.

    Returns:
        A warning, or None.
    """
    return _guarded(tracking_uri, lambda _: Mirrored(None, None, None)).warning


# -- one run per decision ------------------------------------------------------------------------------------


def _experiment(client: MlflowClient, tracking_uri: str, name: str) -> str:
    known = client.get_experiment_by_name(name)
    if known is not None:
        return str(known.experiment_id)
    database = database_of(tracking_uri)
    location = None if database is None else (database.parent / "mlartifacts").as_uri()
    return str(client.create_experiment(name, artifact_location=location))


def _run(client: MlflowClient, experiment: str, subject: Subject, decision: Decision) -> tuple[str, bool]:
    """The decision's run, and whether it is complete already."""
    found = client.search_runs([experiment], f"tags.`{DECISION_TAG}` = '{decision.digest}'", max_results=1)
    if found:
        return str(found[0].info.run_id), found[0].info.status == "FINISHED"
    tags = {key: value for key, value in run_tags(decision).items() if key in (DECISION_TAG, DIGEST_TAG, VERDICT_TAG)}
    run = client.create_run(experiment, run_name=f"{subject.name}: {decision.verdict.value}", tags=tags)
    return str(run.info.run_id), False


def _log(
    client: MlflowClient,
    run_id: str,
    subject: Subject,
    decision: Decision,
    evidence: Evidence,
) -> None:
    from mlflow.entities import Metric, Param, RunTag

    # The evidence's own time, so that logging twice writes the same rows.
    moment = _milliseconds(evidence.provenance.finished_at)
    metrics = [Metric(key, value, moment, 0) for key, value in flatten_estimates(evidence.estimates).items()]
    for start in range(0, len(metrics), _METRICS_PER_BATCH):
        client.log_batch(run_id, metrics=metrics[start : start + _METRICS_PER_BATCH])
    counts = {f"checks/{status.value}": len(decision.ids(status)) for status in Status}
    client.log_batch(
        run_id,
        metrics=[Metric(key, float(value), moment, 0) for key, value in counts.items()],
        params=[Param(key, str(value)[:_LONGEST_PARAM]) for key, value in _params(subject, decision).items()],
        tags=[RunTag(key, value) for key, value in run_tags(decision).items()],
    )


def log_report(client: MlflowClient, run_id: str, directory: Path) -> None:
    """Log a report's files with a run, and the digest of them all."""
    client.set_tag(run_id, REPORT_TAG, report_digest(directory))
    client.log_artifacts(run_id, str(directory), artifact_path="report")


def report_digest(directory: Path) -> Digest:
    """Digest of the files of a report.

    Raises:
        InputError: there is none, or it holds a link.
        InfrastructureError: a file cannot be read.
    """
    return digest_json(hash_directory(directory))


def flatten_estimates(estimates: tuple[Estimate, ...]) -> dict[str, float]:
    """Estimates as MLflow metrics: ``pass_rate/golden/tier-easy`` and the same with ``/low`` and ``/high``.

    The incumbent's begin with ``incumbent/``. What is missing or infinite is left out; names that would coincide are
    numbered.
    """
    metrics: dict[str, float] = {}
    for estimate in estimates:
        cell = [value if key == "set" else f"{key}-{value}" for key, value in estimate.cell.items()]
        arm = [] if estimate.arm == "candidate" else [estimate.arm]
        name = _free_name("/".join(_segment(part) for part in (*arm, estimate.metric, *cell)), metrics)
        for suffix, value in (("", estimate.value), ("/low", estimate.low), ("/high", estimate.high)):
            if value is not None and math.isfinite(value):
                metrics[name + suffix] = value
    return metrics


def _segment(text: str) -> str:
    """A part of a metric name: only characters that MLflow takes on every platform, and never a path step."""
    clean = re.sub(r"[^A-Za-z0-9_.-]", "_", text)[:60]
    return clean if clean.strip(".") else clean.replace(".", "_") or "_"


def _free_name(name: str, taken: Mapping[str, float]) -> str:
    number, free = 1, name
    while not taken.keys().isdisjoint((free, f"{free}/low", f"{free}/high")):
        number += 1
        free = f"{name}_{number}"
    return free


def _model(candidate: Candidate) -> Subject:
    """A model with its parameters."""
    sampling, engine = candidate.manifest.sampling, candidate.manifest.engine
    params = {
        "family": candidate.family,
        "engine": engine.kind,
        "engine_version": engine.version,
        "temperature": sampling.temperature,
        "top_p": sampling.top_p,
        "max_tokens": sampling.max_tokens,
    }
    return Subject(candidate.name, candidate.digest, params)


def _params(subject: Subject, decision: Decision) -> dict[str, object]:
    return {
        "candidate": subject.name,
        **subject.params,
        "policy": f"{decision.policy_name} {decision.policy_version}",
        "alpha": decision.alpha,
        "primary": decision.primary,
        "incumbent": decision.incumbent_name,
    }


def run_tags(decision: Decision) -> dict[str, str]:
    """Tags of a decision's run."""
    tags = {
        DECISION_TAG: decision.digest,
        DIGEST_TAG: decision.subject_digest,
        VERDICT_TAG: decision.verdict.value,
        "relgate.policy": decision.policy_name,
        "relgate.policy_digest": decision.policy_digest,
        "relgate.evidence_digest": decision.evidence_digest,
        "relgate.plan_digest": decision.plan_digest,
        "relgate.incumbent_digest": decision.incumbent_digest,
        "relgate.reason": decision.reason,
        "relgate.failed_checks": ", ".join(decision.ids(Status.FAIL)),
        "relgate.inconclusive_checks": ", ".join(decision.ids(Status.INCONCLUSIVE)),
    }
    return {key: value for key, value in tags.items() if value}


def version_tags(decision: Decision) -> dict[str, str]:
    """Tags of a model version: the decision on it that was mirrored last."""
    return {
        DECISION_TAG: decision.digest,
        VERDICT_TAG: decision.verdict.value,
        "relgate.policy": f"{decision.policy_name} {decision.policy_version}",
    }


# -- one model version per digest ----------------------------------------------------------------------------


def _model_version(client: MlflowClient, channel: str, digest: Digest, name: str, run_id: str | None) -> int:
    from mlflow.exceptions import MlflowException

    source = SOURCE_PREFIX + digest
    found = client.search_model_versions(f"name = '{channel}' and source_path = '{source}'")
    if found:
        return int(found[0].version)
    try:
        client.create_registered_model(
            channel, description="Mirrored from relgate's registry, which is the authority: change nothing here."
        )
    except MlflowException as error:
        if error.error_code != "RESOURCE_ALREADY_EXISTS":
            raise
    tags = {DIGEST_TAG: digest, NAME_TAG: name}
    description = f"{name} ({short(digest)})"
    version = client.create_model_version(channel, source, run_id=run_id, tags=tags, description=description)
    return int(version.version)


def _guarded(tracking_uri: str, action: Callable[[MlflowClient], Mirrored]) -> Mirrored:
    try:
        with connected(tracking_uri) as client:
            return action(client)
    except Exception as error:  # noqa: BLE001 - a mirror: whatever goes wrong in it must not break a release
        where = without_password(tracking_uri, tracking_uri)
        return Mirrored(None, None, f"MLflow at {where} was not updated: {reason_of(error, tracking_uri)}")


def _milliseconds(moment: str) -> int:
    """Milliseconds since 1970 of a UTC time in ISO 8601."""
    parsed = datetime.fromisoformat(moment)
    return int((parsed if parsed.tzinfo else parsed.replace(tzinfo=UTC)).timestamp() * 1000)
