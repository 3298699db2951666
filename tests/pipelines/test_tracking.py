"""The MLflow mirror, against a real MLflow on SQLite."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from evalharness.candidate import Candidate, Manifest
from evalharness.candidate import Engine as ServingEngine
from evalharness.evidence import Estimate, Evidence, Provenance
from gates.decision import CheckResult, Decision, Status, Verdict
from golden_sets.digests import digest_bytes
from pipelines.tracking import Mirrored, flatten_estimates, mirror_alias, mirror_release, prepare_tracking

if TYPE_CHECKING:
    from mlflow import MlflowClient

pytestmark = pytest.mark.slow


def estimate(metric: str, value: float | None, **more: object) -> Estimate:
    fields = {"low": 0.85, "high": 0.95, "confidence": 0.9, "method": "clopper-pearson", "n": 500, **more}
    return Estimate.model_validate({"metric": metric, "value": value, **fields})


ESTIMATES = (
    estimate("pass_rate", 0.9, cell={"set": "golden", "tier": "easy"}),
    estimate("pass_rate", 0.8, arm="incumbent", cell={"set": "golden", "tier": "easy"}),
    estimate("ttft_s", 0.2, high=None, unit="s", cell={"length_bucket": "<= 16 tokens / näher"}),
    estimate("violation_rate", None, low=None, high=0.01),
)


def candidate(name: str) -> Candidate:
    return Candidate(
        name=name,
        family="demo",
        manifest=Manifest(
            model={"model.safetensors": digest_bytes(name.encode())}, engine=ServingEngine(kind="vllm", version="0.32")
        ),
    )


def evidence(subject: Candidate) -> Evidence:
    return Evidence(
        subject_name=subject.name,
        subject_digest=subject.digest,
        set_digests={"golden": digest_bytes(b"set")},
        outcomes=digest_bytes(b"outcomes"),
        outcome_rows=2,
        estimates=ESTIMATES,
        provenance=Provenance(
            relgate="0.1.0",
            python="3.11",
            platform="linux",
            started_at="2026-01-01T00:00:00Z",
            finished_at="2026-01-01T00:01:00Z",
        ),
    )


def decision(subject: Candidate, verdict: Verdict = Verdict.PROMOTE) -> Decision:
    status = {Verdict.PROMOTE: Status.PASS, Verdict.BLOCK: Status.FAIL}[verdict]
    return Decision(
        verdict=verdict,
        reason="made for a test",
        subject_name=subject.name,
        subject_digest=subject.digest,
        policy_name="enterprise",
        policy_version="3",
        policy_digest=digest_bytes(b"policy"),
        evidence_digest=evidence(subject).digest,
        incumbent_name=None,
        incumbent_digest=None,
        plan_digest=None,
        alpha=0.05,
        primary="golden-floor",
        checks=(
            CheckResult(
                id="golden-floor/easy",
                check="golden-floor",
                metric="pass_rate",
                test="floor",
                status=status,
                limit=0.8,
                estimate=ESTIMATES[0],
                reason="made for a test",
            ),
        ),
    )


def mirror(uri: str, subject: Candidate, verdict: Verdict = Verdict.PROMOTE, report: Path | None = None) -> Mirrored:
    return mirror_release(
        uri,
        candidate=subject,
        decision=decision(subject, verdict),
        evidence=evidence(subject),
        report_dir=report,
        channel="flagship",
    )


@pytest.fixture(scope="module")
def uri(tmp_path_factory: pytest.TempPathFactory) -> str:
    """One MLflow database for all tests: its first migration takes seconds."""
    address = f"sqlite:///{tmp_path_factory.mktemp('mlflow') / 'new' / 'mlflow.db'}"
    assert prepare_tracking(address) is None
    return address


@pytest.fixture
def client(uri: str) -> MlflowClient:
    from mlflow import MlflowClient

    return MlflowClient(tracking_uri=uri, registry_uri=uri)


def test_a_decision_becomes_a_run_with_metrics_digests_and_report(
    uri: str, client: MlflowClient, tmp_path: Path
) -> None:
    subject = candidate("v2")
    (tmp_path / "report.html").write_text("<h1>promote</h1>")
    mirrored = mirror(uri, subject, report=tmp_path)
    assert mirrored.warning is None
    assert mirrored.run_id is not None
    run = client.get_run(mirrored.run_id)
    assert run.info.status == "FINISHED"
    assert run.data.metrics["pass_rate/golden/tier-easy"] == 0.9
    assert run.data.metrics["pass_rate/golden/tier-easy/low"] == 0.85
    assert run.data.metrics["incumbent/pass_rate/golden/tier-easy"] == 0.8
    assert run.data.metrics["checks/pass"] == 1
    assert run.data.params["engine_version"] == "0.32"
    assert run.data.tags["relgate.decision"] == decision(subject).digest
    assert run.data.tags["relgate.digest"] == subject.digest
    assert run.data.tags["relgate.evidence_digest"] == evidence(subject).digest
    assert [f.path for f in client.list_artifacts(mirrored.run_id, "report")] == ["report/report.html"]
    artifacts = Path(uri.removeprefix("sqlite:///")).parent / "mlartifacts"
    assert [p.read_text() for p in artifacts.rglob("report.html")] == ["<h1>promote</h1>"]


def test_the_model_version_points_to_the_registry(uri: str, client: MlflowClient) -> None:
    subject = candidate("v3")
    mirrored = mirror(uri, subject, Verdict.BLOCK)
    version = client.get_model_version("flagship", str(mirrored.model_version))
    assert version.source == f"relgate:{subject.digest}"
    assert version.run_id == mirrored.run_id
    assert version.tags["relgate.verdict"] == "block"
    assert version.tags["relgate.name"] == "v3"
    assert client.get_run(str(mirrored.run_id)).data.tags["relgate.failed_checks"] == "golden-floor/easy"


def test_mirroring_twice_changes_nothing(uri: str, client: MlflowClient) -> None:
    first = mirror(uri, candidate("v4"))
    assert mirror(uri, candidate("v4")) == first
    assert len(client.search_model_versions(f"source_path = 'relgate:{candidate('v4').digest}'")) == 1
    assert len(client.get_metric_history(str(first.run_id), "pass_rate/golden/tier-easy")) == 1


def test_a_run_cut_short_is_taken_up_again(uri: str, client: MlflowClient, tmp_path: Path) -> None:
    subject = candidate("v5")
    unreadable = tmp_path / "report"
    unreadable.mkdir()
    (unreadable / "report.html").symlink_to("nowhere")
    broken = mirror(uri, subject, report=unreadable)
    assert broken.warning is not None
    again = mirror(uri, subject)
    assert again.warning is None
    runs = client.search_runs(
        [client.get_run(str(again.run_id)).info.experiment_id], f"tags.`relgate.digest` = '{subject.digest}'"
    )
    assert [(r.info.run_id, r.info.status) for r in runs] == [(again.run_id, "FINISHED")]
    assert len(client.get_metric_history(str(again.run_id), "pass_rate/golden/tier-easy")) == 1


def test_aliases_follow_the_channel(uri: str, client: MlflowClient) -> None:
    old, new = candidate("old"), candidate("new")
    seeded = mirror_alias(uri, channel="flagship", stage="production", digest=old.digest, name="old")
    assert client.get_model_version_by_alias("flagship", "production").source == f"relgate:{old.digest}"
    mirrored = mirror(uri, new)
    moved = mirror_alias(uri, channel="flagship", stage="production", digest=new.digest, name="new")
    assert moved.model_version == mirrored.model_version
    assert client.get_model_version_by_alias("flagship", "production").source == f"relgate:{new.digest}"
    back = mirror_alias(uri, channel="flagship", stage="production", digest=old.digest, name="old")
    assert back.model_version == seeded.model_version
    assert client.get_model_version_by_alias("flagship", "production").tags["relgate.name"] == "old"


def test_metric_names_are_always_valid_and_never_coincide() -> None:
    hostile = tuple(
        estimate("pass_rate", value, cell={"category": text})
        for value, text in enumerate(["a/b", "a=b", "..", ".", "", "x" * 300, "/etc", "a b", "日本"])
    )
    flat = flatten_estimates((*hostile, *ESTIMATES, ESTIMATES[0]))
    assert len(flat) == 3 * len(hostile) + 3 + 3 + 2 + 1 + 3
    for name in flat:
        assert re.fullmatch(r"[\w.-]+(/[\w.-]+)*", name, re.ASCII)  # what MLflow takes on every platform
        assert not {".", "..", ""} & set(name.split("/"))
        assert len(name) <= 250


@pytest.mark.parametrize(
    "address",
    ["sqlite:////proc/nowhere/mlflow.db", "http://user:secret@127.0.0.1:9", "nonsense://x", "sqlite:///"],
)
def test_a_failing_mirror_is_a_warning(address: str) -> None:
    started = time.monotonic()
    mirrored = mirror(address, candidate("v6"))
    assert mirrored.run_id is None
    assert mirrored.warning is not None
    assert "was not updated" in mirrored.warning
    assert "secret" not in mirrored.warning
    assert "\n" not in mirrored.warning
    assert time.monotonic() - started < 60


def test_a_first_use_prints_nothing_and_sends_nothing(tmp_path: Path) -> None:
    script = (
        "import json, os, sys\n"
        "from pipelines.tracking import mirror_alias\n"
        "assert 'mlflow' not in sys.modules, 'imported before it is needed'\n"
        "done = mirror_alias(sys.argv[1], channel='small', stage='canary', digest='sha256:' + '0' * 64, name='s')\n"
        "print(json.dumps([done.model_version, done.warning, os.environ['MLFLOW_DISABLE_TELEMETRY']]))\n"
    )
    result = subprocess.run(
        [sys.executable, "-W", "error", "-c", script, f"sqlite:///{tmp_path / 'mlflow.db'}"],
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    )
    assert json.loads(result.stdout) == [1, None, "true"]
    assert result.stderr == ""
