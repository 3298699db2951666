"""A router at work: one prompt or many, from one thread or several, and prompts nobody expects."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

from golden_sets.errors import InputError
from router_training import Router
from router_training.embedding.export import export_encoder
from router_training.records import OperatingPoint, Route
from router_training.router_files import (
    CLUSTERS,
    ENCODER,
    HEAD,
    MANIFEST,
    TOKENIZER,
    read_manifest,
    read_tensors,
    to_bytes,
    write_router,
)
from tests.support.routers import write_small_router

PROMPTS = [
    *(f"{'please ' * (n % 37)}count the {word}s" for n, word in enumerate(["cow", "hen", "sheep"] * 40)),
    "",
    " \n",
    "что такое слово",
    "\x00\x01",
    "half a pair: \ud83d",
    "🙂" * 300,
]


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("small") / "router"
    write_small_router(out)
    return out


def with_point(directory: Path, out: Path, **changes: float | str | None) -> Router:
    """The same router at another operating point."""
    manifest = read_manifest(directory)
    point = OperatingPoint.model_validate({**manifest.operating_point.to_json(), **changes})
    files: dict[str, bytes | Path] = {name: directory / name for name in manifest.files}
    write_router(out, manifest.model_copy(update={"operating_point": point}), files)
    return Router.load(out)


def test_a_batch_and_single_prompts_get_the_same_numbers_to_the_last_bit(directory: Path) -> None:
    router = Router.load(directory)
    together = router.route(PROMPTS)
    assert together == [router.route(prompt)[0] for prompt in PROMPTS]
    backwards = router.route(PROMPTS[::-1])
    assert together == backwards[::-1]
    assert len({route.p_hard for route in together}) > 50


def test_threads_and_workers_change_nothing(directory: Path) -> None:
    router = Router.load(directory)
    alone = router.route(PROMPTS)
    with ThreadPoolExecutor(6) as pool:
        for found in pool.map(router.route, [PROMPTS] * 12):
            assert found == alone
    assert Router.load(directory, workers=3).route(PROMPTS) == alone
    assert Router.load(directory, threads=2).route(PROMPTS) == alone


def test_embeddings_that_are_known_already_give_the_same_routes(directory: Path) -> None:
    router = Router.load(directory)
    assert router.embedder is not None
    vectors = router.embedder.embed(PROMPTS)
    assert router.decide(PROMPTS, vectors).routes() == router.route(PROMPTS)


def test_no_prompts_no_routes(directory: Path) -> None:
    assert Router.load(directory).route([]) == []


def test_a_single_prompt_is_not_a_list_of_letters(directory: Path) -> None:
    assert len(Router.load(directory).route("count the cows")) == 1


def test_what_is_no_text_is_refused(directory: Path) -> None:
    with pytest.raises(InputError, match="a prompt is text, not int"):
        Router.load(directory).route(["one", 2])  # type: ignore[list-item]


@pytest.mark.parametrize("prompt", ["", " \n", "что такое слово", "слово count", "count " * 60_000])
def test_prompts_unlike_training_go_to_the_flagship(directory: Path, prompt: str) -> None:
    (route,) = Router.load(directory).route(prompt)
    assert (route.model, route.reason) == ("flagship", "unlike training")
    assert np.isfinite([route.p_hard, route.expected_delta, route.uncertainty, route.novelty]).all()


def test_reasons_follow_threshold_and_band(directory: Path, tmp_path: Path) -> None:
    p_hard = {route.p_hard for route in Router.load(directory).route(PROMPTS[:100])}
    low, high = np.quantile(sorted(p_hard), [0.3, 0.6])
    router = with_point(directory, tmp_path / "router", threshold=float(low), band_high=float(high))

    def expected(route: Route) -> tuple[str, str]:
        if route.p_hard < low:
            return "small", "easy"
        return "flagship", "band" if route.p_hard < high else "hard"

    routes = router.route(PROMPTS[:100])
    assert [(route.model, route.reason) for route in routes] == [expected(route) for route in routes]
    assert {route.reason for route in routes} == {"easy", "band", "hard"}
    decisions = router.decide(PROMPTS[:100])
    assert decisions.flagship.tolist() == [route.model == "flagship" for route in routes]
    assert decisions.band.tolist() == [route.reason == "band" for route in routes]


def test_a_router_with_no_safe_threshold_keeps_telling_its_numbers(directory: Path, tmp_path: Path) -> None:
    router = with_point(directory, tmp_path / "router", threshold=0.0, why_always_flagship="nothing is proven")
    routes = router.route(PROMPTS)
    assert {(route.model, route.reason) for route in routes} == {("flagship", "always flagship")}
    assert [route.p_hard for route in routes] == [route.p_hard for route in Router.load(directory).route(PROMPTS)]


@pytest.mark.parametrize("name", [HEAD, CLUSTERS, ENCODER, TOKENIZER])
def test_a_tampered_file_is_refused(directory: Path, tmp_path: Path, name: str) -> None:
    copy = with_point(directory, tmp_path / "router").directory
    data = bytearray((copy / name).read_bytes())
    data[len(data) // 2] ^= 1
    (copy / name).write_bytes(bytes(data))
    with pytest.raises(InputError, match=f"{name}.*not the file that the manifest names"):
        Router.load(copy)


def test_a_tampered_threshold_is_refused(directory: Path, tmp_path: Path) -> None:
    copy = with_point(directory, tmp_path / "router").directory
    path = copy / MANIFEST
    path.write_text(path.read_text().replace('"threshold": 0.5', '"threshold": 0.9'))
    with pytest.raises(InputError, match="changed after it was written"):
        Router.load(copy)


def test_a_learnt_router_without_its_head_is_refused(directory: Path, tmp_path: Path) -> None:
    manifest = read_manifest(directory)
    files: dict[str, bytes | Path] = {name: directory / name for name in manifest.files if name != HEAD}
    write_router(tmp_path / "router", manifest, files)
    with pytest.raises(InputError, match=f"names no {HEAD}"):
        Router.load(tmp_path / "router")


def resealed(directory: Path, out: Path, changed: dict[str, bytes], **changes: Any) -> Path:
    """The same router with other files or another manifest, every digest in order."""
    manifest = read_manifest(directory)
    files: dict[str, bytes | Path] = {name: directory / name for name in manifest.files}
    write_router(out, manifest.model_copy(update=changes), {**files, **changed})
    return out


@pytest.mark.parametrize("shape", [(3, 10), (0, 384), (384,)])
def test_centres_that_do_not_fit_the_encoder_are_refused_when_loaded(
    directory: Path, tmp_path: Path, shape: tuple[int, ...]
) -> None:
    tensors = {**read_tensors(directory, read_manifest(directory), CLUSTERS), "centroids": np.ones(shape, np.float32)}
    odd = resealed(directory, tmp_path / "router", {CLUSTERS: to_bytes(tensors)})
    with pytest.raises(InputError, match=r"fit each other|no matrix"):
        Router.load(odd)


def test_a_reference_that_does_not_fit_the_encoder_is_refused_when_loaded(directory: Path, tmp_path: Path) -> None:
    tensors = read_tensors(directory, read_manifest(directory), CLUSTERS)
    tensors["reference"] = np.ascontiguousarray(tensors["reference"][:, :10])
    with pytest.raises(InputError, match="not as wide as the centres"):
        Router.load(resealed(directory, tmp_path / "router", {CLUSTERS: to_bytes(tensors)}))


def test_a_head_made_for_other_features_is_refused_when_loaded(directory: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="fit each other"):
        Router.load(resealed(directory, tmp_path / "router", {}, features=("log_words", "digits")))
    with pytest.raises(InputError, match="unknown cheap features"):
        Router.load(resealed(directory, tmp_path / "other", {}, features=("log_wrods",)))


def test_an_encoder_that_does_not_know_the_tokenizer_s_words_is_refused_when_loaded(
    directory: Path, tmp_path: Path
) -> None:
    model = onnx.load(str(directory / ENCODER))
    for one in model.graph.initializer:
        if one.name in ("words", "words.scale"):
            one.CopyFrom(onnx.numpy_helper.from_array(onnx.numpy_helper.to_array(one)[:10].copy(), one.name))
    with pytest.raises(InputError, match="fit each other"):
        Router.load(resealed(directory, tmp_path / "router", {ENCODER: model.SerializeToString()}))


@pytest.mark.parametrize("name", [ENCODER, TOKENIZER])
def test_a_file_changed_between_check_and_use_is_refused(
    directory: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    out = resealed(directory, tmp_path / "router", {})
    checked = read_manifest(out)
    other = tmp_path / "other"
    export_encoder(other, precision="fp32", layers=1, max_tokens=64)
    (out / name).write_bytes((other / name).read_bytes() + b" ")
    monkeypatch.setattr("router_training.router.read_manifest", lambda _directory: checked)
    with pytest.raises(InputError, match="not the file that the manifest names"):
        Router.load(out)
