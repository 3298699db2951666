"""The judge's part of an evaluation: judge answers and controls, choose what is labelled, count the errors."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence

from evalharness.answer_classes import AnswerClass
from evalharness.candidate import Candidate
from evalharness.evidence import Calibration
from evalharness.generation_records import Generation, Judgment
from evalharness.judging.calibration import LabelledVerdict, calibrate
from evalharness.judging.controls import JudgedControl, read_controls
from evalharness.judging.labelling import labelled_subsample
from evalharness.judging.pointwise import JudgeItem
from evalharness.outcomes import Arm
from evalharness.scoring import Answer, Asked, event
from golden_sets.errors import InputError
from golden_sets.records import Prompt, SetKind
from pipelines.bench import Bench
from pipelines.project import Project

VerdictKey = tuple[str, str, int, str]
"""Set name, prompt id, repeat, rubric."""
Verdicts = Mapping[VerdictKey, Judgment]
LEAST_OF_FIRST, LEAST_OF_LATER = 10, 3
"""Labels of every combination of verdicts on the arms, at least: in a set's first batch, in each later one."""


class JudgeRun:
    """Asks the judges of a project; where nothing is judged, every method finds nothing to do.

    Raises:
        InputError: something is scored by a judge and the project names none, or a rubric that the judges do not have.
    """

    def __init__(self, project: Project, bench: Bench | None) -> None:
        self._project = project
        self._judged_sets = {s.prompt_set.name for s in project.sets if s.card.scoring == "judge"}
        asked = self._judged_sets | {s.prompt_set.name for s in project.sets if s.card.criteria}
        if asked and bench is None:
            raise InputError(
                f"set '{min(asked)}' is scored by a judge, but the project names none",
                where=project.path,
                do="name one under 'judge', or write 'scoring: checker' in the set's card",
            )
        self.bench = bench if asked else None
        self._check_rubrics()

    def warnings(self, candidate: Candidate) -> list[str]:
        """What speaks against the judges for this candidate.

        Raises:
            InputError: a judge and the candidate have the same weights.
        """
        return [] if self.bench is None else self.bench.warnings(candidate)

    def kinship(self, others: Iterable[Candidate]) -> list[str]:
        """What makes the judges partial to those that the candidate is compared with."""
        found = []
        for other in others:
            try:
                self.warnings(other)
            except InputError as error:
                found.append(error.what)
        return found

    async def judge(
        self, candidate: Candidate, asked: Sequence[Asked], generations: Mapping[tuple[str, int], Generation]
    ) -> dict[VerdictKey, Judgment]:
        """Judge every answer of one arm that did not fail, under each rubric that its set has for it."""
        wanted: dict[str, dict[VerdictKey, JudgeItem]] = {}
        for one in asked:
            generation = generations[one.prompt.request_digest, one.repeat]
            if generation.error is None:
                item = JudgeItem(one.prompt, generation.text)
                for rubric in self.rubrics_of(one):
                    wanted.setdefault(rubric, {})[key_of(one, rubric)] = item
        found: dict[VerdictKey, Judgment] = {}
        for rubric, items in sorted(wanted.items()):
            assert self.bench is not None  # noqa: S101 - something is judged
            judgments = await self.bench.pointwise(
                list(items.values()), rubric, what=f"judging {candidate.name}", compare=True
            )
            found.update(zip(items, judgments, strict=True))
        return found

    def rubrics_of(self, one: Asked) -> list[str]:
        """The rubrics by which an answer is judged; the one that scores its prompt comes first."""
        own = [rubric_of(one.prompt)] if one.prompt_set.name in self._judged_sets else []
        return [*own, *criteria_of(one)]

    def response(self, one: Asked, verdicts: Verdicts) -> AnswerClass | None:
        """What an answer does with the request by the judge; None where no rubric tells."""
        for rubric_id in self.rubrics_of(one):
            judgment = verdicts.get(key_of(one, rubric_id))
            if self.bench is not None and judgment is not None and judgment.score is not None:
                found = self.bench.rubric(rubric_id).answer_class(judgment.score)
                if found is not None:
                    return found
        return None

    async def controls(self) -> list[JudgedControl]:
        """Judge the project's control answers, whose labels are known."""
        if self._project.file.controls is None or self.bench is None:
            return []
        controls = read_controls(self._project.at(self._project.file.controls))
        judged: dict[str, Judgment] = {}
        for rubric in dict.fromkeys(control.rubric for control in controls):
            mine = [control for control in controls if control.rubric == rubric]
            judgments = await self.bench.pointwise([control.item for control in mine], rubric, what="judging controls")
            judged.update((control.id, judgment) for control, judgment in zip(mine, judgments, strict=True))
        return [JudgedControl(control, judged[control.id]) for control in controls]

    def _check_rubrics(self) -> None:
        """Every rubric that will be asked for must be there before the first model is started."""
        if self.bench is None:
            return
        pairwise = self._project.file.judging.pairwise
        if pairwise is not None and self.bench.rubric(pairwise).kind != "pairwise":
            raise InputError(
                f"judging.pairwise names rubric '{pairwise}', which scores single answers",
                where=self._project.path,
                do="name a rubric with 'kind: pairwise'",
            )
        for loaded in self._project.sets:
            own = {rubric_of(p) for p in loaded.prompt_set.prompts} if loaded.card.scoring == "judge" else set()
            for rubric_id in sorted({*own, *loaded.card.criteria}):
                if self.bench.rubric(rubric_id).kind != "pointwise":
                    raise InputError(
                        f"set '{loaded.prompt_set.name}' is judged by rubric '{rubric_id}', which compares two answers",
                        do="name a pointwise rubric; pairwise ones are named under 'judging' in relgate.yaml",
                    )


