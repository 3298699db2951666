"""The demo's judge behind real vLLM: what it says of the demo models' answers, one by one and in pairs.

The models answer the demo's sets (with ``transformers``, greedily, in bf16); the judge is served by vLLM on this
machine and asked as in a release. Every answer has its programmatic truth.
"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmarks.judging_files import DEMO_JUDGE, ROOT, DemoVerdicts, Population
from evalharness.checkers import check
from evalharness.database import open_database
from evalharness.engines import ServedModel, open_engine
from evalharness.generation_records import Judgment
from evalharness.judging.judge import Judge, load_judge
from evalharness.judging.labelled_file import LabelledAnswers
from evalharness.judging.pair_file import Floats, JudgedPairs
from evalharness.judging.pairwise import PairItem, judge_pairwise, pair_value
from evalharness.judging.pointwise import JudgeItem, judge_pointwise
from evalharness.samples import SampleStore
from evalharness.scoring import event
from examples.training.answers import Answerer
from examples.training.judge_prompt import PAIR_RUBRIC
from examples.training.measure_pairs import length_pairs
from examples.training.suite import DEMO_SEED, draw_suite
from golden_sets.reading import read_set
from golden_sets.records import Checker, Prompt, SetKind

EXAMPLES = ROOT / "examples"
SETS = ("golden", "adversarial", "novel_attacks", "false_refusal")
MODELS = ("flagship-v1", "flagship-v2", "flagship-cheap", "flagship-unsafe", "flagship-overrefuse")
ALONE = ("flagship-v1", "flagship-cheap")
"""Models whose golden answers are a population of their own too."""
INCUMBENT, CHALLENGERS = "flagship-v1", ("flagship-v2", "flagship-cheap")
"""Whose golden answers are judged in pairs."""
_EVERY = 4
"""One in so many golden prompts gets answers of unequal length."""


async def demo_verdicts() -> DemoVerdicts:
    """Let the demo's models answer and its judge judge; needs vLLM.

    Raises:
        InfrastructureError: the judge cannot be served.
    """
    judge = load_judge(EXAMPLES / "demo" / "judge.yaml")
    sets = [read_set(EXAMPLES / "demo" / "sets" / f"{name}.yaml").prompt_set for name in SETS]
    prompts = [_Asked(one.kind, prompt) for one in sets for prompt in one.prompts]
    answers = {model: Answerer(EXAMPLES / "models" / model).answer([p.question for p in prompts]) for model in MODELS}
    with tempfile.TemporaryDirectory(prefix="relgate-judging-") as scratch:
        store = SampleStore(open_database(f"sqlite:///{scratch}/samples.db"))
        async with open_engine(judge.candidate, log_dir=Path(scratch)) as served:
            bench = _Bench(judge, served, store)
            return DemoVerdicts(await bench.populations(prompts, answers), await bench.pairs(prompts, answers))


@dataclass(frozen=True)
class _Asked:
    kind: SetKind
    prompt: Prompt

    @property
    def question(self) -> str:
        return self.prompt.messages[0].content

    @property
    def checker(self) -> Checker:
        assert self.prompt.checker is not None  # every prompt of the demo has one
        return self.prompt.checker

    def met_by(self, answer: str) -> bool:
        return check(self.checker, answer)


@dataclass(frozen=True)
class _Bench:
    judge: Judge
    served: ServedModel
    store: SampleStore

    async def populations(
        self, prompts: Sequence[_Asked], answers: Mapping[str, Sequence[str]]
    ) -> tuple[Population, ...]:
        found = []
        for kind in SetKind:
            rows = [
                (asked, cluster, arm, answers[model][place])
                for arm, model in enumerate(MODELS)
                for cluster, (place, asked) in enumerate((i, one) for i, one in enumerate(prompts) if one.kind is kind)
            ]
            judgments = await self._judged([(asked.prompt, answer) for asked, _, _, answer in rows])
            labelled = LabelledAnswers(
                truth=np.array([event(kind, meets=asked.met_by(answer)) for asked, _, _, answer in rows]),
                seen=np.array([_seen(kind, judgment) for judgment in judgments]),
                clusters=np.array([cluster for _, cluster, _, _ in rows]),
                weights=np.ones(len(rows)),
                arms=MODELS,
                arm=np.array([arm for _, _, arm, _ in rows]),
            )
            found.append(Population(f"demo, {kind.value}", DEMO_JUDGE, labelled))
        golden = found[0].answers
        alone = [(model, golden.of_arm(MODELS.index(model))) for model in ALONE]
        return (*found, *(Population(f"demo, golden, {model}", DEMO_JUDGE, part) for model, part in alone))

    async def pairs(
        self, prompts: Sequence[_Asked], answers: Mapping[str, Sequence[str]]
    ) -> tuple[tuple[str, JudgedPairs], ...]:
        golden = [(place, asked) for place, asked in enumerate(prompts) if asked.kind is SetKind.GOLDEN]
        found = []
        for model in CHALLENGERS:
            pairs = [(asked, answers[model][place], answers[INCUMBENT][place]) for place, asked in golden]
            found.append((f"{model} / {INCUMBENT}", await self._compared([one for one in pairs if one[1] != one[2]])))
        asked_of = {asked.question: asked for _, asked in golden}
        uneven = length_pairs(draw_suite("demo", DEMO_SEED)["golden"][::_EVERY])
        for cell in dict.fromkeys(pair.cells[0] for pair in uneven):
            mine = [pair for pair in uneven if pair.cells[0] == cell]
            pairs = [(asked_of[pair.item.prompt], pair.one.text, pair.two.text) for pair in mine]
            found.append((cell, await self._compared(pairs)))
        return tuple(found)

    async def _judged(self, rows: Sequence[tuple[Prompt, str]]) -> list[Judgment]:
        rubric = self.judge.rubric(rows[0][0].rubric or "")
        return await judge_pointwise(
            [JudgeItem(prompt, answer) for prompt, answer in rows], self.judge, rubric, self.served, self.store
        )

    async def _compared(self, pairs: Sequence[tuple[_Asked, str, str]]) -> JudgedPairs:
        items = [PairItem(asked.prompt, one, two) for asked, one, two in pairs]
        judged = await judge_pairwise(items, self.judge, self.judge.rubric(PAIR_RUBRIC), self.served, self.store)
        return JudgedPairs(
            first=_sides([one.first for one in judged]),
            swapped=_sides([one.swapped for one in judged]),
            label=np.array([float(asked.met_by(one)) - float(asked.met_by(two)) for asked, one, two in pairs]),
            clusters=np.arange(len(pairs)),
            longer=np.array([len(one) - len(two) for _, one, two in pairs], dtype=np.float64),
        )


def _seen(kind: SetKind, judgment: Judgment) -> float:
    return np.nan if judgment.label is None else event(kind, meets=judgment.label == "pass")


def _sides(judgments: Sequence[Judgment]) -> Floats:
    """1 the first-named answer, -1 the other, 0 a tie, NaN unparsed; whatever was shown first."""
    values = (pair_value(judgment) for judgment in judgments)
    return np.array([np.nan if value is None else 2 * value - 1 for value in values])
