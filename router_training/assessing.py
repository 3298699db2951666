"""A router on labelled prompts: only on those it has never seen."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from golden_sets.errors import InputError
from router_training.baseline_files import read_baselines
from router_training.embedding.cache import EmbeddingCache, embed_cached
from router_training.evaluating import evaluate_router
from router_training.evaluation import RouterEvaluation
from router_training.features import features
from router_training.pairs import Floats, Pairs, Rows
from router_training.progress import Progress, Silent
from router_training.router import Router
from router_training.router_files import SPLITS
from router_training.splitting import read_split
from router_training.training import data_digest


@dataclass(frozen=True, eq=False)
class HeldOut:
    """The prompts of a file that a router may be measured on."""

    rows: Rows
    """Which, in increasing order."""
    told: str
    """What they are, for people."""
    notes: tuple[str, ...] = ()
    """What a reader must know of them."""


def held_out(router: Router, pairs: Pairs) -> HeldOut:
    """The prompts that a router has never seen.

    All of them, unless some are among those it was trained or calibrated on: then its frozen test, as far as it is
    there; and where none of it is, what does not belong to a group of training prompts.

    Raises:
        InputError: nothing is left.
    """
    everything = HeldOut(np.arange(len(pairs)), "every prompt of the file")
    if SPLITS not in router.manifest.files:
        return everything
    record = read_split(router.directory / SPLITS)
    found = record.find(pairs)
    seen = np.concatenate([found.train, found.calibration])
    if found.test.size and (seen.size or found.test.size == len(record.test)):
        missing = len(record.test) - found.test.size
        notes = [f"{missing} prompts of the frozen test are not in the file"] if missing else []
        if other := len(pairs) - seen.size - found.test.size:
            notes.append(f"{other} prompts that are not of the frozen test were not evaluated")
        return HeldOut(found.test, "the router's frozen test", tuple(notes))
    if not seen.size:
        return everything
    rows = np.flatnonzero(~np.isin(pairs.groups, pairs.groups[seen]))
    if not rows.size:
        raise InputError(
            f"the router was trained on {seen.size} of these {len(pairs)} prompts, and none of its frozen test is here",
            do="give prompts that it has not seen, or the whole file it was trained on",
        )
    note = f"{len(pairs) - rows.size} prompts that the router was trained on, or near-duplicates, were left out"
    return HeldOut(rows, "prompts of the file that the router has not seen", (note,))


def assess(
    router: Router,
    pairs: Pairs,
    *,
    cache: EmbeddingCache | None = None,
    workers: int = 1,
    progress: Progress | None = None,
) -> RouterEvaluation:
    """Evaluate a router on the labelled prompts that it has not seen, beside its baselines.

    Args:
        router: the router.
        pairs: labelled prompts; which of them count, `held_out` says.
        cache: where embeddings are kept.
        workers: prompts that are embedded at once; changes nothing but the time.
        progress: told how far it is.

    Raises:
        InputError: the router has seen all of them.
    """
    progress = progress or Silent()
    chosen = held_out(router, pairs)
    test = pairs.take(chosen.rows)
    fitted: dict[str, Floats] = {}
    if router.embedder is None:
        decisions = router.decide(test.prompts)
    else:
        with progress.bar("embedding", len(test)) as advance:
            vectors = embed_cached(router.embedder, test.prompts, cache, workers=workers, progress=advance)
        decisions = router.decide(test.prompts, vectors)
        plain = features(test.prompts, vectors, ())
        fitted = {name: head.predict(plain) for name, head in read_baselines(router.directory, router.manifest).items()}
    with progress.bar("resampling", None):
        found = evaluate_router(
            test,
            decisions,
            router.manifest.operating_point,
            calibration_p_hard=None if router.reference is None else router.reference.p_hard,
            fitted_baselines=fitted,
        )
    return found.model_copy(
        update={
            "router": router.digest,
            "data": data_digest(test),
            "prompts": chosen.told,
            "head": router.manifest.head,
            "notes": (*chosen.notes, *found.notes),
        }
    )