def label_probabilities(
    asked: Sequence[Asked],
    verdicts: Mapping[Arm, Verdicts],
    wanted: Mapping[str, int],
    seed: int,
    *,
    first: Collection[str],
    disagreeing: Collection[tuple[str, str]] = (),
) -> dict[tuple[str, str], float]:
    """Which prompts are labelled on every arm, with the probability that each was drawn: (set, prompt id) -> p.

    Drawn set by set among the prompts that a judge was asked about on some arm.

    Args:
        asked: one batch of the run.
        verdicts: what the judge said, by arm.
        wanted: labels per arm of each set; sets that are not named get none.
        seed: seed of the draw.
        first: sets whose first batch this is: later ones need not show every kind of verdict again.
        disagreeing: prompts on some answer to which judge and refusal detector disagree: they are drawn first.
    """
    by_set: dict[str, dict[tuple[str, str], tuple[bool | None, ...]]] = {}
    for one in asked:
        key = (one.prompt_set.name, one.prompt.id)
        if key[0] in wanted and one.repeat == 0:
            said = [seen.get(key_of(one, rubric_of(one.prompt))) for seen in verdicts.values()]
            # Also where some arm's request failed: what could never be drawn, no label would speak for.
            if any(judgment is not None for judgment in said):
                verdict = tuple(None if judgment is None else _passed(judgment) for judgment in said)
                by_set.setdefault(key[0], {})[key] = verdict
    chosen: dict[tuple[str, str], float] = {}
    for name, members in by_set.items():
        sample = labelled_subsample(
            members,
            per_arm=wanted[name],
            least=LEAST_OF_FIRST if name in first else LEAST_OF_LATER,
            seed=seed,
            first=[key for key in members if key in disagreeing],
        )
        chosen.update({key: sample.probability[key] for key in sample.chosen})
    return chosen


def calibrations_of(
    answers: Sequence[Answer], controls: Sequence[JudgedControl], label_source: str
) -> tuple[Calibration, ...]:
    """The judge's measured error by kind of set and rubric, from the labelled answers of all arms and the controls."""
    labelled: dict[tuple[SetKind, str], list[LabelledVerdict]] = {}
    for answer in answers:
        if answer.judgment is None or answer.label is None or answer.generation.error is not None:
            continue
        kind, said = answer.asked.kind, _passed(answer.judgment)
        labelled.setdefault((kind, answer.rubric or ""), []).append(
            verdict_on(answer, None if said is None else event(kind, meets=said) == 1.0)
        )
    waiting = Counter(
        (answer.asked.kind, answer.rubric or "") for answer in answers if answer.judgment and answer.awaits_label
    )
    planted: dict[tuple[SetKind, str], list[LabelledVerdict]] = {}
    for one in controls:
        planted.setdefault((one.control.set, one.control.rubric), []).append(one.verdict)
    return tuple(
        calibrate(
            rubric,
            kind,
            labelled.get(key, []),
            controls=planted.get(key, []),
            label_source=label_source,
            unlabelled=waiting[key],
        )
        for key in sorted({*labelled, *planted})
        for kind, rubric in [key]
    )


def verdict_on(answer: Answer, seen: bool | None) -> LabelledVerdict:
    """A labelled answer with what an instrument says of its event."""
    return LabelledVerdict(
        arm=answer.arm,
        unit=answer.asked.prompt.unit,
        truth=answer.label == 1.0,
        seen=seen,
        probability=answer.label_p or 1.0,
    )


def key_of(one: Asked, rubric: str) -> VerdictKey:
    """Under which a verdict on an answer stands."""
    return one.prompt_set.name, one.prompt.id, one.repeat, rubric


def criteria_of(one: Asked) -> list[str]:
    """The further rubrics that an answer is judged by."""
    return [rubric for rubric in one.prompt_set.criteria if rubric != one.prompt.rubric]


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
