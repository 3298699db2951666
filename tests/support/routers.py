"""A small real router: one encoder layer, a ridge head, fitted on made-up scores."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from router_training import router_files
from router_training.embedding.embedder import Embedder
from router_training.embedding.export import FILES, export_encoder
from router_training.features import features
from router_training.heads.fitting import fit_head
from router_training.learnt import CENTROIDS
from router_training.novelty import clusters
from router_training.pairs import Pairs
from router_training.records import Curve, Novelty, OperatingPoint, RouterManifest
from router_training.reference import Reference
from router_training.router_files import CLUSTERS, HEAD, to_bytes

DIGEST = "sha256:" + "0" * 64
CHEAP = ("log_words",)


def write_small_router(out: Path, *, layers: int = 1, max_tokens: int = 64) -> RouterManifest:
    """Write a router that sends long prompts to the flagship and knows nothing else."""
    prompts = [f"{'please ' * (n % 40)}count the {word}s" for n, word in enumerate(["cow", "hen", "sheep", "pig"] * 25)]
    small = np.array([1.0 if n % 40 < 20 else 0.0 for n in range(100)])
    pairs = Pairs(tuple(prompts), tuple(map(str, range(100))), small, np.ones(100), np.arange(100))
    p_hard, delta = Curve(x=(-1.0, 2.0), y=(0.01, 0.99)), Curve(x=(-1.0, 2.0), y=(0.0, 1.0))
    return write_ridge_router(
        out, pairs, layers=layers, max_tokens=max_tokens, band_high=0.6, p_hard=p_hard, delta=delta
    )


def write_ridge_router(
    out: Path,
    pairs: Pairs,
    *,
    p_hard: Curve,
    delta: Curve,
    band_high: float,
    layers: int = 1,
    max_tokens: int = 64,
) -> RouterManifest:
    """Write a real router: a ridge head fitted on prompts, its curves and a threshold of .5 set by hand."""
    work = out.parent / f"{out.name}-encoder"
    pin = export_encoder(work, precision="int8", layers=layers, max_tokens=max_tokens)
    vectors = Embedder.load(work, pin).embed(pairs.prompts)
    head = fit_head("ridge", features(pairs.prompts, vectors, CHEAP), pairs, penalty=10.0)
    state = head.state()
    manifest = RouterManifest(
        encoder=pin,
        files={},
        features=CHEAP,
        head=state.kind,
        head_settings=state.settings,
        p_hard=p_hard,
        delta=delta,
        operating_point=OperatingPoint(
            threshold=0.5,
            band_high=band_high,
            max_loss=0.02,
            confidence=0.95,
            loss=0.0,
            loss_high=0.02,
            flagship_share=0.5,
            n=100,
            method="set by hand",
        ),
        novelty=Novelty(max_distance=2.0, max_tokens=10_000, max_characters=100_000, scripts=("LATIN",)),
        training_data=DIGEST,
        calibration_data=DIGEST,
        test_data=DIGEST,
    )
    reference = Reference.sampled(vectors, np.full(len(pairs), 0.5), seed=0).tensors()
    files: dict[str, bytes | Path] = {
        **{name: work / name for name in FILES},
        HEAD: to_bytes(dict(state.tensors)),
        CLUSTERS: to_bytes({CENTROIDS: clusters(vectors, seed=0), **reference}),
    }
    return router_files.write_router(out, manifest, files)
