"""What embedding needs installed."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from golden_sets.errors import InfrastructureError


@contextmanager
def needed() -> Iterator[None]:
    """Imports inside are needed to embed prompts.

    Raises:
        InfrastructureError: one of them is not installed.
    """
    try:
        yield
    except ModuleNotFoundError as error:
        raise InfrastructureError(
            f"the package '{error.name}' is needed to embed prompts and is not installed",
            do=f"pip install {error.name}",
        ) from error
