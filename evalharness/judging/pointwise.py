"""Ask the judge about answers one by one: never twice about the same thing, never dropping one.

Retries. A request that fails is sent again as for any generation. An output that cannot be parsed is asked for again
with another seed and at least `RETRY_TEMPERATURE`, because a greedy judge would only repeat itself; what is still
unparsed then is unscored for good. A judgment whose *request* failed is stored as an error, and a later run asks again.

An answer that is empty is judged like any other: the judge sees an empty fence.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from evalharness.engines.client import ChatClient, ChatRequest, RawCompletion
from evalharness.engines.retrying import GenerationSettings, RetryingClient
from evalharness.engines.served import ServedModel
from evalharness.engines.watching import ServerWatch
from evalharness.engines.wire import request_seed
from evalharness.engines.workers import run_workers
from evalharness.generation import Progress
from evalharness.generation_records import ErrorKind, Judgment, ParseStatus
from evalharness.judging.judge import Judge
from evalharness.judging.parsing import Reading, logprobs_wanted, read_score
from evalharness.judging.rubric import Rubric
from evalharness.samples import SampleStore, SampleWriter
from golden_sets.digests import Digest, digest_json
from golden_sets.records import Prompt

RETRY_TEMPERATURE = 0.7
"""Least temperature of the attempts after an output that could not be parsed."""
_RETRY_SEEDS_APART = 10_000


@dataclass(frozen=True, slots=True)
class JudgeItem:
    """One answer to be judged."""

    prompt: Prompt
    """What was asked, with its reference."""
    answer_text: str
    """What the candidate wrote; may be empty."""

    @property
    def input_digest(self) -> Digest:
        """Digest of what the judge is shown besides the rubric: conversation, reference and answer."""
        return digest_json(
            {
                "messages": [message.to_json() for message in self.prompt.messages],
                "reference": self.prompt.reference,
                "answer": self.answer_text.encode("utf-8", "replace").decode("utf-8"),
            }
        )


async def judge_pointwise(
    items: Sequence[JudgeItem],
    judge: Judge,
    rubric: Rubric,
    served: ServedModel,
    store: SampleStore,
    *,
    repeat: int = 0,
    settings: GenerationSettings | None = None,
    writer: SampleWriter | None = None,
    progress: Progress | None = None,
) -> list[Judgment]:
    """A judgment of every item under one rubric: from the store where it has one, else from the judge.

    New judgments go into the store. Equal items (two arms often give the same answer) are judged once.

    Args:
        items: what to judge.
        judge: template, parsing and sampling parameters.
        rubric: one of the judge's rubrics.
        served: where the judge is served.
        store: the sample store.
        repeat: 0, 1, ...: repeated judgments of the same items, with another seed each.
        settings: concurrency, timeouts, retries of failed requests.
        writer: an open writer to share; by default one is opened for this call.
        progress: told about every finished judgment: (judgments there, judgments wanted).

    Returns:
        One judgment per item, in order. Unscored ones have no score and say why in ``parse_status``.

    Raises:
        InfrastructureError: the judge's server died or fails every request, or the store cannot be written. What was
            finished is stored; a later call goes on from there.
    """
    settings = settings or GenerationSettings()
    digests = [item.input_digest for item in items]
    done = _finished(store, judge, rubric, digests, repeat)
    jobs = {digest: item for digest, item in zip(digests, items, strict=True) if digest not in done}
    total = len(done) + len(jobs)
    if progress is not None:
        progress(len(done), total)
    if jobs:
        async with (
            store.writing(writer) as sink,
            ChatClient(timeout_s=settings.timeout_s, api_key=served.api_key) as client,
        ):
            asker = _Asker(judge, rubric, served, RetryingClient(client, served, settings), repeat)
            watch = ServerWatch(served, concurrency=settings.concurrency, count_client_errors=True)
            queue = iter(jobs.items())

            async def work() -> None:
                for digest, item in queue:
                    judgment, failure = await asker.ask(item, digest)
                    sink.put(judgment)
                    done[digest] = judgment
                    if progress is not None:
                        progress(len(done), total)
                    await watch.note(*((None, None) if failure is None else (failure.error, failure.error_detail)))

            await run_workers(min(settings.concurrency, len(jobs)), work)
    return [done[digest] for digest in digests]


def _finished(
    store: SampleStore, judge: Judge, rubric: Rubric, digests: Sequence[Digest], repeat: int
) -> dict[Digest, Judgment]:
    stored = store.judgments(judge.digest, rubric.digest, digests, repeats=repeat + 1)
    return {
        digest: judgment
        for (digest, order, number), judgment in stored.items()
        if order == 0 and number == repeat and judgment.parse_status is not ParseStatus.ERROR
    }


class _Asker:
    """Asks about one item until its output can be read, the attempts are used up, or the request fails."""

    def __init__(self, judge: Judge, rubric: Rubric, served: ServedModel, client: RetryingClient, repeat: int) -> None:
        self._judge = judge
        self._rubric = rubric
        self._model_id = served.model_id
        self._client = client
        self._repeat = repeat
        self._top_logprobs = logprobs_wanted(rubric)

    async def ask(self, item: JudgeItem, input_digest: Digest) -> tuple[Judgment, RawCompletion | None]:
        """The judgment, and the reply that failed, where one did."""
        message = self._judge.message(self._rubric, item.prompt, item.answer_text)
        requests, first = 0, ""
        reading = Reading(None, ParseStatus.UNPARSED)
        for attempt in range(self._judge.max_retries + 1):
            raw, sent = await self._complete(self._request(message, attempt))
            requests += sent
            if raw.error is not None:
                reading = Reading(None, ParseStatus.ERROR)
                return self._judgment(input_digest, reading, f"{raw.error.value}: {raw.error_detail}", requests), raw
            reading = read_score(
                raw.text,
                self._rubric,
                tokens=raw.logprobs,
                finish_reason=raw.finish_reason,
                prefix=self._judge.parse.score_prefix,
            )
            first = raw.text if attempt == 0 else first
            if reading.score is not None:
                return self._judgment(input_digest, reading, raw.text, requests), None
        return self._judgment(input_digest, reading, first, requests), None

    async def _complete(self, request: ChatRequest) -> tuple[RawCompletion, int]:
        """Ask, and once more without log-probabilities where the server says that it has none."""
        raw, sent = await self._client.complete(request)
        unknown = raw.error is ErrorKind.HTTP_4XX and "logprob" in (raw.error_detail or "").lower()
        if not unknown or request.top_logprobs is None:
            return raw, sent
        self._top_logprobs = None
        raw, again = await self._client.complete(replace(request, top_logprobs=None))
        return raw, sent + again

    def _request(self, message: str, attempt: int) -> ChatRequest:
        manifest = self._judge.candidate.manifest
        system = [("system", manifest.system_prompt)] if manifest.system_prompt else []
        sampling, seed = manifest.sampling, request_seed(manifest.sampling, self._repeat)
        if attempt > 0:
            sampling = sampling.model_copy(update={"temperature": max(sampling.temperature, RETRY_TEMPERATURE)})
            seed = (seed or 0) + attempt * _RETRY_SEEDS_APART
        return ChatRequest(
            self._model_id,
            [*system, ("user", message)],
            sampling,
            seed=seed,
            stream=False,
            top_logprobs=self._top_logprobs,
        )

    def _judgment(self, input_digest: Digest, reading: Reading, rationale: str, attempts: int) -> Judgment:
        return Judgment(
            judge_digest=self._judge.digest,
            rubric_digest=self._rubric.digest,
            input_digest=input_digest,
            order=0,
            repeat=self._repeat,
            score=reading.score,
            label=None if reading.score is None else self._rubric.label(reading.score),
            rationale=rationale,
            parse_status=reading.status,
            attempts=attempts,
        )
