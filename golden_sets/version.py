"""The version of relgate that runs, for records that say what made them."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version


def relgate_version() -> str:
    """Version of the installed distribution; ``unknown`` when it runs from a bare checkout."""
    try:
        return version("relgate")
    except PackageNotFoundError:
        return "unknown"
