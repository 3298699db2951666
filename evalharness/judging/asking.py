"""Ask a judge questions: never twice the same one, never dropping one. Pointwise and pairwise judging share it.

Retries. A request that fails is sent again as for any generation. An output that cannot be parsed is asked for again
with another seed and at least `requesting.RETRY_TEMPERATURE`, because a greedy judge would only repeat itself; what is
still unparsed then is unscored for good. A judgment whose *request* failed is stored as an error, and a later run asks
again.
"""

from __future__ import annotations

from collections.abc import Iterable

from evalharness.engines.client import ChatClient, RawCompletion
from evalharness.engines.retrying import GenerationSettings, RetryingClient
from evalharness.engines.served import ServedModel
from evalharness.engines.watching import ServerWatch
from evalharness.engines.workers import run_workers
from evalharness.generation import Progress
from evalharness.generation_records import Judgment, ParseStatus
from evalharness.judging.judge import Judge
from evalharness.judging.parsing import Reading, Scale
from evalharness.judging.requesting import JudgeRequests, Key, Question
from evalharness.judging.rubric import Rubric
from evalharness.judging.structured import Form, read_output
from evalharness.samples import SampleStore, SampleWriter
from golden_sets.digests import Digest

_ERROR = Reading(None, ParseStatus.ERROR)


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
        self._judge_digest, self._rubric_digest = judge.digest_for(rubric), rubric.digest
        self._attempts = judge.max_retries + 1
        self._requests = JudgeRequests(judge, rubric, scale, served, repeat)
        self._served = served
        self._client = client
        self._repeat = repeat

    async def ask(self, question: Question) -> tuple[Judgment, RawCompletion | None]:
        """The judgment, and the reply that failed, where one did."""
        requests, first = 0, ""
        for attempt in range(self._attempts):
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
            request, form = self._requests.request(question, attempt, declined)
            raw, made = await self._client.complete(request)
            sent += made
            unwanted = self._requests.to_leave_out(raw, declined)
            if unwanted is None:
                if raw.error is None:  # an error that persists without a key says nothing about the key
                    self._served.declined.update(declined)
                return raw, form, sent
            declined.add(unwanted)

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
