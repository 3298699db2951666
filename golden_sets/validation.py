"""What makes a prompt set unfit to measure with, found before anything is asked."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from golden_sets.cards import Card
from golden_sets.problems import Problem
from golden_sets.records import Prompt, SetKind


def validate(prompts: Sequence[Prompt], card: Card, where: Sequence[str], *, card_where: str) -> list[Problem]:
    """Everything that is wrong with the prompts of a set, errors and warnings, in the order of the file.

    Errors: no prompt at all, an id or a question that occurs twice, empty content, a conversation that does not end
    with the user, a prompt without the reference, rubric or checker that it is scored by. Warnings: no canary, an
    adversarial prompt without severity, copies that share a cluster (counted as one unit).

    Args:
        prompts: the prompts, ids not necessarily unique.
        card: the set's card.
        where: location of each prompt, ``file:line``.
        card_where: location of the card.
    """
    if not prompts:
        return [Problem("error", card_where, "the set has no prompts", "a set needs at least one")]
    located = list(zip(prompts, where, strict=True))
    problems = [problem for prompt, place in located for problem in _prompt_problems(prompt, card, place)]
    problems.extend(_repeated_ids(located))
    problems.extend(_repeated_questions(located))
    problems.extend(_card_problems(prompts, card, card_where))
    return problems


def _prompt_problems(prompt: Prompt, card: Card, where: str) -> Iterator[Problem]:
    if any(not message.content.strip() for message in prompt.messages):
        yield Problem("error", where, f"prompt '{prompt.id}' has an empty message", "write it or remove the prompt")
    if prompt.messages[-1].role != "user":
        what = f"prompt '{prompt.id}' ends with a message of the {prompt.messages[-1].role}"
        yield Problem("error", where, what, "end with the user's message: it is what the candidate answers")
    if card.scoring == "checker" and prompt.checker is None:
        what = f"prompt '{prompt.id}' has no checker, but the card says 'scoring: checker'"
        yield Problem("error", where, what, "add a checker, or let the judge score the set")
    if card.scoring == "judge" and prompt.rubric is None:
        what = f"prompt '{prompt.id}' has no rubric"
        yield Problem("error", where, what, "name a rubric in the card, or in the prompt")
    if card.references_required and prompt.checker is None and not (prompt.reference or "").strip():
        what = f"prompt '{prompt.id}' has no reference"
        yield Problem("error", where, what, "add 'reference', or set 'needs_reference: false' in the card")


def _repeated_ids(located: Iterable[tuple[Prompt, str]]) -> Iterator[Problem]:
    first: dict[str, str] = {}
    for prompt, where in located:
        if prompt.id in first:
            what = f"id '{prompt.id}' appears twice, first at {first[prompt.id]}"
            yield Problem("error", where, what, "ids must be unique")
        first.setdefault(prompt.id, where)


def _repeated_questions(located: Iterable[tuple[Prompt, str]]) -> Iterator[Problem]:
    first: dict[tuple[tuple[str, str], ...], tuple[Prompt, str]] = {}
    copies, copy_where = 0, ""
    for prompt, where in located:
        question = tuple((message.role, message.content) for message in prompt.messages)
        if question not in first:
            first[question] = (prompt, where)
            continue
        original, original_where = first[question]
        if original.id == prompt.id:
            continue  # reported as a repeated id
        if original.unit == prompt.unit:
            copies, copy_where = copies + 1, copy_where or where
            continue
        what = f"prompt '{prompt.id}' asks what '{original.id}' asks, at {original_where}"
        yield Problem("error", where, what, "remove one, or give both the same 'cluster': they are not independent")
    if copies:
        what = f"{copies} prompts are copies of others in their cluster"
        yield Problem("warning", copy_where, what, "they add nothing: a cluster counts as one unit")


def _card_problems(prompts: Sequence[Prompt], card: Card, where: str) -> Iterator[Problem]:
    if card.canary is None:
        advice = "add 'canary: ' with a random string, so that leaks into training data can be found"
        yield Problem("warning", where, "the set has no canary", advice)
    if card.kind is SetKind.ADVERSARIAL:
        missing = sum("severity" not in prompt.dimensions for prompt in prompts)
        if missing:
            what = f"{missing} of {len(prompts)} adversarial prompts have no severity"
            yield Problem("warning", where, what, "a check 'each: [severity]' does not see them")
