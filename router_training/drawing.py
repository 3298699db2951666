"""How the router's figures look: one style for all, the same bytes for the same numbers."""

from __future__ import annotations

import io
from typing import Any

from matplotlib.figure import Figure

INK, MUTED, RULE = "#14181f", "#545d69", "#dfe3e8"
ROUTER, LIMIT = "#0072b2", "#b01f16"
STYLE: Any = {
    "svg.fonttype": "none",
    "svg.hashsalt": "relgate",
    "font.family": "sans-serif",
    "font.size": 11,
    "text.color": INK,
    "axes.labelcolor": INK,
    "axes.edgecolor": RULE,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.color": RULE,
    "grid.linewidth": 0.8,
    "xtick.color": MUTED,
    "ytick.color": MUTED,
    "xtick.major.size": 0,
    "ytick.major.size": 0,
    "legend.frameon": False,
}


def svg(figure: Figure) -> str:
    """A figure as an SVG document that can stand inside a page."""
    text = io.StringIO()
    figure.savefig(text, format="svg", metadata={"Date": None, "Creator": "relgate"})
    # The document alone: without the XML and document type lines it can stand inside a page, too.
    return text.getvalue()[text.getvalue().index("<svg") :]
