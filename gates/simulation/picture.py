"""The operating-characteristic curve as PNG, for places that show no SVG."""

from __future__ import annotations

import io

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from gates.simulation.characteristics import OperatingCharacteristics
from gates.simulation.plot import COLOURS, TINTS, Curve, bands, heading

_INCHES = (9.0, 5.6)
_DOTS_PER_INCH = 140


def png(found: OperatingCharacteristics) -> bytes:
    """The picture that `gates.simulation.plot.svg` draws, as PNG."""
    curve = Curve.of(found)
    figure = Figure(figsize=_INCHES, layout="constrained")
    chances, generations = figure.subplots(2, 1, sharex=True, height_ratios=(2, 1))
    lower = tuple(0.0 for _ in curve.differences)
    for band, (name, upper) in enumerate(bands(curve)):
        chances.fill_between(curve.differences, lower, upper, color=TINTS[name], linewidth=0)
        if band < 2:
            chances.plot(curve.differences, upper, color=COLOURS[name])
        place = curve.where(band)
        if place is not None:
            chances.text(*place, name, color=COLOURS[name], ha="center", va="center")
        lower = upper
    chances.set(title=f"{heading(found)} ({found.releases:,} simulated releases a point)", ylabel="chance")
    chances.set_ylim(0, 1)
    chances.set_xlim(curve.differences[0], curve.differences[-1])
    generations.plot(curve.differences, curve.ratios, color="#1d4f91")
    generations.axhline(1.0, color="#545d69", linewidth=0.8)
    generations.set_ylim(0, curve.highest_ratio)
    generations.set(
        xlabel="true difference to the incumbent on golden sets, points", ylabel="generations,\nover a single look"
    )
    generations.set_xticks(curve.ticks, [curve.text(tick) for tick in curve.ticks])
    for axes in (chances, generations):
        axes.grid(color="#dfe3e8", linewidth=0.6)
        if curve.margin is not None:
            axes.axvline(-curve.margin, color="#14181f", linestyle="--", linewidth=0.9)
    found_bytes = io.BytesIO()
    FigureCanvasAgg(figure)
    figure.savefig(found_bytes, format="png", dpi=_DOTS_PER_INCH, metadata={"Software": None})
    return found_bytes.getvalue()
