"""The names of the alpha-spending functions, apart from their mathematics: plans need the names alone."""

from __future__ import annotations

from typing import Literal

Spending = Literal["obrien-fleming", "pocock", "linear", "quadratic", "cubic"]
"""How alpha is spent: ``obrien-fleming`` almost all at the end, ``pocock`` early; t, t^2 and t^3 lie between."""
