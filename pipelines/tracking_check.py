"""Where the MLflow mirror is not what the registry says: found by ``relgate registry verify``, mended by ``mirror``.

Checked is everything that the mirror has: aliases against the stages, model versions and runs against the records they
are named for, metrics against the evidence, reports against the digest they were logged with. That digest lies in the
mirror, too: it finds a report that was changed or lost, not one whose tag was changed with it. What was never mirrored
(``gate`` and ``import`` mirror nothing) is no divergence, unless a stage serves it.
"""

from __future__ import annotations

import math
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from gates.registry import Registry
from gates.registry.channels import CHANNEL_NAMES, STAGES
from golden_sets.digests import Digest, short
from golden_sets.errors import InfrastructureError, InputError, RelgateError
from pipelines.tracking import (
    DECISION_TAG,
    DIGEST_TAG,
    NAME_TAG,
    REPORT_TAG,
    SOURCE_PREFIX,
    VERDICT_TAG,
    flatten_estimates,
    report_digest,
    run_tags,
)
from pipelines.tracking_server import connected, database_of, reason_of

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run
    from mlflow.entities.model_registry import ModelVersion, RegisteredModel

_PAGE = 500
_LONG_TAG = 5000  # MLflow cuts longer ones


@dataclass(frozen=True, slots=True)
class Divergence:
    """One way in which the mirror is not what the registry says."""

    what: str
    """In words."""
    kind: str
    """``alias``, ``version`` or ``run``."""
    channel: str
    """The channel, which is the registered model."""
    key: str
    """Alias, number of the version, or id of the run."""
    digest: Digest | None = None
    """The version or decision that it should be about, where the registry knows it."""
    spare: bool = False
    """Whether a model version has no place in the mirror at all."""


def mirror_problems(tracking_uri: str, registry: Registry) -> tuple[str, ...]:
    """Where the mirror is not what the registry says, in words; empty: nowhere.

    Raises:
        InfrastructureError: the mirror cannot be read, or there is none.
    """
    return tuple(found.what for found in divergences(tracking_uri, registry))


def divergences(tracking_uri: str, registry: Registry) -> tuple[Divergence, ...]:
    """Where the mirror is not what the registry says.

    Args:
        tracking_uri: as MLflow takes it. Nothing is created.
        registry: the authority.

    Raises:
        InputError: no address that MLflow takes.
        InfrastructureError: the mirror cannot be read, or there is none.
    """
    database = database_of(tracking_uri)
    if database is not None and not database.is_file():
        raise InfrastructureError(
            "there is no MLflow mirror", where=database, do="write it with 'relgate registry mirror'"
        )
    try:
        with connected(tracking_uri) as client:
            return tuple(_Check(client, registry).all())
    except RelgateError:  # of the registry
        raise
    except Exception as error:  # MLflow raises whatever its database, server or disk raise
        raise InfrastructureError(f"MLflow cannot be read: {reason_of(error, tracking_uri)}") from error


