"""One training of a router: labelled prompts of a file or of a project's two models, checked, split and learnt from."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import numpy as np

from golden_sets.errors import InputError
from pipelines.progress import Progress
from pipelines.project import Project
from pipelines.router_data import Labelled, Source, check_overlap, labelled, project_of
from router_training.embedding.cache import EmbeddingCache
from router_training.pairs import Pairs
from router_training.router import Router
from router_training.router_files import SPLITS, check_place
from router_training.splitting import Split, read_split, split
from router_training.training import Settings, TrainedRouter, train_router

ENCODER_SETTINGS = ("precision", "layers", "max_tokens")
"""Settings of the encoder."""


@dataclass(frozen=True)
class Request:
    """What is wanted."""

    out: Path
    """Directory of the router to write."""
    source: Source
    """Where the labelled prompts come from."""
    refit: Path | None = None
    """An earlier router whose encoder and frozen test are kept."""
    chosen: Mapping[str, Any] = field(default_factory=dict)
    """Settings that were asked for; the others are the project's, or have their defaults."""
    allow_contamination: bool = False
    """Whether prompts of evaluation sets may be learnt from."""
    cache: Path | None = None
    """File of embeddings."""
    workers: int = 1
    """Prompts that are embedded at once."""


@dataclass(frozen=True, eq=False)
class RouterTraining:
    """A router, and what it was made from."""

    out: Path
    labelled: Labelled
    split: Split
    trained: TrainedRouter
    seconds: float
    notes: tuple[str, ...]

    @property
    def always_flagship(self) -> str | None:
        """Why everything goes to the flagship; None where the small model has its share."""
        return self.trained.manifest.operating_point.why_always_flagship

    def to_json(self) -> dict[str, Any]:
        """The ``--json`` document of ``relgate router train``."""
        pairs, manifest, choice = self.labelled.pairs, self.trained.manifest, self.trained.choice
        return {
            "router": str(self.out),
            "digest": manifest.digest,
            "always_flagship": self.always_flagship is not None,
            "reason": self.always_flagship,
            "operating_point": manifest.operating_point.to_json(),
            "head": {
                "kind": manifest.head,
                "features": list(manifest.features),
                "choice": None if choice is None else choice.to_json(),
            },
            "encoder": None if manifest.encoder is None else manifest.encoder.to_json(),
            "novelty": None if manifest.novelty is None else manifest.novelty.to_json(),
            "data": {
                "prompts": len(pairs),
                "distinct": len(set(pairs.prompts)),
                "groups": int(np.unique(pairs.groups).size),
                "small_quality": float(pairs.small.mean()),
                "flagship_quality": float(pairs.flagship.mean()),
                "hard": float(pairs.hard.mean()),
                "ties": float((pairs.delta == 0).mean()),
                "small_better": float((pairs.delta < 0).mean()),
            },
            "split": {
                "training": len(self.split.train),
                "calibration": len(self.split.calibration),
                "test": len(self.split.test),
                "left_out": len(self.split.left_out),
            },
            "generated": self.labelled.generated,
            "judged": self.labelled.judged,
            "models": {"small": manifest.small, "flagship": manifest.flagship, "judge": manifest.judge},
            "seconds": round(self.seconds, 3),
            "notes": list(self.notes),
        }


def train_from(request: Request, progress: Progress) -> RouterTraining:
    """Train a router.

    Raises:
        InputError: bad labels, a setting out of range, or a directory that holds something else.
        InfrastructureError: a package or a model is missing, or nothing can be written.
    """
    return Training.of(request).train(progress)


@dataclass(frozen=True)
class Training:
    """What is wanted, checked before anything is asked of a model."""

    request: Request
    project: Project | None
    earlier: Router | None
    settings: Settings

    @classmethod
    def of(cls, request: Request) -> Self:
        """Check what is wanted.

        Raises:
            InputError: a setting out of range, or a directory that holds something else.
        """
        check_place(request.out)
        project = project_of(request.source)
        earlier = None if request.refit is None else Router.load(request.refit)
        return cls(request, project, earlier, _settings(request, project, earlier))

    def train(self, progress: Progress, found: Labelled | None = None) -> RouterTraining:
        """Train.

        Args:
            progress: who is told.
            found: prompts that are labelled already; None: they are read, or the models are asked.

        Raises:
            InputError: bad labels, or prompts of evaluation sets.
            InfrastructureError: a package or a model is missing, or nothing can be written.
        """
        request, earlier, began = self.request, self.earlier, time.monotonic()
        if found is None:
            found = labelled(request.source, self.project, progress)
        notes = check_overlap(found.pairs, request.source, self.project, progress, allow=request.allow_contamination)
        parts = split(
            found.pairs,
            seed=self.settings.seed,
            keep=None if earlier is None else read_split(earlier.directory / SPLITS),
        )
        trained = train_router(
            found.pairs,
            parts,
            request.out,
            settings=self.settings,
            models=found.models,
            refitted=earlier,
            cache=None if request.cache is None else EmbeddingCache(request.cache),
            workers=request.workers,
            progress=progress,
        )
        notes = (*found.notes, *notes, *_notes(found.pairs, parts))
        return RouterTraining(request.out, found, parts, trained, time.monotonic() - began, notes)


def _settings(request: Request, project: Project | None, earlier: Router | None) -> Settings:
    chosen = dict(request.chosen)
    if earlier is not None:
        given = [name for name in ENCODER_SETTINGS if name in chosen]
        if given:
            what = f"--{given[0].replace('_', '-')} cannot be changed by --refit: the encoder is the router's"
            raise InputError(what, do="leave it out, or train a router of its own")
        point = earlier.manifest.operating_point
        chosen = {"max_loss": point.max_loss, "confidence": point.confidence, **chosen}
    elif project is not None and project.file.router is not None:
        options = project.file.router
        chosen = {"max_loss": options.max_loss, "confidence": options.confidence, **chosen}
    settings = Settings(**chosen)
    for name, value in (("--max-loss", settings.max_loss), ("--confidence", settings.confidence)):
        if not 0 < value < 1:
            raise InputError(f"{name} must lie strictly between 0 and 1, not {value:g}", do="write 2 points as 0.02")
    return settings


def _notes(pairs: Pairs, parts: Split) -> tuple[str, ...]:
    notes = []
    copies = len(pairs) - len(set(pairs.prompts))
    if copies:
        notes.append(f"{copies} prompts occur more than once: copies are one group, on one side of the split")
    picked = int(pairs.picked[parts.left_out].sum())
    if new := parts.left_out.size - picked:
        notes.append(f"{new} new prompts are near-duplicates of the frozen test, or in a group of its: left out")
    if picked:
        notes.append(f"{picked} prompts that may only teach are in a group of calibration or test prompts: left out")
    if taught := int(pairs.picked[parts.train].sum()):
        notes.append(f"{taught} prompts that were picked (teach_only) teach the head: calibration does without them")
    return tuple(notes)
