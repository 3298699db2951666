"""Training a router: labelled prompts in, a directory out. Nothing of the frozen test is seen on the way."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from golden_sets.digests import Digest, digest_json
from golden_sets.documents import json_text
from router_training.baseline_files import SETTINGS, TRAINING_FORMAT, baseline_tensors
from router_training.baselines import fit_baselines
from router_training.calibrating import fit_delta, fit_p_hard
from router_training.choosing import Choice, choose_head
from router_training.deciding import predictions
from router_training.embedding.cache import EmbeddingCache, embed_cached
from router_training.embedding.embedder import Embedded, Embedder
from router_training.embedding.export import GRAPH_FILE, TOKENIZER_FILE, export_encoder
from router_training.features import features
from router_training.heads.head import HeadState
from router_training.learnt import CENTROIDS, Learnt
from router_training.novelty import clusters, fit_novelty
from router_training.operating import choose_operating_point
from router_training.pairs import Pairs
from router_training.progress import Progress, Silent
from router_training.records import Curve, EncoderPin, Novelty, OperatingPoint, Precision, RouterManifest
from router_training.reference import Reference
from router_training.router import Router
from router_training.router_files import (
    BASELINES,
    CLUSTERS,
    ENCODER,
    HEAD,
    SPLITS,
    TOKENIZER,
    TRAINING,
    check_place,
    to_bytes,
    write_router,
)
from router_training.splitting import Split, SplitRecord


@dataclass(frozen=True, slots=True)
class Settings:
    """How a router is trained."""

    precision: Precision = "int8"
    """Arithmetic of the encoder."""
    layers: int = 2
    """How many of the encoder's layers are used."""
    max_tokens: int = 64
    """Of longer prompts as many tokens are kept: half from the start, half from the end."""
    max_loss: float = 0.02
    """Most mean quality that may be given up against always asking the flagship, in (0, 1)."""
    confidence: float = 0.95
    """Of the bound on it, in (0, 1)."""
    seed: int = 0
    """Of everything that is drawn."""


@dataclass(frozen=True, slots=True)
class Models:
    """What the labels were made with, by digest; None where they are from a file that names nothing."""

    small: Digest | None = None
    """Manifest digest of the small model."""
    flagship: Digest | None = None
    """Manifest digest of the flagship."""
    judge: Digest | None = None
    """Digest of the judge."""


@dataclass(frozen=True, eq=False)
class TrainedRouter:
    """A router as it was written, and how it came about."""

    manifest: RouterManifest
    """The router."""
    choice: Choice | None
    """What was tried; None where there was nothing to learn."""


@dataclass(frozen=True, eq=False)
class _Encoder:
    """An encoder that is loaded, and its files."""

    pin: EncoderPin
    graph: bytes
    tokenizer: bytes

    @classmethod
    def exported(cls, settings: Settings) -> _Encoder:
        with TemporaryDirectory(prefix="relgate-encoder-") as folder:
            place = Path(folder)
            pin = export_encoder(
                place, precision=settings.precision, layers=settings.layers, max_tokens=settings.max_tokens
            )
            return cls(pin, (place / GRAPH_FILE).read_bytes(), (place / TOKENIZER_FILE).read_bytes())

    @classmethod
    def of(cls, router: Router) -> _Encoder | None:
        """The encoder of a router; None where it learnt nothing and has none."""
        pin, place = router.manifest.encoder, router.directory
        return None if pin is None else cls(pin, (place / ENCODER).read_bytes(), (place / TOKENIZER).read_bytes())

    def files(self) -> dict[str, bytes]:
        return {ENCODER: self.graph, TOKENIZER: self.tokenizer}


