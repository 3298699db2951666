"""From a judge's output to a score in [0, 1].

The score is the whole number after the *last* ``score_prefix`` of the output. Where the server gave log-probabilities
and the number is one token, the score is the expectation over the scale,

    score = sum over d of p(d) * (d - min) / (max - min),    p renormalised over the scale,

which keeps the judge's doubt that the sampled number throws away (G-Eval: Liu et al., EMNLP 2023, arXiv 2303.16634).
Otherwise it is the number itself. Numbers of more than one digit are always read from the text, because tokenizers
split them differently.

Unparsed, never guessed: no prefix, no number behind it, a number off the scale or with decimals, less than half of the
probability on the scale, and output that the token limit cut off (its last prefix may be a quotation of the answer).
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass

from evalharness.engines.wire import TokenLogprobs
from evalharness.generation_records import ParseStatus
from evalharness.judging.rubric import Rubric

MINIMUM_MASS = 0.5
"""Least probability on the scale's values for an expectation to mean anything."""
DEFAULT_PREFIX = "Score: "
_HIGHEST_DIGIT = 9

_NUMBER = re.compile(r"[\s*_`\"']*(?P<number>[-+]?[0-9]+(?:[.,][0-9]+)*)(?:\s*/\s*(?P<top>[0-9]+))?(?![\w%])")


@dataclass(frozen=True, slots=True)
class Reading:
    """What was read from one output of the judge."""

    score: float | None
    """In [0, 1]; None when unparsed."""
    status: ParseStatus
    """How it was read."""


UNPARSED = Reading(None, ParseStatus.UNPARSED)


def read_score(
    text: str,
    rubric: Rubric,
    *,
    tokens: Sequence[TokenLogprobs] | None = None,
    finish_reason: str | None = "stop",
    prefix: str = DEFAULT_PREFIX,
) -> Reading:
    """The score of one output (see the module's text for the rules).

    Args:
        text: what the judge wrote.
        rubric: gives the scale.
        tokens: the output's tokens with log-probabilities, where the server offers them.
        finish_reason: ``length`` means cut off by the token limit.
        prefix: what stands before the score; letter case and white space at its end do not matter.
    """
    found = _number_after_prefix(text, rubric, prefix)
    if finish_reason == "length" or found is None:
        return UNPARSED
    if tokens and logprobs_wanted(rubric) is not None:
        token = _score_token(tokens, str(found), prefix)
        if token is not None:
            return _expectation(token, rubric)
    return Reading(rubric.normalise(found), ParseStatus.TEXT)


def logprobs_wanted(rubric: Rubric) -> int | None:
    """Alternatives to ask for with every token; None where a score may have several digits and is read from the text.

    One for each value and five to spare, at most the 20 that the API allows. A value beyond those is less probable than
    any that is shown, and every alternative costs the server time.
    """
    low, high = rubric.scale
    return None if high > _HIGHEST_DIGIT else min(20, high - low + 1 + 5)


def _number_after_prefix(text: str, rubric: Rubric, prefix: str) -> int | None:
    """The whole number on the scale right behind the last prefix; None where there is none."""
    start = _after_last(text, prefix)
    found = None if start is None else _NUMBER.match(text, start)
    if found is None or not found["number"].isdigit():
        return None
    if found["top"] is not None and int(found["top"]) != rubric.scale[1]:
        return None
    value = int(found["number"])
    return value if rubric.scale[0] <= value <= rubric.scale[1] else None


def _score_token(tokens: Sequence[TokenLogprobs], number: str, prefix: str) -> TokenLogprobs | None:
    """The token that holds the number behind the last prefix and nothing else but space; None where there is none."""
    joined = "".join(t.token for t in tokens)
    start = _after_last(joined, prefix)
    found = None if start is None else _NUMBER.match(joined, start)
    if found is None:
        return None
    position, end = found.start("number"), 0
    for token in tokens:
        end += len(token.token)
        if end > position:
            return token if token.token.strip() == number and token.top_logprobs else None
    return None


def _expectation(token: TokenLogprobs, rubric: Rubric) -> Reading:
    low, high = rubric.scale
    values = {str(d): d for d in range(low, high + 1)}
    mass = total = 0.0
    for alternative in token.top_logprobs:
        value = values.get(alternative.token.strip())
        if value is not None:
            p = math.exp(min(0.0, alternative.logprob))
            mass += p
            total += p * rubric.normalise(value)
    if mass < MINIMUM_MASS:
        return UNPARSED
    return Reading(min(1.0, total / mass), ParseStatus.LOGPROBS)


def _after_last(text: str, prefix: str) -> int | None:
    """Index right behind the last occurrence of the prefix, ignoring case and the prefix's trailing space."""
    mark = prefix.rstrip()
    occurrences = [found.end() for found in re.finditer(re.escape(mark), text, re.IGNORECASE)]
    return occurrences[-1] if occurrences else None
