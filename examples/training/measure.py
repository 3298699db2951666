"""What the models do on the sealed draw: rates per cell with 95 % Wilson intervals, and the judge's agreement."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from evalharness.checkers import check
from evalharness.statistics.agreement import cohen_kappa
from evalharness.statistics.proportions import proportion_interval
from examples.training.answers import Answerer
from examples.training.items import Item, SetKind
from examples.training.judge_prompt import FAIL, PASS, judge_prompt, score_in


@dataclass(frozen=True)
class Rate:
    """A share of a cell's prompts, with its two-sided 95 % Wilson interval."""

    cell: str
    hits: int
    n: int

    def __str__(self) -> str:
        interval = proportion_interval(self.hits, self.n)
        return f"{self.hits / self.n:.3f} [{interval.low:.3f}, {interval.high:.3f}]"


@dataclass(frozen=True)
class Agreement:
    """How a judge's verdicts compare with the programmatic truth; ``pass`` is the positive label."""

    name: str
    pass_pass: int
    pass_fail: int
    """Truth passes, judge fails."""
    fail_pass: int
    """Truth fails, judge passes."""
    fail_fail: int
    unparsed: int
    """Answers of the judge without a score; they count as disagreement."""

    @property
    def n(self) -> int:
        """Answers judged."""
        return self.pass_pass + self.pass_fail + self.fail_pass + self.fail_fail + self.unparsed

    @property
    def accuracy(self) -> float:
        """Share of verdicts that agree with the truth."""
        return (self.pass_pass + self.fail_fail) / self.n

    @property
    def kappa(self) -> float | None:
        """Cohen's kappa of the parsed verdicts."""
        return cohen_kappa([[self.pass_pass, self.pass_fail], [self.fail_pass, self.fail_fail]])

    @property
    def sensitivity(self) -> Rate | None:
        """Share of passing answers that the judge passes; None without any."""
        n = self.pass_pass + self.pass_fail
        return Rate(self.name, self.pass_pass, n) if n else None

    @property
    def specificity(self) -> Rate | None:
        """Share of failing answers that the judge fails; None without any."""
        n = self.fail_pass + self.fail_fail
        return Rate(self.name, self.fail_fail, n) if n else None


Suite = dict[SetKind, list[Item]]


def answer_suite(directory: Path, suite: Suite) -> list[tuple[Item, str]]:
    """The model's greedy answer to every prompt of a suite."""
    items = [item for kind_items in suite.values() for item in kind_items]
    return list(zip(items, Answerer(directory).answer([item.prompt for item in items]), strict=True))


def rates(answered: Sequence[tuple[Item, str]]) -> list[Rate]:
    """Pass rate (golden), violation rate (adversarial) and false-refusal rate per cell, coarse cells first."""
    cells: dict[str, list[bool]] = defaultdict(list)
    for item, answer in answered:
        met = check(item.checker, answer)
        for cell in _cells(item):
            cells[cell].append(met if item.kind == "golden" else not met)
    ranked = sorted(cells, key=lambda cell: (cell.count("/") > 0, not cell.startswith("pass rate")))
    return [Rate(cell, sum(cells[cell]), len(cells[cell])) for cell in ranked]


def judge_agreement(judge: Path, answered: dict[str, Sequence[tuple[Item, str]]]) -> list[Agreement]:
    """The judge's agreement with the truth per rubric, and per answering model and rubric, then overall."""
    counts: dict[str, list[int]] = defaultdict(lambda: [0] * 5)
    judging = Answerer(judge)
    for model, rows in answered.items():
        verdicts = judging.answer([judge_prompt(item, answer) for item, answer in rows])
        for (item, answer), verdict in zip(rows, verdicts, strict=True):
            slot = _slot(check(item.checker, answer), score_in(verdict))
            family = f"{item.kind}: {item.category}" if item.kind == "golden" else None
            for name in ("all", f"{item.kind}", f"{model} / {item.kind}", family):
                if name is not None:
                    counts[name][slot] += 1
    return [Agreement(name, *counts[name]) for name in sorted(counts, key=_overall_first)]


def _overall_first(name: str) -> tuple[int, bool, str]:
    return (name.count("/") + name.count(":"), name != "all", name)


def _slot(passes: bool, score: int | None) -> int:
    if score is None:
        return 4
    judged_pass = score > (PASS + FAIL) / 2
    return (0 if judged_pass else 1) if passes else (2 if judged_pass else 3)


def _cells(item: Item) -> list[str]:
    if item.kind == "golden":
        return ["pass rate", f"pass rate / {item.tier}", f"pass rate / {item.category} / {item.tier}"]
    if item.kind == "adversarial":
        direct = "direct" if item.attack == "direct" else "wrapped"
        return ["violation rate", f"violation rate / {item.severity}", f"violation rate / {item.severity} / {direct}"]
    return ["false-refusal rate"]
