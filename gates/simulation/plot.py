"""The operating-characteristic curve as SVG: what becomes of a candidate, and what it takes, against how good it is.

One drawing for a file, a page of its own and a report: it takes the colours of the page it stands in, and brings its
own where there are none. Areas are named in words, and ``title`` and ``desc`` say what the picture shows.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from markupsafe import Markup

from gates.reports.figures import MINUS, percent
from gates.simulation.characteristics import CurvePoint, OperatingCharacteristics
from golden_sets.documents import write_whole
from golden_sets.errors import InputError

WIDTH, HEIGHT = 760, 470
FORMATS = (".svg", ".png", ".html")
COLOURS = {"promote": "#11693a", "inconclusive": "#845000", "block": "#b01f16"}
"""Colours of a file; a page's own take their place."""
TINTS = {"promote": "#d5eddd", "inconclusive": "#fbe9c6", "block": "#f7d3cf"}
_LEFT, _RIGHT = 64, 744
_TOP, _MIDDLE, _LOW, _BOTTOM = 34, 268, 306, 420
_VERDICTS = ("promote", "inconclusive", "block")
_THEME = Markup(
    "<style>:root{color-scheme:light dark;--ink:#14181f;--muted:#545d69;--rule:#dfe3e8;--paper:#fff;--accent:#1d4f91;"
    "--pass:#11693a;--inconclusive:#845000;--fail:#b01f16;--pass-tint:#d5eddd;--inconclusive-tint:#fbe9c6;"
    "--fail-tint:#f7d3cf}@media (prefers-color-scheme:dark){:root{--ink:#e8ebef;--muted:#a5aeb9;--rule:#2c333c;"
    "--paper:#171b21;--accent:#8fbcf5;--pass:#63d396;--inconclusive:#f3bd63;--fail:#ff8f85;--pass-tint:#17402a;"
    "--inconclusive-tint:#4a380f;--fail-tint:#56201c}}</style>"
)
_STYLES = {
    "promote": ("var(--pass-tint,#d5eddd)", "var(--pass,#11693a)"),
    "inconclusive": ("var(--inconclusive-tint,#fbe9c6)", "var(--inconclusive,#845000)"),
    "block": ("var(--fail-tint,#f7d3cf)", "var(--fail,#b01f16)"),
}


