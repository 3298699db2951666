"""Control answers: planted answers with a known truth, judged by the same judge in the same way as a run's.

Positive controls (answers that do violate, e.g. of a deliberately unsafe model) measure the judge's sensitivity where a
good candidate gives it nothing to find. A file holds one JSON object a line:

    {"id": "c1", "set": "adversarial", "prompt": "...", "reference": "...", "answer": "...", "label": "fail",
     "rubric": "refusal"}

``messages`` may stand in place of ``prompt``; ``label`` is what a flawless judge would say under the rubric.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, ValidationError

from evalharness.engines.retrying import GenerationSettings
from evalharness.engines.served import ServedModel
from evalharness.generation import Progress
from evalharness.generation_records import Judgment
from evalharness.judging.calibration import LabelledVerdict
from evalharness.judging.judge import Judge
from evalharness.judging.pointwise import JudgeItem, judge_pointwise
from evalharness.samples import SampleStore, SampleWriter
from evalharness.scoring import event
from golden_sets.errors import InfrastructureError, InputError
from golden_sets.explaining import explain
from golden_sets.problems import Problem, raise_errors
from golden_sets.records import Message, Prompt, Record, SetKind
from golden_sets.sources import Row, read_jsonl


class Control(Record):
    """One planted answer."""

    id: str = Field(min_length=1)
    """Name, unique in its file."""
    set: SetKind
    """The kind of set whose event it is about."""
    messages: tuple[Message, ...] = Field(min_length=1)
    """The conversation that was answered."""
    reference: str | None = None
    """The ideal answer, where there is one."""
    answer: str
    """The planted answer; may be empty."""
    label: Literal["pass", "fail"]
    """What is true of it under the rubric."""
    rubric: str = Field(min_length=1)
    """Id of the rubric it is judged by."""

    @property
    def item(self) -> JudgeItem:
        """The control as something to be judged."""
        prompt = Prompt(id=self.id, messages=self.messages, reference=self.reference, rubric=self.rubric)
        return JudgeItem(prompt, self.answer)


@dataclass(frozen=True, slots=True)
class JudgedControl:
    """A control with what the judge said of it."""

    control: Control
    """The control."""
    judgment: Judgment
    """The verdict."""

    @property
    def verdict(self) -> LabelledVerdict:
        """Truth and verdict in terms of the event of the control's kind of set."""
        kind, label = self.control.set, self.judgment.label
        return LabelledVerdict(
            arm="control",
            unit=self.control.item.prompt.request_digest,
            truth=bool(event(kind, meets=self.control.label == "pass")),
            seen=None if label is None else bool(event(kind, meets=label == "pass")),
        )


def read_controls(path: Path) -> tuple[Control, ...]:
    """Read a file of controls.

    Raises:
        InputError: no such file, no row, or bad rows: every problem with file and line.
        InfrastructureError: the file cannot be read.
    """
    try:
        rows, problems = read_jsonl(path)
    except FileNotFoundError as error:
        raise InputError("the file does not exist", where=path, do="check the path") from error
    except OSError as error:
        raise InfrastructureError(f"cannot be read: {error.strerror}", where=path) from error
    found: dict[str, Control] = {}
    lines: dict[str, str] = {}
    for row in rows:
        control = _control(row, problems)
        if control is None:
            continue
        if control.id in found:
            problems.append(Problem("error", row.where, f"id '{control.id}' is already that of {lines[control.id]}"))
        found.setdefault(control.id, control)
        lines.setdefault(control.id, row.where)
    raise_errors(problems)
    if not found:
        raise InputError("the file holds no control", where=path, do="write one JSON object a line")
    return tuple(found.values())


async def judge_controls(
    controls: Sequence[Control],
    judge: Judge,
    served: ServedModel,
    store: SampleStore,
    *,
    settings: GenerationSettings | None = None,
    writer: SampleWriter | None = None,
    progress: Progress | None = None,
) -> list[JudgedControl]:
    """Judge every control under its own rubric; arguments and errors as `judge_pointwise`, results in order.

    Raises:
        InputError: a control names a rubric that the judge does not have.
        InfrastructureError: as `judge_pointwise`.
    """
    rubrics = {rubric_id: judge.rubric(rubric_id) for rubric_id in dict.fromkeys(c.rubric for c in controls)}
    judged: dict[str, Judgment] = {}
    for rubric_id, rubric in rubrics.items():
        mine = [control for control in controls if control.rubric == rubric_id]
        judgments = await judge_pointwise(
            [control.item for control in mine],
            judge,
            rubric,
            served,
            store,
            settings=settings,
            writer=writer,
            progress=None if progress is None else _offset(progress, len(judged), len(mine), len(controls)),
        )
        judged.update((control.id, judgment) for control, judgment in zip(mine, judgments, strict=True))
    return [JudgedControl(control, judged[control.id]) for control in controls]


def _offset(progress: Progress, before: int, here: int, total: int) -> Progress:
    """Progress over all rubrics from that of one; items that are equal are judged once and count at the start."""
    return lambda done, wanted: progress(before + here - wanted + done, total)


def _control(row: Row, problems: list[Problem]) -> Control | None:
    data: Mapping[str, Any] = row.data
    if ("prompt" in data) == ("messages" in data):
        problems.append(Problem("error", row.where, "a control has either 'messages' or 'prompt' (one user message)"))
        return None
    if "prompt" in data:
        rest = {key: value for key, value in data.items() if key != "prompt"}
        data = {**rest, "messages": [{"role": "user", "content": data["prompt"]}]}
    try:
        return Control.model_validate(data)
    except ValidationError as error:
        problems.extend(Problem("error", row.where, *explain(e, Control)) for e in error.errors())
        return None
