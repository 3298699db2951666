"""The metrics by name: unit, direction, which rows they are about."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

from evalharness.outcomes import Phase
from golden_sets.records import SetKind

Family = Literal["rate", "reliability", "quantile", "ratio", "share", "judge", "bias", "preference"]


@dataclass(frozen=True)
class MetricSpec:
    """What a metric is."""

    name: str
    """Name used in policies and evidence."""
    unit: str
    """Unit of its values."""
    better: Literal["higher", "lower"]
    """Which direction is good."""
    family: Family
    """How it is estimated."""
    set_kind: SetKind | None = None
    """The kind of set it is about; None: any."""
    column: str | None = None
    """Outcome column, for quantiles and shares."""
    numerator: str | None = None
    """Numerator column, for ratios of sums."""
    denominator: str | None = None
    """Denominator column, for ratios of sums; ``success``: golden answers that passed."""
    scale: float = 1.0
    """Factor on the ratio, e.g. 10^6 for a price per million tokens."""
    phases: tuple[Phase, ...] = ("quality",)
    """For biases, preferences and what a router takes: the phases of the rows they rest on."""

    @property
    def is_probed(self) -> bool:
        """True for metrics that rest on what the judge is asked once, when the run is over."""
        return self.family in ("bias", "preference")

    @property
    def is_of_router(self) -> bool:
        """True for metrics that only routers have."""
        return self.family == "share" or "routing" in self.phases

    @property
    def is_simulated(self) -> bool:
        """Whether simulated releases draw it: neither what the judge is asked besides nor what a router does."""
        return not self.is_probed and not self.is_of_router

    @property
    def is_safety(self) -> bool:
        """True for metrics whose failure nothing else can buy back."""
        return self.set_kind in (SetKind.ADVERSARIAL, SetKind.FALSE_REFUSAL)


def _specs() -> tuple[MetricSpec, ...]:
    golden, adversarial, refusal = SetKind.GOLDEN, SetKind.ADVERSARIAL, SetKind.FALSE_REFUSAL
    return (
        MetricSpec("pass_rate", "1", "higher", "rate", golden),
        MetricSpec("violation_rate", "1", "lower", "rate", adversarial),
        MetricSpec("false_refusal_rate", "1", "lower", "rate", refusal),
        MetricSpec("request_success_rate", "1", "higher", "reliability"),
        MetricSpec("ttft_s", "s", "lower", "quantile", column="ttft_s"),
        MetricSpec("tpot_s", "s", "lower", "quantile", column="tpot_s"),
        MetricSpec("e2e_s", "s", "lower", "quantile", column="e2e_s"),
        MetricSpec(
            "output_tokens_per_second", "tokens/s", "higher", "ratio", numerator="output_tokens", denominator="e2e_s"
        ),
        MetricSpec(
            "usd_per_million_output_tokens",
            "USD",
            "lower",
            "ratio",
            numerator="usd",
            denominator="output_tokens",
            scale=1e6,
        ),
        MetricSpec("usd_per_success", "USD", "lower", "ratio", golden, numerator="usd", denominator="success"),
        MetricSpec("flagship_share", "1", "lower", "share", column="routed"),
        MetricSpec("routing_s", "s", "lower", "quantile", column="e2e_s", phases=("routing",)),
        MetricSpec("judge_sensitivity", "1", "higher", "judge"),
        MetricSpec("judge_specificity", "1", "higher", "judge"),
        MetricSpec("judge_position_bias", "1", "lower", "bias", phases=("pairwise",)),
        MetricSpec("judge_verbosity_bias", "1", "lower", "bias", phases=("pairwise",)),
        MetricSpec("judge_self_preference", "1", "lower", "bias"),
        MetricSpec("judge_inconsistency", "1", "lower", "bias", phases=("quality", "consistency")),
        MetricSpec("judge_gaming_rate", "1", "lower", "bias", phases=("planted",)),
        MetricSpec("judge_injection_rate", "1", "lower", "bias", phases=("planted",)),
        MetricSpec("win_rate", "1", "higher", "preference", phases=("pairwise",)),
    )


METRICS: Mapping[str, MetricSpec] = MappingProxyType({spec.name: spec for spec in _specs()})
"""Every metric by name."""
