"""The frozen encoder of answers: `evalharness.minilm`, whole texts in batches, on the CPU."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt

from evalharness.minilm import DIMENSIONS, encoder_digest, model_directory

MAX_TOKENS = 96
"""Longer texts are cut here, special tokens included."""

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

        directory = model_directory()
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


def _batches(order: Sequence[int], lengths: Sequence[int]) -> list[list[int]]:
    """Texts of like length together, at most `_BATCH_TOKENS` tokens with padding."""
    batches: list[list[int]] = []
    for row in order:
        if not batches or (len(batches[-1]) + 1) * lengths[row] > _BATCH_TOKENS:
            batches.append([])
        batches[-1].append(row)
    return batches
