"""Where the demo project and its models lie: in the checkout, or inside the installed package."""

from __future__ import annotations

from pathlib import Path

from golden_sets.errors import InputError

_HERE = Path(__file__).resolve().parent


def examples_directory() -> Path:
    """The folder that holds ``demo/`` and ``models/``.

    Raises:
        InputError: this installation has neither.
    """
    for place in (_HERE / "_examples", _HERE.parent / "examples"):
        if (place / "demo" / "relgate.yaml").is_file():
            return place
    raise InputError(
        "the demo project is not part of this installation", do="install relgate from its wheel or checkout"
    )
