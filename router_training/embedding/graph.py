"""The first layers of a BERT encoder as an ONNX graph: tokens of one prompt in, one embedding of length 1 out.

Written operator by operator from the weights, so that the same weights give the same bytes anywhere. Operators of
ONNX Runtime (domain ``com.microsoft``) stand where they compute the same faster.

int8: every matrix product is quantised dynamically (Jacob et al., CVPR 2018, arXiv 1712.05877; ONNX Runtime's
``DynamicQuantizeMatMul``): weights once, symmetrically, one scale per output channel; activations when they arrive,
one scale for the whole tensor. That is why prompts are never batched: beside others a prompt would get another scale
and so another embedding. Weights keep 7 bits, because CPUs without VNNI add pairs of 8-bit products in 16 bits and
would clip; with 7 both kinds compute the same integers. Rows of the word table keep 8 bits and a scale each.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from onnx import ModelProto, NodeProto, TensorProto, helper, numpy_helper

from router_training.records import Precision

Weights = Mapping[str, npt.NDArray[np.float32]]

VERSION = "1"
"""Of the graph; it changes whenever other bytes come out of the same weights."""
INPUT = "ids"
"""Input: token ids of one prompt with its special tokens, int64, shape (1, tokens)."""
OUTPUT = "embedding"
"""Output: mean over the tokens of the last layer's states, scaled to length 1, float32, shape (1, width)."""

_ONNX_RUNTIME = "com.microsoft"
_OPSETS = {"": 18, _ONNX_RUNTIME: 1}
_IR_VERSION = 9
_EPSILON = 1e-12  # of BERT's layer normalisation
_WEIGHT_STEPS = 63  # 7 bits, symmetric
_ROW_STEPS = 127


def encoder_graph(weights: Weights, *, layers: int, heads: int, precision: Precision) -> bytes:
    """The encoder as a serialised ONNX model, the same bytes for the same arguments.

    Args:
        weights: tensors of a BERT encoder by their names in ``transformers``.
        layers: how many of its layers are used; 0: the normalised input embeddings alone.
        heads: attention heads of a layer.
        precision: arithmetic of the matrix products.
    """
    graph = _Graph(weights, precision)
    states = graph.input_embeddings()
    for layer in range(layers):
        states = graph.layer(f"encoder.layer.{layer}", states, heads)
    mean = graph.add("ReduceMean", [states, graph.constant("tokens_axis", np.array([1]))], keepdims=0)
    graph.add("LpNormalization", [mean], output=OUTPUT, axis=1, p=2)
    data: bytes = graph.model(layers).SerializeToString(deterministic=True)
    return data


