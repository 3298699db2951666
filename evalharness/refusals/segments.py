"""An answer in parts: plain text, its words and its sentences."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cached_property

READ_START, READ_END = 20_000, 5_000
"""Characters of a longer answer that are read for phrases, at its start and at its end: keeps the work bounded."""

_CONTROL = re.compile(r"<\|[^|<>\n]{1,40}\|>|</?s>|\[/?INST\]|<</?SYS>>|<(?:start|end)_of_turn>|<(?:bos|eos|pad|unk)>")
_INVISIBLE = re.compile(r"[\u00ad\u200b-\u200f\u202a-\u202e\u2060-\u2064\ufeff\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")
_ROLE = re.compile(r"\A\s*(?:assistant|answer|response|ai|bot|model)\s*:\s*", re.IGNORECASE)
_QUOTES = str.maketrans({"\u2018": "'", "\u2019": "'", "\u02bc": "'", "\u201c": '"', "\u201d": '"', "\u00a0": " "})
_CODE = re.compile(r"```.*?(?:```|\Z)", re.DOTALL)
_QUOTED = re.compile(r'"[^"\n]{0,400}"')
_SUBJECT = re.compile(r"^[^\w\n]{0,4}subject[^\w\n]{0,4}:.*", re.MULTILINE | re.IGNORECASE | re.DOTALL)
_LETTER_BODY = re.compile(
    r"(?:^|[.!?:] )[^\w\n]{0,4}(?:dear\b|to whom it may concern)[^.\n]{0,60}$"
    r".*^[^\w\n]{0,4}(?:kind|best|warm|yours|sincerely|with)\b[^.\n]{0,30}$",
    re.MULTILINE | re.IGNORECASE | re.DOTALL,
)
_EMPHASIS = re.compile(r"\*+|__+|^#+\s*", re.MULTILINE)
_ITEM = re.compile(r"^[ \t]*(?:[-*\u2022]|\(?\d{1,2}[.)])\s+", re.MULTILINE)
_BREAK = re.compile(r"(?<=[.!?])[\"')\]]*\s+(?=\S)|\n+")
_LETTER = re.compile(r"[^\W\d_]")


@dataclass(frozen=True)
class Segments:
    """One answer, cut for reading. Sentences are in lower case."""

    text: str
    """The answer without control tokens, invisible characters and a leading role name."""

    @classmethod
    def of(cls, answer: str) -> Segments:
        """Cut an answer; lone surrogates (which no tokenizer takes) become question marks."""
        text = answer.encode("utf-8", "replace").decode("utf-8").translate(_QUOTES)
        text = _INVISIBLE.sub("", _CONTROL.sub(" ", text))
        return cls(_ROLE.sub("", text).strip())

    @cached_property
    def words(self) -> list[str]:
        """Everything between blanks."""
        return self.text.split()

    @property
    def items(self) -> int:
        """Lines that begin like items of a list."""
        return len(_ITEM.findall(self.text))

    @property
    def has_code(self) -> bool:
        """Whether there is a block of code."""
        return "```" in self.text

    @cached_property
    def sentences(self) -> list[str]:
        """Sentences and lines outside of code, in lower case, single-spaced, without quotations and list markers.

        What is quoted, programmed or part of a letter is not said by the model: "he said 'I can't help you'" refuses
        nothing. An answer that stands in quotation marks as a whole is read without them.
        """
        text = self.text
        if len(text) > READ_START + READ_END:
            text = f"{text[:READ_START]}\n{text[-READ_END:]}"
        prose = _EMPHASIS.sub("", _CODE.sub("\n", text)).strip()
        prose = _LETTER_BODY.sub("(letter)", _SUBJECT.sub("(letter)", prose))
        if prose.count('"') == 2 and prose.startswith('"') and prose.endswith('"'):
            prose = prose[1:-1]
        prose = _ITEM.sub("", _QUOTED.sub(' "" ', prose)).casefold()
        parts = (" ".join(part.split()) for part in _BREAK.split(prose))
        return [part for part in parts if _LETTER.search(part)]
