"""Ask a judge questions: never twice the same one, never dropping one. Pointwise and pairwise judging share it.

Retries. A request that fails is sent again as for any generation. An output that cannot be parsed is asked for again
with another seed and at least `RETRY_TEMPERATURE`, because a greedy judge would only repeat itself; what is still
unparsed then is unscored for good. A judgment whose *request* failed is stored as an error, and a later run asks again.

A server that declines log-probabilities or a key that holds the judge to a form is asked without, and is not asked for
it again as long as it is served.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from evalharness.engines.client import ChatClient, ChatRequest, RawCompletion
from evalharness.engines.retrying import GenerationSettings, RetryingClient
from evalharness.engines.served import ServedModel
from evalharness.engines.watching import ServerWatch
from evalharness.engines.wire import request_seed
from evalharness.engines.workers import run_workers
from evalharness.generation import Progress
from evalharness.generation_records import ErrorKind, Judgment, ParseStatus
from evalharness.judging.judge import Judge
from evalharness.judging.parsing import Reading, Scale
from evalharness.judging.rubric import Rubric
from evalharness.judging.structured import Form, constraints, is_about_form, read_output, wanted_form
from evalharness.samples import SampleStore, SampleWriter
from golden_sets.digests import Digest

RETRY_TEMPERATURE = 0.7
"""Least temperature of the attempts after an output that could not be parsed."""
_RETRY_SEEDS_APART = 10_000
_LOGPROBS = "logprobs"
_ERROR = Reading(None, ParseStatus.ERROR)

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


async def ask_judge(
    questions: Iterable[Question],
    judge: Judge,
    rubric: Rubric,
    served: ServedModel,
    store: SampleStore,
    *,
    repeat: int = 0,
    settings: GenerationSettings | None = None,
    writer: SampleWriter | None = None,
    progress: Progress | None = None,
) -> dict[Key, Judgment]:
    """A judgment for every question: from the store where it has one, else from the judge and into the store.

    Args:
        questions: what to ask, the same numbers being allowed in all; equal keys are one question.
        judge: sampling parameters, form, retries.
        rubric: one of the judge's rubrics.
        served: where the judge is served.
        store: the sample store.
        repeat: 0, 1, ...: repeated judgments of the same things, with another seed each.
        settings: concurrency, timeouts, retries of failed requests.
        writer: an open writer to share; by default one is opened for this call.
        progress: told about every finished judgment: (judgments there, judgments wanted).

    Raises:
        InfrastructureError: the judge's server died or fails every request, or the store cannot be written. What was
            finished is stored; a later call goes on from there.
    """
    settings = settings or GenerationSettings()
    wanted = {question.key: question for question in questions}
    done = _finished(store, judge.digest_for(rubric), rubric.digest, wanted, repeat)
    jobs = [question for key, question in wanted.items() if key not in done]
    if progress is not None:
        progress(len(done), len(wanted))
    if jobs:
        async with (
            store.writing(writer) as sink,
            ChatClient(timeout_s=settings.timeout_s, api_key=served.api_key) as client,
        ):
            asker = _Asker(judge, rubric, jobs[0].scale, served, RetryingClient(client, served, settings), repeat)
            watch = ServerWatch(served, concurrency=settings.concurrency, count_client_errors=True)
            queue = iter(jobs)

            async def work() -> None:
                for question in queue:
                    judgment, failure = await asker.ask(question)
                    sink.put(judgment)
                    done[question.key] = judgment
                    if progress is not None:
                        progress(len(done), len(wanted))
                    await watch.note(*((None, None) if failure is None else (failure.error, failure.error_detail)))

            await run_workers(min(settings.concurrency, len(jobs)), work)
    return done


def _finished(
    store: SampleStore, judge_digest: Digest, rubric_digest: Digest, wanted: Iterable[Key], repeat: int
) -> dict[Key, Judgment]:
    keys = set(wanted)
    stored = store.judgments(judge_digest, rubric_digest, {digest for digest, _ in keys}, repeats=repeat + 1)
    return {
        (digest, order): judgment
        for (digest, order, number), judgment in stored.items()
        if (digest, order) in keys and number == repeat and judgment.parse_status is not ParseStatus.ERROR
    }


class _Asker:
    """Asks one question until the output can be read, the attempts are used up, or the request fails."""

    def __init__(
        self, judge: Judge, rubric: Rubric, scale: Scale, served: ServedModel, client: RetryingClient, repeat: int
    ) -> None:
        self._judge = judge
        self._judge_digest, self._rubric_digest = judge.digest_for(rubric), rubric.digest
        self._served = served
        self._client = client
        self._repeat = repeat
        manifest = judge.candidate.manifest
        self._sampling = manifest.sampling
        self._system = [("system", manifest.system_prompt)] if manifest.system_prompt else []
        self._alternatives = scale.alternatives
        self._form = wanted_form(judge.output_for(rubric.kind))
        self._constraints = constraints(
            self._form, scale, engine_version=served.engine_version, max_tokens=self._sampling.max_tokens
        )

    async def ask(self, question: Question) -> tuple[Judgment, RawCompletion | None]:
        """The judgment, and the reply that failed, where one did."""
        requests, first = 0, ""
        for attempt in range(self._judge.max_retries + 1):
            raw, form, sent = await self._complete(question, attempt)
            requests += sent
            if raw.error is not None:
                return self._judgment(question, _ERROR, f"{raw.error.value}: {raw.error_detail}", requests), raw
            reading = read_output(raw.text, form, question.scale, tokens=raw.logprobs, finish_reason=raw.finish_reason)
            first = raw.text if attempt == 0 else first
            if reading.score is not None:
                return self._judgment(question, reading, raw.text, requests), None
        return self._judgment(question, reading, first, requests), None

    async def _complete(self, question: Question, attempt: int) -> tuple[RawCompletion, Form, int]:
        """Ask, and again without what the server says it does not take: the reply, its form, the requests made."""
        declined, sent = set(self._served.declined), 0
        while True:
            key = next((key for key in self._constraints if key not in declined), None)
            form = Form.TEXT if key is None else self._form
            raw, made = await self._client.complete(self._request(question, attempt, form, key, declined))
            sent += made
            culprit = self._culprit(raw, key, declined)
            if culprit is None:
                if raw.error is None:  # an error that persists without a key says nothing about the key
                    self._served.declined.update(declined)
                return raw, form, sent
            declined.add(culprit)

    def _culprit(self, raw: RawCompletion, key: str | None, declined: set[str]) -> str | None:
        """What of the request a client error may be about."""
        if raw.error is not ErrorKind.HTTP_4XX:
            return None
        detail = raw.error_detail or ""
        if self._alternatives is not None and _LOGPROBS not in declined and "logprob" in detail.lower():
            return _LOGPROBS
        return key if is_about_form(detail) else None

    def _request(
        self, question: Question, attempt: int, form: Form, key: str | None, declined: set[str]
    ) -> ChatRequest:
        sampling, seed = self._sampling, request_seed(self._sampling, self._repeat)
        if attempt > 0:
            sampling = sampling.model_copy(update={"temperature": max(sampling.temperature, RETRY_TEMPERATURE)})
            seed = (seed or 0) + attempt * _RETRY_SEEDS_APART
        return ChatRequest(
            self._served.model_id,
            [*self._system, ("user", question.message(form))],
            sampling,
            seed=seed,
            stream=False,
            top_logprobs=None if _LOGPROBS in declined else self._alternatives,
            extra={} if key is None else {key: self._constraints[key]},
        )

    def _judgment(self, question: Question, reading: Reading, rationale: str, attempts: int) -> Judgment:
        input_digest, order = question.key
        return Judgment(
            judge_digest=self._judge_digest,
            rubric_digest=self._rubric_digest,
            input_digest=input_digest,
            order=order,
            repeat=self._repeat,
            score=reading.score,
            label=None if reading.score is None else question.label(reading),
            rationale=rationale,
            parse_status=reading.status,
            attempts=attempts,
        )
