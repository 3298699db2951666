"""The judge's part of an evaluation: judge both arms' answers and the controls, then measure the judge's error."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from evalharness.candidate import Candidate
from evalharness.engines import ServedModel
from evalharness.evidence import Calibration
from evalharness.generation_records import Generation, Judgment
from evalharness.judging.calibration import LabelledVerdict, calibrate
from evalharness.judging.controls import JudgedControl, judge_controls, read_controls
from evalharness.judging.family import family_guard
from evalharness.judging.judge import Judge
from evalharness.judging.labelling import labelled_subsample
from evalharness.judging.pointwise import JudgeItem, judge_pointwise
from evalharness.outcomes import Arm
from evalharness.samples import SampleStore
from evalharness.scoring import Answer, Asked, event
from golden_sets.errors import InputError
from golden_sets.records import Prompt, SetKind
from pipelines.fleet import Fleet
from pipelines.progress import Progress
from pipelines.project import Project

PromptKey = tuple[str, str, int]
"""Set name, prompt id, repeat."""
Verdicts = Mapping[PromptKey, Judgment]
LEAST_OF_FIRST, LEAST_OF_LATER = 10, 3
"""Labels of every combination of verdicts on the arms, at least: in a set's first batch, in each later one."""


class JudgeRun:
    """Asks the judge of a project; where no set is judged, every method finds nothing to do.

    Raises:
        InputError: a set is scored by a judge and the project names none.
    """

    def __init__(self, project: Project, store: SampleStore, fleet: Fleet, progress: Progress) -> None:
        self._project, self._store, self._fleet, self._progress = project, store, fleet, progress
        self._judged_sets = {s.prompt_set.name for s in project.sets if s.card.scoring == "judge"}
        self._judge = project.judge if self._judged_sets else None
        if self._judged_sets and project.judge is None:
            raise InputError(
                f"set '{min(self._judged_sets)}' is scored by a judge, but the project names none",
                where=project.path,
                do="name one under 'judge', or write 'scoring: checker' in the set's card",
            )

    def warnings(self, candidate: Candidate) -> list[str]:
        """What speaks against this judge for this candidate.

        Raises:
            InputError: judge and candidate have the same weights.
        """
        found = None if self._judge is None else family_guard(self._judge, candidate)
        return [] if found is None else [found]

    async def judge(
        self, candidate: Candidate, asked: Sequence[Asked], generations: Mapping[tuple[str, int], Generation]
    ) -> dict[PromptKey, Judgment]:
        """Judge every answer of one arm that a judge scores and that did not fail."""
        wanted: dict[str, dict[PromptKey, JudgeItem]] = {}
        for one in asked:
            generation = generations[one.prompt.request_digest, one.repeat]
            if one.prompt_set.name in self._judged_sets and generation.error is None:
                items = wanted.setdefault(rubric_of(one.prompt), {})
                items[one.prompt_set.name, one.prompt.id, one.repeat] = JudgeItem(one.prompt, generation.text)
        found: dict[PromptKey, Judgment] = {}
        for rubric_id, items in sorted(wanted.items()):
            judge, served = await self._served()
            rubric = judge.rubric(rubric_id)
            with self._progress.bar(f"judging {candidate.name} ({rubric_id})", len(items)) as advance:
                judgments = await judge_pointwise(
                    list(items.values()), judge, rubric, served, self._store, progress=advance
                )
            found.update(zip(items, judgments, strict=True))
        return found

    async def controls(self) -> list[JudgedControl]:
        """Judge the project's control answers, whose labels are known."""
        if self._project.file.controls is None or self._judge is None:
            return []
        controls = read_controls(self._project.at(self._project.file.controls))
        judge, served = await self._served()
        with self._progress.bar("judging controls", len(controls)) as advance:
            return await judge_controls(controls, judge, served, self._store, progress=advance)

    async def _served(self) -> tuple[Judge, ServedModel]:
        judge = self._judge
        assert judge is not None  # noqa: S101 - only called where a set is judged
        return judge, await self._fleet.get(judge.candidate)


def label_probabilities(
    asked: Sequence[Asked],
    verdicts: Mapping[Arm, Verdicts],
    wanted: Mapping[str, int],
    seed: int,
    *,
    first: Collection[str],
) -> dict[tuple[str, str], float]:
    """Which prompts are labelled on every arm, with the probability that each was drawn: (set, prompt id) -> p.

    Drawn set by set among the prompts that a judge was asked about on every arm.

    Args:
        asked: one batch of the run.
        verdicts: what the judge said, by arm.
        wanted: labels per arm of each set; sets that are not named get none.
        seed: seed of the draw.
        first: sets whose first batch this is: later ones need not show every kind of verdict again.
    """
    by_set: dict[str, dict[tuple[str, str], tuple[bool | None, ...]]] = {}
    for one in asked:
        key = (one.prompt_set.name, one.prompt.id, 0)
        if key[0] in wanted and one.repeat == 0 and all(key in seen for seen in verdicts.values()):
            said = tuple(_passed(seen[key]) for seen in verdicts.values())
            by_set.setdefault(one.prompt_set.name, {})[key[0], key[1]] = said
    chosen: dict[tuple[str, str], float] = {}
    for name, members in by_set.items():
        sample = labelled_subsample(
            members, per_arm=wanted[name], least=LEAST_OF_FIRST if name in first else LEAST_OF_LATER, seed=seed
        )
        chosen.update({key: sample.probability[key] for key in sample.chosen})
    return chosen


def calibrations_of(
    answers: Sequence[Answer], controls: Sequence[JudgedControl], label_source: str
) -> tuple[Calibration, ...]:
    """The judge's measured error by kind of set and rubric, from the labelled answers of both arms and the controls."""
    labelled: dict[tuple[SetKind, str], list[LabelledVerdict]] = {}
    for answer in answers:
        if answer.judgment is None or answer.label is None or answer.generation.error is not None:
            continue
        kind, said = answer.asked.kind, _passed(answer.judgment)
        labelled.setdefault((kind, rubric_of(answer.asked.prompt)), []).append(
            LabelledVerdict(
                arm=answer.arm,
                unit=answer.asked.prompt.unit,
                truth=answer.label == 1.0,
                seen=None if said is None else event(kind, meets=said) == 1.0,
                probability=answer.label_p or 1.0,
            )
        )
    planted: dict[tuple[SetKind, str], list[LabelledVerdict]] = {}
    for one in controls:
        planted.setdefault((one.control.set, one.control.rubric), []).append(one.verdict)
    return tuple(
        calibrate(rubric, kind, labelled.get(key, []), controls=planted.get(key, []), label_source=label_source)
        for key in sorted({*labelled, *planted})
        for kind, rubric in [key]
    )


def rubric_of(prompt: Prompt) -> str:
    """The rubric a prompt is judged by.

    Raises:
        InputError: it names none.
    """
    if prompt.rubric is None:
        raise InputError(f"prompt '{prompt.id}' names no rubric", do="name one in the set's card")
    return prompt.rubric


def _passed(judgment: Judgment) -> bool | None:
    return None if judgment.label is None else judgment.label == "pass"
