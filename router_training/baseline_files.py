"""Fitted baselines in a router's directory: an evaluation on other prompts needs those they were fitted on no more."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from golden_sets.documents import read_document
from golden_sets.errors import InputError
from router_training.heads.head import Head, HeadState
from router_training.heads.loading import head_of
from router_training.heads.tensors import Tensor
from router_training.records import RouterManifest
from router_training.router_files import BASELINES, TRAINING, read_tensors, to_bytes

TRAINING_FORMAT = "relgate-router-training-v1"
"""What ``training.json`` says it is."""
SETTINGS = "baselines"
"""Where it holds their settings."""


def baseline_tensors(heads: Mapping[str, Head]) -> bytes:
    """The contents of ``baselines.safetensors``: a tensor is named ``head/tensor``."""
    return to_bytes({f"{name}/{key}": t for name, head in heads.items() for key, t in head.state().tensors.items()})


def read_baselines(directory: Path, manifest: RouterManifest) -> Mapping[str, Head]:
    """The fitted baselines of a router by name; none where it learnt nothing.

    Raises:
        InputError: a file was changed, or does not hold what it should.
    """
    if BASELINES not in manifest.files:
        return {}
    settings = read_document(directory / TRAINING, TRAINING_FORMAT).get(SETTINGS)
    if not isinstance(settings, dict) or not all(isinstance(one, dict) for one in settings.values()):
        raise InputError(f"names no {SETTINGS}", where=directory / TRAINING, do="train the router again")
    tensors = read_tensors(directory, manifest, BASELINES)

    def of(name: str) -> dict[str, Tensor]:
        start = f"{name}/"
        return {key.removeprefix(start): values for key, values in tensors.items() if key.startswith(start)}

    return {name: head_of(HeadState(name, given, of(name))) for name, given in settings.items()}
