"""What became of the simulated releases of one scenario."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from gates.simulation.batches import Batch

Key = tuple[str, float]
"""Kind of a scenario (``difference``, ``limit``, ``effect``) and its number."""


@dataclass
class Total:
    """What became of the releases of one scenario."""

    promoted: int = 0
    blocked: int = 0
    prompts: int = 0
    most_prompts: int = 0
    passed: NDArray[np.int64] = field(default_factory=lambda: np.zeros(0, dtype=np.int64))
    failed: NDArray[np.int64] = field(default_factory=lambda: np.zeros(0, dtype=np.int64))
    alone_prompts: dict[int, int] = field(default_factory=dict)
    """Prompts that each check takes as if it were the only one."""
    alone_passed: dict[int, int] = field(default_factory=dict)

    def add(self, batch: Batch, checks: Iterable[int]) -> None:
        """Count one batch; of ``checks`` also what each does on its own."""
        runs = batch.runs()
        self.promoted += int(runs.promoted.sum())
        self.blocked += int(runs.blocked.sum())
        self.prompts += int(runs.prompts.sum())
        self.most_prompts = max(self.most_prompts, int(runs.prompts.max()))
        self.passed = runs.passed.sum(axis=1) + (self.passed if self.passed.size else 0)
        self.failed = runs.failed.sum(axis=1) + (self.failed if self.failed.size else 0)
        for check in checks:
            alone = batch.alone(check)
            if alone is not None:
                prompts, passes = alone
                self.alone_prompts[check] = self.alone_prompts.get(check, 0) + int(prompts.sum())
                self.alone_passed[check] = self.alone_passed.get(check, 0) + int(passes.sum())
