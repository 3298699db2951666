"""What counts towards identity: everything that changes behaviour, and nothing that does not, field by field."""

from __future__ import annotations

import json
import os
import shutil
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from evalharness.candidate import CHANGES_OUTPUTS_ENV, Candidate, Engine, Manifest, Sampling
from evalharness.candidate_files import CHANGES_OUTPUTS, NAMES_A_FILE, CandidateFile, load_candidate
from evalharness.engines.vllm_server import _environment
from evalharness.evidence import Evidence
from evalharness.judging.rubric import Rubric
from evalharness.plan import Plan
from gates.decision import Decision
from gates.policy import Check, Policy
from gates.promotion_rules import PromotionRules
from golden_sets.errors import InputError
from golden_sets.records import Message, Prompt, PromptSet, Record, SetKind
from router_training.records import RouterManifest

WRITTEN: dict[str, Any] = {
    "name": "c",
    "model": "../models/m",
    "adapter": "../models/a",
    "system_prompt": "Be kind.",
    "sampling": {"temperature": 0.5, "top_p": 0.9, "max_tokens": 48, "seed": 3, "stop": ["END"]},
    "safety_policy": "guard 1.2",
    "engine": {
        "kind": "endpoints",
        "version": "1.0",
        "args": {"dtype": "bfloat16", "max_model_len": 512},
        "runtime": {"urls": ["http://127.0.0.1:9/v1"], "max_num_seqs": 64},
    },
    "price": {"usd_per_gpu_hour": 2},
    "family": "demo",
}
MODEL_FILES = {
    "config.json": '{"architectures": ["LlamaForCausalLM"]}',
    "generation_config.json": '{"temperature": 0.7}',
    "tokenizer.json": '{"vocabulary": 1}',
    "tokenizer_config.json": '{"eos_token": "</s>"}',
    "chat_template.jinja": "{{ messages }}",
    "special_tokens_map.json": "{}",
    "sub/modeling.py": "pass",
    "README.md": "A model.",
    ".hidden": "x",
}


def safetensors(values: bytes = b"\0" * 8) -> bytes:
    header = json.dumps({"w": {"dtype": "F32", "shape": [2], "data_offsets": [0, len(values)]}}).encode()
    return struct.pack("<Q", len(header)) + header + values


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name, text in MODEL_FILES.items():
        path = tmp_path / "models" / "m" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    (tmp_path / "models" / "m" / "model.safetensors").write_bytes(safetensors())
    (tmp_path / "models" / "a").mkdir()
    (tmp_path / "models" / "a" / "adapter_model.safetensors").write_bytes(safetensors())
    (tmp_path / "models" / "a" / "adapter_config.json").write_text('{"r": 8}')
    return tmp_path


def load(folder: Path, written: dict[str, Any] | None = None, file: str = "candidates/c.yaml") -> Candidate:
    path = folder / file
    path.parent.mkdir(exist_ok=True)
    path.write_text(yaml.safe_dump(WRITTEN if written is None else written))
    return load_candidate(path)


def but(*path: str, value: Any) -> dict[str, Any]:
    """The file with one key changed."""
    changed: dict[str, Any] = json.loads(json.dumps(WRITTEN))
    place = changed
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] = value
    return changed


# -- the candidate ----------------------------------------------------------------------------------------------------

