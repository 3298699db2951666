"""Embeddings on disk: computed once, shared by processes, whole after a crash."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from golden_sets.errors import InfrastructureError
from router_training.embedding.cache import EmbeddingCache, embed_cached
from router_training.embedding.embedder import Embedder
from router_training.records import EncoderPin

Exported = tuple[Path, EncoderPin]
PROMPTS = [f"What is item {n} of {n % 7} lists?" for n in range(40)]

PROGRAM = """
import sys
from pathlib import Path
from router_training.embedding.cache import EmbeddingCache, embed_cached
from router_training.embedding.embedder import Embedder
from router_training.records import EncoderPin
directory, pin, cache, first, last = sys.argv[1:]
embedder = Embedder.load(Path(directory), EncoderPin.model_validate_json(pin))
prompts = [f"What is item {n}?" for n in range(int(first), int(last))]
embed_cached(embedder, prompts, EmbeddingCache(Path(cache)))
"""


def started(exported: Exported, cache: Path, first: int, last: int) -> subprocess.Popen[bytes]:
    arguments = [str(exported[0]), exported[1].model_dump_json(), str(cache), str(first), str(last)]
    return subprocess.Popen([sys.executable, "-c", PROGRAM, *arguments], stderr=subprocess.PIPE)


def test_what_is_kept_is_what_was_computed(tmp_path: Path, embedder: Embedder) -> None:
    cache = EmbeddingCache(tmp_path / "folder" / "embeddings.sqlite")
    plain = embedder.embed(PROMPTS)
    assert np.array_equal(embed_cached(embedder, PROMPTS, cache), plain)
    assert np.array_equal(embed_cached(embedder, PROMPTS, EmbeddingCache(cache.path)), plain)
    assert np.array_equal(embed_cached(embedder, PROMPTS, None), plain)


def test_what_is_known_is_not_computed_again(tmp_path: Path, embedder: Embedder) -> None:
    cache = EmbeddingCache(tmp_path / "embeddings.sqlite")
    marked = np.full((1, 384), 0.25, dtype=np.float32)
    cache.put(embedder.digest, PROMPTS[3:4], marked)
    told: list[tuple[int, int]] = []
    found = embed_cached(embedder, PROMPTS, cache, progress=lambda done, total: told.append((done, total)))
    assert np.array_equal(found[3], marked[0])
    assert np.array_equal(found[4], embedder.embed(PROMPTS[4:5])[0])
    assert (told[0], told[-1]) == ((1, 40), (40, 40))


def test_equal_prompts_are_one(tmp_path: Path, embedder: Embedder) -> None:
    cache = EmbeddingCache(tmp_path / "embeddings.sqlite")
    told: list[tuple[int, int]] = []
    found = embed_cached(embedder, ["a", "b", "a"], cache, progress=lambda done, total: told.append((done, total)))
    assert np.array_equal(found, embedder.embed(["a", "b", "a"]))
    assert told[-1] == (2, 2)


def test_embedders_do_not_share(tmp_path: Path, exported: Exported, embedder: Embedder) -> None:
    cache = EmbeddingCache(tmp_path / "embeddings.sqlite")
    long = ["cell " * 60]
    embed_cached(embedder, long, cache)
    other = Embedder.load(exported[0], exported[1].model_copy(update={"max_tokens": 16}))
    assert np.array_equal(embed_cached(other, long, cache), other.embed(long))
    assert not np.array_equal(other.embed(long), embedder.embed(long))


def test_lone_surrogates_are_not_confused(tmp_path: Path, embedder: Embedder) -> None:
    cache = EmbeddingCache(tmp_path / "embeddings.sqlite")
    odd = ["\ud800", "\udfff", ""]
    embed_cached(embedder, odd, cache)
    assert len(cache.get(embedder.digest, odd)) == 3


def test_a_damaged_row_is_computed_again(tmp_path: Path, embedder: Embedder) -> None:
    cache = EmbeddingCache(tmp_path / "embeddings.sqlite")
    plain = embed_cached(embedder, PROMPTS, cache)
    with sqlite3.connect(cache.path) as connection:
        changed = connection.execute("UPDATE embeddings SET vector = zeroblob(1536) WHERE rowid <= 5").rowcount
        changed += connection.execute("UPDATE embeddings SET vector = x'00' WHERE rowid > 38").rowcount
    connection.close()
    assert changed == 7
    assert len(cache.get(embedder.digest, PROMPTS)) == 33
    assert np.array_equal(embed_cached(embedder, PROMPTS, cache), plain)
    assert len(cache.get(embedder.digest, PROMPTS)) == 40


def test_a_damaged_file_is_told(tmp_path: Path) -> None:
    path = tmp_path / "embeddings.sqlite"
    path.write_bytes(b"this is no database" * 1000)
    with pytest.raises(
        InfrastructureError, match=r"embeddings\.sqlite: the cache of embeddings is damaged .*delete it"
    ):
        EmbeddingCache(path)


def test_a_file_damaged_in_the_middle_is_told(tmp_path: Path, embedder: Embedder) -> None:
    cache = EmbeddingCache(tmp_path / "embeddings.sqlite")
    embed_cached(embedder, PROMPTS, cache)
    data = bytearray(cache.path.read_bytes())
    data[4096:] = os.urandom(len(data) - 4096)
    cache.path.write_bytes(data)
    with pytest.raises(InfrastructureError, match="the cache of embeddings"):
        embed_cached(embedder, PROMPTS, EmbeddingCache(cache.path))


def test_a_place_that_is_no_folder_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(InfrastructureError, match="cannot be made"):
        EmbeddingCache(tmp_path / "file" / "embeddings.sqlite")


def test_a_full_disk_is_told_and_keeps_what_was_there(tmp_path: Path, embedder: Embedder) -> None:
    cache = EmbeddingCache(tmp_path / "embeddings.sqlite")
    plain = embed_cached(embedder, PROMPTS, cache)
    program = f"""
