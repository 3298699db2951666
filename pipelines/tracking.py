"""MLflow as a mirror of the registry: runs, metrics, reports and aliases for people who live there.

The registry is the authority. Nothing here may break a release: every failure comes back as a warning. Everything can
be repeated: a decision has one run, a digest one model version, and mirroring them again changes nothing.

One run per decision in the experiment ``relgate/CHANNEL``; one registered model per channel, whose versions name the
registry's digest as their source (``relgate:sha256:...``: no weights are copied) and whose aliases are the stages.
"""

from __future__ import annotations

import logging
import math
import os
import re
import sqlite3
import tempfile
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from filelock import FileLock

from evalharness.candidate import Candidate
from evalharness.evidence import Estimate, Evidence
from gates.decision import Decision, Status
from golden_sets.digests import Digest, short
from pipelines.subjects import Subject

if TYPE_CHECKING:
    from mlflow import MlflowClient

DECISION_TAG = "relgate.decision"
"""Tag of a run: the digest of the decision it mirrors."""
DIGEST_TAG = "relgate.digest"
"""Tag of a run and of a model version: the digest of the version."""
SOURCE_PREFIX = "relgate:"
"""A model version's source is this and the version's digest."""

_ENVIRONMENT = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "DO_NOT_TRACK": "true",
    # A tracking server that is down must not hold up a release for minutes.
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "20",
}
_LOCK_TIMEOUT_S = 120
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
    policy_name: str,
    channel: str,
) -> Mirrored:
    """Mirror one decision as a run with its metrics, digests and report, and its subject as a model version.

    Args:
        tracking_uri: as MLflow takes it; ``sqlite:///FILE`` keeps artifacts in ``mlartifacts/`` beside the file.
        candidate: the subject: a model, or anything else with its own parameters.
        decision: the decision to mirror.
        evidence: what it rests on.
        report_dir: directory whose files become the run's artifacts under ``report/``; None: none.
        policy_name: name of the policy.
        channel: the channel, which is the name of the registered model.
    """

    subject = candidate if isinstance(candidate, Subject) else _model(candidate)

    def mirror(client: MlflowClient) -> Mirrored:
        experiment = _experiment(client, tracking_uri, f"relgate/{channel}")
        run_id, finished = _run(client, experiment, subject, decision)
        if not finished:
            _log(client, run_id, subject, decision, evidence, policy_name)
            if report_dir is not None:
                client.log_artifacts(run_id, str(report_dir), artifact_path="report")
        version = _model_version(client, channel, subject.digest, subject.name, run_id)
        for key, value in _decision_tags(decision, policy_name).items():
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
    database = _sqlite_file(tracking_uri)
    location = None if database is None else (database.parent / "mlartifacts").as_uri()
    return str(client.create_experiment(name, artifact_location=location))


def _run(client: MlflowClient, experiment: str, subject: Subject, decision: Decision) -> tuple[str, bool]:
    """The decision's run, and whether it is complete already."""
    found = client.search_runs([experiment], f"tags.`{DECISION_TAG}` = '{decision.digest}'", max_results=1)
    if found:
        return str(found[0].info.run_id), found[0].info.status == "FINISHED"
    tags = {DECISION_TAG: decision.digest, DIGEST_TAG: subject.digest, "relgate.verdict": decision.verdict.value}
    run = client.create_run(experiment, run_name=f"{subject.name}: {decision.verdict.value}", tags=tags)
    return str(run.info.run_id), False


def _log(
    client: MlflowClient,
    run_id: str,
    subject: Subject,
    decision: Decision,
    evidence: Evidence,
    policy_name: str,
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
        tags=[RunTag(key, value) for key, value in {**_digest_tags(decision), "relgate.policy": policy_name}.items()],
    )


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


def _digest_tags(decision: Decision) -> dict[str, str]:
    digests = {
        "relgate.policy_digest": decision.policy_digest,
        "relgate.evidence_digest": decision.evidence_digest,
        "relgate.plan_digest": decision.plan_digest,
        "relgate.incumbent_digest": decision.incumbent_digest,
        "relgate.reason": decision.reason,
        "relgate.failed_checks": ", ".join(decision.ids(Status.FAIL)),
        "relgate.inconclusive_checks": ", ".join(decision.ids(Status.INCONCLUSIVE)),
    }
    return {key: value for key, value in digests.items() if value}


