"""A small router for tests: a real encoder of one layer, a ridge head, and prompts of a few invented families."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from golden_sets.digests import digest_json
from router_training.calibrating import fit_delta, fit_p_hard
from router_training.deciding import predictions
from router_training.embedding.embedder import Embedder
from router_training.embedding.export import GRAPH_FILE, TOKENIZER_FILE, export_encoder
from router_training.features import features
from router_training.heads.fitting import fit_head
from router_training.learnt import CENTROIDS
from router_training.novelty import clusters, fit_novelty
from router_training.operating import choose_operating_point
from router_training.pairs import Pairs
from router_training.records import RouterManifest
from router_training.reference import Reference
from router_training.router import Router
from router_training.router_files import CLUSTERS, HEAD, to_bytes, write_router

WORDS = "apple river candle window garden mountain letter silver basket winter engine pocket".split()  # noqa: SIM905
KNOWN = ("sum", "spell", "price", "city", "essay", "proof")
UNSEEN = "dosage"
HARD = ("essay", "proof")
"""Families in which the flagship is mostly better."""


def prompt_of(family: str, rng: np.random.Generator) -> str:
    """A prompt of a family; hardly two are alike."""
    a, b = (int(x) for x in rng.integers(10, 10_000, 2))
    one, two, three = (str(word) for word in rng.choice(WORDS, 3, replace=False))
    return {
        "sum": f"What is {a} plus {b}? Answer with the number only.",
        "spell": f"Spell the word {one}{two} backwards, letter by letter.",
        "price": f"A {one} costs {a} cents and a {two} costs {b} cents. Which of the two is cheaper?",
        "city": f"Which city has a street called {one.title()} {three.title()} Road number {a}?",
        "essay": f"Write an essay of {a} words that compares a {one} with a {two} as metaphors of grief and memory.",
        "proof": f"Prove that there are infinitely many primes congruent to {a} modulo {b}, step by step.",
        "dosage": f"A patient of {a % 90 + 10} kg takes {b % 500} mg of ibuprofen with {one} tea. Is the dosage safe?",
    }[family]


def labelled(n: int, seed: int, families: tuple[str, ...] = KNOWN) -> Pairs:
    """Prompts with the scores of both models, 0 or 1, and their costs."""
    rng = np.random.default_rng(seed)
    chosen = [str(one) for one in rng.choice(families, n)]
    hard = np.array([one in (*HARD, UNSEEN) for one in chosen])
    return Pairs(
        prompts=tuple(prompt_of(one, rng) for one in chosen),
        ids=tuple(f"{seed}-{k}" for k in range(n)),
        small=(rng.random(n) < np.where(hard, 0.15, 0.95)).astype(np.float64),
        flagship=(rng.random(n) < 0.95).astype(np.float64),
        groups=np.arange(n, dtype=np.int64),
        families=tuple(chosen),
        small_usd=np.full(n, 1e-5),
        flagship_usd=np.full(n, 1e-4),
    )


def small_router(directory: Path, *, seed: int = 0, max_loss: float = 0.05) -> Router:
    """Train, write and load one."""
    training, calibration = labelled(400, seed + 1), labelled(400, seed + 2)
    export = directory.parent / f"{directory.name}-encoder"
    pin = export_encoder(export, precision="int8", layers=1, max_tokens=64)
    embedder = Embedder.load(export, pin)
    seen, unseen = embedder.read(training.prompts), embedder.read(calibration.prompts)
    head = fit_head("ridge", features(training.prompts, seen.vectors, ()), training, seed=seed)
    predicted, _ = predictions(head, features(calibration.prompts, unseen.vectors, ()))
    p_curve = fit_p_hard(predicted, calibration.hard, calibration.groups)
    p_hard = np.interp(predicted, p_curve.x, p_curve.y)
    state = head.state()
    manifest = RouterManifest(
        encoder=pin,
        files={},
        features=(),
        head=state.kind,
        head_settings=state.settings,
        p_hard=p_curve,
        delta=fit_delta(predicted, calibration.delta, calibration.groups),
        operating_point=choose_operating_point(p_hard, calibration.delta, calibration.groups, max_loss=max_loss),
        novelty=fit_novelty(training.prompts, seen.vectors, seen.tokens, training.groups, seed=seed),
        training_data=digest_json(list(training.prompts)),
        calibration_data=digest_json(list(calibration.prompts)),
        test_data=digest_json([]),
    )
    kept = Reference.sampled(unseen.vectors, p_hard, seed=seed)
    tensors = {CENTROIDS: clusters(seen.vectors, seed=seed), **kept.tensors()}
    files: dict[str, bytes | Path] = {
        GRAPH_FILE: export / GRAPH_FILE,
        TOKENIZER_FILE: export / TOKENIZER_FILE,
        HEAD: to_bytes(state.tensors),
        CLUSTERS: to_bytes(tensors),
    }
    write_router(directory, manifest, files)
    return Router.load(directory)
