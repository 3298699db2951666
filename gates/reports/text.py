"""Text that others wrote, made safe for each format: HTML (before escaping), XML 1.0, Markdown, JSON."""

from __future__ import annotations

import re
from typing import Any

from golden_sets.visible_text import visible

_NOT_XML = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""Complement of ``Char`` in XML 1.0 (fifth edition, production 2)."""

_MARKDOWN = re.compile(r"([\\`*_\[\]|~#!])")
_ZERO_WIDTH_SPACE = "\u200b"


def xml_text(text: str) -> str:
    """Text without the characters that XML 1.0 cannot hold, not even escaped."""
    return _NOT_XML.sub("", text)


def markdown_text(text: str) -> str:
    """Text for a table cell or line of GitHub-flavoured Markdown: one line, no markup, no mention, no link.

    A blank of no width after ``@`` keeps ``@name`` from notifying anybody and is what Dependabot does, too
    (``sanitize_mentions`` in dependabot-core); the same trick stops ``#12`` and bare addresses from being linked.
    """
    line = " ".join(visible(text).split())
    line = line.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return _neutral(_MARKDOWN.sub(r"\\\1", line))


def markdown_code(text: str) -> str:
    """Text as inline code of GitHub-flavoured Markdown, safe within a table; backticks become apostrophes."""
    line = " ".join(visible(text).split()).replace("`", "'").replace("|", "\\|")
    return f"`{_neutral(line)}`" if line else ""


def _neutral(line: str) -> str:
    line = line.replace("@", "@" + _ZERO_WIDTH_SPACE).replace("://", ":" + _ZERO_WIDTH_SPACE + "//")
    line = re.sub(r"#(?=\d)", "#" + _ZERO_WIDTH_SPACE, line)
    return re.sub(r"(?i)\b(www)\.", r"\1" + _ZERO_WIDTH_SPACE + ".", line)


def shortened(text: str, length: int) -> str:
    """The beginning of a text, at most ``length`` characters, marked where it was cut."""
    return text if len(text) <= length else text[: length - 1].rstrip() + "…"


def well_formed(value: Any) -> Any:
    """JSON data with lone surrogates replaced by U+FFFD, so that it can be written as UTF-8; all else unchanged."""
    if isinstance(value, str):
        return value.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    if isinstance(value, dict):
        return {well_formed(key): well_formed(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [well_formed(item) for item in value]
    return value
