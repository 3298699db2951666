"""Candidate files and model directories: what counts towards identity, and what is refused before an engine starts."""

from __future__ import annotations

import json
import os
import struct
from pathlib import Path
from typing import Any

import pytest

from evalharness.candidate import Candidate, Price
from evalharness.candidate_files import CandidateFile, build_candidate, hash_directory, installed_vllm, load_candidate
from evalharness.model_directory import check_model
from golden_sets.digests import digest_bytes
from golden_sets.errors import InputError
from golden_sets.yaml_files import load_yaml_record

ENGINE = "engine:\n  kind: vllm\n  args: {dtype: bfloat16, max_model_len: 512}\n  runtime: {max_num_seqs: 64}\n"


def safetensors(values: bytes = b"\0" * 8) -> bytes:
    header = json.dumps({"w": {"dtype": "F32", "shape": [2], "data_offsets": [0, len(values)]}}).encode()
    return struct.pack("<Q", len(header)) + header + values


def model_directory(path: Path, weights: bytes | None = None) -> Path:
    path.mkdir(parents=True)
    (path / "config.json").write_text('{"architectures": ["LlamaForCausalLM"]}', encoding="utf-8")
    (path / "model.safetensors").write_bytes(safetensors() if weights is None else weights)
    return path


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return model_directory(tmp_path / "models" / "m")


