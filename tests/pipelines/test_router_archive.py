"""Released routers are kept as they were released, whatever lies about them."""

from __future__ import annotations

from pathlib import Path

import pytest

from golden_sets.errors import InfrastructureError, InputError
from pipelines.router_archive import RouterArchive
from router_training.always_flagship import always_flagship
from router_training.router import Router
from router_training.router_files import HEAD, MANIFEST
from tests.support.routers import write_small_router


@pytest.fixture
def router(tmp_path: Path) -> Router:
    write_small_router(tmp_path / "router")
    return Router.load(tmp_path / "router")


@pytest.fixture
def archive(tmp_path: Path) -> RouterArchive:
    return RouterArchive.of(tmp_path / "data")


def test_only_what_the_manifest_names_is_kept(router: Router, archive: RouterArchive, tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("not the router's")
    (router.directory / "link").symlink_to(tmp_path / "secret")
    place = archive.keep(router)
    assert {path.name for path in place.iterdir()} == {MANIFEST, *router.manifest.files}
    assert archive.load(router.digest, "it").digest == router.digest
    assert [path.name for path in archive.directory.iterdir()] == [place.name]


def test_a_damaged_copy_is_replaced_when_the_router_is_released_again(router: Router, archive: RouterArchive) -> None:
    head = archive.keep(router) / HEAD
    head.write_bytes(b"")
    with pytest.raises(InputError, match="not the file that the manifest names"):
        archive.load(router.digest, "it")
    archive.keep(router)
    assert archive.load(router.digest, "it").digest == router.digest


def test_files_that_changed_since_the_router_was_measured_are_not_kept(router: Router, archive: RouterArchive) -> None:
    (router.directory / HEAD).write_bytes(b"another head")
    with pytest.raises(InputError, match="not the file that the manifest names"):
        archive.keep(router)
    assert not archive.place(router.digest).exists()


def test_no_router_at_all_needs_no_files(
    archive: RouterArchive, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not even where a folder is called like it."""
    (tmp_path / "always-flagship").mkdir()
    monkeypatch.chdir(tmp_path)
    default = always_flagship()
    assert not archive.keep(default).exists()
    assert archive.load(default.digest, None).digest == default.digest


def test_a_place_that_cannot_be_written_is_told(router: Router, archive: RouterArchive) -> None:
    archive.directory.parent.mkdir()
    archive.directory.write_text("a file in the way")
    with pytest.raises((InfrastructureError, InputError), match="routers"):
        archive.keep(router)
