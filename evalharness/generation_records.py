"""Records of single requests: generations and judgments. Made by the hundred thousand, so plain slotted dataclasses."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from golden_sets.digests import Digest


class ErrorKind(StrEnum):
    """Why a request failed. Client errors do not count against reliability; all others do."""

    TIMEOUT = "timeout"
    OOM = "oom"
    HTTP_4XX = "http_4xx"
    HTTP_5XX = "http_5xx"
    RATE_LIMITED = "rate_limited"
    CONNECTION = "connection"
    CUT_SHORT = "cut_short"
    REFUSED_BY_SERVER = "refused_by_server"
    MALFORMED = "malformed"

    @property
    def is_client_error(self) -> bool:
        """True for 4xx other than 408 (``timeout``) and 429 (``rate_limited``): our fault, reported, not counted."""
        return self in (ErrorKind.HTTP_4XX, ErrorKind.REFUSED_BY_SERVER)


@dataclass(frozen=True, slots=True)
class Generation:
    """One answer of one candidate to one prompt. Identity: (candidate, request, repeat, pass)."""

    candidate_digest: Digest
    """Manifest digest of the candidate."""
    request_digest: Digest
    """Digest of the prompt's messages."""
    repeat: int
    """0, 1, ...: independent samples of the same prompt."""
    text: str
    """The answer, as far as it came."""
    finish_reason: str | None
    """``stop``, ``length``... as the server said; None when the request failed."""
    error: ErrorKind | None
    """None: the stream ended properly."""
    error_detail: str | None
    """One line about the error, for people."""
    prompt_tokens: int | None
    """Tokens of the prompt, as the server counted."""
    output_tokens: int | None
    """Tokens of the answer, as the server counted."""
    ttft_s: float | None
    """Time to first token, seconds."""
    tpot_s: float | None
    """Mean time per output token after the first, seconds; None with fewer than two tokens."""
    e2e_s: float
    """End-to-end time, seconds."""
    attempts: int = 1
    """Requests made, retries included."""
    started_at: float = 0.0
    """Unix time at which the last attempt was sent."""
    run: str = ""
    """Empty for answers that are the first under their key, which any later run may reuse; else the run they belong to:
    a latency pass, or answers asked afresh under a plan."""
    ledger_index: int | None = None
    """How many events the ledger held when the run that asked began; None: not known."""


class ParseStatus(StrEnum):
    """How the judge's answer was read: from text, JSON or a bare number, with or without log-probabilities."""

    LOGPROBS = "logprobs"
    TEXT = "text"
    JSON = "json"
    JSON_LOGPROBS = "json_logprobs"
    CHOICE = "choice"
    CHOICE_LOGPROBS = "choice_logprobs"
    IDENTICAL = "identical"
    """Two answers in the same words: a tie that nobody was asked about."""
    VOTE = "vote"
    """What several judges make of it."""
    DETECTED = "detected"
    """The refusal detector's: no judge was asked."""
    UNPARSED = "unparsed"
    ERROR = "error"


@dataclass(frozen=True, slots=True)
class Judgment:
    """One verdict of one judge under one rubric. Identity: (judge, rubric, input, order, repeat)."""

    judge_digest: Digest
    """Manifest digest of the judge, its template included."""
    rubric_digest: Digest
    """Digest of the rubric."""
    input_digest: Digest
    """Digest of what the judge was shown: question, reference and answer(s)."""
    order: int
    """0: as given; 1: swapped (pairwise)."""
    repeat: int
    """0, 1, ...: repeated judgments of the same input."""
    score: float | None
    """Score in [0, 1]; None when unscored."""
    label: str | None
    """``pass`` or ``fail``; for pairs ``win``, ``tie`` or ``loss`` of the candidate; None when unscored."""
    rationale: str
    """What the judge wrote."""
    parse_status: ParseStatus
    """How the score was read."""
    attempts: int = 1
    """Requests made, retries included."""
