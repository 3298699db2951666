"""A small Llama for training on the CPU, and its export as a Hugging Face model directory.

Written out rather than taken from ``transformers`` because it must be fast without a GPU: only the answer positions
reach the vocabulary projection. Parameter names and arithmetic are Llama's, so the weights load as they are.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.nn import functional
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from examples.training.tokenizer import MAX_LENGTH

_ROPE_THETA = 10000.0
_NORM_EPSILON = 1e-5


@dataclass(frozen=True)
class Shape:
    """The size of a model. ``width`` / ``heads`` must be a head size vLLM's CPU backend knows, e.g. 32 or 64."""

    width: int
    layers: int
    heads: int
    hidden: int


class _Norm(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(width))

    def forward(self, x: Tensor) -> Tensor:
        return functional.rms_norm(x, (x.shape[-1],), self.weight.to(x.dtype), _NORM_EPSILON)


class _Attention(nn.Module):
    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.heads = shape.heads
        self.q_proj = nn.Linear(shape.width, shape.width, bias=False)
        self.k_proj = nn.Linear(shape.width, shape.width, bias=False)
        self.v_proj = nn.Linear(shape.width, shape.width, bias=False)
        self.o_proj = nn.Linear(shape.width, shape.width, bias=False)

    def forward(self, x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
        batch, length, width = x.shape
        head = width // self.heads

        def split(y: Tensor) -> Tensor:
            return y.view(batch, length, self.heads, head).transpose(1, 2)

        def rotate(y: Tensor) -> Tensor:
            first, second = y.chunk(2, -1)
            return torch.cat([first * cos - second * sin, second * cos + first * sin], -1)

        query, key = rotate(split(self.q_proj(x))), rotate(split(self.k_proj(x)))
        scores = (query @ key.transpose(-1, -2)).float() * head**-0.5
        future = torch.ones(length, length, dtype=torch.bool).triu(1)
        weights = scores.masked_fill(future, -1e9).softmax(-1).to(query.dtype)
        mixed: Tensor = self.o_proj((weights @ split(self.v_proj(x))).transpose(1, 2).reshape(batch, length, width))
        return mixed


class _Mlp(nn.Module):
    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.gate_proj = nn.Linear(shape.width, shape.hidden, bias=False)
        self.up_proj = nn.Linear(shape.width, shape.hidden, bias=False)
        self.down_proj = nn.Linear(shape.hidden, shape.width, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.down_proj(functional.silu(self.gate_proj(x)) * self.up_proj(x))
        return y


class _Block(nn.Module):
    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.input_layernorm = _Norm(shape.width)
        self.self_attn = _Attention(shape)
        self.post_attention_layernorm = _Norm(shape.width)
        self.mlp = _Mlp(shape)

    def forward(self, x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
        x = x + self.self_attn(self.input_layernorm(x), cos, sin)
        y: Tensor = x + self.mlp(self.post_attention_layernorm(x))
        return y


class _Trunk(nn.Module):
    def __init__(self, vocabulary: int, shape: Shape) -> None:
        super().__init__()
        self.embed_tokens = nn.Embedding(vocabulary, shape.width)
        self.layers = nn.ModuleList(_Block(shape) for _ in range(shape.layers))
        self.norm = _Norm(shape.width)


class TinyLlama(nn.Module):
    """A decoder with tied embeddings; ``forward`` gives logits at chosen positions only."""

    cos: Tensor
    sin: Tensor

    def __init__(self, vocabulary: int, shape: Shape) -> None:
        super().__init__()
        self.shape = shape
        self.model = _Trunk(vocabulary, shape)
        head = shape.width // shape.heads
        frequencies = 1.0 / (_ROPE_THETA ** (torch.arange(0, head, 2).float() / head))
        angles = torch.outer(torch.arange(MAX_LENGTH).float(), frequencies)
        self.register_buffer("cos", angles.cos(), persistent=False)
        self.register_buffer("sin", angles.sin(), persistent=False)
        for name, parameter in self.named_parameters():
            if parameter.ndim == 2:
                residual = name.endswith(("o_proj.weight", "down_proj.weight"))
                scale = 1 / math.sqrt(parameter.shape[1]) / (math.sqrt(2 * shape.layers) if residual else 1.0)
                nn.init.normal_(parameter, std=0.02 if "embed" in name else scale)

    def forward(self, tokens: Tensor, positions: Tensor) -> Tensor:
        """Logits ``(len(positions), vocabulary)``; ``tokens`` is (batch, length), ``positions`` index it flattened."""
        length = tokens.shape[1]
        cos, sin = self.cos[:length].bfloat16(), self.sin[:length].bfloat16()
        x = self.model.embed_tokens(tokens).bfloat16()
        for block in self.model.layers:
            x = block(x, cos, sin)
        x = self.model.norm(x).flatten(0, 1)[positions]
        return functional.linear(x, self.model.embed_tokens.weight)


def save_model(model: TinyLlama, tokenizer: PreTrainedTokenizerFast, directory: Path) -> None:
    """Write a Hugging Face directory with bf16 ``model.safetensors``, tokenizer and chat template."""
    shape = model.shape
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=shape.width,
        intermediate_size=shape.hidden,
        num_hidden_layers=shape.layers,
        num_attention_heads=shape.heads,
        num_key_value_heads=shape.heads,
        max_position_embeddings=MAX_LENGTH,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
        tie_word_embeddings=True,
        rms_norm_eps=_NORM_EPSILON,
        rope_parameters={"rope_type": "default", "rope_theta": _ROPE_THETA},
    )
    exported: Any = LlamaForCausalLM(config)  # type: ignore[no-untyped-call]
    weights = {name: tensor.detach().clone() for name, tensor in model.state_dict().items()}
    missing, unexpected = exported.load_state_dict(weights, strict=False)
    if unexpected or set(missing) - {"lm_head.weight"}:
        raise RuntimeError(f"the export does not fit Llama: missing {missing}, unexpected {unexpected}")
    directory.mkdir(parents=True, exist_ok=True)
    exported.bfloat16().save_pretrained(directory)
    tokenizer.save_pretrained(directory)
    _name_the_class_all_versions_know(directory / "tokenizer_config.json")
    (directory / "model.safetensors").chmod(0o644)


def _name_the_class_all_versions_know(path: Path) -> None:
    # transformers 5 writes "TokenizersBackend", which transformers 4 cannot load; both know this name.
    config = json.loads(path.read_text(encoding="utf-8"))
    config["tokenizer_class"] = "PreTrainedTokenizerFast"
    path.write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")


def load_weights(model: TinyLlama, directory: Path) -> None:
    """Fill ``model`` with the weights saved in ``directory``."""
    weights = {name: tensor.float() for name, tensor in load_file(directory / "model.safetensors").items()}
    weights.pop("lm_head.weight", None)
    model.load_state_dict(weights)
