"""Text that others wrote, with everything in it that cannot be seen made visible."""

from __future__ import annotations

import re

_UNSEEN = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u00ad\u061c\u200b\u200e\u200f\u202a-\u202e\u2060\u2066-\u2069\ufeff"
    "\ud800-\udfff\ufdd0-\ufdef\ufffe\uffff\U000e0000-\U000e007f]"
)
"""Characters that show nothing, or that reorder or hide other text: controls, bidirectional controls (the "Trojan
Source" attack, CVE-2021-42574), blanks of no width, tag characters, lone surrogates. Joiners (U+200C, U+200D) are not
among them: scripts and emoji need them."""


def visible(text: str) -> str:
    """Show what cannot be seen: control, reordering and hidden characters become their code, ``[U+202E]``.

    Tabs and line ends stay (CR LF becomes LF), as does every printable character. Lone surrogates become U+FFFD.
    The result can always be encoded as UTF-8 and holds no character that HTML forbids.
    """
    return _UNSEEN.sub(_picture, text.replace("\r\n", "\n"))


def _picture(found: re.Match[str]) -> str:
    code = ord(found.group())
    return "\ufffd" if 0xD800 <= code <= 0xDFFF else f"[U+{code:04X}]"
