"""Embeddings: what a prompt becomes depends on that prompt alone, and odd prompts are prompts."""

from __future__ import annotations

import shutil
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from tokenizers import Tokenizer

from evalharness.minilm import model_directory
from golden_sets.errors import InfrastructureError, InputError
from router_training.embedding.embedder import READ_CHARACTERS, Embedder
from router_training.embedding.export import GRAPH_FILE, TOKENIZER_FILE, export_encoder
from router_training.records import EncoderPin

Exported = tuple[Path, EncoderPin]
PROMPTS = tuple(f"{word} " * (1 + 7 * n % 90) + f"number {n}?" for n, word in enumerate(["why", "cell", "law"] * 30))


def test_a_prompt_alone_is_what_it_is_among_others(embedder: Embedder) -> None:
    together = embedder.embed(PROMPTS)
    assert together.shape == (len(PROMPTS), 384)
    assert together.dtype == np.float32
    for row in (0, 17, 89):
        assert np.array_equal(embedder.embed([PROMPTS[row]])[0], together[row])


@pytest.mark.parametrize(("threads", "workers"), [(2, 1), (1, 2), (2, 2)])
def test_threads_and_workers_change_nothing(exported: Exported, embedder: Embedder, threads: int, workers: int) -> None:
    other = Embedder.load(*exported, threads=threads)
    assert other.digest == embedder.digest
    assert np.array_equal(other.embed(PROMPTS, workers=workers), embedder.embed(PROMPTS))


def test_one_embedder_serves_many_threads(embedder: Embedder) -> None:
    expected = embedder.embed(PROMPTS)
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda prompt: embedder.embed([prompt])[0], PROMPTS * 3))
    assert np.array_equal(np.array(found), np.concatenate([expected] * 3))


@pytest.mark.parametrize("workers", [1, 2])
def test_progress_reaches_the_end(embedder: Embedder, workers: int) -> None:
    told: list[tuple[int, int]] = []
    embedder.embed(PROMPTS, workers=workers, progress=lambda done, total: told.append((done, total)))
    assert told[-1] == (len(PROMPTS), len(PROMPTS))
    assert [done for done, _ in told] == sorted(done for done, _ in told)
    assert len(told) > 1


def test_tokens_are_counted_before_prompts_are_cut(embedder: Embedder) -> None:
    tokenizer = Tokenizer.from_file(str(model_directory() / "tokenizer.json"))
    tokenizer.no_truncation()
    tokenizer.no_padding()
    expected = [len(tokenizer.encode(prompt).ids) for prompt in PROMPTS]
    assert max(expected) > 64
    assert embedder.tokens(PROMPTS).tolist() == expected
    assert embedder.read(PROMPTS).tokens.tolist() == expected


def test_long_prompts_lose_their_middle(embedder: Embedder) -> None:
    start, end = "cell " * 31, "law " * 31  # 64 tokens with the two special ones
    whole, cut, other_end, shorter = embedder.embed(
        [start + end, start + "court money " * 50 + end, start + end + "court", start + end.removesuffix("law ")]
    )
    assert np.array_equal(whole, cut)
    assert not np.array_equal(whole, other_end)
    assert not np.array_equal(whole, shorter)


def test_where_prompts_are_cut_is_part_of_the_identity(exported: Exported, embedder: Embedder) -> None:
    directory, pin = exported
    other = Embedder.load(directory, pin.model_copy(update={"max_tokens": 32}))
    assert other.digest != embedder.digest
    assert not np.array_equal(other.embed(["cell " * 62 + "law"]), embedder.embed(["cell " * 62 + "law"]))


def test_another_export_has_another_identity(tmp_path: Path, embedder: Embedder) -> None:
    pin = export_encoder(tmp_path, precision="fp32", layers=1, max_tokens=64)
    assert Embedder.load(tmp_path, pin).digest != embedder.digest


@pytest.mark.parametrize(
    "odd", ["", " ", "\n\t\r", "\x00", "\ud800 lone \udfff", "🙂" * 50, "מה זה", "a" * 500, "\u202e"]
)
def test_odd_prompts_have_embeddings(embedder: Embedder, odd: str) -> None:
    found = embedder.read([odd, "why"])
    assert np.linalg.norm(found.vectors, axis=1) == pytest.approx(1, abs=1e-5)
    assert found.tokens[0] >= 2
    assert np.array_equal(found.vectors[1], embedder.embed(["why"])[0])


def test_no_prompts_no_embeddings(embedder: Embedder) -> None:
    found = embedder.read([])
    assert (found.vectors.shape, found.tokens.shape) == ((0, 384), (0,))


def test_a_huge_prompt_takes_no_longer_than_a_long_one(embedder: Embedder) -> None:
    huge = "What is a cell? " * 500_000 + "Who pays at court? " * 500_000
    began = time.process_time()
    found = embedder.read([huge])
    assert time.process_time() - began < 2
    half = READ_CHARACTERS // 2
    assert np.array_equal(found.vectors[0], embedder.embed([huge[:half] + huge[-half:]])[0])
    assert found.tokens[0] == pytest.approx(5_000_000, rel=0.05)


def test_a_missing_file_is_named(tmp_path: Path, exported: Exported) -> None:
    shutil.copytree(exported[0], tmp_path, dirs_exist_ok=True)
    (tmp_path / GRAPH_FILE).unlink()
    with pytest.raises(InputError, match=r"encoder\.onnx: the encoder cannot be read \(No such file"):
        Embedder.load(tmp_path, exported[1])


@pytest.mark.parametrize(
    ("name", "contents", "says"),
    [
        (GRAPH_FILE, b"no graph at all", "no graph that ONNX Runtime can load"),
        (GRAPH_FILE, b"", "no graph"),
        (TOKENIZER_FILE, b"{}", "the tokenizer's file is none"),
        (TOKENIZER_FILE, b"\xff\xfe", "the tokenizer's file is none"),
    ],
)
def test_a_damaged_file_is_told(tmp_path: Path, exported: Exported, name: str, contents: bytes, says: str) -> None:
    shutil.copytree(exported[0], tmp_path, dirs_exist_ok=True)
    (tmp_path / name).write_bytes(contents)
    with pytest.raises(InputError, match=says):
        Embedder.load(tmp_path, exported[1])


def test_a_graph_cut_short_is_told(tmp_path: Path, exported: Exported) -> None:
    shutil.copytree(exported[0], tmp_path, dirs_exist_ok=True)
    whole = (tmp_path / GRAPH_FILE).read_bytes()
    (tmp_path / GRAPH_FILE).write_bytes(whole[: len(whole) // 2])
    with pytest.raises(InputError, match="no graph"):
        Embedder.load(tmp_path, exported[1])


def test_another_graph_is_no_encoder(exported: Exported) -> None:
    from onnx import TensorProto, helper

    ends = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [1]) for name in ("a", "b")]
    graph = helper.make_graph([helper.make_node("Neg", ["a"], ["b"])], "other", ends[:1], ends[1:])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    tokenizer = (exported[0] / TOKENIZER_FILE).read_bytes()
    with pytest.raises(InputError, match="the graph is no encoder"):
        Embedder(model.SerializeToString(), tokenizer, exported[1])


@pytest.mark.parametrize("package", ["onnxruntime", "tokenizers"])
def test_a_package_that_is_not_installed_is_named(
    exported: Exported, monkeypatch: pytest.MonkeyPatch, package: str
) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(InfrastructureError, match=f"'{package}' is needed to embed prompts.*pip install {package}"):
        Embedder.load(*exported)
