"""Embeddings kept on disk by content: what was embedded once is never embedded again."""

from __future__ import annotations

import hashlib
import sqlite3
import zlib
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Final

import numpy as np

from evalharness.minilm import DIMENSIONS
from golden_sets.digests import Digest
from golden_sets.errors import InfrastructureError
from router_training.embedding.embedder import Embedder
from router_training.heads.head import Matrix
from router_training.progress import Advance

_BATCH: Final = 512  # prompts that a killed process loses at most
_KEYS_AT_ONCE: Final = 500  # SQLite's oldest limit on parameters is 999
_BUSY_TIMEOUT_S: Final = 60.0
_SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS embeddings (
    embedder TEXT NOT NULL,
    prompt BLOB NOT NULL,
    vector BLOB NOT NULL,
    checksum INTEGER NOT NULL,
    PRIMARY KEY (embedder, prompt)
)
"""


class EmbeddingCache:
    """Embeddings by the digests of embedder and prompt, in one SQLite file. Several processes may use it at once."""

    def __init__(self, path: Path) -> None:
        """Open the file, or make it with its folder.

        Raises:
            InfrastructureError: it cannot be made, or is no such cache.
        """
        self.path = path
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise InfrastructureError(
                f"the folder of the embeddings' cache cannot be made ({error.strerror})", where=path.parent
            ) from error
        with self._connection() as connection:
            connection.execute("PRAGMA journal_mode=WAL")
            connection.execute(_SCHEMA)

    def get(self, embedder: Digest, prompts: Sequence[str]) -> dict[str, Matrix]:
        """The embeddings it has of these prompts, each of shape (384,); damaged ones count as absent.

        Raises:
            InfrastructureError: the file cannot be read.
        """
        by_key = {_key(prompt): prompt for prompt in prompts}
        keys = list(by_key)
        found: dict[str, Matrix] = {}
        with self._connection() as connection:
            for at in range(0, len(keys), _KEYS_AT_ONCE):
                some = keys[at : at + _KEYS_AT_ONCE]
                marks = ",".join("?" * len(some))
                query = f"SELECT prompt, vector, checksum FROM embeddings WHERE embedder = ? AND prompt IN ({marks})"  # noqa: S608 - only question marks
                for key, data, checksum in connection.execute(query, (embedder, *some)):
                    if len(data) == 4 * DIMENSIONS and zlib.crc32(data) == checksum:
                        found[by_key[key]] = np.frombuffer(data, dtype="<f4")
        return found

    def put(self, embedder: Digest, prompts: Sequence[str], vectors: Matrix) -> None:
        """Keep embeddings, all or none; they are on the disk when this returns.

        Args:
            embedder: digest of what made them.
            prompts: what was embedded.
            vectors: shape (len(prompts), 384).

        Raises:
            InfrastructureError: the disk is full, or the file cannot be written.
        """
        rows = [
            (embedder, _key(prompt), data, zlib.crc32(data))
            for prompt, vector in zip(prompts, vectors, strict=True)
            for data in (np.asarray(vector, dtype="<f4").tobytes(),)
        ]
        with self._connection() as connection, connection:
            connection.executemany("INSERT OR REPLACE INTO embeddings VALUES (?, ?, ?, ?)", rows)

    @contextmanager
    def _connection(self) -> Iterator[sqlite3.Connection]:
        try:
            with closing(sqlite3.connect(self.path, timeout=_BUSY_TIMEOUT_S)) as connection:
                yield connection
        except sqlite3.OperationalError as error:
            raise InfrastructureError(
                f"the cache of embeddings cannot be used ({error})",
                where=self.path,
                do="free some space or choose another place",
            ) from error
        except sqlite3.DatabaseError as error:
            raise InfrastructureError(
                f"the cache of embeddings is damaged ({error})",
                where=self.path,
                do="delete it; the embeddings are computed again",
            ) from error


def embed_cached(
    embedder: Embedder,
    prompts: Sequence[str],
    cache: EmbeddingCache | None,
    *,
    workers: int = 1,
    progress: Advance | None = None,
) -> Matrix:
    """Embeddings of prompts, shape (n, 384), each distinct prompt computed at most once.

    Args:
        embedder: the encoder.
        prompts: the texts.
        cache: where embeddings are kept; None: nowhere.
        workers: prompts that are computed side by side.
        progress: told how many distinct prompts are embedded, of how many.

    Raises:
        InfrastructureError: the cache cannot be used.
    """
    distinct = list(dict.fromkeys(prompts))
    known = {} if cache is None else cache.get(embedder.digest, distinct)
    missing = [prompt for prompt in distinct if prompt not in known]
    done = len(known)
    if progress:
        progress(done, len(distinct))
    for at in range(0, len(missing), _BATCH):
        batch = missing[at : at + _BATCH]
        before = done

        def tell(embedded: int, _: int, before: int = before) -> None:
            if progress:
                progress(before + embedded, len(distinct))

        vectors = embedder.embed(batch, workers=workers, progress=tell)
        if cache is not None:
            cache.put(embedder.digest, batch, vectors)
        known.update(zip(batch, vectors, strict=True))
        done += len(batch)
    found = np.empty((len(prompts), DIMENSIONS), dtype=np.float32)
    for row, prompt in enumerate(prompts):
        found[row] = known[prompt]
    return found


def _key(prompt: str) -> bytes:
    return hashlib.sha256(prompt.encode("utf-8", "surrogatepass")).digest()
