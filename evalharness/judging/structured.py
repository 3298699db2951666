"""In which form a judge gives its verdict: JSON by a schema, the number alone, or text; and how each is read.

``json`` is OpenAI's ``response_format`` with a schema (vLLM and most servers know it); ``choice`` is vLLM's
``structured_outputs`` (``guided_choice`` before vLLM 0.11), under which the judge says the number and nothing else. A
server that declines the key is asked for text, and what it is asked for is told to the judge where its template has
``{format}``. A server that ignores the key silently answers text, which is read as such.

Under a constraint the server's log-probabilities are those of the free model: where it would rather have said something
else than a number, its number counts without them.

Unparsed, never guessed: JSON that is broken, cut off, or not an object; a number that is missing, off the scale, named
twice, or no whole number. Further keys do no harm. Text inside broken JSON is not read: it may quote the answer.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from enum import StrEnum
from typing import Any, Literal

from evalharness.engines.wire import TokenLogprobs
from evalharness.generation_records import ParseStatus
from evalharness.judging.parsing import UNPARSED, Reading, Scale, expectation, read_text, token_of_number

Output = Literal["auto", "json", "choice", "text"]
"""What a judge file asks for; ``auto`` is JSON by a schema where the server takes it."""


class Form(StrEnum):
    """The form in which one verdict is asked for."""

    JSON = "json"
    CHOICE = "choice"
    TEXT = "text"


_STRUCTURED_OUTPUTS_SINCE = (0, 11)
_VERSION = re.compile(r"v?(\d+)\.(\d+)")
_FENCED = re.compile(r"\s*```(?:json)?\s*\n(?P<inside>.*?)\n?\s*```\s*", re.DOTALL | re.IGNORECASE)
_LOOKS_LIKE_JSON = re.compile(r"\s*(?:```(?:json)?\s*)?[{\[]", re.IGNORECASE)
_ABOUT_FORM = re.compile(
    r"response_?format|json_?schema|structured|guided|grammar|\bschema\b|"
    r"\bextra\b|unrecogni[sz]ed|unexpected|unknown|unsupported|not (?:supported|permitted|allowed)",
    re.IGNORECASE,
)
"""What a server says about a key that it does not take."""


def form_of(output: Output, *, declined: bool) -> Form:
    """The form to ask for; text where the server has declined it."""
    if declined:
        return Form.TEXT
    return Form.JSON if output == "auto" else Form(output)


def constraint(form: Form, scale: Scale, engine_version: str | None) -> dict[str, Any]:
    """The keys of a request that hold the judge to a form."""
    numbers = sorted(scale.worth)
    if form is Form.JSON:
        schema = {
            "type": "object",
            "properties": {"reason": {"type": "string"}, scale.key: {"type": "integer", "enum": numbers}},
            "required": ["reason", scale.key],
            "additionalProperties": False,
        }
        return {
            "response_format": {
                "type": "json_schema",
                "json_schema": {"name": "verdict", "strict": True, "schema": schema},
            }
        }
    if form is Form.CHOICE:
        choices = [str(number) for number in numbers]
        version = _VERSION.match(engine_version or "")
        if version is not None and (int(version[1]), int(version[2])) < _STRUCTURED_OUTPUTS_SINCE:
            return {"guided_choice": choices}
        return {"structured_outputs": {"choice": choices}}
    return {}


def instruction(form: Form, scale: Scale) -> str:
    """What the judge is told about the form, where its template has ``{format}``."""
    pairs = scale.key == "better"
    meaning = "1 if the first answer is better, 2 if the second is, 0 if neither is" if pairs else "the score"
    if form is Form.CHOICE:
        return f"Reply with one number and nothing else: {meaning}."
    why = "First say why, in one or two sentences."
    if form is Form.JSON:
        return f'{why} Reply with JSON alone: {{"reason": "...", "{scale.key}": N}}, N being {meaning}.'
    what = "verdict" if pairs else "score"
    last = f"Then end with a line that holds nothing but the {what}: {scale.prefix.rstrip()} N"
    return f"{why} {last}, N being {meaning}." if pairs else f"{why} {last}"


def is_about_form(detail: str) -> bool:
    """Whether a client error may be due to the keys of `constraint`."""
    return _ABOUT_FORM.search(detail) is not None


def read_output(
    text: str,
    form: Form,
    scale: Scale,
    *,
    tokens: Sequence[TokenLogprobs] | None = None,
    finish_reason: str | None = "stop",
) -> Reading:
    """The verdict of an output that was asked for in a form.

    Args:
        text: what the judge wrote.
        form: what it was asked for.
        scale: what it may say.
        tokens: the output's tokens with log-probabilities, where the server offers them.
        finish_reason: ``length`` means cut off by the token limit.
    """
    if form is Form.JSON and _LOOKS_LIKE_JSON.match(text):
        return UNPARSED if finish_reason == "length" else _read_json(text, scale, tokens)
    if form is Form.CHOICE and text.strip() in {str(number) for number in scale.worth}:
        if finish_reason == "length" and not scale.single_digits:
            return UNPARSED  # 1 may be the beginning of 10
        return _verdict(int(text), len(text) - len(text.lstrip()), scale, tokens, _CHOICE)
    return read_text(text, scale, tokens=tokens, finish_reason=finish_reason)


_JSON = (ParseStatus.JSON, ParseStatus.JSON_LOGPROBS)
_CHOICE = (ParseStatus.CHOICE, ParseStatus.CHOICE_LOGPROBS)


def _read_json(text: str, scale: Scale, tokens: Sequence[TokenLogprobs] | None) -> Reading:
    fenced = _FENCED.fullmatch(text)
    try:
        verdict = json.loads(fenced["inside"] if fenced else text, object_pairs_hook=_distinct)
    except (ValueError, RecursionError):
        return UNPARSED
    said = verdict.get(scale.key) if isinstance(verdict, dict) else None
    if type(said) is not int or said not in scale.worth:
        return UNPARSED
    return _verdict(said, _position(tokens, scale.key, said), scale, tokens, _JSON)


def _position(tokens: Sequence[TokenLogprobs] | None, key: str, said: int) -> int | None:
    """Where the number stands in the joined tokens; None where several places could be meant."""
    joined = "".join(token.token for token in tokens or ())
    places = [
        m.start(1) for m in re.finditer(rf'"{re.escape(key)}"\s*:\s*(\d+)(?![\d.eE])', joined) if int(m[1]) == said
    ]
    return places[0] if len(places) == 1 else None


def _verdict(
    said: int,
    position: int | None,
    scale: Scale,
    tokens: Sequence[TokenLogprobs] | None,
    statuses: tuple[ParseStatus, ParseStatus],
) -> Reading:
    """By the number's token where it tells, else by the number itself."""
    if tokens and position is not None and scale.single_digits:
        token = token_of_number(tokens, position, said)
        weighed = None if token is None else expectation(token, said, scale, statuses[1])
        if weighed is not None:
            return weighed
    return Reading(scale.worth[said], statuses[0], scale.worth[said])


def _distinct(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("a key occurs twice")
    return found
