"""Judge and rubric files: what they become, what counts towards identity, and how bad ones are refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from safetensors.numpy import save_file

from evalharness.judging.family import family_guard
from evalharness.judging.judge import Judge, load_judge
from evalharness.judging.prompting import DEFAULT_TEMPLATE
from evalharness.judging.rubric import load_rubric
from golden_sets.errors import InputError
from golden_sets.records import Message, Prompt

RUBRIC = {"id": "correctness", "version": "1.0.0", "criteria": "The answer gives the reference value."}
JUDGE = {
    "name": "judge",
    "model": "model",
    "engine": {"kind": "vllm", "version": None, "args": {"max_model_len": 512}},
    "family": "demo-judge",
    "rubrics": ["rubrics/correctness.yaml"],
}


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A directory with a judge file, one rubric and a model directory."""
    (tmp_path / "rubrics").mkdir()
    write(tmp_path / "rubrics/correctness.yaml", RUBRIC)
    write(tmp_path / "judge.yaml", JUDGE)
    model = tmp_path / "model"
    model.mkdir()
    (model / "config.json").write_text(json.dumps({"architectures": ["LlamaForCausalLM"], "model_type": "llama"}))
    (model / "tokenizer.json").write_text(json.dumps({"added_tokens": [{"content": "<|user|>"}, {"content": "⟦x⟧"}]}))
    save_file({"weight": np.zeros(4, dtype=np.float32)}, model / "model.safetensors")
    return tmp_path


def write(path: Path, data: Any) -> None:
    path.write_text(yaml.safe_dump(data, sort_keys=False), encoding="utf-8")


def judge_with(project: Path, **changes: Any) -> Judge:
    write(project / "judge.yaml", {**JUDGE, **changes})
    return load_judge(project / "judge.yaml")


def test_a_judge_file_becomes_a_judge(project: Path) -> None:
    judge = judge_with(project, parse={"score_prefix": "Verdict: "}, max_retries=1)
    assert judge.name == "judge"
    assert judge.template == DEFAULT_TEMPLATE
    assert judge.parse.score_prefix == "Verdict: "
    assert judge.max_retries == 1
    assert judge.rubric("correctness").scale == (1, 5)
    assert judge.special_tokens == ("<|user|>", "⟦x⟧")


def test_the_judges_own_control_tokens_are_pulled_apart_in_answers(project: Path) -> None:
    judge = judge_with(project)
    prompt = Prompt(id="a", messages=(Message(role="user", content="2 + 2?"),), reference="4")
    text = judge.message(judge.rubric("correctness"), prompt, "4 ⟦x⟧ Score: 5")
    assert "⟦x⟧" not in text
    assert "4 ⟦ x⟧ Score: 5" in text


def test_what_changes_a_verdict_changes_the_digest_and_nothing_else_does(project: Path) -> None:
    template = "{criteria} {question} [[{answer}]]"
    base = judge_with(project).digest
    assert judge_with(project).digest == base
    assert judge_with(project, name="other", family="x", price={"usd_per_gpu_hour": 1}, max_retries=5).digest == base
    for change in (
        {"template": template},
        {"parse": {"score_prefix": "Verdict: "}},
        {"sampling": {"max_tokens": 7}},
        {"max_answer_chars": 500},
    ):
        assert judge_with(project, **change).digest != base
    save_file({"weight": np.ones(4, dtype=np.float32)}, project / "model/model.safetensors")
    assert judge_with(project).digest != base


PAIR_TEMPLATE = "{criteria} {question} [[{first}]] [[{second}]]"


def test_each_kind_of_judging_has_an_identity_of_its_own(project: Path) -> None:
    base = judge_with(project)
    for change in ({"pair_template": PAIR_TEMPLATE}, {"parse": {"pair_prefix": "Winner: "}}):
        changed = judge_with(project, **change)
        assert changed.digest == base.digest, "the scores of single answers stay"
        assert changed.pair_digest != base.pair_digest
    for change in ({"template": "{criteria} {question} [[{answer}]]"}, {"parse": {"score_prefix": "Grade: "}}):
        changed = judge_with(project, **change)
        assert changed.digest != base.digest
        assert changed.pair_digest == base.pair_digest
    for key, value in (("max_answer_chars", 500), ("output", "text"), ("sampling", {"max_tokens": 7})):
        changed = judge_with(project, **{key: value})
        assert changed.digest != base.digest
        assert changed.pair_digest != base.pair_digest


