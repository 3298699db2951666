"""Plain sentences: what each metric is, what each test asks, and the words for statuses and outcomes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

from gates.decision import CheckResult, Status, Verdict
from gates.reports.figures import Scale, confidence
from gates.reports.model import JudgedAnswer, is_failure
from golden_sets.records import SetKind


@dataclass(frozen=True, slots=True)
class Mark:
    """A status as symbol, word and colour class: never colour alone."""

    symbol: str
    word: str
    style: Literal["pass", "fail", "inconclusive", "none"]


STATUS_MARKS: Mapping[Status, Mark] = MappingProxyType(
    {
        Status.PASS: Mark("✓", "Pass", "pass"),
        Status.FAIL: Mark("✕", "Fail", "fail"),
        Status.INCONCLUSIVE: Mark("?", "Inconclusive", "inconclusive"),
    }
)
VERDICT_MARKS: Mapping[Verdict, Mark] = MappingProxyType(
    {
        Verdict.PROMOTE: Mark("✓", "Promote", "pass"),
        Verdict.BLOCK: Mark("✕", "Block", "fail"),
        Verdict.INCONCLUSIVE: Mark("?", "Inconclusive", "inconclusive"),
    }
)
VERDICT_MEANING: Mapping[Verdict, str] = MappingProxyType(
    {
        Verdict.PROMOTE: "It cleared every check and may ship.",
        Verdict.BLOCK: "It must not ship.",
        Verdict.INCONCLUSIVE: "The evidence settles it neither way; it does not ship on this evidence.",
    }
)

SETS_WEAR_OUT = (
    "A set wears out: the more versions were chosen by their results on it, the less a pass on it says about prompts "
    "that nobody has tried yet."
)

METRIC_NAMES: Mapping[str, str] = MappingProxyType(
    {
        "pass_rate": "Pass rate",
        "violation_rate": "Violation rate",
        "false_refusal_rate": "False-refusal rate",
        "request_success_rate": "Request success rate",
        "ttft_s": "Time to first token",
        "tpot_s": "Time per output token",
        "e2e_s": "End-to-end time",
        "output_tokens_per_second": "Output tokens per second",
        "usd_per_million_output_tokens": "Cost per million output tokens",
        "usd_per_success": "Cost per success",
        "flagship_share": "Flagship share",
        "routing_s": "Routing time",
        "judge_sensitivity": "Judge sensitivity",
        "judge_specificity": "Judge specificity",
        "judge_position_bias": "Position bias",
        "judge_verbosity_bias": "Verbosity bias",
        "judge_self_preference": "Self-preference",
        "judge_inconsistency": "Inconsistency",
        "judge_gaming_rate": "Gaming rate",
        "judge_injection_rate": "Injection rate",
        "win_rate": "Win rate",
        "judged_win_rate": "Win rate by the judge's word",
    }
)
_METRIC_MEANING = {
    "pass_rate": "the share of prompts that are answered well enough",
    "violation_rate": "the share of adversarial prompts whose answer breaks the safety policy",
    "false_refusal_rate": "the share of harmless prompts that are refused",
    "request_success_rate": "the share of requests that end without an error of the server",
    "ttft_s": "the time from sending a request to its first token",
    "tpot_s": "the time for each output token after the first",
    "e2e_s": "the time from sending a request to the end of its answer",
    "output_tokens_per_second": "output tokens per second of answering",
    "usd_per_million_output_tokens": "what a million output tokens cost",
    "usd_per_success": "what an answer that passes costs",
    "flagship_share": "the share of prompts that the router sends to the flagship",
    "routing_s": "the computing time that the router takes to decide on a prompt",
    "judge_sensitivity": "the share of truly positive answers that the judge recognises",
    "judge_specificity": "the share of truly negative answers that the judge recognises",
    "judge_position_bias": "how much more often the judge prefers the answer shown first (or second)",
    "judge_verbosity_bias": "how much of the win rate goes with the length of answers alone",
    "judge_self_preference": "how much kinder the judge is to the candidate than to the incumbent (or the other way)",
    "judge_inconsistency": "the share of answers whose verdict changes when they are judged again",
    "judge_gaming_rate": "the share of planted answers without content that the judge lets win",
    "judge_injection_rate": "the share of attacks that talk the judge into passing an answer it would fail",
    "win_rate": "the share of prompts on which the candidate's answer is the better one, ties as half",
    "judged_win_rate": "the win rate as the judge sees it, not corrected by labels",
}


def metric_name(metric: str) -> str:
    """The metric's name for people."""
    return METRIC_NAMES.get(metric, metric.replace("_", " "))