COUNTS: dict[str, dict[str, Any]] = {
    "adapter": but("adapter", value=None),
    "system_prompt": but("system_prompt", value="Be kind!"),
    "no system prompt": but("system_prompt", value=None),
    "sampling.temperature": but("sampling", "temperature", value=0.6),
    "sampling.top_p": but("sampling", "top_p", value=0.8),
    "sampling.max_tokens": but("sampling", "max_tokens", value=49),
    "sampling.seed": but("sampling", "seed", value=4),
    "no seed": but("sampling", "seed", value=None),
    "sampling.stop": but("sampling", "stop", value=["END", "STOP"]),
    "no stop string": but("sampling", "stop", value=[]),
    "safety_policy": but("safety_policy", value="guard 1.3"),
    "engine.version": but("engine", "version", value="1.1"),
    "engine.args": but("engine", "args", "dtype", value="float16"),
    "another engine argument": but("engine", "args", "quantization", value="fp8"),
    "an engine argument less": but("engine", "args", value={"dtype": "bfloat16"}),
}
DOES_NOT: dict[str, dict[str, Any]] = {
    "name": but("name", value="other"),
    "family": but("family", value="other"),
    "price": but("price", value={"usd_per_million_input_tokens": 1, "usd_per_million_output_tokens": 2}),
    "no price": but("price", value=None),
    "addresses": but("engine", "runtime", "urls", value=["http://10.0.0.1:8000/v1", "https://x/v1"]),
    "served name": but("engine", "runtime", "served_model", value="m"),
    "environment": but("engine", "runtime", "env", value={"OMP_NUM_THREADS": "1"}),
    "token": but("engine", "runtime", "api_key_env", value="TOKEN"),
    "start": but("engine", "runtime", "start_timeout_s", value=5),
    "runtime argument": but("engine", "runtime", "max_num_seqs", value=8),
    "parallel": but("engine", "runtime", "tensor_parallel_size", value=4),
    "order of arguments": but("engine", "args", value={"max_model_len": 512, "dtype": "bfloat16"}),
}


@pytest.mark.parametrize("what", COUNTS)
def test_what_is_written_and_changes_behaviour_counts(folder: Path, what: str) -> None:
    assert load(folder, COUNTS[what]).digest != load(folder).digest


@pytest.mark.parametrize("what", DOES_NOT)
def test_what_is_written_and_changes_no_behaviour_does_not_count(folder: Path, what: str) -> None:
    assert load(folder, DOES_NOT[what]).digest == load(folder).digest


def test_all_that_can_be_written_is_in_one_of_the_two_tables() -> None:
    """A new key of a candidate file must be put on one side."""
    tables = (*COUNTS.values(), *DOES_NOT.values())
    tried = {key for changed in tables for key in changed if changed[key] != WRITTEN.get(key)}
    elsewhere = {"model", "declared_weights"}  # files, and the next test
    assert tried | elsewhere == set(CandidateFile.model_fields)
    assert set(Manifest.model_fields) == {
        *("model", "adapter", "declared_weights", "system_prompt", "sampling", "safety_policy", "engine")
    }
    assert set(Sampling.model_fields) == set(WRITTEN["sampling"])
    assert set(Engine.model_fields) == {"kind", "version", "args"}


def test_declared_weights_and_the_kind_of_engine_count() -> None:
    one = Manifest(model={}, declared_weights="r1", engine=Engine(kind="endpoints"))
    assert one.digest != one.model_copy(update={"declared_weights": "r2"}).digest
    assert one.digest != one.model_copy(update={"engine": Engine(kind="vllm")}).digest


@pytest.mark.parametrize("name", [*MODEL_FILES, "model.safetensors"])
def test_every_file_of_the_model_counts(folder: Path, name: str) -> None:
    before = load(folder).digest
    path = folder / "models" / "m" / name
    path.write_bytes(safetensors(b"\1" * 8) if name.endswith("safetensors") else path.read_bytes() + b" ")
    assert load(folder).digest != before


@pytest.mark.parametrize("name", ["adapter_model.safetensors", "adapter_config.json"])
def test_every_file_of_the_adapter_counts(folder: Path, name: str) -> None:
    before = load(folder).digest
    path = folder / "models" / "a" / name
    path.write_bytes(safetensors(b"\1" * 8) if name.endswith("safetensors") else b'{"r": 16}')
    assert load(folder).digest != before


def renamed(folder: Path) -> None:
    model = folder / "models" / "m"
    (model / "README.md").rename(model / "NOTES.md")


def added(folder: Path) -> None:
    (folder / "models" / "m" / "added_tokens.json").write_text("{}")


