"""One small encoder for all: the first layer in int8."""

from __future__ import annotations

from pathlib import Path

import pytest

from router_training.embedding.embedder import Embedder
from router_training.embedding.export import export_encoder
from router_training.records import EncoderPin

Exported = tuple[Path, EncoderPin]


@pytest.fixture(scope="session")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Exported:
    directory = tmp_path_factory.mktemp("encoder")
    return directory, export_encoder(directory, precision="int8", layers=1, max_tokens=64)


@pytest.fixture(scope="session")
def embedder(exported: Exported) -> Embedder:
    return Embedder.load(*exported)
