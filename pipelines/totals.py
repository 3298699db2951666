"""What a run of a plan takes: prompts, tokens, time, accelerator-hours and money, each with where it comes from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from evalharness.candidate import Candidate, Price
from evalharness.evidence import Evidence
from evalharness.outcomes import Arm
from evalharness.plan import Plan
from evalharness.planning import joint_power, naive_total
from evalharness.pricing import SECONDS_PER_HOUR
from golden_sets.length import count_tokens
from golden_sets.records import Prompt
from pipelines.project import Project

ASSUMED_ANSWER_TOKENS = 0.5
"""Share of ``max_tokens`` that an answer is assumed to take, where no evidence tells."""


@dataclass(frozen=True)
class Costing:
    """What is known about the cost of a project's runs."""

    project: Project
    arms: Mapping[Arm, Candidate | None]
    """Whose prices and token bounds count; an arm that is not known, or has no price, costs what the candidate does."""
    known: Evidence | None = None
    """Earlier evidence in which the incumbent was the subject: answer lengths and speed come from it."""
    requests_per_second: float | None = None
    """How fast the engine answers; None: as in that evidence, else no time is told."""

    @cached_property
    def _tokens(self) -> dict[tuple[str, str], int]:
        """Tokens of every prompt of the project, by the reference tokenizer."""
        prompts = [(s.prompt_set.name, p) for s in self.project.sets for p in s.prompt_set.prompts]
        counts = count_tokens([_text(prompt) for _, prompt in prompts])
        return {(name, prompt.id): n for (name, prompt), n in zip(prompts, counts, strict=True)}

    @cached_property
    def _buckets(self) -> dict[tuple[str, str], str | None]:
        return {
            (s.prompt_set.name, p.id): p.dimensions.get("length_bucket")
            for s in self.project.sets
            for p in s.prompt_set.prompts
        }

    @property
    def speed(self) -> tuple[float | None, str]:
        """Answers per second under full load, and where that number comes from."""
        if self.requests_per_second is not None:
            return self.requests_per_second, "--requests-per-second"
        measured = None if self.known is None else self.known.provenance.details.get("requests_per_second")
        if isinstance(measured, int | float) and measured > 0:
            return float(measured), "incumbent's evidence"
        return None, "not measured yet"

    @property
    def answer_tokens(self) -> tuple[float | None, str]:
        """Tokens of an answer, and where that number comes from."""
        mean = None if self.known is None else self.known.provenance.details.get("mean_output_tokens")
        if isinstance(mean, int | float):
            return float(mean), "incumbent's evidence"
        candidate = self.arms.get("candidate")
        if candidate is None:
            return None, "unknown"
        bound = candidate.manifest.sampling.max_tokens
        return bound * ASSUMED_ANSWER_TOKENS, f"assumed: {ASSUMED_ANSWER_TOKENS:g} of max_tokens ({bound})"

    def totals(self, plan: Plan) -> dict[str, Any]:
        """What a run of the plan takes at most, all looks done; ``expected_prompts`` is what it takes on average."""
        asked = [(name, i) for name, planned in plan.sets.items() for s in planned.strata for i in s.prompts]
        arms = _arms(plan)
        answers, timed = len(asked) * plan.repeats, self._timed(plan, asked)
        per_arm = answers + timed
        prompt_tokens = per_arm * sum(self._tokens[key] for key in asked) / max(1, len(asked))
        answer, answer_source = self.answer_tokens
        output = None if answer is None else round(per_arm * answer)
        speed, speed_source = self.speed
        rate = None if plan.latency is None else plan.latency.rate
        seconds = None if speed is None else answers / speed + timed / (rate or speed)
        usd = {arm: _usd(self._price(arm), prompt_tokens, output, seconds) for arm in arms}
        hours = {arm: _gpu_hours(self._price(arm), seconds) for arm in arms}
        return {
            "prompts": len(asked),
            "naive_prompts": naive_total(plan.cells),
            "expected_prompts": plan.expected_prompts,
            "expected_prompts_clear": plan.expected_prompts_clear,
            "arms": len(arms),
            "generations": per_arm * len(arms),
            "generations_per_arm": per_arm,
            "judgments": self._judged(plan) * plan.repeats * len(arms),
            "labels": sum(planned.labels_per_arm for planned in plan.sets.values()) * len(arms),
            "prompt_tokens_per_arm": round(prompt_tokens),
            "prompt_tokens_source": "reference tokenizer",
            "output_tokens_per_arm": output,
            "output_tokens_source": answer_source,
            "usd_per_arm": usd["candidate"],
            "usd": _sum(usd),
            "seconds_per_arm": seconds,
            "seconds": None if seconds is None else seconds * len(arms),
            "seconds_source": speed_source,
            "gpu_hours_per_arm": hours["candidate"],
            "gpu_hours": _sum(hours),
            "joint_power": joint_power(plan.cells),
        }

    def _price(self, arm: Arm) -> Price | None:
        found = self.arms.get(arm)
        if found is not None and found.price is not None:
            return found.price
        candidate = self.arms.get("candidate")
        return None if candidate is None else candidate.price

    def _timed(self, plan: Plan, asked: list[tuple[str, str]]) -> int:
        """Requests of the latency pass, per arm."""
        if plan.latency is None:
            return 0
        return len({self._buckets[key] for key in asked}) * plan.latency.requests_per_bucket + plan.latency.warmup

    def _judged(self, plan: Plan) -> int:
        """Judgments of one arm's answers: one by the prompt's own rubric where a judge scores, one by each further."""
        rubrics = {
            s.prompt_set.name: (s.card.scoring == "judge") + len(s.card.criteria)
            for s in self.project.sets
            if s.prompt_set.name in plan.sets
        }
        return sum(n * len(s.prompts) for name, n in rubrics.items() for s in plan.sets[name].strata)