def train_router(
    pairs: Pairs,
    split: Split,
    out: Path,
    *,
    settings: Settings | None = None,
    models: Models | None = None,
    refitted: Router | None = None,
    cache: EmbeddingCache | None = None,
    workers: int = 1,
    progress: Progress | None = None,
) -> TrainedRouter:
    """Train a router and write its directory, whole or not at all.

    The head is chosen and fitted on the training prompts; its calibration and the threshold come from calibration
    prompts that it has not seen (the calibration curve also from the training prompts, as predicted by fits without
    them). The frozen test is not looked at. Where there is nothing to learn the router sends everything to the flagship
    and says why.

    Args:
        pairs: labelled prompts.
        split: which of them are for what.
        out: the directory to write.
        settings: how to train.
        models: what the labels were made with.
        refitted: an earlier router whose encoder is kept, to the byte; encoder settings do not count then.
        cache: where embeddings are kept.
        workers: prompts that are embedded at once; changes nothing but the time.
        progress: told how far it is.

    Raises:
        InputError: the directory holds something else, or a setting is out of range.
        InfrastructureError: a package is missing, or nothing can be written.
    """
    settings, models, progress = settings or Settings(), models or Models(), progress or Silent()
    check_place(out)
    training, calibration, test = (pairs.take(rows) for rows in (split.train, split.calibration, split.test))
    reason = nothing_to_learn(pairs.take(np.concatenate([split.train, split.calibration])))
    about = _About(settings, models, training, calibration, test, SplitRecord.of(pairs, split))
    if reason is not None:
        return _always_flagship(about, reason, out)
    encoder = (None if refitted is None else _Encoder.of(refitted)) or _Encoder.exported(settings)
    embedder = Embedder(encoder.graph, encoder.tokenizer, encoder.pin)
    both = (*training.prompts, *calibration.prompts)
    with progress.bar("embedding", len(both)) as advance:
        vectors = embed_cached(embedder, both, cache, workers=workers, progress=advance)
    tokens = embedder.tokens(both)
    seen = Embedded(vectors[: len(training)], tokens[: len(training)])
    unseen = Embedded(vectors[len(training) :], tokens[len(training) :])
    with progress.bar("choosing the head", None) as advance:
        choice = choose_head(training, seen.vectors, seed=settings.seed, progress=advance)
    with progress.bar("calibration and threshold", None):
        learnt = _calibrated(about, choice, embedder, seen, unseen)
        point, reference = _operating(about, learnt, unseen)
        baselines = fit_baselines(features(training.prompts, seen.vectors, ()), training, seed=settings.seed)
    head = choice.head.state()
    manifest = about.manifest(
        head,
        p_hard=learnt.p_hard,
        delta=learnt.delta,
        operating_point=point,
        encoder=encoder.pin,
        novelty=learnt.novelty,
        features=learnt.cheap,
    )
    told = {"choice": choice.to_json(), SETTINGS: {name: dict(b.state().settings) for name, b in baselines.items()}}
    files = {
        **encoder.files(),
        HEAD: to_bytes(head.tensors),
        CLUSTERS: to_bytes({CENTROIDS: learnt.centroids, **reference.tensors()}),
        BASELINES: baseline_tensors(baselines),
        **about.files(told),
    }
    return TrainedRouter(write_router(out, manifest, files), choice)


def nothing_to_learn(pairs: Pairs) -> str | None:
    """Why no router can be learnt from these prompts; None where one can be tried."""
    hard, gain = int(pairs.hard.sum()), float(pairs.delta.mean())
    if gain <= 0:
        return (
            f"the flagship scores no better than the small model ({pairs.flagship.mean():.3f} against "
            f"{pairs.small.mean():.3f} on {len(pairs)} prompts): check which column is which, or serve the small model "
            "alone"
        )
    if hard == 0:
        return f"none of {len(pairs)} prompts is hard: nothing tells which ones need the flagship"
    if hard == len(pairs):
        return f"all of {len(pairs)} prompts are hard: the small model is left nothing"
    return None