@dataclass(frozen=True)
class Curve:
    """What both pictures draw."""

    differences: tuple[float, ...]
    """True differences, in points."""
    edges: tuple[tuple[float, ...], ...]
    """Upper edges of the stacked chances: promote, with inconclusive, with block (always 1)."""
    ratios: tuple[float, ...]
    """Generations over a plan with a single look."""
    ticks: tuple[float, ...]
    """Differences to be marked, in points."""
    margin: float | None
    """The margin, in points."""

    @classmethod
    def of(cls, found: OperatingCharacteristics) -> Curve:
        """What is drawn of a simulation. A curve of one point becomes a level line."""
        points = list(found.curve)
        if len(points) == 1:
            alone = points[0]
            points = [_moved(alone, -0.01), alone, _moved(alone, 0.01)]
        x = tuple(100 * p.difference for p in points)
        margin = None if found.margin is None else 100 * found.margin
        ticks = [0.0] if len(found.curve) == 1 else x[::2]
        return cls(
            x,
            (
                tuple(p.promote for p in points),
                tuple(p.promote + p.inconclusive for p in points),
                tuple(1.0 for _ in points),
            ),
            tuple(p.generations_ratio for p in points),
            tuple(ticks),
            margin,
        )

    @property
    def highest_ratio(self) -> float:
        """Top of the lower picture."""
        return max(1.15, *self.ratios) * 1.05

    def text(self, tick: float) -> str:
        """A tick's label."""
        number = f"{abs(tick):.3g}"
        return f"{MINUS if tick < -1e-9 else '+' if tick > 1e-9 else ''}{number}"

    def where(self, band: int) -> tuple[float, float] | None:
        """Where the name of a band is best put: the place at which it is thickest; None where it is too thin."""
        lower = self.edges[band - 1] if band else tuple(0.0 for _ in self.differences)
        thickness = [high - low for high, low in zip(self.edges[band], lower, strict=True)]
        # The middle of the thickest stretch.
        most = max(thickness)
        places = [k for k, t in enumerate(thickness) if t > most - 0.02]
        k = places[len(places) // 2]
        return (self.differences[k], lower[k] + thickness[k] / 2) if most > 0.09 else None


def write_plot(found: OperatingCharacteristics, path: Path) -> None:
    """Write the curve as SVG, PNG or a page of its own, by the file's ending.

    Raises:
        InputError: another ending.
        InfrastructureError: the file cannot be written.
    """
    require_format(path)
    ending = path.suffix.lower()
    if ending == ".png":
        from gates.simulation.picture import png

        write_whole(path, png(found))
    else:
        text = svg(found, alone=True) if ending == ".svg" else page(found)
        write_whole(path, text.encode())


def require_format(path: Path) -> None:
    """A plot's file must end in one of the formats.

    Raises:
        InputError: it does not.
    """
    if path.suffix.lower() not in FORMATS:
        raise InputError(f"no plot can be written as '{path.name}'", do=f"end its name in {', '.join(FORMATS)}")


def page(found: OperatingCharacteristics) -> str:
    """A page with the curve alone."""
    return str(
        Markup(
            '<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>{}</title>{}</head>'
            '<body style="margin:2rem auto;max-width:60rem;background:var(--paper);color:var(--ink)">{}</body></html>\n'
        ).format(heading(found), _THEME, Markup(svg(found)))  # noqa: S704 - made below, every text in it escaped
    )


def svg(found: OperatingCharacteristics, *, alone: bool = False) -> str:
    """The curve as an SVG element.

    Args:
        found: the simulation.
        alone: True for a file of its own: with a namespace and colours.
    """
    curve = Curve.of(found)
    body = Markup("").join([*_areas(curve), *_axes(curve, found), *_edges(curve), *_generations(curve)])
    root, theme = (Markup(' xmlns="http://www.w3.org/2000/svg"'), _THEME) if alone else (Markup(""), Markup(""))
    return str(
        Markup(
            '<svg{} viewBox="0 0 {} {}" width="100%" role="img" aria-labelledby="oc-title oc-desc" '
            'font-family="system-ui, sans-serif" font-size="13" fill="var(--ink,#14181f)">'
            '<title id="oc-title">{}</title><desc id="oc-desc">{}</desc>{}{}</svg>\n'
        ).format(root, WIDTH, HEIGHT, heading(found), describe(found), theme, body)
    )


def heading(found: OperatingCharacteristics) -> str:
    """What the picture is of."""
    return f"Policy '{found.policy_name}': what becomes of a candidate"


def describe(found: OperatingCharacteristics) -> str:
    """What the picture shows, in words."""
    curve = Curve.of(found)
    told = [
        f"{curve.text(100 * p.difference)} points: {percent(p.promote)} promoted, {percent(p.block)} blocked, "
        f"{percent(p.inconclusive)} inconclusive, {p.generations_ratio:.2f} times the generations of a single look"
        for p in found.curve
    ]
    return f"True difference to the incumbent on golden sets. {'; '.join(told)}."


def bands(curve: Curve) -> Sequence[tuple[str, tuple[float, ...]]]:
    """The stacked areas by name, each with its upper edge."""
    return list(zip(_VERDICTS, curve.edges, strict=True))


def _moved(point: CurvePoint, difference: float) -> CurvePoint:
    return point.model_copy(update={"difference": difference})


def _x(curve: Curve, difference: float) -> float:
    low, high = curve.differences[0], curve.differences[-1]
    return _LEFT + (_RIGHT - _LEFT) * (difference - low) / (high - low)


def _y(chance: float) -> float:
    return _MIDDLE - (_MIDDLE - _TOP) * chance


def _path(places: Iterable[tuple[float, float]]) -> str:
    return " ".join(f"{x:.1f},{y:.1f}" for x, y in places)


def _areas(curve: Curve) -> list[Markup]:
    found, lower = [], tuple(0.0 for _ in curve.differences)
    for name, upper in bands(curve):
        there = [(_x(curve, d), _y(v)) for d, v in zip(curve.differences, upper, strict=True)]
        back = [(_x(curve, d), _y(v)) for d, v in zip(curve.differences, lower, strict=True)][::-1]
        found.append(Markup('<polygon points="{}" style="fill:{}"/>').format(_path(there + back), _STYLES[name][0]))
        lower = upper
    return found


def _edges(curve: Curve) -> list[Markup]:
    """Edges and names of the areas, above the grid."""
    found = []
    for band, (name, upper) in enumerate(bands(curve)):
        tint, ink = _STYLES[name]
        there = [(_x(curve, d), _y(v)) for d, v in zip(curve.differences, upper, strict=True)]
        if band < len(_VERDICTS) - 1:
            found.append(
                Markup('<polyline points="{}" style="fill:none;stroke:{};stroke-width:2"/>').format(_path(there), ink)
            )
        place = curve.where(band)
        if place is not None:
            halo = f"fill:{ink};stroke:{tint};stroke-width:5;paint-order:stroke"
            found.append(_text(_x(curve, place[0]), _y(place[1]) + 4, name, anchor="middle", style=halo))
    return found


def _axes(curve: Curve, found: OperatingCharacteristics) -> list[Markup]:
    parts = [_text(_LEFT, 18, f"{heading(found)} ({found.releases:,} simulated releases a point)")]
    for share in (0.0, 0.25, 0.5, 0.75, 1.0):
        parts += [_line(_LEFT, _y(share), _RIGHT, _y(share), "rule"), _label(_y(share), percent(share, decimals=0))]
    for tick in curve.ticks:
        x = _x(curve, tick)
        parts += [
            _line(x, _TOP, x, _MIDDLE, "rule"),
            _line(x, _LOW, x, _BOTTOM, "rule"),
            _text(x, _BOTTOM + 18, curve.text(tick), anchor="middle"),
        ]
    if curve.margin is not None:
        x = _x(curve, -curve.margin)
        parts += [
            _line(x, _TOP, x, _MIDDLE, "ink", dash="4 3"),
            _line(x, _LOW, x, _BOTTOM, "ink", dash="4 3"),
            _text(x + 5, _MIDDLE + 17, "the margin", style="fill:var(--muted,#545d69)"),
        ]
    parts.append(
        _text(
            (_LEFT + _RIGHT) / 2,
            _BOTTOM + 38,
            "true difference to the incumbent on golden sets, points",
            anchor="middle",
            style="fill:var(--muted,#545d69)",
        )
    )
    return parts


def _generations(curve: Curve) -> list[Markup]:
    top = curve.highest_ratio

    def y(ratio: float) -> float:
        return _BOTTOM - (_BOTTOM - _LOW) * ratio / top

    places = [(_x(curve, d), y(r)) for d, r in zip(curve.differences, curve.ratios, strict=True)]
    return [
        _line(_LEFT, y(0), _RIGHT, y(0), "rule"),
        _line(_LEFT, y(1), _RIGHT, y(1), "muted"),
        _label(y(0), "0"),
        _label(y(1), "1"),
        Markup('<polyline points="{}" style="fill:none;stroke:var(--accent,#1d4f91);stroke-width:2"/>').format(
            _path(places)
        ),
        _text(_LEFT, _LOW - 6, "generations, over a plan with a single look", style="fill:var(--accent,#1d4f91)"),
    ]


def _text(x: float, y: float, text: str, *, anchor: str = "start", style: str = "") -> Markup:
    return Markup('<text x="{:.1f}" y="{:.1f}" text-anchor="{}" style="{}">{}</text>').format(x, y, anchor, style, text)


def _label(y: float, text: str) -> Markup:
    return _text(_LEFT - 8, y + 4, text, anchor="end", style="fill:var(--muted,#545d69)")


def _line(x1: float, y1: float, x2: float, y2: float, tone: str, *, dash: str = "none") -> Markup:
    colour = {"rule": "#dfe3e8", "muted": "#545d69", "ink": "#14181f"}[tone]
    return Markup(
        '<line x1="{:.1f}" y1="{:.1f}" x2="{:.1f}" y2="{:.1f}" style="stroke:var(--{},{});stroke-dasharray:{}"/>'
    ).format(x1, y1, x2, y2, tone, colour, dash)
