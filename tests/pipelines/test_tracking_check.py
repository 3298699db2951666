"""Where a real MLflow says something else than the registry, and how it is set right again."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from sqlite3 import connect
from typing import TYPE_CHECKING

import pytest

from evalharness.database import open_database
from evalharness.evidence import Evidence
from gates.decision import Decision
from gates.registry import Registry
from golden_sets.errors import InfrastructureError, InputError
from pipelines.cli.app import run
from pipelines.tracking import mirror_alias, mirror_release, prepare_tracking
from pipelines.tracking_check import mirror_problems
from pipelines.tracking_mending import mend_mirror
from tests.support.projects import edit, write_project
from tests.support.recorded_releases import Maker, Release

if TYPE_CHECKING:
    from mlflow import MlflowClient

pytestmark = pytest.mark.slow


@dataclass
class Mirror:
    """A registry with one promotion, and its mirror."""

    folder: Path
    uri: str
    registry: Registry
    first: str
    release: Release
    run_id: str

    @property
    def client(self) -> MlflowClient:
        from mlflow import MlflowClient

        return MlflowClient(tracking_uri=self.uri, registry_uri=self.uri)

    @property
    def problems(self) -> tuple[str, ...]:
        return mirror_problems(self.uri, self.registry)

    def report_of(self, decision: Decision) -> Path:
        place = self.folder / "reports" / decision.digest[7:19]
        place.mkdir(parents=True, exist_ok=True)
        (place / "report.html").write_text(f"<h1>{decision.verdict.value}</h1>")
        return place

    def mend(self) -> tuple[str, ...]:
        return mend_mirror(self.uri, self.registry, self.report_of)

    @contextmanager
    def database(self) -> Iterator[Callable[..., object]]:
        """MLflow's own tables, as an operator reaches them."""
        with closing(connect(self.uri.removeprefix("sqlite:///"))) as connection:
            yield connection.execute
            connection.commit()


def with_estimates(release: Release) -> Release:
    """A release whose evidence has a number to show."""
    (check,) = release.decision.checks
    assert check.estimate is not None
    evidence = Evidence.model_validate({**release.evidence.model_dump(), "estimates": [check.estimate]})
    decided = {**release.decision.model_dump(), "evidence_digest": evidence.digest}
    return replace(release, evidence=evidence, decision=Decision.model_validate(decided))


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Mirror:
    """Made once: MLflow's first migration takes seconds."""
    folder = tmp_path_factory.mktemp("mirror")
    uri = f"sqlite:///{folder / 'mlflow.db'}"
    assert prepare_tracking(uri) is None
    registry = Registry(open_database(f"sqlite:///{folder / 'relgate.db'}"))
    maker = Maker()
    first = maker.seed(registry, "v1")
    mirror_alias(uri, channel="flagship", stage="production", digest=first.digest, name="v1")
    release = with_estimates(maker.release("v2", first))
    digest = maker.record(registry, release)
    registry.promote("flagship", "production", digest, decision_digest=release.decision.digest, expected_generation=1)
    made = Mirror(folder, uri, registry, first.digest, release, "")
    mirrored = mirror_release(
        uri,
        candidate=release.candidate,
        decision=release.decision,
        evidence=release.evidence,
        report_dir=made.report_of(release.decision),
        channel="flagship",
    )
    mirror_alias(uri, channel="flagship", stage="production", digest=digest, name="v2")
    made.run_id = str(mirrored.run_id)
    return made


@pytest.fixture
def mirror(template: Mirror, tmp_path: Path) -> Mirror:
    folder = tmp_path / "mirror"
    shutil.copytree(template.folder, folder)
    uri = f"sqlite:///{folder / 'mlflow.db'}"
    registry = Registry(open_database(f"sqlite:///{folder / 'relgate.db'}"))
    made = Mirror(folder, uri, registry, template.first, template.release, template.run_id)
    with made.database() as execute:  # the addresses of artifacts are absolute
        moved = (str(template.folder), str(folder))
        execute("UPDATE runs SET artifact_uri = replace(artifact_uri, ?, ?)", moved)
        execute("UPDATE experiments SET artifact_location = replace(artifact_location, ?, ?)", moved)
    from mlflow.tracking._tracking_service import utils

    utils._artifact_repos_cache.clear()  # which knows them by the run alone
    return made


