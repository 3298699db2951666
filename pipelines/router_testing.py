"""The frozen test that a router is released on: scores of files, or answers of the project's two models."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from golden_sets.errors import InputError
from pipelines.progress import Progress
from router_training.assessing import assess
from router_training.embedding.cache import EmbeddingCache
from router_training.evaluation import RouterEvaluation
from router_training.frozen_test import FrozenTest
from router_training.labelled_file import read_pairs
from router_training.pairs import Floats, Pairs
from router_training.router import Router
from router_training.router_files import SPLITS
from router_training.splitting import read_split


@dataclass(frozen=True, slots=True)
class Prices:
    """What an answer costs where the labelled prompts do not say it, USD."""

    small: float | None = None
    """Of the small model; None: not known."""
    flagship: float | None = None
    """Of the flagship; None: not known."""

    def added(self, pairs: Pairs) -> Pairs:
        """The pairs, with these prices where they have none."""
        return replace(
            pairs,
            small_usd=_priced(pairs.small_usd, self.small, len(pairs)),
            flagship_usd=_priced(pairs.flagship_usd, self.flagship, len(pairs)),
        )


@dataclass(frozen=True, slots=True)
class Labels:
    """Where the labels of prompts come from."""

    files: tuple[Path, ...] = ()
    """Files of scores; none: the project's models."""
    columns: Mapping[str, str] | None = None
    """Which column holds a field."""
    where: Mapping[str, str] | None = None
    """Rows to keep."""
    prices: Prices = Prices()


def measured_on(
    router: Router, labels: Labels, *, cache: Path, workers: int, progress: Progress
) -> tuple[FrozenTest, RouterEvaluation]:
    """The frozen test of a router, with its evaluation there.

    Args:
        router: the router.
        labels: where the scores come from.
        cache: file of embeddings.
        workers: prompts that are embedded at once.
        progress: who is told.

    Raises:
        InputError: no labelled prompts, or none of the router's frozen test.
    """
    if not labels.files:
        raise InputError("there are no labelled prompts", do="name the file the router was trained on with --data")
    with progress.step("reading and grouping prompts"):
        found = read_pairs(labels.files, columns=labels.columns or {}, where=labels.where or {})
    pairs = labels.prices.added(frozen_pairs(router, found))
    evaluation = assess(router, pairs, cache=EmbeddingCache(cache), workers=workers, progress=progress)
    return FrozenTest.of_pairs(pairs), evaluation


def frozen_pairs(router: Router, pairs: Pairs) -> Pairs:
    """The labelled prompts that are a router's frozen test.

    Raises:
        InputError: some of it is missing: a part of a test is another test.
    """
    if SPLITS not in router.manifest.files:
        raise InputError("the router remembers no frozen test", where=router.directory, do="train it again")
    record = read_split(router.directory / SPLITS)
    rows = record.find(pairs).test
    if rows.size < len(record.test):
        raise InputError(
            f"{len(record.test) - rows.size} of the {len(record.test)} prompts of the router's frozen test are not "
            "among the labelled ones",
            do="give the files that it was trained on",
        )
    return pairs.take(rows)


def _priced(usd: Floats | None, price: float | None, n: int) -> Floats | None:
    return np.full(n, price) if usd is None and price is not None else usd
