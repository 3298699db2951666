"""Floor 3: who should answer. The router's labels, heads, calibration and validation live here.

``from router_training import Router`` is what a gateway needs.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from router_training.router import Router

__all__ = ["Router"]


def __getattr__(name: str) -> Any:
    """Load the router, and the packages it needs, when it is first asked for."""
    if name == "Router":
        from router_training.router import Router

        return Router
    raise AttributeError(f"module 'router_training' has no attribute '{name}'")