import resource
from pathlib import Path
import numpy as np
from golden_sets.errors import InfrastructureError
from router_training.embedding.cache import EmbeddingCache
resource.setrlimit(resource.RLIMIT_FSIZE, (300_000, 300_000))
try:
    cache = EmbeddingCache(Path({str(cache.path)!r}))
    cache.put("sha256:other", [str(n) for n in range(1000)], np.zeros((1000, 384), np.float32))
except InfrastructureError as error:
    print(error)
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert "the cache of embeddings cannot be used" in done.stdout
    assert "free some space" in done.stdout
    again = EmbeddingCache(cache.path)
    assert again.get("sha256:other", ["1"]) == {}
    assert np.array_equal(embed_cached(embedder, PROMPTS, again), plain)


def kept(path: Path) -> int:
    if not path.exists():
        return 0
    connection = sqlite3.connect(f"file:{path}?mode=ro", uri=True, timeout=10)
    try:
        return int(connection.execute("SELECT count(*) FROM embeddings").fetchone()[0])
    except sqlite3.OperationalError:  # the table is not there yet
        return 0
    finally:
        connection.close()


def test_a_killed_process_leaves_what_it_had(tmp_path: Path, exported: Exported, embedder: Embedder) -> None:
    path = tmp_path / "embeddings.sqlite"
    process = started(exported, path, 0, 1_000_000)
    try:
        for _ in range(600):
            if kept(path) >= 512:
                break
            time.sleep(0.1)
    finally:
        process.send_signal(signal.SIGKILL)
        process.communicate()
    rows = kept(path)
    assert rows >= 512
    assert rows % 512 == 0  # whole batches
    prompts = [f"What is item {n}?" for n in range(600)]
    cache = EmbeddingCache(path)
    assert len(cache.get(embedder.digest, prompts)) >= 512
    assert np.array_equal(embed_cached(embedder, prompts, cache), embedder.embed(prompts))


def test_two_processes_at_once(tmp_path: Path, exported: Exported, embedder: Embedder) -> None:
    path = tmp_path / "embeddings.sqlite"
    both = [started(exported, path, 0, 700), started(exported, path, 300, 1000)]
    errors = [process.communicate(timeout=120)[1] for process in both]
    assert [process.returncode for process in both] == [0, 0], errors
    prompts = [f"What is item {n}?" for n in range(1000)]
    assert len(EmbeddingCache(path).get(embedder.digest, prompts)) == 1000