def test_a_mirror_of_what_happened_has_no_problem_and_nothing_to_mend(mirror: Mirror) -> None:
    assert mirror.problems == ()
    assert mirror.mend() == ()


def alias_moved(mirror: Mirror) -> None:
    mirror.client.set_registered_model_alias("flagship", "production", "1")


def alias_lost(mirror: Mirror) -> None:
    mirror.client.delete_registered_model_alias("flagship", "production")


def alias_of_a_stage_that_serves_nothing(mirror: Mirror) -> None:
    mirror.client.set_registered_model_alias("flagship", "canary", "2")


def registry_moved_alone(mirror: Mirror) -> None:
    mirror.registry.rollback("flagship", "production", mirror.first, expected_generation=2, reason="slow")


def foreign_version(mirror: Mirror) -> None:
    mirror.client.create_model_version("flagship", "relgate:sha256:" + "0" * 64)


def other_source(mirror: Mirror) -> None:
    with mirror.database() as execute:
        execute("UPDATE model_versions SET source = 's3://elsewhere' WHERE version = 2")


def second_version_of_one_digest(mirror: Mirror) -> None:
    mirror.client.create_model_version("flagship", f"relgate:{mirror.first}", tags={"relgate.digest": mirror.first})


def digest_tag(mirror: Mirror) -> None:
    mirror.client.set_model_version_tag("flagship", "2", "relgate.digest", mirror.first)


def name_tag(mirror: Mirror) -> None:
    mirror.client.set_model_version_tag("flagship", "2", "relgate.name", "v9")


def verdict_tag(mirror: Mirror) -> None:
    mirror.client.set_model_version_tag("flagship", "2", "relgate.verdict", "block")


def decision_of_a_version(mirror: Mirror) -> None:
    mirror.client.set_model_version_tag("flagship", "2", "relgate.decision", "sha256:" + "1" * 64)


def decision_about_another(mirror: Mirror) -> None:
    mirror.client.set_model_version_tag("flagship", "1", "relgate.decision", mirror.release.decision.digest)


def run_of_nothing(mirror: Mirror) -> None:
    experiment = mirror.client.get_experiment_by_name("relgate/flagship")
    assert experiment is not None
    run_id = mirror.client.create_run(experiment.experiment_id, run_name="great", tags={"relgate.decision": "no"})
    mirror.client.set_terminated(run_id.info.run_id)


def run_verdict(mirror: Mirror) -> None:
    mirror.client.set_tag(mirror.run_id, "relgate.verdict", "block")


def run_tag_lost(mirror: Mirror) -> None:
    mirror.client.delete_tag(mirror.run_id, "relgate.policy_digest")


def run_unfinished(mirror: Mirror) -> None:
    mirror.client.set_terminated(mirror.run_id, status="FAILED")


def report_changed(mirror: Mirror) -> None:
    (page,) = (mirror.folder / "mlartifacts").rglob("report.html")
    page.write_text("<h1>all is well</h1>")


def report_grown(mirror: Mirror) -> None:
    (page,) = (mirror.folder / "mlartifacts").rglob("report.html")
    (page.parent / "extra.html").write_text("more")


def report_lost(mirror: Mirror) -> None:
    (page,) = (mirror.folder / "mlartifacts").rglob("report.html")
    page.unlink()


def metric_changed(mirror: Mirror) -> None:
    mirror.client.log_metric(mirror.run_id, "pass_rate", 0.99, step=7)