def _decision_tags(decision: Decision, policy_name: str) -> dict[str, str]:
    """Tags of the model version: the decision on it that was mirrored last."""
    return {
        DECISION_TAG: decision.digest,
        "relgate.verdict": decision.verdict.value,
        "relgate.policy": f"{policy_name} {decision.policy_version}",
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
    tags = {DIGEST_TAG: digest, "relgate.name": name}
    description = f"{name} ({short(digest)})"
    version = client.create_model_version(channel, source, run_id=run_id, tags=tags, description=description)
    return int(version.version)


# -- MLflow at arm's length ----------------------------------------------------------------------------------


def _guarded(tracking_uri: str, action: Callable[[MlflowClient], Mirrored]) -> Mirrored:
    try:
        with _quiet(), _one_at_a_time(tracking_uri):
            from mlflow import MlflowClient

            return action(MlflowClient(tracking_uri=tracking_uri, registry_uri=tracking_uri))
    except Exception as error:  # noqa: BLE001 - a mirror: whatever goes wrong in it must not break a release
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        where = _without_password(tracking_uri, tracking_uri)
        return Mirrored(None, None, f"MLflow at {where} was not updated: {_without_password(reason, tracking_uri)}")


@contextmanager
def _quiet() -> Iterator[None]:
    """No telemetry, no migration messages, no deprecations of MLflow's own making."""
    for key, value in _ENVIRONMENT.items():
        os.environ.setdefault(key, value)
    loggers = [logging.getLogger(name) for name in ("mlflow", "alembic", "urllib3")]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import mlflow  # noqa: F401 - sets its own log levels, which are lowered below

        levels = [logger.level for logger in loggers]
        for logger in loggers:
            logger.setLevel(logging.ERROR)
        try:
            yield
        finally:
            for logger, level in zip(loggers, levels, strict=True):
                logger.setLevel(level)


@contextmanager
def _one_at_a_time(tracking_uri: str) -> Iterator[None]:
    """Two processes must not create the same database, run or model version at once (SQLite only)."""
    database = _sqlite_file(tracking_uri)
    if database is None:
        yield
        return
    database.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(f"{database}.lock", timeout=_LOCK_TIMEOUT_S):
        if not database.exists():
            _create_database(database)
        yield


def _create_database(database: Path) -> None:
    """Let MLflow run its migrations in memory where there is room, then put the file in place.

    They are some sixty transactions: on a busy disk that waits for each of them, this is several times faster, and
    a run that is killed meanwhile leaves no half-migrated database.
    """
    from mlflow import MlflowClient

    memory = Path("/dev/shm")  # noqa: S108 - a private directory is made in it
    with tempfile.TemporaryDirectory(dir=memory if os.access(memory, os.W_OK) else database.parent) as directory:
        made, placed = Path(directory) / "mlflow.db", database.with_name(database.name + ".new")
        MlflowClient(tracking_uri=f"sqlite:///{made}", registry_uri=f"sqlite:///{made}")
        with closing(sqlite3.connect(made)) as source, closing(sqlite3.connect(placed)) as target:
            source.backup(target)
        placed.replace(database)


def _sqlite_file(tracking_uri: str) -> Path | None:
    """The file behind an SQLite address; None: another kind of address.

    Raises:
        ValueError: the address names no file.
    """
    if not tracking_uri.startswith("sqlite:"):
        return None
    name = tracking_uri.removeprefix("sqlite:///").partition("?")[0]
    if name in ("", ":memory:") or name.startswith("sqlite:"):
        raise ValueError("the address names no file; write sqlite:///FILE")
    return Path(name).resolve()


def _without_password(text: str, uri: str) -> str:
    """A text without the password that an address holds."""
    password = urlsplit(uri).password
    return text if not password else text.replace(f":{password}@", ":***@")


def _milliseconds(moment: str) -> int:
    """Milliseconds since 1970 of a UTC time in ISO 8601."""
    parsed = datetime.fromisoformat(moment)
    return int((parsed if parsed.tzinfo else parsed.replace(tzinfo=UTC)).timestamp() * 1000)
