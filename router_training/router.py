"""The router as a gateway uses it: ``Router.load(directory).route(prompts)``."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Self

import numpy as np

from golden_sets.digests import Digest
from golden_sets.errors import InfrastructureError, InputError
from router_training.deciding import Decisions, Scores, decide
from router_training.embedding.embedder import Embedded, Embedder
from router_training.heads.head import HeadState, Matrix
from router_training.heads.loading import head_of
from router_training.learnt import CENTROIDS, Learnt
from router_training.records import EncoderPin, Novelty, Route, RouterManifest
from router_training.reference import Reference
from router_training.router_files import (
    CLUSTERS,
    ENCODER,
    HEAD,
    TOKENIZER,
    read_file,
    read_manifest,
    read_tensors,
)

_ANY_PROMPT = "What is the capital of France?"


class Router:
    """Decides which of two models answers a prompt.

    Safe to use from several threads at once; what becomes of a prompt does not depend on those beside it. An empty
    prompt, one far longer than any training prompt, in another script, or far from everything learnt goes to the
    flagship.
    """

    def __init__(
        self,
        directory: Path,
        manifest: RouterManifest,
        learnt: Learnt | None,
        reference: Reference | None,
        *,
        workers: int = 1,
    ) -> None:
        self.directory = directory
        """Where it was loaded from."""
        self.manifest = manifest
        """What it is."""
        self._learnt = learnt
        self._reference = reference
        self._workers = workers

    @classmethod
    def load(cls, directory: Path | str, *, threads: int = 1, workers: int = 1) -> Self:
        """Load a router; every file is checked against the manifest, and nothing in them is run.

        Args:
            directory: what ``relgate router train --out`` wrote.
            threads: threads that work on one prompt.
            workers: prompts of a batch that are encoded at once.

        Raises:
            InputError: no router, or one that was changed after it was written.
            InfrastructureError: a package that it needs is missing.
        """
        directory = Path(directory)
        manifest = read_manifest(directory)
        if manifest.encoder is None or manifest.novelty is None:
            return cls(directory, manifest, None, None, workers=workers)
        learnt, reference = _read_learnt(directory, manifest, manifest.encoder, manifest.novelty, threads)
        return cls(directory, manifest, learnt, reference, workers=workers)

    @property
    def digest(self) -> Digest:
        """The router's identity: that of its manifest."""
        return self.manifest.digest

    @property
    def embedder(self) -> Embedder | None:
        """The encoder; None for a router that learnt nothing and sends everything to the flagship."""
        return None if self._learnt is None else self._learnt.embedder

    @property
    def reference(self) -> Reference | None:
        """Calibration prompts as the router saw them, to compare traffic with; None where it learnt nothing."""
        return self._reference

    @property
    def centroids(self) -> Matrix | None:
        """Centres of the clusters of training prompts, shape (k, dimensions); None where it learnt nothing."""
        return None if self._learnt is None else self._learnt.centroids

    def route(self, prompts: str | Sequence[str]) -> list[Route]:
        """Where each prompt goes, in order; a single prompt gives a list of one."""
        return self.decide([prompts] if isinstance(prompts, str) else prompts).routes()

    def decide(self, prompts: Sequence[str], embeddings: Matrix | None = None) -> Decisions:
        """The same as arrays.

        Args:
            prompts: n texts.
            embeddings: theirs by `embedder`, shape (n, dimensions), where they are known already.
        """
        for prompt in prompts:
            if not isinstance(prompt, str):
                raise InputError(f"a prompt is text, not {type(prompt).__name__}")
        if self._learnt is None:
            return self._unread(len(prompts))
        if embeddings is None:
            read = self._learnt.embedder.read(prompts, workers=self._workers)
        else:
            read = Embedded(embeddings, self._learnt.embedder.tokens(prompts))
        return self._learnt.decide(self.manifest.operating_point, prompts, read)

    def features(self, prompts: Sequence[str], embeddings: Matrix) -> Matrix:
        """What the head sees of prompts, shape (n, features)."""
        return self._head().features(prompts, embeddings)

    def score(self, features: Matrix) -> Scores:
        """What the head says of features, calibrated."""
        return self._head().score(features)

    def _head(self) -> Learnt:
        if self._learnt is None:
            raise InputError("the router has no head: it sends everything to the flagship", where=self.directory)
        return self._learnt

    def _unread(self, n: int) -> Decisions:
        none, base = np.zeros(n), self.manifest
        scores = Scores(none, none, np.full(n, base.p_hard.y[0]), np.full(n, base.delta.y[0]))
        return decide(base.operating_point, scores, none, np.zeros(n, dtype=np.bool_))


def _read_learnt(
    directory: Path, manifest: RouterManifest, encoder: EncoderPin, novelty: Novelty, threads: int
) -> tuple[Learnt, Reference]:
    clusters = read_tensors(directory, manifest, CLUSTERS)
    if CENTROIDS not in clusters:
        raise InputError(f"holds no tensor '{CENTROIDS}'", where=directory / CLUSTERS, do="train the router again")
    state = HeadState(manifest.head, manifest.head_settings, read_tensors(directory, manifest, HEAD))
    graph, tokenizer = (read_file(directory, manifest, name) for name in (ENCODER, TOKENIZER))
    try:
        embedder = Embedder(graph, tokenizer, encoder, threads=threads)
    except InputError as error:
        raise InputError(error.what, where=directory, do="train the router again") from error
    learnt = Learnt(
        embedder=embedder,
        cheap=manifest.features,
        head=head_of(state),
        p_hard=manifest.p_hard,
        delta=manifest.delta,
        centroids=clusters[CENTROIDS],
        novelty=novelty,
    )
    _require_working(learnt, manifest, directory)
    reference = Reference.from_tensors(clusters)
    if reference.embeddings.shape[1:] != learnt.centroids.shape[1:]:
        raise InputError("the reference prompts are not as wide as the centres", where=directory / CLUSTERS)
    return learnt, reference


def _require_working(learnt: Learnt, manifest: RouterManifest, directory: Path) -> None:
    """Decide on one prompt: files that are whole each but do not fit each other are found now, not in front of a user.

    Raises:
        InputError: they do not fit.
    """
    if learnt.centroids.ndim != 2:
        raise InputError(f"'{CENTROIDS}' is no matrix", where=directory / CLUSTERS, do="train the router again")
    try:
        learnt.decide(manifest.operating_point, [_ANY_PROMPT], learnt.embedder.read([_ANY_PROMPT]))
    except InputError as error:
        raise InputError(error.what, where=directory, do="train the router again") from error
    except InfrastructureError:
        raise
    except Exception as error:  # ONNX Runtime raises nothing narrower
        what = f"its files do not fit each other: no prompt can be routed ({error})"
        raise InputError(what, where=directory, do="train the router again") from error
