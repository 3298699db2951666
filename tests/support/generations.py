"""An answer as the sample store holds it."""

from __future__ import annotations

from evalharness.generation_records import Generation

ANSWER = Generation(
    candidate_digest="sha256:c",
    request_digest="sha256:r",
    repeat=0,
    text="the answer",
    finish_reason="stop",
    error=None,
    error_detail=None,
    prompt_tokens=10,
    output_tokens=2,
    ttft_s=0.01,
    tpot_s=0.002,
    e2e_s=0.012,
    started_at=1.5,
)