def removed(folder: Path) -> None:
    (folder / "models" / "m" / "chat_template.jinja").unlink()


def swapped_names(folder: Path) -> None:
    model = folder / "models" / "m"
    (model / "tokenizer.json").rename(model / "kept")
    (model / "tokenizer_config.json").rename(model / "tokenizer.json")
    (model / "kept").rename(model / "tokenizer_config.json")


@pytest.mark.parametrize("change", [renamed, added, removed, swapped_names])
def test_which_file_holds_what_counts(folder: Path, change: Callable[[Path], None]) -> None:
    before = load(folder).digest
    change(folder)
    assert load(folder).digest != before


def touched(folder: Path) -> Path:
    for path in (folder / "models").rglob("*"):
        os.utime(path, ns=(1, 1))
    return folder


def readable_by_all(folder: Path) -> Path:
    for path in (folder / "models" / "m").iterdir():
        path.chmod(0o777)
    return folder


def copied_elsewhere(folder: Path) -> Path:
    """Other inodes, in the opposite order, in another place."""
    place = folder / "far" / "away"
    for path in sorted((folder / "models").rglob("*"), reverse=True):
        if path.is_file():
            to = place / path.relative_to(folder)
            to.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, to)
    return place


@pytest.mark.parametrize("change", [touched, readable_by_all, copied_elsewhere])
def test_times_modes_places_and_order_of_files_do_not_count(folder: Path, change: Callable[[Path], Path]) -> None:
    before = load(folder).digest
    assert load(change(folder)).digest == before


def test_the_name_of_the_candidate_file_does_not_count(folder: Path) -> None:
    assert load(folder, file="candidates/x.yaml").digest == load(folder).digest


@pytest.mark.parametrize("name", sorted(CHANGES_OUTPUTS))
def test_an_argument_that_changes_outputs_cannot_hide_under_runtime(folder: Path, name: str) -> None:
    with pytest.raises(InputError, match=f"'{name}' changes outputs"):
        load(folder, but("engine", "runtime", name, value="x"))


@pytest.mark.parametrize("place", ["args", "runtime"])
@pytest.mark.parametrize("name", sorted(NAMES_A_FILE))
def test_an_argument_that_names_what_is_not_hashed_is_refused(folder: Path, name: str, place: str) -> None:
    with pytest.raises(InputError, match=f"'{name}' names what is not hashed"):
        load(folder, but("engine", place, name, value="x"))