class _Graph:
    """Nodes and constants of a graph under construction."""

    def __init__(self, weights: Weights, precision: Precision) -> None:
        self._weights = weights
        self._precision = precision
        self._nodes: list[NodeProto] = []
        self._constants: dict[str, TensorProto] = {}

    def input_embeddings(self) -> str:
        """Word, position and segment embeddings added up and normalised, shape (1, tokens, width)."""
        prefix = "embeddings"
        positions = self._weights[f"{prefix}.position_embeddings.weight"]
        segment = self._weights[f"{prefix}.token_type_embeddings.weight"][0]
        length = self.add("Shape", [INPUT], start=1, end=2)
        start, axis = self.constant("first", np.array([0])), self.constant("positions_axis", np.array([1]))
        places = self.add("Slice", [self.constant("positions", (positions + segment)[None]), start, length, axis])
        both = self.add("Add", [self._words(self._weights[f"{prefix}.word_embeddings.weight"]), places])
        return self._normalised(both, f"{prefix}.LayerNorm")

    def layer(self, prefix: str, states: str, heads: int) -> str:
        """One transformer layer: self-attention and the feed-forward network, each added to its input."""
        attention = f"{prefix}.attention"
        joint = self._linear(states, [f"{attention}.self.{name}" for name in ("query", "key", "value")])
        query, key, value = (f"{attention}.{name}" for name in ("q", "k", "v"))
        self._nodes.append(helper.make_node("Split", [joint], [query, key, value], axis=2, num_outputs=3))
        attended = self.add("MultiHeadAttention", [query, key, value], domain=_ONNX_RUNTIME, num_heads=heads)
        mixed = self._linear(attended, [f"{attention}.output.dense"])
        states = self._normalised(self.add("Add", [mixed, states]), f"{attention}.output.LayerNorm")
        inner = self._linear(states, [f"{prefix}.intermediate.dense"])
        outer = self._linear(self.add("Gelu", [inner], domain=_ONNX_RUNTIME), [f"{prefix}.output.dense"])
        return self._normalised(self.add("Add", [outer, states]), f"{prefix}.output.LayerNorm")

    def add(self, operator: str, inputs: Sequence[str], output: str = "", domain: str = "", **settings: Any) -> str:
        """Append an operator of one output; returns the output's name."""
        name = output or f"{operator}_{len(self._nodes)}"
        self._nodes.append(helper.make_node(operator, inputs, [name], domain=domain, **settings))
        return name

    def constant(self, name: str, values: npt.NDArray[np.generic]) -> str:
        """Name of a constant tensor."""
        self._constants[name] = numpy_helper.from_array(np.ascontiguousarray(values), name)
        return name

    def model(self, layers: int) -> ModelProto:
        """The finished model."""
        width = self._weights["embeddings.LayerNorm.weight"].size
        graph = helper.make_graph(
            self._nodes,
            "encoder",
            [helper.make_tensor_value_info(INPUT, TensorProto.INT64, [1, "tokens"])],
            [helper.make_tensor_value_info(OUTPUT, TensorProto.FLOAT, [1, width])],
            list(self._constants.values()),
        )
        opsets = [helper.make_opsetid(domain, version) for domain, version in _OPSETS.items()]
        model = helper.make_model(graph, opset_imports=opsets, ir_version=_IR_VERSION, producer_name="relgate")
        helper.set_model_props(model, {"graph": VERSION, "layers": str(layers), "precision": self._precision})
        return model

    def _words(self, table: npt.NDArray[np.float32]) -> str:
        if self._precision == "fp32":
            return self.add("Gather", [self.constant("words", table), INPUT])
        scale = np.maximum(np.abs(table).max(axis=1, keepdims=True), np.finfo(np.float32).tiny) / _ROW_STEPS
        rows = self.add("Gather", [self.constant("words", np.rint(table / scale).astype(np.int8)), INPUT])
        scales = self.add("Gather", [self.constant("words.scale", scale.astype(np.float32)), INPUT])
        return self.add("Mul", [self.add("Cast", [rows], to=TensorProto.FLOAT), scales])

    def _linear(self, states: str, names: Sequence[str]) -> str:
        """Fully connected layers side by side, as one matrix product."""
        matrix = np.concatenate([self._weights[f"{name}.weight"].T for name in names], axis=1)
        bias = self.constant(f"{names[0]}.bias", np.concatenate([self._weights[f"{name}.bias"] for name in names]))
        name = f"{names[0]}.weight"
        if self._precision == "fp32":
            return self.add("Add", [self.add("MatMul", [states, self.constant(name, matrix)]), bias])
        scale = np.maximum(np.abs(matrix).max(axis=0), np.finfo(np.float32).tiny) / _WEIGHT_STEPS
        steps = self.constant(name, np.rint(matrix / scale).astype(np.int8))
        scales = self.constant(f"{name}.scale", scale.astype(np.float32))
        zeros = self.constant(f"{name}.zero", np.zeros(len(scale), np.int8))
        return self.add("DynamicQuantizeMatMul", [states, steps, scales, zeros, bias], domain=_ONNX_RUNTIME)

    def _normalised(self, states: str, prefix: str) -> str:
        gain, shift = (
            self.constant(f"{prefix}.{name}", self._weights[f"{prefix}.{name}"]) for name in ("weight", "bias")
        )
        return self.add("LayerNormalization", [states, gain, shift], epsilon=_EPSILON)
