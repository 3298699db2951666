"""Every file below a directory, with what shows that a file or its place was touched."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from golden_sets.errors import InfrastructureError, InputError

MOST_HOPS = 10
"""Links that one link may lead over."""

Stamp = tuple[int, int, int, int, int]
"""Device, inode, size in bytes, and the times of the last change of contents and of status (ns). The last is set by the
kernel on every write, rename, link and change of times, and cannot be set by a program."""
_STAMP_FIELDS = 5


@dataclass(frozen=True)
class Listing:
    """What lay below a directory at one moment."""

    root: Path
    """The directory, links resolved."""
    files: Mapping[str, Path]
    """Where the contents of every file lie, by its relative path, in the order of the paths."""
    stamps: Mapping[str, tuple[int, ...]]
    """What files, links and directories were, by path."""

    @property
    def newest_ns(self) -> int:
        """When anything was touched last, ns since 1970."""
        return max(stamp[-1] for stamp in self.stamps.values() if len(stamp) == _STAMP_FIELDS)

    def differences(self, later: Listing) -> list[str]:
        """Paths that are not what they were, in order."""
        return sorted(
            path for path in self.stamps.keys() | later.stamps.keys() if self.stamps.get(path) != later.stamps.get(path)
        )


def list_directory(directory: Path) -> Listing:
    """Every file below a directory; nothing is ignored.

    A symlink is followed only inside one snapshot cache as Hugging Face lays it out: ``snapshots/REVISION/FILE``
    pointing into the ``blobs`` beside ``snapshots``, every hop of it.

    Args:
        directory: the directory; may itself be a symlink.

    Raises:
        InputError: no such directory, no file in it, another symlink, a device, or a name that is not UTF-8.
        InfrastructureError: a directory cannot be read.
    """
    try:
        root = directory.resolve(strict=True)
    except (OSError, RuntimeError):  # RuntimeError: a loop of links
        root = directory
    if not root.is_dir():
        raise InputError("there is no such directory", where=directory, do="check the path")
    files: dict[str, Path] = {}
    stamps: dict[str, tuple[int, ...]] = {}
    try:
        for above in root.parents:
            stamps[str(above)] = _identity(above.lstat())
        for path, status in _walk(root):
            stamps[str(path)] = stamp_of(status)
            if stat.S_ISDIR(status.st_mode):
                continue
            name = _name(path, root)
            if stat.S_ISLNK(status.st_mode):
                for hop in _hops(path, root):
                    found = hop.lstat()
                    stamps[str(hop)] = stamp_of(found)
                    stamps.setdefault(str(hop.parent), _identity(hop.parent.lstat()))
                    files[name] = hop
            elif stat.S_ISREG(status.st_mode):
                files[name] = path
            else:
                raise InputError(f"'{name}' is neither a file nor a directory", where=root, do="remove it")
    except OSError as error:
        raise InfrastructureError(f"cannot be read: {error}", where=directory) from error
    if not files:
        raise InputError("the directory is empty", where=directory)
    return Listing(root, dict(sorted(files.items())), stamps)


def stamp_of(status: os.stat_result) -> Stamp:
    """What shows that a file was touched."""
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns


def _identity(status: os.stat_result) -> tuple[int, int]:
    """Which directory it is, whatever else is put into it."""
    return status.st_dev, status.st_ino


def _walk(root: Path) -> Iterator[tuple[Path, os.stat_result]]:
    """The directory and everything below it, links not followed."""
    yield root, root.lstat()
    waiting = [root]
    while waiting:
        with os.scandir(waiting.pop()) as entries:
            for entry in entries:
                path, status = Path(entry.path), entry.stat(follow_symlinks=False)
                yield path, status
                if stat.S_ISDIR(status.st_mode):
                    waiting.append(path)


def _name(path: Path, root: Path) -> str:
    name = path.relative_to(root).as_posix()
    try:
        name.encode()
    except UnicodeEncodeError as error:
        raise InputError(f"the name {name!r} is not UTF-8", where=root, do="rename the file") from error
    return name


def _hops(link: Path, root: Path) -> Iterator[Path]:
    """Where a link leads to, hop by hop; the last is a file among the cache's blobs.

    Every hop is looked at, because whoever can change one changes what is read in the end.

    Raises:
        InputError: a hop leaves the snapshot and its blobs, or it ends elsewhere.
    """
    snapshot = next((p for p in (root, *root.parents) if p.parent.name == "snapshots"), None)
    if snapshot is not None:
        blobs = snapshot.parent.parent / "blobs"
        hop = link
        for _ in range(MOST_HOPS):
            target = hop.readlink()
            if _turns_back(target):
                break
            hop = Path(os.path.normpath(hop.parent / target))
            inside = hop.is_relative_to(blobs) or hop.is_relative_to(snapshot)
            if not inside or hop.parent.resolve() != hop.parent or not os.path.lexists(hop):
                break
            mode = hop.lstat().st_mode
            if stat.S_ISREG(mode) and not hop.is_relative_to(blobs):
                break
            yield hop
            if stat.S_ISREG(mode):
                return
            if not stat.S_ISLNK(mode):
                break
    raise InputError(
        f"'{_name(link, root)}' is a symlink to {link.readlink()}",
        where=root,
        do="links are followed only inside a Hugging Face snapshot cache; copy the file instead",
    )


def _turns_back(target: Path) -> bool:
    """Whether ``..`` follows a name: where that name is a link itself, the path would lead somewhere else."""
    parts = target.parts
    return any(part == ".." and before != ".." for before, part in pairwise(parts))