@dataclass(frozen=True, eq=False)
class _About:
    """What every router of a training has in common, whatever it learns."""

    settings: Settings
    models: Models
    training: Pairs
    calibration: Pairs
    test: Pairs
    splits: SplitRecord

    def manifest(
        self,
        head: HeadState,
        *,
        p_hard: Curve,
        delta: Curve,
        operating_point: OperatingPoint,
        encoder: EncoderPin | None = None,
        novelty: Novelty | None = None,
        features: tuple[str, ...] = (),
    ) -> RouterManifest:
        return RouterManifest(
            files={},
            head=head.kind,
            head_settings=head.settings,
            encoder=encoder,
            novelty=novelty,
            features=features,
            p_hard=p_hard,
            delta=delta,
            operating_point=operating_point,
            small=self.models.small,
            flagship=self.models.flagship,
            judge=self.models.judge,
            training_data=data_digest(self.training),
            calibration_data=data_digest(self.calibration),
            test_data=data_digest(self.test),
        )

    def files(self, told: Mapping[str, Any]) -> dict[str, bytes]:
        parts = {"training": self.training, "calibration": self.calibration, "test": self.test}
        sizes = {name: len(part) for name, part in parts.items()}
        record = {"format": TRAINING_FORMAT, "settings": asdict(self.settings), "prompts": sizes, **told}
        return {SPLITS: self.splits.to_bytes(), TRAINING: json_text(record).encode()}


def data_digest(pairs: Pairs) -> Digest:
    """Identity of labelled prompts: their texts and scores, in any order."""
    rows = zip(pairs.prompts, pairs.small.tolist(), pairs.flagship.tolist(), strict=True)
    return digest_json(sorted([digest_json(text), small, flagship] for text, small, flagship in rows))


def _always_flagship(about: _About, reason: str, out: Path) -> TrainedRouter:
    known = about.training, about.calibration
    hard = float(np.mean(np.concatenate([part.hard for part in known])))
    delta = float(np.mean(np.concatenate([part.delta for part in known])))
    point = OperatingPoint(
        threshold=0.0,
        band_high=0.0,
        max_loss=about.settings.max_loss,
        confidence=about.settings.confidence,
        loss=0.0,
        loss_high=0.0,
        flagship_share=1.0,
        n=len(about.calibration),
        method="none",
        why_always_flagship=reason,
    )
    manifest = about.manifest(
        HeadState("constant", {"value": delta}),
        p_hard=Curve(x=(-1.0, 1.0), y=(hard, hard)),
        delta=Curve(x=(-1.0, 1.0), y=(delta, delta)),
        operating_point=point,
    )
    return TrainedRouter(write_router(out, manifest, about.files({})), None)


def _calibrated(about: _About, choice: Choice, embedder: Embedder, seen: Embedded, unseen: Embedded) -> Learnt:
    """Head, curves and clusters."""
    training, calibration, seed = about.training, about.calibration, about.settings.seed
    predicted, _ = predictions(choice.head, features(calibration.prompts, unseen.vectors, choice.features))
    predicted = np.concatenate([choice.out_of_fold, predicted])
    # Two files may number their groups alike, but these are parts of one.
    groups = np.concatenate([training.groups, calibration.groups])
    return Learnt(
        embedder=embedder,
        cheap=choice.features,
        head=choice.head,
        p_hard=fit_p_hard(predicted, np.concatenate([training.hard, calibration.hard]), groups),
        delta=fit_delta(predicted, np.concatenate([training.delta, calibration.delta]), groups),
        centroids=clusters(seen.vectors, seed=seed),
        novelty=fit_novelty(training.prompts, seen.vectors, seen.tokens, training.groups, seed=seed),
    )


def _operating(about: _About, learnt: Learnt, unseen: Embedded) -> tuple[OperatingPoint, Reference]:
    """Threshold and band, and the sample that traffic is compared with."""
    calibration, settings = about.calibration, about.settings
    p_hard = learnt.score(learnt.features(calibration.prompts, unseen.vectors)).p_hard
    _, unlike = learnt.unlike(calibration.prompts, unseen)
    point = choose_operating_point(
        p_hard,
        calibration.delta,
        calibration.groups,
        small_usd=calibration.small_usd,
        flagship_usd=calibration.flagship_usd,
        eligible=~unlike,
        max_loss=settings.max_loss,
        confidence=settings.confidence,
    )
    return point, Reference.sampled(unseen.vectors, p_hard, seed=settings.seed)
