"""What is sent to a judge: sampling, the seed of each attempt, the form of the verdict, log-probabilities.

A server that declines log-probabilities or a key that holds the judge to a form is asked without, and is not asked for
it again as long as it is served.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass

from evalharness.engines.client import ChatRequest, RawCompletion
from evalharness.engines.served import ServedModel
from evalharness.engines.wire import request_seed
from evalharness.generation_records import ErrorKind
from evalharness.judging.judge import Judge
from evalharness.judging.parsing import Reading, Scale
from evalharness.judging.rubric import Rubric
from evalharness.judging.structured import Form, constraints, is_about_form, wanted_form
from golden_sets.digests import Digest

RETRY_TEMPERATURE = 0.7
"""Least temperature of the attempts after an output that could not be parsed."""
_RETRY_SEEDS_APART = 10_000
_LOGPROBS = "logprobs"

Key = tuple[Digest, int]
"""Input digest and order."""


@dataclass(frozen=True, slots=True)
class Question:
    """One thing to ask a judge."""

    key: Key
    """What it is about, and in which order it is shown."""
    scale: Scale
    """What the judge may say."""
    message: Callable[[Form], str]
    """The user message, by the form in which the verdict is asked for."""
    label: Callable[[Reading], str]
    """What a verdict that could be read amounts to."""


class JudgeRequests:
    """Makes the requests for questions that allow the same numbers.

    Args:
        judge: sampling parameters and form.
        rubric: one of the judge's rubrics.
        scale: the numbers that the judge may say.
        served: where the judge is served, and what that server declines.
        repeat: 0, 1, ...: with another seed each.
    """

    def __init__(self, judge: Judge, rubric: Rubric, scale: Scale, served: ServedModel, repeat: int) -> None:
        manifest = judge.candidate.manifest
        self._served = served
        self._sampling = manifest.sampling
        self._seed = request_seed(manifest.sampling, repeat)
        self._system = [("system", manifest.system_prompt)] if manifest.system_prompt else []
        self._alternatives = scale.alternatives
        self._form = wanted_form(judge.output_for(rubric.kind))
        self._constraints = constraints(
            self._form, scale, engine_version=served.engine_version, max_tokens=self._sampling.max_tokens
        )

    def request(self, question: Question, attempt: int, declined: Collection[str]) -> tuple[ChatRequest, Form]:
        """The request of an attempt, without what the server declines, and the form that it asks for."""
        key = self._key(declined)
        form = Form.TEXT if key is None else self._form
        sampling, seed = self._sampling, self._seed
        if attempt > 0:
            sampling = sampling.model_copy(update={"temperature": max(sampling.temperature, RETRY_TEMPERATURE)})
            seed = (seed or 0) + attempt * _RETRY_SEEDS_APART
        request = ChatRequest(
            self._served.model_id,
            [*self._system, ("user", question.message(form))],
            sampling,
            seed=seed,
            stream=False,
            top_logprobs=None if _LOGPROBS in declined else self._alternatives,
            extra={} if key is None else {key: self._constraints[key]},
        )
        return request, form

    def to_leave_out(self, raw: RawCompletion, declined: Collection[str]) -> str | None:
        """What of a request a client error may be about; None where there was no such error."""
        if raw.error is not ErrorKind.HTTP_4XX:
            return None
        detail = raw.error_detail or ""
        if self._alternatives is not None and _LOGPROBS not in declined and "logprob" in detail.lower():
            return _LOGPROBS
        return self._key(declined) if is_about_form(detail) else None

    def _key(self, declined: Collection[str]) -> str | None:
        return next((key for key in self._constraints if key not in declined), None)
