"""Text that others wrote, made safe for each format: HTML (before escaping), XML 1.0, Markdown, JSON."""

from __future__ import annotations

import re
from typing import Any

_UNSEEN = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u00ad\u061c\u200b\u200e\u200f\u202a-\u202e\u2060\u2066-\u2069\ufeff"
    "\ud800-\udfff\ufdd0-\ufdef\ufffe\uffff\U000e0000-\U000e007f]"
)
"""Characters that show nothing, or that reorder or hide other text: controls, bidirectional controls (the "Trojan
Source" attack, CVE-2021-42574), blanks of no width, tag characters, lone surrogates. Joiners (U+200C, U+200D) are not
among them: scripts and emoji need them."""

_NOT_XML = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""Complement of ``Char`` in XML 1.0 (fifth edition, production 2)."""

_MARKDOWN = re.compile(r"([\\`*_\[\]|~#!])")
_ZERO_WIDTH_SPACE = "\u200b"


def visible(text: str) -> str:
    """Show what cannot be seen: control, reordering and hidden characters become their code, ``[U+202E]``.

    Tabs and line ends stay (CR LF becomes LF), as does every printable character. Lone surrogates become U+FFFD.
    The result can always be encoded as UTF-8 and holds no character that HTML forbids.
    """
    return _UNSEEN.sub(_picture, text.replace("\r\n", "\n"))


def _picture(found: re.Match[str]) -> str:
    code = ord(found.group())
    return "\ufffd" if 0xD800 <= code <= 0xDFFF else f"[U+{code:04X}]"


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
