"""The judge: a served model together with the template it is asked with and the way its output is read."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path

from pydantic import Field, field_validator, model_validator

from evalharness.candidate import Candidate
from evalharness.candidate_files import CandidateFile, build_candidate
from evalharness.judging.parsing import DEFAULT_PREFIX
from evalharness.judging.prompting import DEFAULT_TEMPLATE, check_template, judge_message, special_tokens_of
from evalharness.judging.rubric import Rubric, load_rubric
from golden_sets.digests import Digest, digest_json
from golden_sets.errors import InputError
from golden_sets.records import Prompt, Record
from golden_sets.yaml_files import YamlDocument, read_yaml


class Parse(Record):
    """How the judge's output is read."""

    score_prefix: str = Field(default=DEFAULT_PREFIX, pattern=r"\S")
    """What stands before the score; the last occurrence counts."""


class JudgeFile(CandidateFile):
    """A judge as it is written down: a candidate file with more keys."""

    template: str = DEFAULT_TEMPLATE
    """The user message, with ``{criteria} {scale} {examples} {question} {reference}`` and ``[[{answer}]]``."""
    rubrics: tuple[str, ...] = Field(min_length=1)
    """Rubric files, relative to this file and below its directory."""
    parse: Parse = Parse()
    """How the output is read."""
    max_answer_chars: int = Field(default=16_000, ge=100)
    """Longer answers are cut in the middle before they are judged."""
    max_retries: int = Field(default=2, ge=0, le=10)
    """How often an output that cannot be parsed is asked for again."""

    @field_validator("template")
    @classmethod
    def _template(cls, value: str) -> str:
        return check_template(value)


class Judge(Record):
    """A judge, ready to be asked. Identity: manifest, template, parsing, length cap; rubrics count for themselves."""

    candidate: Candidate
    """The model behind it, served like any candidate."""
    template: str
    """The user message, see `prompting`."""
    parse: Parse = Parse()
    """How the output is read."""
    rubrics: tuple[Rubric, ...] = Field(min_length=1)
    """The rubrics it can apply."""
    max_answer_chars: int = Field(default=16_000, ge=100)
    """Longer answers are cut in the middle."""
    max_retries: int = Field(default=2, ge=0, le=10)
    """Further attempts after an output that cannot be parsed."""
    special_tokens: tuple[str, ...] = ()
    """Control tokens of its tokenizer; they follow from the manifest."""

    @field_validator("template")
    @classmethod
    def _template(cls, value: str) -> str:
        return check_template(value)

    @model_validator(mode="after")
    def _distinct_rubrics(self) -> Judge:
        ids = [rubric.id for rubric in self.rubrics]
        for rubric_id in ids:
            if ids.count(rubric_id) > 1:
                raise ValueError(f"two rubrics have the id '{rubric_id}'")
        return self

    @cached_property
    def digest(self) -> Digest:
        """Digest over everything but the rubrics that changes a verdict."""
        return digest_json(
            {
                "manifest": self.candidate.manifest.to_json(),
                "template": self.template,
                "parse": self.parse.to_json(),
                "max_answer_chars": self.max_answer_chars,
            }
        )

    @property
    def name(self) -> str:
        """Name of the model behind it."""
        return self.candidate.name

    def rubric(self, rubric_id: str) -> Rubric:
        """The rubric with this id.

        Raises:
            InputError: the judge has none.
        """
        for rubric in self.rubrics:
            if rubric.id == rubric_id:
                return rubric
        raise InputError(
            f"judge '{self.name}' has no rubric '{rubric_id}', only {', '.join(r.id for r in self.rubrics)}",
            do="add its file under 'rubrics' in the judge file, or name another rubric in the set's card",
        )

    def message(self, rubric: Rubric, prompt: Prompt, answer: str) -> str:
        """The user message that asks for a verdict on one answer."""
        return judge_message(
            self.template,
            rubric,
            messages=prompt.messages,
            reference=prompt.reference,
            answer=answer,
            special_tokens=self.special_tokens,
            max_answer_chars=self.max_answer_chars,
        )


def load_judge(path: Path, *, cache_dir: Path | None = None) -> Judge:
    """Load a judge file, its rubrics and its model's digests.

    Args:
        path: the YAML file.
        cache_dir: where the digests of model files are remembered between runs.

    Raises:
        InputError: a bad file (names the line), a rubric that is missing, doubled or outside the judge file's
            directory, a missing or unfit model directory.
        InfrastructureError: a file cannot be read.
    """
    document = read_yaml(path)
    file = document.record(JudgeFile)
    rubrics = _load_rubrics(file, document)
    candidate = build_candidate(file, path, cache_dir=cache_dir)
    return Judge(
        candidate=candidate,
        template=file.template,
        parse=file.parse,
        rubrics=rubrics,
        max_answer_chars=file.max_answer_chars,
        max_retries=file.max_retries,
        special_tokens=special_tokens_of(candidate.directory),
    )


def _load_rubrics(file: JudgeFile, document: YamlDocument) -> tuple[Rubric, ...]:
    base = document.path.parent.resolve()
    found: dict[str, str] = {}
    rubrics = []
    for index, name in enumerate(file.rubrics):
        where = document.where("rubrics", index)
        target = (base / name).resolve()
        if not target.is_relative_to(base):
            raise InputError(
                f"rubric '{name}' lies outside the judge file's directory", where=where, do="move the rubric below it"
            )
        rubric = load_rubric(target)
        if rubric.id in found:
            raise InputError(
                f"'{name}' has the rubric id '{rubric.id}' of '{found[rubric.id]}'", where=where, do="give each its own"
            )
        found[rubric.id] = name
        rubrics.append(rubric)
    return tuple(rubrics)
