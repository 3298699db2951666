"""Labelled prompts of real models, from the folder that ``RELGATE_DATA`` names, embedded by the default encoder."""

from __future__ import annotations

import csv
import json
import os
import tempfile
from pathlib import Path

import numpy as np

from golden_sets.digests import digest_json
from golden_sets.errors import InputError
from router_training.embedding.cache import EmbeddingCache, embed_cached
from router_training.embedding.embedder import Embedder
from router_training.embedding.export import export_encoder
from router_training.grouping import groups_of
from router_training.heads.head import Matrix
from router_training.pairs import Pairs
from router_training.training import Settings

ROOT = Path(__file__).resolve().parent.parent
SMALL, FLAGSHIP = "mistral-7b-instruct-v0.3", "llama-3.1-nemotron-51b-instruct"
"""Of the nine models: the small one, and the strongest."""


def data_file(name: str) -> Path:
    """A file of the folder.

    Raises:
        InputError: it is not there.
    """
    path = Path(os.environ.get("RELGATE_DATA", ROOT.parent / "shared" / "data")) / name
    if not path.is_file():
        raise InputError("the labelled prompts are not there", where=path, do="set RELGATE_DATA to their folder")
    return path.resolve()


def mmlu() -> Pairs:
    """Mixtral-8x7B and GPT-4-1106 on MMLU (RouteLLM); families are the subjects."""
    with data_file("routing_mmlu.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    small, flagship = (
        np.array([float(row[column] in ("1", "True")) for row in rows])
        for column in ("small_correct", "flagship_correct")
    )
    return _pairs([row["prompt"] for row in rows], small, flagship, [row["subject"] for row in rows])


def nine_models() -> Pairs:
    """Mistral-7B and the strongest of nine open models on 14 tasks (LLMRouter)."""
    with data_file("routing_nine_models.jsonl").open(encoding="utf-8") as file:
        rows = [json.loads(line) for line in file]
    small, flagship = (np.array([float(row["scores"][name]) for row in rows]) for name in (SMALL, FLAGSHIP))
    return _pairs([row["question"] for row in rows], small, flagship, None)


def embedded(pairs: Pairs, cache: Path, settings: Settings | None = None) -> Matrix:
    """Embeddings by the encoder that `relgate router train` takes with these settings, shape (n, 384)."""
    settings = settings or Settings()
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        pin = export_encoder(
            place, precision=settings.precision, layers=settings.layers, max_tokens=settings.max_tokens
        )
        return embed_cached(Embedder.load(place, pin), pairs.prompts, EmbeddingCache(cache), workers=1)


def _pairs(prompts: list[str], small: np.ndarray, flagship: np.ndarray, families: list[str] | None) -> Pairs:
    return Pairs(
        prompts=tuple(prompts),
        ids=tuple(digest_json(prompt) for prompt in prompts),
        small=small,
        flagship=flagship,
        groups=groups_of(prompts),
        families=None if families is None else tuple(families),
    )
