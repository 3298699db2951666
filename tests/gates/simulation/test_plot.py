"""The curve drawn: well-formed, readable without seeing it, safe to put into a page."""

from __future__ import annotations

from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from gates.simulation import OperatingCharacteristics, operating_characteristics
from gates.simulation.plot import svg, write_plot
from golden_sets.errors import InputError
from tests.support.evidence import policy
from tests.support.plans import plan_of, prompt_set

MARGIN = {"id": "margin", "metric": "pass_rate", "test": "non_inferiority", "margin": 0.05}
NAME = "</title><script>alert(1)</script> & co"


@pytest.fixture(scope="module")
def found() -> OperatingCharacteristics:
    checked = policy(MARGIN, name=NAME)
    return operating_characteristics(checked, plan_of(checked, [prompt_set(easy=900)], expected=0.15), releases=300)


def parsed(text: str) -> ET.Element:
    return ET.fromstring(text)  # noqa: S314 - made by the function under test


class TestSvg:
    def test_it_is_well_formed_and_holds_no_markup_of_others(self, found: OperatingCharacteristics) -> None:
        text = svg(found, alone=True)
        root = parsed(text)
        assert root.tag.endswith("svg")
        assert "<script" not in text
        title = root.find("{http://www.w3.org/2000/svg}title")
        assert title is not None
        assert NAME in (title.text or "")

    def test_it_says_in_words_what_it_shows(self, found: OperatingCharacteristics) -> None:
        root = parsed(svg(found, alone=True))
        told = root.findtext("{http://www.w3.org/2000/svg}desc") or ""
        assert told.count("promoted") == len(found.curve)
        for verdict in ("promote", "block", "inconclusive"):
            assert any(verdict == element.text for element in root.iter("{http://www.w3.org/2000/svg}text"))

    def test_edges_follow_the_curve(self, found: OperatingCharacteristics) -> None:
        root = parsed(svg(found, alone=True))
        promote, undecided, generations = root.iter("{http://www.w3.org/2000/svg}polyline")
        heights = [
            [float(place.split(",")[1]) for place in line.attrib["points"].split()]
            for line in (promote, undecided, generations)
        ]
        top, bottom = 34, 268
        for point, low, high in zip(found.curve, heights[0], heights[1], strict=True):
            assert (bottom - low) / (bottom - top) == pytest.approx(point.promote, abs=0.001)
            assert (bottom - high) / (bottom - top) == pytest.approx(1 - point.block, abs=0.001)
        ratios = [p.generations_ratio for p in found.curve]
        drop = [max(heights[2]) - y for y in heights[2]]
        assert drop[ratios.index(max(ratios))] == max(drop)

    def test_a_curve_of_one_point_is_drawn_too(self) -> None:
        checked = policy({"id": "refusals", "metric": "false_refusal_rate", "test": "ceiling", "threshold": 0.05})
        sets = [prompt_set("r", "false_refusal", easy=500)]
        found = operating_characteristics(checked, plan_of(checked, sets, expected=0.01), releases=200)
        parsed(svg(found, alone=True))


class TestFiles:
    def test_every_format(self, found: OperatingCharacteristics, tmp_path: Path) -> None:
        for name, start in (("a.svg", b"<svg"), ("b.png", b"\x89PNG"), ("c.html", b"<!doctype html>")):
            write_plot(found, tmp_path / name)
            assert (tmp_path / name).read_bytes().startswith(start)
        assert b"<script" not in (tmp_path / "c.html").read_bytes()

    def test_an_unknown_format(self, found: OperatingCharacteristics, tmp_path: Path) -> None:
        with pytest.raises(InputError, match=r"end its name in .svg, .png, .html"):
            write_plot(found, tmp_path / "curve.pdf")
        assert not list(tmp_path.iterdir())
