"""Whether a directory on the way to a path was renamed, even if it was renamed back: as the kernel reports it.

A file's own inode and times show whether it was touched. Whoever renames a directory above it, puts another in its
place and renames it back, touches neither; the kernel tells those who watch that directory (``IN_MOVE_SELF``,
inotify(7)).
"""

from __future__ import annotations

import ctypes
import os
from collections.abc import Iterable
from pathlib import Path
from types import TracebackType
from typing import Self

from golden_sets.errors import InfrastructureError, InputError

_IN_DELETE_SELF = 0x400
_IN_MOVE_SELF = 0x800


class PathWatch:
    """Watches every directory from given ones up to the root; use with ``with``.

    Args:
        directories: the directories, their links resolved.

    Raises:
        InfrastructureError: the kernel gives no watch.
    """

    def __init__(self, directories: Iterable[Path]) -> None:
        libc = ctypes.CDLL(None, use_errno=True)
        self._descriptor = libc.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC)
        if self._descriptor < 0:
            raise _no_watch(ctypes.get_errno())
        self._watched: dict[int, Path] = {}
        for path in {above for directory in directories for above in (directory, *directory.parents)}:
            mask = _IN_MOVE_SELF | _IN_DELETE_SELF
            watch = libc.inotify_add_watch(self._descriptor, os.fsencode(path), mask)
            if watch < 0:
                error = ctypes.get_errno()
                self.close()
                raise _no_watch(error)
            self._watched[watch] = path

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Stop watching."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def require_unmoved(self) -> None:
        """Make sure that every path led to the same directory all the time.

        Raises:
            InputError: a directory was renamed, removed or unmounted, or events were lost.
        """
        try:
            events = os.read(self._descriptor, 1 << 16)
        except BlockingIOError:
            return
        moved = self._watched.get(int.from_bytes(events[:4], "little", signed=True))
        raise InputError(
            "the directory was renamed or removed while the engine loaded what lies in it",
            where=moved,
            do="run again when nobody changes it",
        )


def _no_watch(error: int) -> InfrastructureError:
    return InfrastructureError(
        f"the model's directories cannot be watched: {os.strerror(error)}",
        where="inotify",
        do="raise fs.inotify.max_user_instances and max_user_watches (sysctl)",
    )
