"""The router that every other one is first compared with: there is none, and the flagship answers everything."""

from __future__ import annotations

from pathlib import Path

from golden_sets.digests import digest_json
from router_training.records import Curve, OperatingPoint, RouterManifest
from router_training.router import Router

NAME = "always-flagship"
"""What it is called."""


def always_flagship() -> Router:
    """A router that sends every prompt to the flagship, unread. It names no models, so it never becomes stale."""
    nothing = digest_json([])
    hard = Curve(x=(0.0, 1.0), y=(1.0, 1.0))
    manifest = RouterManifest(
        files={},
        features=(),
        head="constant",
        head_settings={},
        p_hard=hard,
        delta=Curve(x=(0.0, 1.0), y=(0.0, 0.0)),
        operating_point=OperatingPoint(
            threshold=0.0,
            band_high=0.0,
            max_loss=0.02,
            confidence=0.95,
            loss=0.0,
            loss_high=0.0,
            flagship_share=1.0,
            n=0,
            method="none",
            why_always_flagship="there is no router: the flagship answers everything",
        ),
        training_data=nothing,
        calibration_data=nothing,
        test_data=nothing,
    )
    return Router(Path(NAME), manifest, None, None)
