"""Ask a candidate every prompt, keep the server saturated, store each answer, and never ask twice."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from evalharness.candidate import Candidate
from evalharness.engines.client import ChatClient, ChatRequest, RawCompletion
from evalharness.engines.retrying import GenerationSettings, RetryingClient
from evalharness.engines.served import ServedModel
from evalharness.engines.watching import ServerWatch
from evalharness.engines.wire import request_seed
from evalharness.engines.workers import run_workers
from evalharness.freshness import ANY_AGE, Freshness
from evalharness.generation_records import Generation
from evalharness.samples import SampleStore, SampleWriter
from golden_sets.digests import Digest
from golden_sets.records import Prompt

Progress = Callable[[int, int], None]
"""Called with (answers there, answers wanted)."""

__all__ = ["GenerationSettings", "Progress", "chat_request", "generate", "to_generation"]


@dataclass(frozen=True, slots=True)
class _Job:
    prompt: Prompt
    repeat: int
    run: str
    """Under which its answer is stored: named where an older answer has the nameless place."""


async def generate(
    prompts: Sequence[Prompt],
    candidate: Candidate,
    served: ServedModel,
    store: SampleStore,
    *,
    repeats: int = 1,
    freshness: Freshness = ANY_AGE,
    settings: GenerationSettings | None = None,
    writer: SampleWriter | None = None,
    progress: Progress | None = None,
) -> list[Generation]:
    """Answers to ``prompts`` x ``repeats``: from the store where it has them, else from the server and into the store.

    Stored failures are asked again. Prompts with the same messages are asked once. Answers that are older than the run
    allows are asked again beside them, with other seeds where sampling is random.

    Args:
        prompts: what to ask.
        candidate: whose sampling parameters and system prompt are used, and under whose digest answers are stored.
        served: where it is served.
        store: the sample store.
        repeats: independent samples per prompt; repeat k has seed + k.
        freshness: which stored answers are reused, and what new ones are stamped with.
        settings: concurrency, timeouts, retries.
        writer: an open writer to share; by default one is opened for this call.
        progress: told about every finished answer.

    Returns:
        One generation per prompt and repeat, in the order of ``prompts``, repeats innermost. A failed request is a
        generation with an error.

    Raises:
        InfrastructureError: the server died or fails every request, or the store cannot be written. What was
            finished is stored; a later call goes on from there.
    """
    settings = settings or GenerationSettings()
    digests = [p.request_digest for p in prompts]
    stored = store.generations(candidate.digest, digests, repeats=repeats)
    again = store.generations(candidate.digest, digests, repeats=repeats, run=freshness.run) if freshness.run else {}
    done = {key: found for place in (stored, again) for key, found in place.items() if freshness.allows(found)}
    taken = {key for key, generation in stored.items() if generation.error is None}
    jobs = {
        key: _Job(p, k, freshness.run if key in taken else "")
        for p in prompts
        for k in range(repeats)
        if (key := (p.request_digest, k)) not in done
    }
    total = len(done) + len(jobs)
    if progress is not None:
        progress(len(done), total)
    if jobs:
        async with (
            store.writing(writer) as sink,
            ChatClient(timeout_s=settings.timeout_s, api_key=served.api_key) as client,
        ):
            asker = _Asker(candidate, served, client, settings, freshness.ledger_index)
            watch = ServerWatch(served, concurrency=settings.concurrency)
            queue = iter(jobs.items())

            async def work() -> None:
                for key, job in queue:
                    generation = await asker.ask(job)
                    sink.put(generation)
                    done[key] = generation
                    if progress is not None:
                        progress(len(done), total)
                    await watch.note(generation.error, generation.error_detail)

            await run_workers(min(settings.concurrency, len(jobs)), work)
    return [done[p.request_digest, k] for p in prompts for k in range(repeats)]


def chat_request(prompt: Prompt, candidate: Candidate, model_id: str, repeat: int, run: str = "") -> ChatRequest:
    """The request for one repeat of a prompt; a run with a name has seeds of its own.

    The candidate's system prompt comes first; a prompt that brings its own has it appended to that, because chat
    templates take one system message only.
    """
    messages = [(m.role, m.content) for m in prompt.messages]
    system = candidate.manifest.system_prompt
    if system:
        if messages[0][0] == "system":
            messages[0] = ("system", f"{system}\n\n{messages[0][1]}")
        else:
            messages.insert(0, ("system", system))
    sampling = candidate.manifest.sampling
    return ChatRequest(model_id, messages, sampling, seed=request_seed(sampling, repeat, run))


def to_generation(
    raw: RawCompletion,
    candidate_digest: Digest,
    request_digest: Digest,
    repeat: int,
    *,
    run: str = "",
    attempts: int = 1,
    ledger_index: int | None = None,
) -> Generation:
    """The record of a finished request."""
    return Generation(
        candidate_digest=candidate_digest,
        request_digest=request_digest,
        repeat=repeat,
        text=raw.text,
        finish_reason=raw.finish_reason,
        error=raw.error,
        error_detail=raw.error_detail,
        prompt_tokens=raw.prompt_tokens,
        output_tokens=raw.output_tokens,
        ttft_s=raw.ttft_s,
        tpot_s=raw.tpot_s,
        e2e_s=raw.e2e_s,
        attempts=attempts,
        started_at=raw.started_at,
        run=run,
        ledger_index=ledger_index,
    )


class _Asker:
    """Asks jobs, and notices when the server is broken rather than one request."""

    def __init__(
        self,
        candidate: Candidate,
        served: ServedModel,
        client: ChatClient,
        settings: GenerationSettings,
        ledger_index: int | None,
    ) -> None:
        self._candidate = candidate
        self._digest = candidate.digest
        self._served = served
        self._client = RetryingClient(client, served, settings)
        self._ledger_index = ledger_index

    async def ask(self, job: _Job) -> Generation:
        """One finished sample."""
        request = chat_request(job.prompt, self._candidate, self._served.model_id, job.repeat, job.run)
        raw, attempts = await self._client.complete(request)
        return to_generation(
            raw,
            self._digest,
            job.prompt.request_digest,
            job.repeat,
            run=job.run,
            attempts=attempts,
            ledger_index=self._ledger_index,
        )
