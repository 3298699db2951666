"""A registry on each database, and small real records to put into it."""

from __future__ import annotations

import pytest
from sqlalchemy import Engine

from gates.registry import Registry
from tests.support.recorded_releases import POLICY, Maker, Release

__all__ = ["POLICY", "Maker", "Release"]


@pytest.fixture
def make() -> Maker:
    return Maker()


@pytest.fixture
def registry(engine: Engine) -> Registry:
    return Registry(engine)