def write(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "candidates" / "c.yaml"
    path.parent.mkdir(exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


def candidate(tmp_path: Path, text: str = f"name: c\nmodel: ../models/m\n{ENGINE}") -> Candidate:
    return load_candidate(write(tmp_path, text))


def failure(tmp_path: Path, text: str) -> str:
    with pytest.raises(InputError) as caught:
        candidate(tmp_path, text)
    return str(caught.value)


@pytest.mark.usefixtures("model")
def test_everything_in_the_file_reaches_the_candidate(tmp_path: Path) -> None:
    made = candidate(
        tmp_path,
        """\
name: flagship-v2
model: ../models/m
system_prompt: Be kind.
sampling: {temperature: 0.5, top_p: 0.9, max_tokens: 48, seed: 3, stop: ["\\n"]}
safety_policy: guard 1.2
engine:
  kind: vllm
  args: {dtype: bfloat16, enforce_eager: true}
  runtime: {max_num_seqs: 64, tensor_parallel_size: 2, env: {VLLM_CPU_KVCACHE_SPACE: 1}, start_timeout_s: 90}
price: {usd_per_million_input_tokens: 0.6, usd_per_million_output_tokens: 2.4}
family: demo
""",
    )
    assert made.name == "flagship-v2"
    assert made.family == "demo"
    assert made.price == Price(usd_per_million_input_tokens=0.6, usd_per_million_output_tokens=2.4)
    assert made.directory == tmp_path / "models" / "m"
    manifest = made.manifest
    assert sorted(manifest.model) == ["config.json", "model.safetensors"]
    assert manifest.model["model.safetensors"] == digest_bytes(safetensors())
    assert manifest.system_prompt == "Be kind."
    assert manifest.safety_policy == "guard 1.2"
    assert (manifest.sampling.temperature, manifest.sampling.seed, manifest.sampling.stop) == (0.5, 3, ("\n",))
    assert manifest.engine.args == {"dtype": "bfloat16", "enforce_eager": True}
    assert manifest.engine.version == installed_vllm() is not None
    assert made.runtime.args == {"max_num_seqs": 64, "tensor_parallel_size": 2}
    assert made.runtime.env == {"VLLM_CPU_KVCACHE_SPACE": "1"}
    assert made.runtime.start_timeout_s == 90


@pytest.mark.usefixtures("model")
def test_the_shortest_file_works(tmp_path: Path) -> None:
    made = candidate(tmp_path, "name: c\nmodel: ../models/m\nengine: {kind: vllm}\n")
    assert made.manifest.sampling.temperature == 0
    assert made.price is None


def test_path_name_price_and_runtime_do_not_count_towards_identity(tmp_path: Path, model: Path) -> None:
    one = candidate(tmp_path)
    model.rename(tmp_path / "elsewhere")
    other = candidate(
        tmp_path,
        "name: other\nmodel: ../elsewhere\nfamily: f\nprice: {usd_per_gpu_hour: 2}\n"
        + ENGINE.replace("max_num_seqs: 64", "max_num_seqs: 8, env: {A: b}"),
    )
    assert other.digest == one.digest


@pytest.mark.parametrize(
    "change",
    [
        lambda text: text.replace("bfloat16", "float32"),
        lambda text: text + "system_prompt: Hello.\n",
        lambda text: text + "sampling: {temperature: 0.1}\n",
        lambda text: text + "safety_policy: strict\n",
    ],
)
@pytest.mark.usefixtures("model")
def test_what_changes_behaviour_changes_identity(tmp_path: Path, change: Any) -> None:
    text = f"name: c\nmodel: ../models/m\n{ENGINE}"
    assert candidate(tmp_path, change(text)).digest != candidate(tmp_path, text).digest


def test_any_file_in_the_directory_changes_identity(tmp_path: Path, model: Path) -> None:
    before = candidate(tmp_path).digest
    (model / ".hidden").write_text("x", encoding="utf-8")
    hidden = candidate(tmp_path).digest
    (model / "sub").mkdir()
    (model / "sub" / "chat_template.jinja").write_text("x", encoding="utf-8")
    assert len({before, hidden, candidate(tmp_path).digest}) == 3


def test_an_adapter_is_hashed_beside_the_model(tmp_path: Path, model: Path) -> None:
    adapter = tmp_path / "lora"
    adapter.mkdir()
    (adapter / "adapter_model.safetensors").write_bytes(safetensors(b"\1" * 8))
    made = candidate(tmp_path, f"name: c\nmodel: ../models/m\nadapter: ../lora\n{ENGINE}")
    assert made.manifest.adapter == {"adapter_model.safetensors": digest_bytes(safetensors(b"\1" * 8))}
    assert made.adapter_directory == adapter
    assert made.digest != candidate(tmp_path).digest
    message = failure(tmp_path, f"name: c\nmodel: ../models/m\nadapter: ../none\n{ENGINE}")
    assert "adapter directory '../none' does not exist" in message


def test_endpoints_need_no_directory_but_declared_weights(tmp_path: Path) -> None:
    engine = "engine: {kind: endpoints, version: '0.9', runtime: {urls: ['http://10.0.0.1/v1'], served_model: big}}\n"
    made = candidate(tmp_path, f"name: c\ndeclared_weights: rev-1\n{engine}")
    assert made.runtime.urls == ("http://10.0.0.1/v1",)
    assert made.runtime.served_model == "big"
    assert made.manifest.engine.version == "0.9"
    assert made.manifest.model == {}
    other = candidate(tmp_path, f"name: c\ndeclared_weights: rev-2\n{engine}")
    assert other.digest != made.digest
    assert "declared_weights" in failure(tmp_path, f"name: c\n{engine}")


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("name: c\nengine: {kind: vllm}\n", "missing key 'model'"),
        ("name: c\nmodel: ../models/none\nengine: {kind: vllm}\n", "model directory '../models/none' does not exist"),
        (
            "name: c\nmodle: ../models/m\nengine: {kind: vllm}\n",
            "c.yaml:2: unknown key 'modle' - did you mean 'model'?",
        ),
        ("name: a/b\nmodel: ../models/m\nengine: {kind: vllm}\n", "c.yaml:1: name: 'a/b'"),
        ("name: c\nmodel: ../models/m\nengine: {kind: llama}\n", "c.yaml:3: engine.kind: 'llama' is not known"),
        ("name: c\nmodel: ../models/m\nengine:\n  kind: vllm\n  arg: {}\n", "c.yaml:5: unknown key 'arg' in engine"),
        ("name: c\nmodel: ../models/m\nengine: {kind: vllm, runtime: {dtype: half}}\n", "'dtype' changes outputs"),
        ("name: c\nmodel: ../models/m\nengine: {kind: vllm, runtime: {envs: {}}}\n", "did you mean 'env'?"),
        ("name: c\nmodel: ../models/m\nengine: {kind: vllm, args: {port: 80}}\n", "'port' is set by relgate"),
        ("name: c\nmodel: ../models/m\nengine: {kind: vllm, args: {max-model-len: 1}}\n", "'max_model_len'"),
        (
            "name: c\nmodel: ../models/m\nengine: {kind: vllm, args: {chat_template: x}}\n",
            "'chat_template' names what is not hashed",
        ),
        ("name: c\nmodel: ../models/m\nengine: {kind: vllm, args: {a: 1}, runtime: {a: 2}}\n", "under both"),
        ("name: c\nmodel: ../models/m\nengine: {kind: vllm, version: 0.1.2}\n", "the file wants vLLM 0.1.2"),
        ("name: c\nmodel: ../models/m\nengine: {kind: endpoints}\n", "under runtime.urls"),
        ("name: c\nmodel: ../models/m\nengine: {kind: endpoints, runtime: {urls: [localhost:80]}}\n", "is no address"),
        ("name: c\nmodel: ../models/m\nengine: {kind: vllm, runtime: {urls: ['http://a']}}\n", "kind 'endpoints'"),
        ("name: c\nmodel: ../models/m\nsampling: {temperature: -1}\nengine: {kind: vllm}\n", "c.yaml:3: sampling.temp"),
        ("name: c\nmodel: ../models/m\nprice: {gpus: 2}\nengine: {kind: vllm}\n", "c.yaml:3: price: a price is either"),
    ],
)
@pytest.mark.usefixtures("model")
def test_a_bad_file_is_refused_with_its_line(tmp_path: Path, text: str, part: str) -> None:
    assert part in failure(tmp_path, text)


