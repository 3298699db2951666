"""``relgate registry``: what was recorded, what is served, who signed, and what proves it."""

from pipelines.cli.registry.app import app

__all__ = ["app"]
