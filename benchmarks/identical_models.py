"""A/A: how often does a policy of twenty cells tell two identical models apart, and its own verdict from itself?

Both arms answer with the same chances, prompt by prompt (outcomes of one prompt are correlated), so every verdict of
"worse" is chance. Two runs on the same prompts, with fresh answers, show how often the verdict flips.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import cycle, islice

import numpy as np
import pandas as pd

from benchmarks.error_rates_report import Rates, rates_of
from benchmarks.simulated_evidence import Floats, bernoulli, beta_rates, evidence_of, policy, rows
from evalharness.outcomes import OutcomeTable
from gates.decision import Decision
from gates.gate import gate
from gates.policy import Policy

GOLDEN, PER_SEVERITY, BENIGN, PER_BUCKET = 2000, 400, 400, 200
TIERS = ("easy", "medium", "hard", "expert")
CATEGORIES = ("code", "extraction", "reasoning", "writing")
SEVERITIES = ("low", "medium", "high", "critical")
BUCKETS = ("le64", "le256", "le1024", "le4096")
ICC = 0.5
"""Correlation of two answers to the same prompt, of either arm."""
SPREAD = 0.3
"""Standard deviation of the logarithm of a latency; its median is 0.5 s (first token) and 2 s (whole answer)."""


@dataclass(frozen=True)
class Model:
    """The rates of both arms."""

    passes: float = 0.9
    violates: float = 0.002
    refuses: float = 0.015
    fails: float = 0.0005
    """Requests for golden prompts that fail."""

    @property
    def golden(self) -> float:
        """Chance that a golden prompt is answered and passes."""
        return self.passes * (1 - self.fails)

    @property
    def succeeds(self) -> float:
        """Mean chance of a request to succeed."""
        requests = GOLDEN + len(SEVERITIES) * PER_SEVERITY + BENIGN + len(BUCKETS) * PER_BUCKET
        return 1 - self.fails * GOLDEN / requests


GOOD = Model()
"""Clears every limit of `slack_policy`."""
BORDERLINE = Model(violates=0.02, refuses=0.05, fails=0.005)
"""For `tight_policy`: every limit lies exactly at its true value."""


def slack_policy() -> Policy:
    """Limits that the good model clears with room."""
    return _policy(
        margin=0.05, floor=0.84, violations=0.02, refusals=0.05, reliability=0.995, ttft=1.07, e2e=4.28, cost=1.1
    )


def roomy_policy() -> Policy:
    """Limits that it clears with so much room that nearly every run shows it."""
    return _policy(
        margin=0.07, floor=0.82, violations=0.03, refusals=0.07, reliability=0.99, ttft=1.2, e2e=4.8, cost=1.2
    )


def tight_policy(model: Model) -> Policy:
    """Limits exactly at the model's true values; the margins alone leave room."""
    p95 = float(np.exp(SPREAD * 1.6448536269514722))
    return _policy(
        margin=0.05,
        floor=model.golden,
        violations=model.violates,
        refusals=model.refuses,
        reliability=model.succeeds,
        ttft=0.5 * p95,
        e2e=2.0 * p95,
        cost=1.0,
    )


class Runs:
    """Releases of one model against itself."""

    def __init__(self, model: Model, rng: np.random.Generator) -> None:
        self._model, self._rng = model, rng
        self._frame = pd.concat([_arm("candidate"), _arm("incumbent")], ignore_index=True)
        kinds, phases = self._frame["set_kind"].to_numpy(), self._frame["phase"].to_numpy()
        self._latency = phases == "latency"
        self._scored = [(kinds == kind) & ~self._latency for kind in ("golden", "adversarial", "false_refusal")]

    def prompts(self) -> list[Floats]:
        """Chances of the event of each prompt, by kind of set."""
        model = self._model
        sizes = (GOLDEN, len(SEVERITIES) * PER_SEVERITY, BENIGN)
        return [
            beta_rates(self._rng, size, mean, ICC)
            for size, mean in zip(sizes, (model.passes, model.violates, model.refuses), strict=True)
        ]

    def run(self, prompts: list[Floats]) -> OutcomeTable:
        """Fresh answers of both arms to the same prompts."""
        rng, size = self._rng, len(self._frame)
        outcomes, usd = np.full(size, np.nan), np.full(size, np.nan)
        for mask, chances in zip(self._scored, prompts, strict=True):
            outcomes[mask] = bernoulli(rng, np.tile(chances, 2))
        golden = self._scored[0]
        lengths = np.tile(rng.normal(0.0, 0.5, GOLDEN), 2)  # long for one arm, long for the other
        usd[golden] = 0.001 * np.exp(lengths + rng.normal(0.0, 0.2, 2 * GOLDEN))
        failed = golden & (rng.random(size) < self._model.fails)
        outcomes[failed] = np.nan
        times = np.exp(rng.normal(0.0, SPREAD, (2, size)))
        return OutcomeTable.from_frame(
            self._frame.assign(
                outcome=outcomes,
                usd=usd,
                error=pd.Series(["timeout" if one else None for one in failed], dtype="string"),
                ttft_s=np.where(self._latency, 0.5 * times[0], np.nan),
                e2e_s=np.where(self._latency, 2.0 * times[1], np.nan),
            )
        )


