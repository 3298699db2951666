"""Further sections of a report, made by whoever knows more of the subject than the gate does."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from evalharness.pages import image_address
from golden_sets.errors import InputError


@dataclass(frozen=True, slots=True)
class Figure:
    """A drawing with what it shows in words."""

    svg: str
    """A whole SVG document. The page shows it as an image: nothing in it is run or loaded."""
    words: str
    """What it shows, for those who cannot see it."""
    caption: str
    """One sentence below it."""

    @property
    def address(self) -> str:
        """The drawing as the address of an image that holds it."""
        return image_address(self.svg)


@dataclass(frozen=True, slots=True)
class Listing:
    """A table of plain text; the first cell of a row names it."""

    caption: str
    """What the table holds."""
    columns: tuple[str, ...]
    """Heads of the columns."""
    rows: tuple[tuple[str, ...], ...]
    """Cells, row by row."""

    def __post_init__(self) -> None:
        if any(len(row) != len(self.columns) for row in self.rows):
            raise InputError(f"the table '{self.caption}' has rows of other lengths than its head")


@dataclass(frozen=True, slots=True)
class Section:
    """One section: words first, then drawings, then tables."""

    title: str
    """Its heading."""
    text: tuple[str, ...] = ()
    """Paragraphs of plain text."""
    figures: tuple[Figure, ...] = ()
    """Drawings."""
    listings: tuple[Listing, ...] = ()
    """Tables."""


def sections_document(sections: Sequence[Section]) -> list[dict[str, Any]]:
    """The sections as plain JSON data, drawings by their words."""
    return [
        {
            "title": section.title,
            "text": list(section.text),
            "figures": [{"words": figure.words, "caption": figure.caption} for figure in section.figures],
            "tables": [asdict(listing) for listing in section.listings],
        }
        for section in sections
    ]
