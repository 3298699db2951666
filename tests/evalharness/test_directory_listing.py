"""What counts as a file of a model directory, and which links are followed: only those inside one snapshot cache."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from evalharness.directory_listing import list_directory
from evalharness.model_directory import hash_directory
from golden_sets.digests import digest_file
from golden_sets.errors import InputError


@pytest.fixture
def revision(tmp_path: Path) -> Path:
    """A snapshot with one file, as the hub's cache lays it out."""
    blobs, revision = tmp_path / "models--o--n" / "blobs", tmp_path / "models--o--n" / "snapshots" / "abc"
    blobs.mkdir(parents=True)
    revision.mkdir(parents=True)
    (blobs / "0").write_text("zero")
    (revision / "config.json").symlink_to("../../blobs/0")
    return revision


def test_every_file_counts_hidden_ones_and_those_far_below_too(tmp_path: Path) -> None:
    for name in (".hidden", "a/b/c/d.txt", "__pycache__/x.pyc", ".git/HEAD", "odd\nname", "README.md"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(name)
    (tmp_path / "empty").mkdir()
    digests = hash_directory(tmp_path)
    assert list(digests) == [".git/HEAD", ".hidden", "README.md", "__pycache__/x.pyc", "a/b/c/d.txt", "odd\nname"]
    assert digests["a/b/c/d.txt"] == digest_file(tmp_path / "a/b/c/d.txt")


def test_the_order_in_which_files_were_made_does_not_count(tmp_path: Path) -> None:
    names = [f"{i}.txt" for i in range(20)]
    for directory, order in (("one", names), ("two", names[::-1])):
        (tmp_path / directory).mkdir()
        for name in order:
            (tmp_path / directory / name).write_text(name)
    assert hash_directory(tmp_path / "one") == hash_directory(tmp_path / "two")


def test_directories_deeper_than_pythons_stack_are_walked(tmp_path: Path) -> None:
    here = os.open(tmp_path, os.O_RDONLY)
    try:
        for _ in range(sys.getrecursionlimit() + 100):
            os.mkdir("d", dir_fd=here)
            below = os.open("d", os.O_RDONLY, dir_fd=here)
            os.close(here)
            here = below
        os.close(os.open("deep", os.O_WRONLY | os.O_CREAT, dir_fd=here))
    finally:
        os.close(here)
    assert len(list_directory(tmp_path).files) == 1
    subprocess.run(["rm", "-r", tmp_path / "d"], check=True)  # shutil would recurse


def test_a_blob_of_the_same_cache_is_followed_over_several_links(revision: Path) -> None:
    (revision / "again.json").symlink_to("config.json")
    (revision / "sub").mkdir()
    (revision / "sub" / "deeper.json").symlink_to("../../../blobs/0")
    assert len(set(hash_directory(revision).values())) == 1
    assert sorted(hash_directory(revision)) == ["again.json", "config.json", "sub/deeper.json"]


def dangling(revision: Path) -> None:
    (revision / "bad").symlink_to("../../blobs/none")


def loop(revision: Path) -> None:
    (revision / "bad").symlink_to("worse")
    (revision / "worse").symlink_to("bad")


def directory(revision: Path) -> None:
    (revision.parents[1] / "blobs" / "many").mkdir()
    (revision / "bad").symlink_to("../../blobs/many")


def outside(revision: Path) -> None:
    (revision.parents[2] / "secret").write_text("s")
    (revision / "bad").symlink_to("../../../secret")


def another_cache(revision: Path) -> None:
    other = revision.parents[2] / "models--o--other" / "blobs"
    other.mkdir(parents=True)
    (other / "0").write_text("zero")
    (revision / "bad").symlink_to("../../../models--o--other/blobs/0")


def blob_that_is_a_link_out(revision: Path) -> None:
    (revision.parents[2] / "secret").write_text("s")
    (revision.parents[1] / "blobs" / "1").symlink_to("../../secret")
    (revision / "bad").symlink_to("../../blobs/1")


def out_and_in_again(revision: Path) -> None:
    (revision.parents[2] / "between").symlink_to(revision.parents[1] / "blobs" / "0")
    (revision / "bad").symlink_to("../../../between")


def through_a_linked_directory(revision: Path) -> None:
    """By its text it is ``blobs/0``; the kernel goes up from where ``d`` leads."""
    elsewhere = revision.parents[2] / "elsewhere"
    (elsewhere / "d").mkdir(parents=True)
    (elsewhere / "0").write_text("other")
    (revision.parents[1] / "blobs" / "d").symlink_to(elsewhere / "d")
    (revision / "bad").symlink_to("../../blobs/d/../0")


def blobs_that_are_elsewhere(revision: Path) -> None:
    blobs = revision.parents[1] / "blobs"
    blobs.rename(revision.parents[2] / "moved")
    blobs.symlink_to("../moved")
    (revision / "bad").symlink_to("../../blobs/0")
    (revision / "config.json").unlink()


def file_beside(revision: Path) -> None:
    (revision / "plain.txt").write_text("p")
    (revision / "bad").symlink_to("plain.txt")


def pipe(revision: Path) -> None:
    os.mkfifo(revision.parents[1] / "blobs" / "pipe")
    (revision / "bad").symlink_to("../../blobs/pipe")


@pytest.mark.parametrize(
    "make",
    [
        dangling,
        loop,
        directory,
        outside,
        another_cache,
        blob_that_is_a_link_out,
        out_and_in_again,
        through_a_linked_directory,
        blobs_that_are_elsewhere,
        file_beside,
        pipe,
    ],
)
def test_other_links_are_refused(revision: Path, make: Callable[[Path], None]) -> None:
    hash_directory(revision)
    make(revision)
    with pytest.raises(InputError, match=r"'(bad|worse)' is a symlink to .* copy the file instead"):
        hash_directory(revision)


def test_a_directory_that_is_a_loop_of_links_is_no_directory(tmp_path: Path) -> None:
    (tmp_path / "a").symlink_to("b")
    (tmp_path / "b").symlink_to("a")
    with pytest.raises(InputError, match="no such directory"):
        hash_directory(tmp_path / "a")