def identical_models(releases: int, *, seed: int = 201) -> Iterator[Rates]:
    """A/A under all three policies, and under the point rules that peers use.

    Args:
        releases: pairs of runs of the good model, and single runs of the borderline one.
        seed: of all chance.
    """
    rng = np.random.default_rng(seed)
    runs, rules, roomy = Runs(GOOD, rng), slack_policy(), roomy_policy()
    pairs: list[tuple[Decision, Decision]] = []
    surer: list[tuple[str, str]] = []
    higher: list[tuple[str, str]] = []
    for _ in range(releases):
        prompts = runs.prompts()
        tables = [runs.run(prompts) for _ in range(2)]
        pairs.append((gate(rules, evidence_of(tables[0])), gate(rules, evidence_of(tables[1]))))
        surer.append((_verdict(roomy, tables[0]), _verdict(roomy, tables[1])))
        higher.append((_not_below(tables[0]), _not_below(tables[1])))
    verdicts = [(a.verdict.value, b.verdict.value) for a, b in pairs]
    points = [(_by_points(a), _by_points(b)) for a, b in pairs]
    yield _row("A/A", "20 cells, limits with room", verdicts)
    yield _row("A/A", "20 cells, limits with much room", surer)
    yield _row("A/A, peers", "pass rate of the candidate >= the incumbent's", higher, limit=None)
    yield _row("A/A, peers", "20 cells, each by its point estimate", points, limit=None)
    runs, rules = Runs(BORDERLINE, rng), tight_policy(BORDERLINE)
    tight = [_verdict(rules, runs.run(runs.prompts())) for _ in range(releases)]
    yield rates_of("A/A", "20 cells, every limit exactly at the true value", tight, "block")


def _policy(
    *,
    margin: float,
    floor: float,
    violations: float,
    refusals: float,
    reliability: float,
    ttft: float,
    e2e: float,
    cost: float,
) -> Policy:
    return policy(
        {"id": "margin", "metric": "pass_rate", "each": ["category"], "test": "non_inferiority", "margin": margin},
        {"id": "floor", "metric": "pass_rate", "each": ["tier"], "test": "floor", "threshold": floor},
        {
            "id": "violations",
            "metric": "violation_rate",
            "each": ["severity"],
            "test": "ceiling",
            "threshold": violations,
        },
        {"id": "refusals", "metric": "false_refusal_rate", "test": "ceiling", "threshold": refusals},
        {"id": "reliability", "metric": "request_success_rate", "test": "floor", "threshold": reliability},
        {
            "id": "ttft",
            "metric": "ttft_s",
            "quantile": 0.95,
            "each": ["length_bucket"],
            "test": "ceiling",
            "threshold": ttft,
        },
        {"id": "completion", "metric": "e2e_s", "quantile": 0.95, "test": "ceiling", "threshold": e2e},
        {"id": "cost", "metric": "usd_per_success", "test": "ratio_ceiling", "threshold": cost},
    )


def _arm(arm: str) -> pd.DataFrame:
    """Everything of one arm that is the same in every run."""

    def turns(values: tuple[str, ...], count: int) -> list[str]:
        return list(islice(cycle(values), count))

    golden = rows(np.zeros(GOLDEN), arm=arm)
    golden["dim.tier"] = turns(TIERS, GOLDEN)
    golden["dim.category"] = sorted(turns(CATEGORIES, GOLDEN))
    adversarial = rows(np.zeros(len(SEVERITIES) * PER_SEVERITY), arm=arm, kind="adversarial")
    adversarial["dim.severity"] = turns(SEVERITIES, len(adversarial))
    benign = rows(np.zeros(BENIGN), arm=arm, kind="false_refusal")
    latency = rows(np.full(len(BUCKETS) * PER_BUCKET, np.nan), arm=arm).assign(phase="latency", scored_by=None)
    latency["dim.length_bucket"] = turns(BUCKETS, len(latency))
    return pd.concat([golden, adversarial, benign, latency], ignore_index=True)


def _verdict(rules: Policy, table: OutcomeTable) -> str:
    return gate(rules, evidence_of(table)).verdict.value


def _not_below(table: OutcomeTable) -> str:
    """The rule that peers gate by."""
    means = [
        np.nan_to_num(table.arm(arm).where({"set": "golden"}).phase("quality").numbers("outcome")).mean()
        for arm in ("candidate", "incumbent")
    ]
    return "promote" if means[0] >= means[1] else "block"


def _by_points(decision: Decision) -> str:
    """Every check by its point estimate, comparisons by "not below the incumbent"."""
    for one in decision.checks:
        value = one.estimate.value
        assert value is not None
        limit = 0.0 if one.test == "non_inferiority" else one.limit
        if (value < limit) if one.test in ("floor", "non_inferiority") else (value > limit):
            return "block"
    return "promote"


def _row(section: str, setting: str, pairs: list[tuple[str, str]], *, limit: float | None = 0.05) -> Rates:
    flips = sum(a != b for a, b in pairs) / len(pairs)
    return rates_of(section, setting, [v for pair in pairs for v in pair], "block", limit=limit, flips=flips)
