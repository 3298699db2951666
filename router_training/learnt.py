"""What a router has learnt: encoder, head, calibration and clusters. Prompts in, decisions out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from router_training.calibrating import calibrated
from router_training.deciding import Decisions, Scores, decide, predictions
from router_training.embedding.embedder import Embedded, Embedder
from router_training.features import features
from router_training.heads.head import Floats, Head, Matrix
from router_training.novelty import distances, unlike
from router_training.pairs import Mask
from router_training.records import Curve, Novelty, OperatingPoint

CENTROIDS = "centroids"
"""Name of their tensor beside the reference sample."""


@dataclass(frozen=True, eq=False)
class Learnt:
    """Everything between a prompt and its numbers. Safe to use from several threads: nothing in it changes."""

    embedder: Embedder
    """The encoder."""
    cheap: tuple[str, ...]
    """Features beside the embedding."""
    head: Head
    """The head."""
    p_hard: Curve
    """Its calibration to P(hard)."""
    delta: Curve
    """Its calibration to the expected delta."""
    centroids: Matrix
    """Centres of the clusters of training prompts, shape (k, dimensions)."""
    novelty: Novelty
    """When a prompt is unlike them."""

    def features(self, prompts: Sequence[str], embeddings: Matrix) -> Matrix:
        """What the head sees of prompts, shape (n, features)."""
        return features(prompts, embeddings, self.cheap)

    def score(self, features: Matrix) -> Scores:
        """What the head says of features, calibrated."""
        predicted, spread = predictions(self.head, features)
        return Scores(predicted, spread, calibrated(self.p_hard, predicted), calibrated(self.delta, predicted))

    def unlike(self, prompts: Sequence[str], read: Embedded) -> tuple[Floats, Mask]:
        """Distance of each prompt to the nearest training cluster, and whether it is unlike training, shapes (n,)."""
        distance = distances(read.vectors, self.centroids)
        return distance, unlike(self.novelty, prompts, read.tokens, distance)

    def decide(self, point: OperatingPoint, prompts: Sequence[str], read: Embedded) -> Decisions:
        """Where prompts go."""
        distance, strange = self.unlike(prompts, read)
        return decide(point, self.score(self.features(prompts, read.vectors)), distance, strange)