def metric_lost(mirror: Mirror) -> None:
    with mirror.database() as execute:
        execute("DELETE FROM latest_metrics WHERE key = 'pass_rate/low'")


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (alias_moved, "alias production of flagship points to"),
        (alias_lost, "alias production of flagship points to nothing, the registry serves sha256:"),
        (alias_of_a_stage_that_serves_nothing, "alias canary of flagship points to .*, the registry serves nothing"),
        (registry_moved_alone, "alias production of flagship points to"),
        (foreign_version, "version 3 of flagship comes from 'relgate:sha256:0000.* does not know"),
        (other_source, "version 2 of flagship comes from 's3://elsewhere'"),
        (second_version_of_one_digest, "of flagship is there twice"),
        (digest_tag, "version 2 of flagship is .* by its source and .* by its tag"),
        (name_tag, "version 2 of flagship is named 'v9', the registry says 'v2'"),
        (verdict_tag, "version 2 of flagship says 'block', the decision says 'promote'"),
        (decision_of_a_version, "version 2 of flagship names the decision 'sha256:111.* does not know"),
        (decision_about_another, "version 1 of flagship names a decision about 'v2'"),
        (run_of_nothing, "run 'great' of flagship names no decision of the registry"),
        (run_verdict, "run 'v2: promote' of flagship has relgate.verdict = 'block', the registry says 'promote'"),
        (run_tag_lost, "has relgate.policy_digest = ''"),
        (run_unfinished, r"is not complete \(FAILED\)"),
        (metric_changed, "has pass_rate = 0.99, the evidence says 0.9"),
        (metric_lost, "has pass_rate/low = None, the evidence says 0.85"),
        (report_changed, "has a report that was changed after it was logged"),
        (report_grown, "has a report that was changed after it was logged"),
        (report_lost, "has lost its report|has a report that was changed"),
    ],
)
def test_what_differs_is_found_and_mended(mirror: Mirror, change: Callable[[Mirror], None], expected: str) -> None:
    change(mirror)
    assert any(re.search(expected, problem) for problem in mirror.problems), mirror.problems
    assert any(re.search(expected, problem) for problem in mirror.mend())
    assert mirror.problems == ()


def test_a_run_that_was_lost_is_mirrored_again(mirror: Mirror) -> None:
    mirror.client.delete_run(mirror.run_id)
    assert mirror.mend() == (f"the run of decision {mirror.release.decision.digest[:19]} about 'v2' was missing",)
    assert mirror.mend() == ()


def test_a_mirror_that_is_gone_is_told_and_written_again(mirror: Mirror) -> None:
    (mirror.folder / "mlflow.db").unlink()
    with pytest.raises(InfrastructureError, match=r"there is no MLflow mirror - .*relgate registry mirror"):
        mirror_problems(mirror.uri, mirror.registry)
    assert not (mirror.folder / "mlflow.db").exists(), "looking makes nothing"
    mirror.mend()
    assert mirror.problems == ()
    assert mirror.client.get_model_version_by_alias("flagship", "production").tags["relgate.name"] == "v2"


@pytest.mark.parametrize("address", ["http://user:secret@127.0.0.1:9", "nonsense://x"])
def test_an_unreachable_mirror_is_no_divergence(mirror: Mirror, address: str) -> None:
    with pytest.raises(InfrastructureError, match="MLflow cannot be read") as caught:
        mirror_problems(address, mirror.registry)
    assert "secret" not in str(caught.value)


def test_an_address_without_a_file_is_refused(mirror: Mirror) -> None:
    with pytest.raises(InputError, match="names no file"):
        mirror_problems("sqlite:///", mirror.registry)


def test_the_command_mends_the_projects_mirror(
    mirror: Mirror, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "project"
    folder.mkdir()
    write_project(folder, prompts=3)
    asked = ["registry", "mirror", "--project", str(folder), "--store", f"sqlite:///{mirror.folder / 'relgate.db'}"]
    assert run(asked) == 2
    assert "no MLflow mirror" in capsys.readouterr().err
    edit(folder, "relgate.yaml", "mlflow: null", f"mlflow: {mirror.uri}")
    alias_moved(mirror)
    assert run([*asked, "--json"]) == 0
    (told,) = json.loads(capsys.readouterr().out)["mended"]
    assert told.startswith("alias production of flagship points to sha256:")
    assert run(asked) == 0
    assert capsys.readouterr().out == "MLflow says what the registry says\n"
