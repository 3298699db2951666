"""The judge: a served model together with the template it is asked with and the way its output is read."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path
from typing import Literal

from pydantic import Field, field_validator, model_validator

from evalharness.candidate import Candidate
from evalharness.candidate_files import CandidateFile, build_candidate
from evalharness.judging.pair_prompting import DEFAULT_PAIR_TEMPLATE, check_pair_template, pair_message
from evalharness.judging.parsing import DEFAULT_PAIR_PREFIX, DEFAULT_PREFIX, Scale, pair_scale, score_scale
from evalharness.judging.prompting import DEFAULT_TEMPLATE, check_template, judge_message, special_tokens_of
from evalharness.judging.rubric import Rubric, load_rubric
from evalharness.judging.structured import Form, Output, instruction
from golden_sets.digests import Digest, digest_json
from golden_sets.errors import InputError
from golden_sets.records import Prompt, Record
from golden_sets.yaml_files import YamlDocument, read_yaml

Kind = Literal["pointwise", "pairwise"]


class Parse(Record):
    """How the judge's output is read."""

    score_prefix: str = Field(default=DEFAULT_PREFIX, pattern=r"\S")
    """What stands before the score; the last occurrence counts."""
    pair_prefix: str = Field(default=DEFAULT_PAIR_PREFIX, pattern=r"\S")
    """What stands before the verdict on two answers: 1, 2, or 0 for a tie."""


class _Asking(Record):
    """What a judge file and a judge say alike about the way of asking."""

    template: str = DEFAULT_TEMPLATE
    """The user message about one answer, with ``{criteria} {scale} {examples} {question} {reference} {format}`` and
    ``[[{answer}]]``."""
    pair_template: str = DEFAULT_PAIR_TEMPLATE
    """The user message about two answers, with ``{criteria} {question} {reference} {format}``, ``[[{first}]]`` and
    ``[[{second}]]``."""
    output: Output | None = None
    """The form of the verdict. By default ``text`` where the template is the judge's own, which says what to write, and
    ``auto`` where it is relgate's."""
    parse: Parse = Parse()
    """How text is read."""
    max_answer_chars: int = Field(default=16_000, ge=100)
    """Longer answers are cut in the middle before they are judged."""
    max_retries: int = Field(default=2, ge=0, le=10)
    """How often an output that cannot be parsed is asked for again."""

    @field_validator("template")
    @classmethod
    def _template(cls, value: str) -> str:
        return check_template(value)

    @field_validator("pair_template")
    @classmethod
    def _pair_template(cls, value: str) -> str:
        return check_pair_template(value)


class JudgeFile(CandidateFile, _Asking):
    """A judge as it is written down: a candidate file with more keys."""

    rubrics: tuple[str, ...] = Field(min_length=1)
    """Rubric files, relative to this file and below its directory."""


class Judge(_Asking):
    """A judge, ready to be asked.

    It has an identity for each kind of judging, pointwise and pairwise: manifest, form, length cap, and the template
    and prefix of that kind. So a new template for pairs leaves the scores of single answers as they are. Rubrics count
    for themselves.
    """

    candidate: Candidate
    """The model behind it, served like any candidate."""
    rubrics: tuple[Rubric, ...] = Field(min_length=1)
    """The rubrics it can apply."""
    special_tokens: tuple[str, ...] = ()
    """Control tokens of its tokenizer; they follow from the manifest."""

    @model_validator(mode="after")
    def _distinct_rubrics(self) -> Judge:
        ids = [rubric.id for rubric in self.rubrics]
        for rubric_id in ids:
            if ids.count(rubric_id) > 1:
                raise ValueError(f"two rubrics have the id '{rubric_id}'")
        return self

    @cached_property
    def digest(self) -> Digest:
        """Digest over everything but the rubrics that changes a verdict on one answer."""
        return self._digest("pointwise", self.template, {"score_prefix": self.parse.score_prefix})

    @cached_property
    def pair_digest(self) -> Digest:
        """Digest over everything but the rubrics that changes a verdict on two answers."""
        return self._digest("pairwise", self.pair_template, {"pair_prefix": self.parse.pair_prefix})

    def digest_for(self, rubric: Rubric) -> Digest:
        """Digest under which judgments by this rubric are stored."""
        return self.pair_digest if rubric.kind == "pairwise" else self.digest

    def output_for(self, kind: Kind) -> Output:
        """The form that is asked for in a kind of judging."""
        own = self.pair_template != DEFAULT_PAIR_TEMPLATE if kind == "pairwise" else self.template != DEFAULT_TEMPLATE
        return self.output or ("text" if own else "auto")

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

    @cached_property
    def pair_scales(self) -> tuple[Scale, Scale]:
        """What it may say of two answers, by order: the candidate's shown first, shown second."""
        prefix = self.parse.pair_prefix
        return pair_scale(prefix), pair_scale(prefix, swapped=True)

    def score_scale(self, rubric: Rubric) -> Scale:
        """What it may say of one answer."""
        return score_scale(rubric, self.parse.score_prefix)

    def message(self, rubric: Rubric, prompt: Prompt, answer: str, form: Form = Form.TEXT) -> str:
        """The user message that asks for a verdict on one answer."""
        return judge_message(
            self.template,
            rubric,
            messages=prompt.messages,
            reference=prompt.reference,
            answer=answer,
            verdict_format=instruction(form, self.score_scale(rubric)),
            special_tokens=self.special_tokens,
            max_answer_chars=self.max_answer_chars,
        )

    def pair_message(self, rubric: Rubric, prompt: Prompt, first: str, second: str, form: Form = Form.TEXT) -> str:
        """The user message that asks which of two answers is better."""
        return pair_message(
            self.pair_template,
            rubric,
            messages=prompt.messages,
            reference=prompt.reference,
            first=first,
            second=second,
            verdict_format=instruction(form, self.pair_scales[0]),
            special_tokens=self.special_tokens,
            max_answer_chars=self.max_answer_chars,
        )

    def _digest(self, kind: Kind, template: str, parse: dict[str, str]) -> Digest:
        output = self.output_for(kind)
        return digest_json(
            {
                "manifest": self.candidate.manifest.to_json(),
                "template": template,
                "parse": parse,
                "max_answer_chars": self.max_answer_chars,
                **({} if output == "text" else {"output": output}),
            }
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
        rubrics=rubrics,
        special_tokens=special_tokens_of(candidate.directory),
        **{name: getattr(file, name) for name in _Asking.model_fields},
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
