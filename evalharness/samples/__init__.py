"""The sample store: every generation and judgment, keyed so that nothing finished is ever paid for twice."""

from evalharness.samples.store import SampleStore
from evalharness.samples.writer import SampleWriter

__all__ = ["SampleStore", "SampleWriter"]
