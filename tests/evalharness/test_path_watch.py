"""A directory above that is renamed, and renamed back, leaves no trace in the files; who watches it is told."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from evalharness.candidate import Candidate, Engine, Manifest
from evalharness.loaded_files import LoadedFiles, directories_of, resolved
from evalharness.model_directory import hash_directory
from evalharness.path_watch import PathWatch
from golden_sets.errors import InfrastructureError, InputError


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """Files of tests need not age for two seconds."""
    monkeypatch.setattr("evalharness.loaded_files.SETTLED_NS", 20_000_000)


@pytest.fixture
def candidate(tmp_path: Path) -> Candidate:
    """A model in a snapshot cache."""
    cache = tmp_path / "store" / "models--o--n"
    (cache / "blobs").mkdir(parents=True)
    revision = cache / "snapshots" / "abc"
    revision.mkdir(parents=True)
    (cache / "blobs" / "0").write_text("honest")
    (revision / "model.safetensors").symlink_to("../../blobs/0")
    manifest = Manifest(model=hash_directory(revision), engine=Engine(kind="vllm"))
    return Candidate(name="c", manifest=manifest, directory=revision)


def to_and_fro(directory: Path) -> None:
    """Another directory stands there for a moment."""
    kept = directory.with_name("kept")
    directory.rename(kept)
    shutil.copytree(kept, directory, symlinks=True)
    shutil.rmtree(directory)
    kept.rename(directory)


@pytest.mark.parametrize("name", ["store", "store/models--o--n", "store/models--o--n/blobs"])
def test_a_directory_that_was_renamed_to_and_fro_is_seen_by_the_watch_alone(
    candidate: Candidate, tmp_path: Path, name: str
) -> None:
    with PathWatch(directories_of(candidate)) as path:
        files = LoadedFiles(candidate)
        path.require_unmoved()
        to_and_fro(tmp_path / name)
        files.require_untouched()
        with pytest.raises(InputError, match=f"{name}: the directory was renamed or removed while"):
            path.require_unmoved()


def beside(tmp_path: Path) -> None:
    (tmp_path / "store" / "another").mkdir()
    (tmp_path / "store" / "another").rmdir()


def blob_of_another_revision(tmp_path: Path) -> None:
    (tmp_path / "store" / "models--o--n" / "blobs" / "1").write_text("x")


def permissions(tmp_path: Path) -> None:
    (tmp_path / "store").chmod(0o700)


@pytest.mark.parametrize("change", [beside, blob_of_another_revision, permissions])
def test_what_happens_beside_is_no_matter(candidate: Candidate, tmp_path: Path, change: Callable[[Path], None]) -> None:
    with PathWatch(directories_of(candidate)) as path:
        files = LoadedFiles(candidate)
        change(tmp_path)
        path.require_unmoved()
        files.require_untouched()


def test_a_link_to_the_directory_is_followed_once(candidate: Candidate, tmp_path: Path) -> None:
    assert candidate.directory is not None
    (tmp_path / "current").symlink_to(candidate.directory)
    found = resolved(candidate.model_copy(update={"directory": tmp_path / "current"}))
    (tmp_path / "current").unlink()
    (tmp_path / "current").symlink_to("elsewhere")
    assert found.directory == candidate.directory
    assert found.digest == candidate.digest


def test_a_directory_that_cannot_be_watched_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(InfrastructureError, match=r"cannot be watched: No such file .*max_user_instances"):
        PathWatch([tmp_path / "none"])