def test_a_file_with_more_keys_builds_the_same_candidate(tmp_path: Path, model: Path) -> None:
    class JudgeFile(CandidateFile):
        template: str

    path = write(tmp_path, f"name: c\nmodel: ../models/m\n{ENGINE}template: hi\n")
    judge = load_yaml_record(path, JudgeFile)
    assert judge.template == "hi"
    assert build_candidate(judge, path).digest == candidate(tmp_path).digest


# -- model directories -------------------------------------------------------------------------------------------------


def test_missing_parts_of_a_model_are_named(tmp_path: Path, model: Path) -> None:
    (model / "model.safetensors").unlink()
    assert "no weights" in failure(tmp_path, f"name: c\nmodel: ../models/m\n{ENGINE}")
    (model / "config.json").unlink()
    assert "no config.json" in failure(tmp_path, f"name: c\nmodel: ../models/m\n{ENGINE}")


@pytest.mark.parametrize("name", ["pytorch_model.bin", "model.pt", "sub/state.pkl"])
def test_pickles_are_refused(model: Path, name: str) -> None:
    (model / name).parent.mkdir(exist_ok=True)
    (model / name).write_bytes(b"\x80\x04.")
    with pytest.raises(InputError, match=r"is a pickle.*safetensors"):
        check_model(model)


