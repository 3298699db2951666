"""Files are read before they are loaded, and nothing of them may be touched until they are: not even to and fro."""

from __future__ import annotations

import json
import mmap
import os
import shutil
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from evalharness.candidate import Candidate, Engine, Manifest
from evalharness.loaded_files import LoadedFiles
from evalharness.model_directory import hash_directory
from golden_sets.errors import InputError


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """Twenty ticks of a kernel of 1000 Hz or five of 250 Hz: files of tests need not age for two seconds."""
    monkeypatch.setattr("evalharness.loaded_files.SETTLED_NS", 20_000_000)


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    made = tmp_path / "store" / "models" / "m"
    (made / "sub").mkdir(parents=True)
    for name in ("model.safetensors", "tokenizer.json", "sub/extra.json"):
        (made / name).write_text(f"contents of {name}")
    return made


def candidate(directory: Path, adapter: Path | None = None) -> Candidate:
    manifest = Manifest(
        model=hash_directory(directory),
        adapter=None if adapter is None else hash_directory(adapter),
        engine=Engine(kind="vllm"),
    )
    return Candidate(name="c", manifest=manifest, directory=directory, adapter_directory=adapter)


def replace(path: Path, text: str) -> None:
    new = path.with_name("new")
    new.write_text(text)
    new.replace(path)


def test_what_was_not_touched_passes_every_time(directory: Path) -> None:
    files = LoadedFiles(candidate(directory))
    for _ in range(2):
        files.require_untouched()
        files.require_same()


def test_a_candidate_without_files_has_nothing_to_check() -> None:
    manifest = Manifest(model={}, declared_weights="rev", engine=Engine(kind="endpoints"))
    files = LoadedFiles(Candidate(name="c", manifest=manifest))
    files.require_untouched()
    files.require_same()


CHANGES: dict[str, tuple[Callable[[Path], object], str]] = {
    "weights": (lambda d: replace(d / "model.safetensors", "other weights"), "model.safetensors is .* the manifest"),
    "tokenizer": (lambda d: (d / "tokenizer.json").write_text("other"), "tokenizer.json is .* the manifest says"),
    "extra file": (lambda d: (d / "custom.py").write_text("import os"), "custom.py is not in the manifest"),
    "missing file": (lambda d: (d / "sub" / "extra.json").unlink(), "sub/extra.json is missing"),
}


@pytest.mark.parametrize("change", CHANGES)
def test_other_files_than_the_manifests_are_refused_before_anything_is_loaded(directory: Path, change: str) -> None:
    made = candidate(directory)
    act, message = CHANGES[change]
    act(directory)
    with pytest.raises(InputError, match=f"candidate 'c': its files are not those of its manifest .*{message}"):
        LoadedFiles(made)


def test_an_adapter_is_read_too(directory: Path, tmp_path: Path) -> None:
    adapter = tmp_path / "adapter"
    adapter.mkdir()
    (adapter / "adapter_model.safetensors").write_text("a")
    made = candidate(directory, adapter)
    files = LoadedFiles(made)
    replace(adapter / "adapter_model.safetensors", "b")
    with pytest.raises(InputError, match=r"touched while the engine loaded them .*adapter_model"):
        files.require_untouched()
    with pytest.raises(InputError, match=r"adapter_model\.safetensors is .* the manifest says"):
        LoadedFiles(made)


