"""Engines: servers of the OpenAI-compatible streaming API, started here or already up, and the client to them."""

from evalharness.engines.client import ChatClient, ChatRequest, RawCompletion, TokenLogprobs
from evalharness.engines.fingerprint import fingerprint
from evalharness.engines.opening import open_engine
from evalharness.engines.served import ServedModel, verify_served

__all__ = [
    "ChatClient",
    "ChatRequest",
    "RawCompletion",
    "ServedModel",
    "TokenLogprobs",
    "fingerprint",
    "open_engine",
    "verify_served",
]
