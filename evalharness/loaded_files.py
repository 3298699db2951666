"""The files that an engine loads: read afresh and compared with the manifest before, looked at again after.

The manifest of a candidate may rest on remembered digests. What is evaluated or promoted may not, so the files are
read again, whole, before an engine starts. Between that and the end of the engine's own reading nothing may be
touched: a file that was swapped, and even one that was swapped and put back, shows in its inode and in the time of its
last change, which the kernel sets and no program can (``st_ctime``, inode(7)). A directory above that was renamed and
renamed back is seen by :mod:`evalharness.path_watch`.

What this does not see: a disk that changes its contents by itself, and somebody who controls the machine (its clock,
its kernel, relgate's or the engine's memory).
"""

from __future__ import annotations

import time
from pathlib import Path

from evalharness.candidate import Candidate, Manifest
from evalharness.directory_listing import Listing, list_directory
from evalharness.model_directory import SETTLED_NS, hash_listing
from golden_sets.digests import Digest, short
from golden_sets.errors import InputError

SHOWN = 5
"""Differences that an error names."""


class LoadedFiles:
    """The model and adapter directories of a candidate, found to be what its manifest says when this is made.

    Args:
        candidate: whose files are read; one without a directory has none.

    Raises:
        InputError: a directory is missing, holds what may not be hashed, or is not what the manifest says.
        InfrastructureError: a file cannot be read.
    """

    def __init__(self, candidate: Candidate) -> None:
        self._where = f"candidate '{candidate.name}'"
        self._directories = _directories(candidate)
        self._listings: list[Listing] = []
        for directory, files in self._directories:
            listing = _settled(directory)
            found = hash_listing(listing)
            self._require(file_differences(files, found), "its files are not those of its manifest", directory)
            self._require(listing.differences(list_directory(directory)), "its files changed meanwhile", directory)
            self._listings.append(listing)

    def require_untouched(self) -> None:
        """Make sure that nothing was touched since: what was loaded meanwhile is what was read.

        Raises:
            InputError: a file or directory was changed, added, removed or replaced, even if it was put back.
        """
        for (directory, _), listing in zip(self._directories, self._listings, strict=True):
            touched = listing.differences(list_directory(directory))
            self._require(touched, "its files were touched while the engine loaded them", directory)

    def require_same(self) -> None:
        """Make sure that the files are still what the manifest says; read again are only directories that were touched.

        Raises:
            InputError: a file differs.
        """
        for index, (directory, files) in enumerate(self._directories):
            listing = list_directory(directory)
            if self._listings[index].differences(listing):
                self._require(file_differences(files, hash_listing(listing)), "its files changed meanwhile", directory)
                self._listings[index] = listing

    def _require(self, differences: list[str], what: str, directory: Path) -> None:
        if differences:
            raise InputError(
                f"{self._where}: {what} ({shortened(differences)})",
                where=directory,
                do="restore them, or load the candidate again: other files make another version",
            )


def resolved(candidate: Candidate) -> Candidate:
    """The candidate with its directories where they are now: a link that is changed later leads nowhere else."""
    pairs = {"directory": candidate.directory, "adapter_directory": candidate.adapter_directory}
    return candidate.model_copy(update={key: path.resolve() for key, path in pairs.items() if path is not None})


def directories_of(candidate: Candidate) -> set[Path]:
    """Every directory that holds a file of a candidate, the blobs of a snapshot cache among them.

    Raises:
        InputError: a directory is missing, or holds what may not be hashed.
        InfrastructureError: it cannot be read.
    """
    listings = [list_directory(directory) for directory, _ in _directories(candidate)]
    return {path.parent for listing in listings for path in listing.files.values()} | {one.root for one in listings}


def file_differences(expected: dict[str, Digest], found: dict[str, Digest], *, said: str = "the manifest") -> list[str]:
    """Where files are not those that were expected, in words, by path.

    Args:
        expected: digests by path.
        found: the same for what is there.
        said: whose expectation it is.
    """
    differences = []
    for path in sorted(expected.keys() | found.keys()):
        if path not in found:
            differences.append(f"{path} is missing")
        elif path not in expected:
            differences.append(f"{path} is not in {said}")
        elif expected[path] != found[path]:
            differences.append(f"{path} is {short(found[path])}, {said} says {short(expected[path])}")
    return differences


def shortened(differences: list[str]) -> str:
    """The first differences on one line, and how many more there are."""
    more = len(differences) - SHOWN
    return ", ".join(differences[:SHOWN]) + (f" and {more} more" if more > 0 else "")


def _directories(candidate: Candidate) -> list[tuple[Path, dict[str, Digest]]]:
    """The directories that are at hand, each with what its files must be."""
    manifest: Manifest = candidate.manifest
    pairs = ((candidate.directory, manifest.model), (candidate.adapter_directory, manifest.adapter or {}))
    return [(directory, dict(files)) for directory, files in pairs if directory is not None]


def _settled(directory: Path) -> Listing:
    """What lies in a directory, once its newest change is old enough to be told from another one."""
    listing = list_directory(directory)
    age = time.time_ns() - listing.newest_ns
    if 0 <= age < SETTLED_NS:
        time.sleep((SETTLED_NS - age) / 1e9)
        listing = list_directory(directory)
    return listing