def metric_meaning(metric: str) -> str:
    """What a metric is, as part of a sentence."""
    return _METRIC_MEANING.get(metric, metric_name(metric).lower())


def explain(check: CheckResult, scale: Scale, quantile: float | None) -> str:
    """One or two plain sentences: what is measured and when the check passes."""
    meaning = metric_meaning(check.metric)
    if quantile is not None:
        meaning = f"p{100 * quantile:g} of {meaning}: {confidence(quantile)} of requests stay within it"
    sure = confidence((1 + check.estimate.confidence) / 2)
    limit = scale.value(check.limit)
    if check.test == "non_inferiority":
        worse = scale.value(abs(check.limit)).lstrip("+")
        side = "lower" if worse_below(check) else "upper"
        return (
            f"Candidate minus {check.against} on the same prompts: {meaning}. It passes when we are {sure} sure that "
            f"the candidate is at most {worse} worse: the {side} end of the interval must clear {limit}."
        )
    if check.test == "ratio_ceiling":
        return (
            f"Candidate divided by {check.against}: {meaning}. It passes when we are {sure} sure that the ratio is "
            f"at most {limit}: the upper end of the interval must not exceed it."
        )
    bound, side = ("at least", "lower") if check.test == "floor" else ("at most", "upper")
    verb = "fall below" if check.test == "floor" else "exceed"
    return (
        f"{meaning[0].upper()}{meaning[1:]}. It passes when we are {sure} sure that the true value is {bound} {limit}: "
        f"the {side} end of the interval must not {verb} it."
    )


def worse_below(check: CheckResult) -> bool:
    """True where values below the limit are the bad ones.

    A non-inferiority limit is ``-margin`` where more is better; a positive limit means that more is worse.
    """
    if check.test == "non_inferiority":
        return check.limit <= 0
    return check.test == "floor"


def limit_text(check: CheckResult, scale: Scale) -> str:
    """The limit as a condition: ``≥ 80.0 %``."""
    return f"{'≥' if worse_below(check) else '≤'} {scale.value(check.limit)}"


def cell_name(check: CheckResult) -> str:
    """The cell's values as in the check's id, ``all`` where the check is not split."""
    rest = check.id.removeprefix(check.check).lstrip("/")
    return rest or "all"


KIND_ORDER = (SetKind.ADVERSARIAL, SetKind.FALSE_REFUSAL, SetKind.GOLDEN)
KIND_TITLES: Mapping[SetKind, str] = MappingProxyType(
    {
        SetKind.ADVERSARIAL: "Safety violations",
        SetKind.FALSE_REFUSAL: "False refusals",
        SetKind.GOLDEN: "Answers that did not pass",
    }
)
KIND_MEANING: Mapping[SetKind, str] = MappingProxyType(
    {
        SetKind.ADVERSARIAL: "Harmful requests. The right answer declines.",
        SetKind.FALSE_REFUSAL: "Harmless requests that look sensitive. The right answer helps.",
        SetKind.GOLDEN: "Ordinary requests. The right answer meets the rubric.",
    }
)
_OUTCOME_WORDS = {
    SetKind.GOLDEN: ("did not pass", "passed"),
    SetKind.ADVERSARIAL: ("violated the policy", "stayed safe"),
    SetKind.FALSE_REFUSAL: ("refused", "answered"),
}


def outcome_mark(kind: SetKind, answer: JudgedAnswer) -> Mark:
    """What became of one answer."""
    if answer.error is not None:
        return Mark("!", f"request failed ({answer.error})", "inconclusive")
    if answer.outcome is None:
        return Mark("?", "unscored", "inconclusive")
    bad, good = _OUTCOME_WORDS[kind]
    return Mark("✕", bad, "fail") if is_failure(kind, answer.outcome) else Mark("✓", good, "pass")


def truth_words(kind: SetKind, answer: JudgedAnswer) -> str | None:
    """What is known beyond the judge: adjudication first, else the label; None where nothing is."""
    if answer.adjudicated is not None:
        return "confirmed by adjudication" if answer.adjudicated >= 0.5 else "refuted by adjudication"
    if answer.label is None:
        return None
    bad, good = _OUTCOME_WORDS[kind]
    return f"true label: {bad if is_failure(kind, answer.label) else good}"
