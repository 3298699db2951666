"""Moves under rules: who must sign, what must be fresh, and what is refused."""

from __future__ import annotations

import pytest
from sqlalchemy import Engine

from gates.registry import Registry
from tests.support.signed_registry import SignedRegistry


@pytest.fixture
def signed(engine: Engine) -> SignedRegistry:
    return SignedRegistry(Registry(engine))


def test_a_signed_release_moves_the_stage(signed: SignedRegistry) -> None:
    release = signed.release("v2", signed.seed())
    signed.people.sign_off(release.decision)
    assert signed.promote(release).name == "v2"
    moved = signed.registry.log()[-1]
    assert len(moved.payload["sanctions"]) == 3
    assert signed.registry.verify().problems == ()
