"""A plain folder in which small real routers are released on scores that a test decides."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from pipelines.progress import Progress
from pipelines.router_measuring import NamedRouter
from pipelines.router_place import RouterPlace
from pipelines.router_release import RouterRelease, incumbent_of, release_router
from router_training.frozen_test import FrozenTest
from router_training.pairs import Pairs
from router_training.records import Curve, RouterManifest
from router_training.router import Router
from router_training.router_files import write_router
from tests.support.routers import write_ridge_router

POLICY = """\
name: router
version: 1
alpha: 0.05
primary: quality
checks:
  - {id: quality, metric: pass_rate, test: non_inferiority, margin: 0.02}
  - {id: cost, metric: usd_per_success, test: ratio_ceiling, threshold: 1.05}
  - {id: share, metric: flagship_share, test: ceiling, threshold: 0.9}
  - {id: jump, metric: flagship_share, test: non_inferiority, margin: 0.1}
  - {id: routing-time, metric: routing_s, quantile: 0.99, test: ceiling, threshold: 5}
"""
LONG = 20
"""Words from which a prompt is hard."""


def scored(n: int = 800, *, hard: float = 0.0, seed: int = 5) -> Pairs:
    """Prompts of which the long ones are hard for the small model, and a share of the short ones, too."""
    rng = np.random.default_rng(seed)
    words = rng.integers(0, 40, n)
    prompts = tuple(
        f"{'please ' * int(w)}count the {animal}s in row {i}"
        for i, (w, animal) in enumerate(zip(words, ["cow", "hen", "sheep", "pig"] * n, strict=False))
    )
    flagship = (rng.random(n) < 0.95).astype(np.float64)
    small = np.where((words >= LONG) | (rng.random(n) < hard), 0.0, flagship)
    return Pairs(
        prompts=prompts,
        ids=tuple(f"q{i}" for i in range(n)),
        small=small,
        flagship=flagship,
        groups=np.arange(n),
        families=tuple("long" if w >= LONG else "short" for w in words),
        small_usd=np.full(n, 0.001),
        flagship_usd=np.full(n, 0.01),
    )


def write_router_by_length(out: Path) -> RouterManifest:
    """Write a real router of one encoder layer that has learnt that long prompts are hard, and nothing else."""
    p_hard, delta = Curve(x=(-1.0, 2.0), y=(0.0, 1.0)), Curve(x=(-1.0, 2.0), y=(-1.0, 1.0))
    return write_ridge_router(out, scored(200, seed=1), band_high=0.5, p_hard=p_hard, delta=delta)


@dataclass(frozen=True)
class RouterLine:
    """A folder with a policy, in which routers are trained by hand and released."""

    directory: Path

    def place(self, **options: Any) -> RouterPlace:
        policy = self.directory / "router-policy.yaml"
        if not policy.exists():
            policy.write_text(POLICY)
        return RouterPlace.open(self.directory, policy=policy, **options)

    def router(self, name: str, *, threshold: float = 0.5, **pins: Any) -> NamedRouter:
        """A router that sends prompts with P(hard) from a threshold on to the flagship."""
        first = self.directory / "base"
        manifest = Router.load(first).manifest if first.exists() else write_router_by_length(first)
        point = manifest.operating_point.model_copy(update={"threshold": threshold, "band_high": threshold})
        files: dict[str, bytes | Path] = {file: first / file for file in manifest.files}
        out = self.directory / name
        write_router(out, manifest.model_copy(update={"operating_point": point, **pins}), files)
        return NamedRouter(name, Router.load(out))

    def release(
        self, candidate: NamedRouter, pairs: Pairs, *, against: str | None = None, **options: Any
    ) -> RouterRelease:
        place = self.place()
        test = FrozenTest.of_pairs(pairs)
        incumbent = incumbent_of(place, against)
        return release_router(place, candidate, incumbent, test, progress=Progress(quiet=True), **options)
