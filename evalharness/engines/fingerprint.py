"""A fingerprint of what a server computes: the greedy continuation of fixed probe prompts, with its log-probabilities.

Two servers with the same fingerprint give the probes the same tokens with about the same probabilities. Probes are
asked one after the other and are shorter than a cache block, so neither batching nor prefix caching changes what is
computed. Another kernel, dtype or tensor-parallel degree may still move a log-probability over a rounding limit: a
different fingerprint is a reason to look, not a proof of other weights.
"""

from __future__ import annotations

from evalharness.candidate import Sampling
from evalharness.engines.client import ChatClient
from evalharness.engines.served import ServedModel
from evalharness.engines.wire import ChatRequest
from evalharness.generation_records import ErrorKind
from golden_sets.digests import digest_json
from golden_sets.errors import InfrastructureError

PROBES = ("Hello!", "What is 17 + 25?", "Name a colour.", "Write the word zebra backwards.")
"""The prompts. Part of the definition: changing one changes every fingerprint."""
PROBE_TOKENS = 12
"""Greedy tokens per probe."""
LOGPROB_DECIMALS = 1
"""Log-probabilities are rounded to this many decimals."""

_GREEDY = Sampling(temperature=0.0, max_tokens=PROBE_TOKENS, seed=0)


async def fingerprint(served: ServedModel, *, timeout_s: float = 120.0) -> str:
    """Fingerprint of a served model, from its first address.

    Returns:
        ``logprobs:sha256:...`` over tokens and rounded log-probabilities; ``text:sha256:...`` over the texts alone
        where the server does not give log-probabilities.

    Raises:
        InfrastructureError: a probe failed.
    """
    async with ChatClient(timeout_s=timeout_s, api_key=served.api_key) as client:
        probes = [await _probe(client, served, probe) for probe in PROBES]
    if any(tokens is None for _, tokens in probes):
        return "text:" + digest_json([text for text, _ in probes])
    return "logprobs:" + digest_json([tokens for _, tokens in probes])


async def _probe(client: ChatClient, served: ServedModel, probe: str) -> tuple[str, list[list[str]] | None]:
    """Text of the greedy continuation, and (token, rounded log-probability) pairs where the server gives them."""
    for top_logprobs in (0, None):
        request = ChatRequest(served.model_id, [("user", probe)], _GREEDY, seed=0, top_logprobs=top_logprobs)
        raw = await client.complete(served.urls[0], request)
        if raw.error is not ErrorKind.HTTP_4XX:
            break  # a server that does not know log-probabilities says 400; ask without them
    if raw.error is not None:
        raise InfrastructureError(
            f"a fingerprint probe of '{served.name}' failed ({raw.error.value}: {raw.error_detail})",
            where=served.urls[0],
            do="see the engine's log",
        )
    if raw.logprobs is None:
        return raw.text, None
    return raw.text, [[t.token, f"{t.logprob:.{LOGPROB_DECIMALS}f}"] for t in raw.logprobs]
