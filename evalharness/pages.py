"""Pages for people: self-contained HTML in which what models, logs and files wrote can neither run nor hide."""

from __future__ import annotations

import base64
from collections.abc import Callable, Mapping
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from golden_sets.visible_text import visible


def page_environment(package: str, filters: Mapping[str, Callable[..., Any]]) -> Environment:
    """Templates of a package: every text that is put into a page is made visible, then escaped.

    Args:
        package: whose folder ``templates`` holds them.
        filters: by the name under which templates call them.
    """
    environment = Environment(
        loader=PackageLoader(package),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=_finalize,
    )
    environment.filters |= filters
    return environment


def image_address(svg: str) -> str:
    """A drawing as the address of an image: nothing in it can run."""
    return "data:image/svg+xml;base64," + base64.b64encode(svg.encode()).decode()


def _finalize(value: Any) -> Any:
    """Make the invisible visible in everything that is put into a page; autoescape follows."""
    return visible(value) if isinstance(value, str) and not isinstance(value, Markup) else value