def test_what_is_remembered_is_not_trusted(directory: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever swaps weights may swap what the cache remembers of them, too."""
    monkeypatch.setattr("evalharness.model_directory.SETTLED_NS", -(10**12))
    honest = hash_directory(directory)
    replace(directory / "model.safetensors", "other weights")
    hash_directory(directory, cache_dir=tmp_path)
    cache = tmp_path / "model-digests.json"
    entries = json.loads(cache.read_text())
    entries[str(directory / "model.safetensors")][-1] = honest["model.safetensors"]
    cache.write_text(json.dumps(entries))
    lied = hash_directory(directory, cache_dir=tmp_path)
    assert lied == honest, "the cache is believed where only people look"
    manifest = Manifest(model=lied, engine=Engine(kind="vllm"))
    with pytest.raises(InputError, match=r"model\.safetensors is"):
        LoadedFiles(Candidate(name="c", manifest=manifest, directory=directory))


# -- between reading and loading --------------------------------------------------------------------------------------


def swap_and_back(directory: Path) -> None:
    weights = directory / "model.safetensors"
    weights.rename(directory.parent / "kept")
    weights.write_text("other weights")
    weights.unlink()
    (directory.parent / "kept").rename(weights)


def write_and_back(directory: Path) -> None:
    weights = directory / "model.safetensors"
    before, honest = weights.stat(), weights.read_bytes()
    weights.write_bytes(b"x" * len(honest))
    weights.write_bytes(honest)
    os.utime(weights, ns=(before.st_atime_ns, before.st_mtime_ns))


def directory_and_back(directory: Path) -> None:
    directory.rename(directory.with_name("kept"))
    shutil.copytree(directory.with_name("kept"), directory)
    shutil.rmtree(directory)
    directory.with_name("kept").rename(directory)


def by_symlink(directory: Path) -> None:
    weights = directory / "model.safetensors"
    weights.rename(directory.parent / "kept")
    weights.symlink_to(directory.parent / "kept")


def parent_by_symlink(directory: Path) -> None:
    """The same files behind another path: they could be any others a moment later."""
    models = directory.parent
    models.rename(models.with_name("kept"))
    models.symlink_to("kept")


def parent_copied(directory: Path) -> None:
    models = directory.parent
    models.rename(models.with_name("kept"))
    shutil.copytree(models.with_name("kept"), models)


def extra_and_gone(directory: Path) -> None:
    (directory / "sub" / "chat_template.jinja").write_text("{{ evil }}")
    (directory / "sub" / "chat_template.jinja").unlink()


@pytest.mark.parametrize(
    "swap",
    [
        swap_and_back,
        write_and_back,
        directory_and_back,
        by_symlink,
        parent_by_symlink,
        parent_copied,
        extra_and_gone,
        *(act for act, _ in CHANGES.values()),
    ],
)
def test_whatever_was_touched_between_reading_and_loading_is_refused(
    directory: Path, swap: Callable[[Path], object]
) -> None:
    files = LoadedFiles(candidate(directory))
    swap(directory)
    with pytest.raises(InputError, match=r"touched while the engine loaded them|symlink"):
        files.require_untouched()


def test_a_write_through_a_memory_map_from_before_is_seen(directory: Path) -> None:
    """A page that is dirty already is written without a fault: reading the file first makes it clean."""
    made = candidate(directory)
    weights = directory / "model.safetensors"
    honest = weights.read_bytes()
    with weights.open("r+b") as file, mmap.mmap(file.fileno(), 0) as pages:
        pages[0:1] = honest[0:1]  # dirty, and the same
        time.sleep(0.05)
        files = LoadedFiles(made)
        pages[0:1] = b"X"
        with pytest.raises(InputError, match="touched while the engine loaded them"):
            files.require_untouched()


def test_files_are_read_once_their_newest_change_is_older_than_the_clocks_tick(directory: Path) -> None:
    """Else a swap right after the reading could carry the very same times."""
    made = candidate(directory)
    weights = directory / "model.safetensors"
    weights.touch()
    LoadedFiles(made)
    assert time.time_ns() - weights.stat().st_ctime_ns >= 20_000_000


def test_later_only_the_contents_count(directory: Path) -> None:
    """An evaluation takes hours: a backup that links a file is no reason to refuse it, other contents are."""
    files = LoadedFiles(candidate(directory))
    os.link(directory / "model.safetensors", directory.parent / "backup")
    (directory / "tokenizer.json").touch()
    files.require_same()
    replace(directory / "tokenizer.json", "other")
    with pytest.raises(InputError, match=r"its files changed meanwhile .*tokenizer\.json is"):
        files.require_same()