@pytest.mark.parametrize(
    ("weights", "part"),
    [
        (safetensors()[:-1], "its header says"),
        (safetensors() + b"\0", "its header says"),
        (safetensors()[:20], "is not a safetensors file"),
        (b"", "is not a safetensors file"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 5\n", "is a Git LFS pointer"),
    ],
)
def test_damaged_weights_are_found(tmp_path: Path, weights: bytes, part: str) -> None:
    with pytest.raises(InputError, match=part):
        check_model(model_directory(tmp_path / "damaged", weights))


def test_a_missing_shard_is_named(model: Path) -> None:
    (model / "model.safetensors").rename(model / "model-00001-of-00002.safetensors")
    weight_map = {"a": "model-00001-of-00002.safetensors", "b": "model-00002-of-00002.safetensors"}
    index = model / "model.safetensors.index.json"
    index.write_text(json.dumps({"weight_map": weight_map}), encoding="utf-8")
    with pytest.raises(InputError, match=r"1 of 2 weight shards are missing, e\.g\. model-00002"):
        check_model(model)
    (model / "model-00002-of-00002.safetensors").write_bytes(safetensors())
    check_model(model)
    index.write_text("[]", encoding="utf-8")
    with pytest.raises(InputError, match="is not an index"):
        check_model(model)


def snapshot(tmp_path: Path) -> Path:
    """A model as the hub's cache lays it out."""
    cache = tmp_path / "models--owner--name"
    blobs, revision = cache / "blobs", cache / "snapshots" / "abc"
    source = model_directory(tmp_path / "source")
    blobs.mkdir(parents=True)
    revision.mkdir(parents=True)
    for number, file in enumerate(sorted(source.iterdir())):
        file.rename(blobs / str(number))
        (revision / file.name).symlink_to(f"../../blobs/{number}")
    return revision


def test_links_inside_a_snapshot_cache_are_followed(tmp_path: Path) -> None:
    assert hash_directory(snapshot(tmp_path)) == hash_directory(model_directory(tmp_path / "plain"))


def test_a_link_to_the_directory_itself_is_followed(tmp_path: Path, model: Path) -> None:
    (tmp_path / "current").symlink_to(model)
    assert hash_directory(tmp_path / "current") == hash_directory(model)


@pytest.mark.parametrize("target", ["/etc/passwd", "../../../secret", "../../blobs", "../../blobs/none", "config.json"])
def test_other_links_are_refused(tmp_path: Path, target: str) -> None:
    revision = snapshot(tmp_path)
    (tmp_path / "secret").write_text("s", encoding="utf-8")
    (revision / "link").symlink_to(target)
    if target == "config.json":  # resolves into blobs: fine
        assert hash_directory(revision)["link"] == hash_directory(revision)["config.json"]
        return
    with pytest.raises(InputError, match="'link' is a symlink to"):
        hash_directory(revision)


def test_links_in_a_plain_directory_are_refused(model: Path) -> None:
    (model / "alias.json").symlink_to("config.json")
    with pytest.raises(InputError, match="copy the file instead"):
        hash_directory(model)


def test_devices_and_pipes_are_refused(model: Path) -> None:
    os.mkfifo(model / "pipe")
    with pytest.raises(InputError, match="neither a file nor a directory"):
        hash_directory(model)


def test_an_empty_directory_and_names_that_are_not_utf8_are_refused(tmp_path: Path, model: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="is empty"):
        hash_directory(tmp_path / "empty")
    Path(os.fsdecode(os.fsencode(model) + b"/bad\xff")).write_text("x", encoding="utf-8")
    with pytest.raises(InputError, match="not UTF-8"):
        hash_directory(model)


# -- the cache --------------------------------------------------------------------------------------------------------


@pytest.fixture
def settled(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("evalharness.model_directory.SETTLED_NS", -(10**12))


@pytest.mark.usefixtures("settled")
def test_remembered_digests_are_used_and_changes_are_seen(
    tmp_path: Path, model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache = tmp_path / "cache"
    first = hash_directory(model, cache_dir=cache)
    with monkeypatch.context() as patched:
        patched.setattr("evalharness.model_directory._digest", lambda path: pytest.fail(f"read {path} again"))
        assert hash_directory(model, cache_dir=cache) == first
    status = (model / "config.json").stat()
    (model / "config.json").write_text('{"architectures": ["LlamaForCausalLX"]}', encoding="utf-8")  # the same size
    os.utime(model / "config.json", ns=(status.st_atime_ns, status.st_mtime_ns))  # and time
    changed = hash_directory(model, cache_dir=cache)
    assert changed["config.json"] == hash_directory(model)["config.json"] != first["config.json"]


def test_fresh_files_are_not_remembered(tmp_path: Path, model: Path) -> None:
    hash_directory(model, cache_dir=tmp_path / "cache")
    assert not (tmp_path / "cache").exists()


@pytest.mark.usefixtures("settled")
@pytest.mark.parametrize("damage", ["", "[]", "{", '{"x": 1}'])
def test_a_damaged_cache_is_forgotten(tmp_path: Path, model: Path, damage: str) -> None:
    cache = tmp_path / "cache"
    expected = hash_directory(model, cache_dir=cache)
    (cache / "model-digests.json").write_text(damage, encoding="utf-8")
    assert hash_directory(model, cache_dir=cache) == expected
    assert len(json.loads((cache / "model-digests.json").read_text(encoding="utf-8"))) == 2
