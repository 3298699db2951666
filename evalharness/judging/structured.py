"""In which form a judge gives its verdict: JSON, the number alone, or text; and how each is read.

``json`` is OpenAI's ``response_format`` with a schema, which most servers know. A small model may fill the white space
that a schema allows until its tokens are used up, so vLLM (known by its version) is given the same JSON as a regular
expression that leaves no room for that and ends the reason in time. ``choice`` is vLLM's ``structured_outputs``
(``guided_choice`` before vLLM 0.11): the judge says the number and nothing else. What is asked for is told to the judge
where its template has ``{format}``. A server that declines the keys is asked for text. One that ignores them silently
may answer anything: the object that ends the output is read where it begins a line or a sentence or follows a tag such
as ``</think>``; where there is no object, a verdict in text is, which has the last line for itself. All else that looks
like a verdict may be a quotation of the answer.

Under a constraint the judge cannot but say a number. Where the server's log-probabilities are those of the free model
and lie elsewhere, the number counts without them.

Unparsed, never guessed: JSON that is broken, cut off, not an object, or not the end; a number that is missing, off the
scale, named twice, or no whole number. Further keys do no harm. Nothing inside or behind broken JSON is read.
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
_LONGEST_REASON = 600
_TOKENS_BESIDE_REASON = 40
_FENCED = re.compile(r"\s*```(?:json)?\s*\n(?P<inside>.*?)\n?\s*```\s*", re.DOTALL | re.IGNORECASE)
_LOOKS_LIKE_JSON = re.compile(r"\s*(?:```(?:json)?\s*)?(?:\{|\[(?![a-z]))", re.IGNORECASE)
_OBJECT = re.compile(r"\{\s*[\"']")
_TEMPLATE = re.compile(r'\{(?:[^{}"\n]|"[^"\\\n]*")*+\}')
"""An object that is closed although it is no JSON, as where a judge thinks of ``{"reason": "...", "score": N}``."""
_END = re.compile(r"\s*(?:```\s*)?")
_END_OF_SENTENCE = (".", "!", "?")
_END_OF_TAG = (">", "[/THINK]")
_ABOUT_FORM = re.compile(
    r"response_?format|json_?schema|structured|guided|grammar|\bschema\b|\bregex\b|"
    r"\bextra\b|unrecogni[sz]ed|unexpected|unknown|unsupported|not (?:supported|permitted|allowed)",
    re.IGNORECASE,
)
"""What a server says about a key that it does not take."""


def wanted_form(output: Output) -> Form:
    """The form to ask for first."""
    return Form.JSON if output == "auto" else Form(output)


def constraints(form: Form, scale: Scale, *, engine_version: str | None, max_tokens: int) -> dict[str, Any]:
    """Keys of a request that hold the judge to a form, each by itself, the best one first; none for text.

    Args:
        form: what is wanted.
        scale: the numbers that the judge may say.
        engine_version: of vLLM; None where the server is another, or does not tell.
        max_tokens: the judge's limit, within which the JSON must end.
    """
    numbers = sorted(scale.worth)
    version = _VERSION.match(engine_version or "")
    is_new = version is not None and (int(version[1]), int(version[2])) >= _STRUCTURED_OUTPUTS_SINCE
    if form is Form.JSON:
        by_schema = {"response_format": _response_format(scale.key, numbers)}
        return (
            {"structured_outputs": {"regex": _json_regex(scale.key, numbers, max_tokens)}, **by_schema}
            if is_new
            else by_schema
        )
    if form is Form.CHOICE:
        choices = [str(number) for number in numbers]
        return {"guided_choice": choices} if version and not is_new else {"structured_outputs": {"choice": choices}}
    return {}


def _response_format(key: str, numbers: Sequence[int]) -> dict[str, Any]:
    schema = {
        "type": "object",
        "properties": {"reason": {"type": "string"}, key: {"type": "integer", "enum": list(numbers)}},
        "required": ["reason", key],
        "additionalProperties": False,
    }
    return {"type": "json_schema", "json_schema": {"name": "verdict", "strict": True, "schema": schema}}


def _json_regex(key: str, numbers: Sequence[int], max_tokens: int) -> str:
    """What the schema says, on one line, the reason short enough for one token per character."""
    longest = max(0, min(_LONGEST_REASON, max_tokens - _TOKENS_BESIDE_REASON))
    reason = rf'([^"\\\x00-\x1f]|\\["\\n]){{0,{longest}}}'
    return rf'\{{"reason": "{reason}", "{key}": ({"|".join(map(str, numbers))})\}}'


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
    if form is Form.TEXT:
        return read_text(text, scale, tokens=tokens, finish_reason=finish_reason)
    if form is Form.CHOICE and text.strip() in {str(number) for number in scale.worth}:
        if finish_reason == "length" and not scale.single_digits:
            return UNPARSED  # 1 may be the beginning of 10
        return _verdict(int(text), len(text) - len(text.lstrip()), scale, tokens, _CHOICE)
    if finish_reason == "length":
        return UNPARSED
    if _LOOKS_LIKE_JSON.match(text) or _OBJECT.search(text):
        return _read_json(text, scale, tokens)
    return read_text(text, scale, tokens=tokens, at_end=True)


_JSON = (ParseStatus.JSON, ParseStatus.JSON_LOGPROBS)
_CHOICE = (ParseStatus.CHOICE, ParseStatus.CHOICE_LOGPROBS)


def _read_json(text: str, scale: Scale, tokens: Sequence[TokenLogprobs] | None) -> Reading:
    found = _whole(text) if _LOOKS_LIKE_JSON.match(text) else _object_at_end(text)
    try:
        verdict = json.loads(found, object_pairs_hook=_distinct)
    except (ValueError, RecursionError):
        return UNPARSED
    said = verdict.get(scale.key) if isinstance(verdict, dict) else None
    if type(said) is not int or said not in scale.worth:
        return UNPARSED
    return _verdict(said, _position(found, tokens, scale.key, said), scale, tokens, _JSON)


def _whole(text: str) -> str:
    fenced = _FENCED.fullmatch(text)
    return fenced["inside"] if fenced else text


def _object_at_end(text: str) -> str:
    """The object behind prose that ends the output as a verdict does; empty where there is none.

    Objects are skipped from the first one on, so that none is found inside another, whole or broken.
    """
    decoder = json.JSONDecoder(object_pairs_hook=_distinct)
    place = _OBJECT.search(text)
    while place:
        start = place.start()
        try:
            end = decoder.raw_decode(text, start)[1]
        except (ValueError, RecursionError):
            template = _TEMPLATE.match(text, start)
            if template is None:
                return ""
            end = template.end()
        if _END.fullmatch(text, end):
            return text[start:end] if _may_begin_verdict(text[:start]) else ""
        place = _OBJECT.search(text, end)
    return ""


def _may_begin_verdict(before: str) -> bool:
    said = before.rstrip()
    if "\n" in before[len(said) :] or said.endswith(_END_OF_TAG):
        return True
    line = said.rpartition("\n")[2]
    is_quoted = line.count('"') % 2 == 1 or line.count("“") > line.count("”")
    return said.endswith(_END_OF_SENTENCE) and not is_quoted


def _position(found: str, tokens: Sequence[TokenLogprobs] | None, key: str, said: int) -> int | None:
    """Where the number of the JSON that ends the output is in the joined tokens; None where several could be meant."""
    named = re.compile(rf'"{re.escape(key)}"\s*:\s*({said})(?![\d.eE])')
    places = [place.start(1) for place in named.finditer("".join(token.token for token in tokens or ()))]
    return places[-1] if places and len(named.findall(found)) == 1 else None


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