def totals(
    plan: Plan,
    project: Project,
    candidate: Candidate | None,
    known: Evidence | None = None,
    *,
    incumbent: Candidate | None = None,
    requests_per_second: float | None = None,
) -> Mapping[str, Any]:
    """What a run of the plan takes: an estimate for people; sources stand beside the numbers.

    Args:
        plan: the plan.
        project: the project it was made for.
        candidate: whose price and token bound count.
        known: earlier evidence in which the incumbent was the subject: answer lengths and speed come from it.
        incumbent: whose price counts for its own answers; default: the candidate's.
        requests_per_second: how fast the engine answers; default: as in that evidence, else no time is told.
    """
    arms: dict[Arm, Candidate | None] = {"candidate": candidate, "incumbent": incumbent}
    return Costing(project, arms, known, requests_per_second).totals(plan)


def _arms(plan: Plan) -> list[Arm]:
    named: list[tuple[Arm, object]] = [
        ("candidate", plan.policy_digest),
        ("incumbent", plan.incumbent_digest),
        ("anchor", plan.anchor_digest),
    ]
    return [arm for arm, there in named if there is not None]


def _usd(price: Price | None, prompt_tokens: float, output_tokens: int | None, seconds: float | None) -> float | None:
    if price is None:
        return None
    if price.usd_per_gpu_hour is not None:
        hours = _gpu_hours(price, seconds)
        return None if hours is None else hours * price.usd_per_gpu_hour
    if output_tokens is None:
        return None
    assert price.usd_per_million_input_tokens is not None  # noqa: S101 - validated with the price
    assert price.usd_per_million_output_tokens is not None  # noqa: S101
    return (
        prompt_tokens * price.usd_per_million_input_tokens + output_tokens * price.usd_per_million_output_tokens
    ) / 1e6


def _gpu_hours(price: Price | None, seconds: float | None) -> float | None:
    if price is None or price.usd_per_gpu_hour is None or seconds is None:
        return None
    return seconds * price.gpus / SECONDS_PER_HOUR


def _sum(by_arm: Mapping[Arm, float | None]) -> float | None:
    values = [value for value in by_arm.values() if value is not None]
    return sum(values) if len(values) == len(by_arm) else None


def _text(prompt: Prompt) -> str:
    return "\n".join(m.content for m in prompt.messages)