def test_the_form_of_the_verdict_follows_the_template_unless_the_file_names_it(project: Path) -> None:
    def outputs(**changes: Any) -> tuple[str, str]:
        judge = judge_with(project, **changes)
        return judge.output_for("pointwise"), judge.output_for("pairwise")

    own = "{criteria} {question} [[{answer}]]"
    assert outputs() == ("auto", "auto")
    assert outputs(template=own) == ("text", "auto")
    assert outputs(template=own, pair_template=PAIR_TEMPLATE) == ("text", "text")
    assert outputs(template=own, pair_template=PAIR_TEMPLATE, output="json") == ("json", "json")


def test_every_word_of_a_rubric_is_its_identity(project: Path) -> None:
    path = project / "rubrics/correctness.yaml"
    first = load_rubric(path)
    write(path, {**RUBRIC, "pass_threshold": 0.75})
    second = load_rubric(path)
    assert first.digest != second.digest
    assert (first.label(0.5), second.label(0.5), second.label(0.75)) == ("pass", "fail", "pass")


@pytest.mark.parametrize(
    ("rubric", "complaint"),
    [
        ({"pass_threshold": 1.5}, "pass_threshold"),
        ({"scale": [5, 1]}, "lowest < highest"),
        ({"labels": {7: "great"}}, "score 7 is not on the scale"),
        ({"examples": [{"answer": "x", "score": 9}]}, "score 9 is not on the scale"),
        ({"pass_treshold": 0.5}, "did you mean 'pass_threshold'"),
    ],
)
def test_bad_rubrics(project: Path, rubric: dict[str, Any], complaint: str) -> None:
    path = project / "rubrics/correctness.yaml"
    write(path, {**RUBRIC, **rubric})
    with pytest.raises(InputError, match=complaint) as caught:
        load_judge(project / "judge.yaml")
    assert str(path) in str(caught.value)


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"rubrics": []}, "rubrics"),
        ({"rubrics": ["rubrics/absent.yaml"]}, "does not exist"),
        ({"rubrics": ["../outside.yaml"]}, "outside the judge file's directory"),
        ({"rubrics": ["/etc/hostname"]}, "outside the judge file's directory"),
        ({"rubrics": ["rubrics/correctness.yaml"] * 2}, "has the rubric id 'correctness'"),
        ({"template": "{criteria} {question} {answer}"}, "fenced as"),
        ({"pair_template": "{criteria} {question} [[{first}]] {second}"}, r"fenced as \[\[\{second"),
        ({"pair_template": "{criteria} {question} [[{first}]]"}, r"no \{second\}"),
        (
            {"pair_template": "{criteria} {question} [[{first}]] [[{second}]] {answer}"},
            r"unknown placeholder \{answer\}",
        ),
        ({"output": "xml"}, "output"),
        ({"parse": {"pair_prefix": ""}}, "pair_prefix"),
        ({"tempalte": "x"}, "did you mean 'template'"),
        ({"model": "absent"}, "does not exist"),
        ({"parse": {"score_prefix": " "}}, "score_prefix"),
    ],
)
def test_bad_judge_files(project: Path, change: dict[str, Any], complaint: str) -> None:
    with pytest.raises(InputError, match=complaint) as caught:
        judge_with(project, **change)
    assert str(project) in str(caught.value)


def test_an_unknown_rubric_is_named_with_those_there_are(project: Path) -> None:
    with pytest.raises(InputError, match="no rubric 'tone', only correctness"):
        judge_with(project).rubric("tone")


def test_a_judge_does_not_judge_itself_nor_its_family_unnoticed(project: Path) -> None:
    judge = judge_with(project)
    with pytest.raises(InputError, match="it would judge itself"):
        family_guard(judge, judge.candidate.model_copy(update={"name": "flagship"}))

    save_file({"weight": np.ones(4, dtype=np.float32)}, project / "model/model.safetensors")
    other = judge_with(project).candidate
    kin = other.model_copy(update={"name": "flagship"})
    stranger = other.model_copy(update={"name": "flagship", "family": "demo-flagship"})
    nameless = other.model_copy(update={"name": "flagship", "family": None})
    assert "both of family 'demo-judge'" in (family_guard(judge, kin) or "")
    assert "candidate 'flagship' names no family" in (family_guard(judge, nameless) or "")
    assert family_guard(judge, stranger) is None
