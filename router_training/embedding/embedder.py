"""Prompts to embeddings, on the CPU: the same numbers in training as in serving."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from evalharness.minilm import DIMENSIONS
from golden_sets.digests import Digest, digest_bytes, digest_json
from golden_sets.errors import InputError
from router_training.embedding.export import GRAPH_FILE, TOKENIZER_FILE
from router_training.embedding.packages import needed
from router_training.heads.head import Matrix
from router_training.progress import Advance
from router_training.records import EncoderPin

Counts = npt.NDArray[np.int64]

READ_CHARACTERS = 8_192
"""Of a longer prompt only this many characters are tokenised, half from its start and half from its end; tokens between
them are counted in proportion."""

_PORTION = 32  # prompts that a worker takes at a time


@dataclass(frozen=True, eq=False)
class Embedded:
    """Prompts as the router sees them."""

    vectors: Matrix
    """Embeddings of length 1, shape (n, 384), float32."""
    tokens: Counts
    """Tokens of each prompt before it was cut, special tokens included, shape (n,); estimated for prompts of more
    than `READ_CHARACTERS`."""


class Embedder:
    """An exported encoder, loaded. Prompts pass one at a time, so neighbours cannot change an embedding.

    Safe to use from several threads at once.
    """

    def __init__(self, graph: bytes, tokenizer: bytes, pin: EncoderPin, *, threads: int = 1) -> None:
        """From the bytes of an export.

        Args:
            graph: ``encoder.onnx``.
            tokenizer: ``tokenizer.json``.
            pin: what the manifest says of them.
            threads: threads that one prompt is computed with. They change nothing but the time.

        Raises:
            InputError: not a tokenizer, or not such a graph.
            InfrastructureError: ONNX Runtime or tokenizers are not installed.
        """
        self.pin = pin
        self._session = _session(graph, threads)
        self._tokenizer = _tokenizer(tokenizer)
        files = {"graph": digest_bytes(graph), "tokenizer": digest_bytes(tokenizer)}
        self.digest: Digest = digest_json({**files, "max_tokens": pin.max_tokens, "cut": "middle"})
        """Identity of everything that changes an embedding: export, tokenizer, where prompts are cut."""

    @classmethod
    def load(cls, directory: Path, pin: EncoderPin, *, threads: int = 1) -> Embedder:
        """Load an export from a router's directory; who loads a router has checked its digests.

        Raises:
            InputError: a file is missing or unreadable, or is not what its name says.
            InfrastructureError: ONNX Runtime or tokenizers are not installed.
        """
        try:
            graph, tokenizer = ((directory / name).read_bytes() for name in (GRAPH_FILE, TOKENIZER_FILE))
        except OSError as error:
            raise InputError(
                f"the encoder cannot be read ({error.strerror})", where=error.filename, do="train the router again"
            ) from error
        try:
            return cls(graph, tokenizer, pin, threads=threads)
        except InputError as error:
            raise InputError(error.what, where=directory, do="train the router again") from error

    def embed(self, prompts: Sequence[str], *, workers: int = 1, progress: Advance | None = None) -> Matrix:
        """Embeddings of length 1, shape (n, 384), float32."""
        return self.read(prompts, workers=workers, progress=progress).vectors

    def read(self, prompts: Sequence[str], *, workers: int = 1, progress: Advance | None = None) -> Embedded:
        """Embeddings and token counts at once.

        Args:
            prompts: any text, empty or of any length.
            workers: prompts that are computed side by side. They change nothing but the time.
            progress: told after every portion.
        """
        vectors = np.empty((len(prompts), DIMENSIONS), dtype=np.float32)
        tokens = np.empty(len(prompts), dtype=np.int64)

        def fill(rows: range) -> int:
            for row in rows:
                ids, tokens[row] = self._ids(prompts[row])
                vectors[row] = self._vector(ids)
            return len(rows)

        portions = [range(at, min(at + _PORTION, len(prompts))) for at in range(0, len(prompts), _PORTION)]
        done = 0
        if workers == 1:
            for rows in portions:
                done += fill(rows)
                if progress:
                    progress(done, len(prompts))
            return Embedded(vectors, tokens)
        with ThreadPoolExecutor(workers) as pool:
            for future in as_completed([pool.submit(fill, rows) for rows in portions]):
                done += future.result()
                if progress:
                    progress(done, len(prompts))
        return Embedded(vectors, tokens)

    def tokens(self, prompts: Sequence[str]) -> Counts:
        """Tokens of each prompt before it is cut, as `Embedded.tokens`."""
        return np.array([self._ids(prompt)[1] for prompt in prompts], dtype=np.int64)

    def _ids(self, prompt: str) -> tuple[list[int], int]:
        """Token ids, as many from the start as from the end where there are too many, and how many there were."""
        if len(prompt) <= READ_CHARACTERS:
            ids = self._encode(prompt)
            count = len(ids)
        else:
            half = READ_CHARACTERS // 2
            ids = [*self._encode(prompt[:half])[:-1], *self._encode(prompt[-half:])[1:]]
            count = round(len(ids) * len(prompt) / READ_CHARACTERS)
        if len(ids) > self.pin.max_tokens:
            start = self.pin.max_tokens // 2
            ids = ids[:start] + ids[start - self.pin.max_tokens :]
        return ids, count

    def _encode(self, text: str) -> list[int]:
        ids: list[int] = self._tokenizer.encode(_encodable(text)).ids
        return ids

    def _vector(self, ids: list[int]) -> Matrix:
        (found,) = self._session.run(None, {"ids": np.array([ids], dtype=np.int64)})
        return np.asarray(found[0], dtype=np.float32)


def _encodable(text: str) -> str:
    """The text with lone surrogates, which no encoding has, replaced."""
    return text.encode("utf-8", "replace").decode()


def _session(graph: bytes, threads: int) -> Any:
    with needed():
        import onnxruntime
        from onnxruntime.capi import onnxruntime_pybind11_state as states
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 3  # errors
    try:
        session = onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
    except (states.Fail, states.InvalidArgument, states.InvalidGraph, states.InvalidProtobuf) as error:
        raise InputError("the encoder is no graph that ONNX Runtime can load") from error
    inputs, outputs = [node.name for node in session.get_inputs()], [node.shape for node in session.get_outputs()]
    if inputs != ["ids"] or outputs != [[1, DIMENSIONS]]:
        raise InputError(f"the graph is no encoder: it takes {inputs} and gives shapes {outputs}")
    return session


def _tokenizer(data: bytes) -> Any:
    with needed():
        from tokenizers import Tokenizer
    try:
        tokenizer = Tokenizer.from_str(data.decode("utf-8"))
    except Exception as error:  # tokenizers raises nothing narrower
        raise InputError(f"the tokenizer's file is none: {error}") from error
    tokenizer.no_padding()
    tokenizer.no_truncation()
    return tokenizer
