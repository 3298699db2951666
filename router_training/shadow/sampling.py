"""Which small-routed requests are replayed through the flagship: drawn by their ids, so that a rerun draws the same."""

from __future__ import annotations

import hashlib


def uniform(seed: int, purpose: str, request_id: str) -> float:
    """A number in [0, 1) that depends on nothing but these: uniform over ids."""
    data = f"{seed}\x00{purpose}\x00{request_id}".encode()
    return int.from_bytes(hashlib.blake2b(data, digest_size=7).digest()) / 2**56


def is_sampled(seed: int, request_id: str, probability: float) -> bool:
    """Whether a request is replayed. A request that is drawn at one probability is drawn at every larger one."""
    return uniform(seed, "sample", request_id) < probability