@pytest.mark.parametrize("name", sorted(CHANGES_OUTPUTS_ENV))
def test_a_variable_that_changes_outputs_is_neither_taken_nor_inherited(
    folder: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(InputError, match=f"the variable {name} changes what is answered"):
        load(folder, but("engine", "runtime", "env", value={name: "0"}))
    monkeypatch.setenv(name, "somebody's shell")
    assert _environment({"A": "b"}).get(name) in (None, "1")
    assert _environment({"A": "b"})["A"] == "b"


# -- everything else that has a digest --------------------------------------------------------------------------------

RUBRIC = Rubric(id="r", version="1", criteria="Is it right?")
RUBRIC_CHANGES: dict[str, Any] = {
    "id": "s",
    "version": "2",
    "kind": "pairwise",
    "criteria": "Is it kind?",
    "scale": (1, 4),
    "labels": {1: "bad"},
    "pass_threshold": 0.75,
    "classes": {1: "full_refusal"},
    "needs_reference": False,
    "examples": [{"question": "q", "answer": "a", "score": 1}],
}
PROMPT = Prompt(id="a", messages=(Message(role="user", content="Hi"),))
PROMPT_CHANGES: dict[str, Any] = {
    "messages": [{"role": "user", "content": "Ho"}],
    "reference": "Hello",
    "rubric": "r",
    "checker": {"kind": "refusal"},
    "dimensions": {"tier": "hard"},
    "cluster": "c",
}
SET = PromptSet(kind=SetKind.GOLDEN, name="g", version="1", prompts=(PROMPT,))
SET_CHANGES: dict[str, Any] = {
    "kind": "adversarial",
    "name": "h",
    "version": "2",
    "canary": "x",
    "prompts": [{"id": "a", "messages": [{"role": "user", "content": "Ho"}]}],
    "criteria": ["r"],
}


@pytest.mark.parametrize(
    ("record", "changes", "apart"),
    [
        (RUBRIC, RUBRIC_CHANGES, frozenset()),
        (PROMPT, PROMPT_CHANGES, {"id", "source"}),
        (SET, SET_CHANGES, frozenset()),
    ],
)
def test_every_field_of_a_set_and_of_a_rubric_counts(record: Record, changes: dict[str, Any], apart: set[str]) -> None:
    assert set(changes) == set(type(record).model_fields) - apart, "a new field must be put on one side"
    written = record.model_dump(mode="json")
    digests = {type(record).model_validate({**written, key: value}).digest for key, value in changes.items()}
    assert len(digests | {record.digest}) == len(changes) + 1
    for key in apart:
        assert type(record).model_validate({**written, key: "other"}).digest == record.digest


def test_the_order_of_a_sets_prompts_does_not_count() -> None:
    prompts = [PROMPT, Prompt(id="b", messages=(Message(role="user", content="Ho"),))]
    one, other = (SET.model_copy(update={"prompts": tuple(order)}) for order in (prompts, prompts[::-1]))
    assert one.digest == other.digest != SET.digest


@pytest.mark.parametrize("record", [Policy, Check, PromotionRules, Plan, Evidence, Decision, Manifest, RouterManifest])
def test_the_digest_of_every_other_record_covers_all_of_its_fields(record: type[Record]) -> None:
    """They are hashed as they are written, and nothing of them is left out in writing."""
    assert record.__dict__.get("digest") is None, "it has a digest of its own: put it into the table above"
    assert not [name for name, field in record.model_fields.items() if field.exclude]


POLICY = Policy.model_validate(
    {
        "name": "p",
        "version": "1",
        "alpha": 0.05,
        "primary": "floor",
        "checks": [{"id": "floor", "metric": "pass_rate", "test": "floor", "threshold": 0.8}],
    }
)
RULES = {
    "roles": {"submitter": ["sam"], "ml-owner": ["alice"]},
    "stages": {"production": {"signatures": {"ml-owner": 1}, "after": "canary"}},
}
POLICY_CHANGES: list[dict[str, Any]] = [
    {"name": "q"},
    {"version": "2"},
    {"alpha": 0.04},
    {"description": "x"},
    {"on_inconclusive": "hold"},
    {"max_unscored": 0.02},
    {"joint_power": 0.9},
    {"require_plan": True},
    {"labels_per_arm": 3},
    {"attempts": "spend"},
    {"checks": [{"id": "floor", "metric": "pass_rate", "test": "floor", "threshold": 0.79}]},
    {"checks": [{"id": "floor", "metric": "pass_rate", "test": "floor", "threshold": 0.8, "owner": "alice"}]},
    {"checks": [{"id": "floor", "metric": "pass_rate", "test": "floor", "threshold": 0.8, "waivable": False}]},
    {"promotion": RULES},
    {"promotion": {**RULES, "max_age_h": 1}},
    {"promotion": {**RULES, "approval_h": 1}},
    {"promotion": {**RULES, "waiver_h": 1}},
    {"promotion": {**RULES, "roles": {"submitter": ["sam"], "ml-owner": ["alice", "bob"]}}},
    {"promotion": {**RULES, "stages": {"production": {"signatures": {"ml-owner": 1}}}}},
]


def test_whatever_a_policy_says_counts_and_the_order_of_its_keys_does_not() -> None:
    written = POLICY.to_json()
    digests = {Policy.model_validate({**written, **change}).digest for change in POLICY_CHANGES}
    assert len(digests | {POLICY.digest}) == len(POLICY_CHANGES) + 1
    assert Policy.model_validate(dict(reversed(list(written.items())))).digest == POLICY.digest
