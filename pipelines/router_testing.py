"""The frozen test that a router is released on: scores of files, or answers of the project's two models."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from evalharness.candidate import Candidate
from golden_sets.digests import short
from golden_sets.errors import InputError
from pipelines.progress import Progress
from pipelines.project import Project
from pipelines.router_labels import RouterLabels, labels_of_project
from pipelines.router_place import RouterPlace
from router_training.assessing import assess
from router_training.embedding.cache import EmbeddingCache
from router_training.evaluation import RouterEvaluation
from router_training.frozen_test import FrozenTest
from router_training.labelled_file import read_pairs
from router_training.pairs import Floats, Pairs, Rows
from router_training.router import Router
from router_training.router_files import SPLITS
from router_training.splitting import read_split
from router_training.training import data_digest


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
    place: RouterPlace, router: Router, labels: Labels, *, cache: Path, workers: int, progress: Progress
) -> tuple[FrozenTest, RouterEvaluation]:
    """The frozen test of a router, with its evaluation there.

    Args:
        place: where it is released.
        router: the router.
        labels: where the scores come from.
        cache: file of embeddings.
        workers: prompts that are embedded at once.
        progress: who is told.

    Raises:
        InputError: no labelled prompts, or none of the router's frozen test.
    """
    if labels.files:
        with progress.step("reading and grouping prompts"):
            found = read_pairs(labels.files, columns=labels.columns or {}, where=labels.where or {})
        pairs = labels.prices.added(found.take(frozen_rows(router, found)))
        test = FrozenTest.of_pairs(pairs)
    else:
        pairs, test = _of_models(place, router, progress)
    evaluation = assess(router, pairs, cache=EmbeddingCache(cache), workers=workers, progress=progress)
    return test, evaluation if data_digest(pairs) == router.manifest.test_data else _other_scores(evaluation)


def _other_scores(evaluation: RouterEvaluation) -> RouterEvaluation:
    note = "the answers to the frozen test score otherwise than when the router was trained"
    return evaluation.model_copy(update={"notes": (*evaluation.notes, note)})


def _of_models(place: RouterPlace, router: Router, progress: Progress) -> tuple[Pairs, FrozenTest]:
    """The frozen test as the project's two models answer it."""
    if place.workspace is None:
        raise InputError("there are no labelled prompts", do="name the files the router was trained on with --data")
    workspace = place.workspace
    small, flagship = (_model(workspace.project, router, role) for role in ("small", "flagship"))
    labels = labels_of_project(workspace, small, flagship, workspace.project.routing_sets, progress)
    for warning in (*labels.warnings, *labels.labelled.notes()):
        progress.say(f"  {warning}")
    return test_of_answers(workspace.project, router, labels)


def test_of_answers(project: Project, router: Router, labels: RouterLabels) -> tuple[Pairs, FrozenTest]:
    """The frozen test of a router among the prompts of a project's routing sets.

    Raises:
        InputError: some of it is missing.
    """
    sets = project.routing_sets
    rows = frozen_rows(router, labels.labelled.pairs)
    pairs, keys = labels.labelled.pairs.take(rows), [labels.labelled.keys[row] for row in rows.tolist()]
    judged = any(one.card.scoring == "judge" for one in sets)
    test = FrozenTest.of_answers(
        pairs,
        keys,
        labels.outcomes,
        [one.prompt_set for one in sets],
        judge=project.judge_digest if judged else None,
        calibrations=labels.calibrations,
    )
    return pairs, test


def _model(project: Project, router: Router, role: str) -> Candidate:
    """The candidate that a router was made for.

    Raises:
        InputError: it names none, or none of the project is it.
    """
    manifest = router.manifest
    digest = manifest.small if role == "small" else manifest.flagship
    if digest is None:
        what = "the router was trained on scores that name no models"
        raise InputError(what, where=router.directory, do="name their files with --data")
    named = project.router.small if role == "small" else project.router.flagship
    for name in sorted(project.candidate_names(), key=lambda name: name != named):
        candidate = project.candidate(name)
        if candidate.digest == digest:
            return candidate
    raise InputError(
        f"the {role} model that the router was made for ({short(digest)}) is no candidate of this project",
        where=project.at(project.file.candidates),
        do="restore its files, or train a router on the models there are",
    )


def frozen_rows(router: Router, pairs: Pairs) -> Rows:
    """Which labelled prompts are a router's frozen test.

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
    return rows


def _priced(usd: Floats | None, price: float | None, n: int) -> Floats | None:
    return np.full(n, price) if usd is None and price is not None else usd