class _Check:
    """One look at the mirror."""

    def __init__(self, client: MlflowClient, registry: Registry) -> None:
        self._client = client
        self._registry = registry
        self._versions = {version.digest: version for version in registry.versions()}

    def all(self) -> Iterator[Divergence]:
        for channel in CHANNEL_NAMES:
            model = self._model(channel)
            found = [] if model is None else self._model_versions(channel)
            by_number = {str(version.version): version for version in found}
            yield from self._aliases(channel, {} if model is None else dict(model.aliases), by_number)
            seen: set[str] = set()
            for version in found:
                yield from self._version(channel, version, seen)
            yield from self._runs(channel)

    def _model(self, channel: str) -> RegisteredModel | None:
        from mlflow.exceptions import MlflowException

        try:
            return self._client.get_registered_model(channel)
        except MlflowException as error:
            if error.error_code != "RESOURCE_DOES_NOT_EXIST":
                raise
            return None

    def _model_versions(self, channel: str) -> list[ModelVersion]:
        found: list[ModelVersion] = []
        token: str | None = None
        while True:
            page = self._client.search_model_versions(f"name = '{channel}'", max_results=_PAGE, page_token=token)
            found += page
            token = page.token
            if not token:
                return found

    def _aliases(
        self, channel: str, aliases: dict[str, str | int], versions: dict[str, ModelVersion]
    ) -> Iterator[Divergence]:
        for stage in STAGES:
            serves = self._registry.channel(channel, stage).digest
            number = aliases.get(stage)
            version = None if number is None else versions.get(str(number))
            source = None if version is None else str(version.source)
            if source == (None if serves is None else SOURCE_PREFIX + serves):
                continue
            here = "nothing" if source is None else source.removeprefix(SOURCE_PREFIX)[:19]
            there = "nothing" if serves is None else serves[:19]
            what = f"alias {stage} of {channel} points to {here}, the registry serves {there}"
            yield Divergence(what, "alias", channel, stage, serves)

    def _version(self, channel: str, version: ModelVersion, seen: set[str]) -> Iterator[Divergence]:
        source, number = str(version.source), str(version.version)
        digest = source.removeprefix(SOURCE_PREFIX)
        known = self._versions.get(digest) if source.startswith(SOURCE_PREFIX) else None
        tags = dict(version.tags)
        problem = None
        if known is None:
            problem = f"comes from {source[:80]!r}, which the registry does not know"
        elif source in seen:
            problem = "is there twice"
        elif tags.get(DIGEST_TAG) != digest:
            problem = f"is {short(digest)} by its source and {tags.get(DIGEST_TAG, 'nothing')[:19]} by its tag"
        elif tags.get(NAME_TAG) not in known.names:
            problem = f"is named {tags.get('relgate.name')!r}, the registry says {known.name!r}"
        elif (decision := tags.get(DECISION_TAG)) is not None:
            problem = self._decision_problem(decision, digest, tags.get(VERDICT_TAG))
        if problem is not None:
            named, spare = None if known is None else known.digest, known is None or source in seen
            yield Divergence(f"version {number} of {channel} {problem}", "version", channel, number, named, spare)
        seen.add(source)

    def _decision_problem(self, decision: str, subject: Digest, verdict: str | None) -> str | None:
        try:
            recorded = self._registry.decision(decision)
        except InputError:
            return f"names the decision {decision[:19]!r}, which the registry does not know"
        if recorded.subject_digest != subject:
            return f"names a decision about {recorded.subject_name!r}"
        if recorded.verdict.value != verdict:
            return f"says {verdict!r}, the decision says {recorded.verdict.value!r}"
        return None

    def _runs(self, channel: str) -> Iterator[Divergence]:
        experiment = self._client.get_experiment_by_name(f"relgate/{channel}")
        if experiment is None:
            return
        token: str | None = None
        while True:
            page = self._client.search_runs([experiment.experiment_id], max_results=_PAGE, page_token=token)
            for run in page:
                yield from self._run(channel, run)
            token = page.token
            if not token:
                return

    def _run(self, channel: str, run: Run) -> Iterator[Divergence]:
        decision, run_id = run.data.tags.get(DECISION_TAG, ""), str(run.info.run_id)
        known = self._is_decision(decision)
        problem = (
            self._run_problem(run, decision) if known else f"names no decision of the registry ({decision[:19]!r})"
        )
        if problem is not None:
            name = run.info.run_name or run_id
            what = f"run {name!r} of {channel} {problem}"
            yield Divergence(what, "run", channel, run_id, decision if known else None)

    def _is_decision(self, digest: str) -> bool:
        try:
            self._registry.decision(digest)
        except InputError:
            return False
        return True

    def _run_problem(self, run: Run, digest: Digest) -> str | None:
        decision = self._registry.decision(digest)
        if run.info.status != "FINISHED":
            return f"is not complete ({run.info.status})"
        for key, value in run_tags(decision).items():
            shown_tag = run.data.tags.get(key, "")
            if shown_tag != value and not (len(shown_tag) >= _LONG_TAG and value.startswith(shown_tag)):
                return f"has {key} = {shown_tag[:80]!r}, the registry says {value[:80]!r}"
        metrics = flatten_estimates(self._registry.evidence(decision.evidence_digest).estimates)
        for key, number in metrics.items():
            shown = run.data.metrics.get(key)
            if shown is None or not math.isclose(shown, number, rel_tol=1e-9, abs_tol=1e-12):
                return f"has {key} = {shown}, the evidence says {number:.6g}"
        return self._report_problem(run)

    def _report_problem(self, run: Run) -> str | None:
        expected = run.data.tags.get(REPORT_TAG)
        if expected is None:
            return None
        from mlflow.exceptions import MlflowException

        with tempfile.TemporaryDirectory() as directory:
            try:
                found = report_digest(Path(self._client.download_artifacts(run.info.run_id, "report", directory)))
            except (RelgateError, MlflowException, OSError):
                return "has lost its report"
        return None if found == expected else "has a report that was changed after it was logged"
