"""The registry: content-addressed blobs, an append-only Merkle ledger, and channels that move by compare-and-set."""

from gates.registry.channels import ChannelState
from gates.registry.history import Move
from gates.registry.registry import Registry
from gates.registry.verification import Verification
from gates.registry.versions import Version
from gates.verifier.events import Checkpoint, Event

__all__ = ["ChannelState", "Checkpoint", "Event", "Move", "Registry", "Verification", "Version"]
