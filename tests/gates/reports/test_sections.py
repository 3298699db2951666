"""Further sections: shown in every format, nothing in them becomes markup or is run."""

from __future__ import annotations

import base64
import json
import re
from dataclasses import replace

import pytest

from gates.reports import Figure, Listing, ReportInput, Section, render_html, render_json, render_markdown
from golden_sets.errors import InputError

SVG = '<svg xmlns="http://www.w3.org/2000/svg"><script>alert(1)</script><text>Frontier</text></svg>'
SECTION = Section(
    title="The <router>",
    text=("It sends 40 % to the flagship & the rest to @small.",),
    figures=(Figure(SVG, 'quality "against" share', "Up is better."),),
    listings=(Listing("Against baselines", ("router", "APGR"), (("this | one", "0.71"), ("length", "0.58"))),),
)


@pytest.fixture
def told(promoted: ReportInput) -> ReportInput:
    return replace(promoted, sections=(SECTION,))


def test_the_page_shows_words_tables_and_drawings_as_images(told: ReportInput) -> None:
    page = render_html(told)
    assert "The &lt;router&gt;</h2>" in page
    assert "the flagship &amp; the rest" in page
    assert '<a href="#further-1">The &lt;router&gt;</a>' in page
    assert re.search(r'<th scope="row">this \| one</th><td class="num">0\.71</td>', page)
    source = re.search(r'<img src="data:image/svg\+xml;base64,([^"]+)" alt="quality &#34;against&#34; share">', page)
    assert source is not None
    assert base64.b64decode(source[1]).decode() == SVG
    assert "<script" not in page


def test_the_summary_shows_words_and_tables(told: ReportInput) -> None:
    text = render_markdown(told)
    assert "**The &lt;router&gt;**" in text
    assert "| router | APGR |\n|:--|--:|\n| this \\| one | 0.71 |\n| length | 0.58 |" in text
    assert "@small" not in text
    assert "svg" not in text


def test_the_document_holds_them_as_data(told: ReportInput) -> None:
    (section,) = json.loads(render_json(told))["report"]["sections"]
    assert section["title"] == "The <router>"
    assert section["tables"][0]["rows"] == [["this | one", "0.71"], ["length", "0.58"]]
    assert section["figures"] == [{"words": 'quality "against" share', "caption": "Up is better."}]


def test_without_them_a_page_has_none(promoted: ReportInput) -> None:
    page = render_html(promoted)
    assert "further-1" not in page
    assert "<img" not in page


def test_a_row_of_another_length_is_refused() -> None:
    with pytest.raises(InputError, match="rows of other lengths"):
        Listing("t", ("a", "b"), (("1",),))
