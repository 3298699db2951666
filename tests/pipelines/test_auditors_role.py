"""An auditor who may only SELECT takes checkpoints, verifies and exports, and can write nothing."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import Engine, text

from evalharness.samples import SampleStore
from gates.registry import Registry
from tests.support.measured_releases import MeasuredReleases

pytestmark = pytest.mark.parametrize("url", ["postgresql"], indirect=True)


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / "relgate.yaml").write_text("name: p\nsets: [golden.yaml]\nmlflow: null\n")
    return tmp_path


@pytest.fixture
def auditor(url: str, engine: Engine) -> Iterator[str]:
    """The address of the database for a role that may only read it."""
    SampleStore(engine)
    Registry(engine)
    with engine.begin() as connection:
        schema = connection.execute(text("SELECT current_schema()")).scalar_one()
        name = f"auditor_{schema}"
        connection.execute(text(f"CREATE ROLE {name} LOGIN"))
        connection.execute(text(f"GRANT USAGE ON SCHEMA {schema} TO {name}"))
        connection.execute(text(f"GRANT SELECT ON ALL TABLES IN SCHEMA {schema} TO {name}"))
    yield url.replace("relgate@", f"{name}@")
    with engine.begin() as connection:
        connection.execute(text(f"DROP OWNED BY {name}"))
        connection.execute(text(f"DROP ROLE {name}"))


def registry(*arguments: object) -> subprocess.CompletedProcess[str]:
    """A command in a process of its own: it closes its connections by ending."""
    command = [sys.executable, "-m", "pipelines.cli", "registry", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)


def test_what_an_auditor_needs_takes_no_right_to_write(project: Path, auditor: str, engine: Engine) -> None:
    releases = MeasuredReleases(Registry(engine))
    first = releases.seed()
    where = ("--project", project, "--store", auditor)
    kept, bundle = project / "checkpoint.json", project / "release.zip"
    assert registry("checkpoint", "-o", kept, *where).returncode == 0
    releases.promoted("v2", first)
    assert registry("verify", "--checkpoint", kept, *where).returncode == 0
    assert registry("export", "v2", "-o", bundle, *where).returncode == 0
    assert registry("verify", "--offline", bundle, "--checkpoint", kept).returncode == 0
    assert json.loads(kept.read_text())["size"] < Registry(engine).checkpoint().size
    size = Registry(engine).checkpoint().size
    refused = registry("rollback", "v1", "--reason", "r", *where)
    assert refused.returncode == 4
    assert "permission" in refused.stderr
    assert Registry(engine).checkpoint().size == size
