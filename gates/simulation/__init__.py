"""The gate's own error rates: what it promotes, blocks and leaves open, over many simulated releases."""

from gates.simulation.assumptions import Assumptions
from gates.simulation.characteristics import (
    CurvePoint,
    IdenticalModels,
    LimitPoint,
    OperatingCharacteristics,
    SequentialPoint,
    SimulatedCell,
    Verdicts,
)
from gates.simulation.scenarios import operating_characteristics

__all__ = [
    "Assumptions",
    "CurvePoint",
    "IdenticalModels",
    "LimitPoint",
    "OperatingCharacteristics",
    "SequentialPoint",
    "SimulatedCell",
    "Verdicts",
    "operating_characteristics",
]
