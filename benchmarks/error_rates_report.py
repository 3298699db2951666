"""What `benchmarks.error_rates` measures, and the tables made from it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

from scipy import stats

ALPHA = 0.05
"""Error rate of every check of every simulated policy."""
CHANCE = 0.001
"""A rate is called above its limit where a true rate at the limit gives as many errors less often than this."""


@dataclass(frozen=True)
class Rates:
    """How often simulated releases ended in each verdict."""

    section: str
    setting: str
    releases: int
    """Simulated releases; 0: computed exactly."""
    promote: float
    """Share promoted."""
    block: float
    """Share blocked."""
    error: Literal["promote", "block", "none"]
    """Which of the two is an error here."""
    limit: float | None = ALPHA
    """What the share of errors must not exceed; None: a peer's rule, shown for contrast."""
    flips: float | None = None
    """Share of pairs of runs on the same prompts whose verdicts differ; None: not measured."""

    @property
    def inconclusive(self) -> float:
        """Share neither promoted nor blocked."""
        return max(0.0, 1.0 - self.promote - self.block)

    @property
    def errors(self) -> float | None:
        """Share of errors; None where no verdict is one."""
        return {"promote": self.promote, "block": self.block, "none": None}[self.error]

    @property
    def kept(self) -> bool:
        """Whether the limit holds beyond Monte-Carlo error."""
        if self.limit is None or self.errors is None:
            return True
        if self.releases == 0:
            return self.errors <= self.limit + 1e-9
        return bool(stats.binom.sf(round(self.errors * self.releases) - 1, self.releases, self.limit) >= CHANCE)

    def to_json(self) -> dict[str, Any]:
        """The measured shares with what they must keep."""
        return {**asdict(self), "inconclusive": self.inconclusive, "kept": self.kept}


@dataclass(frozen=True)
class KnownOrder:
    """Verdicts on two models whose true difference is known, and not the margin."""

    difference: float
    """Candidate's rate minus the incumbent's."""
    margin: float
    n: int
    """Prompts."""
    releases: int
    promote: float
    block: float

    @property
    def errors(self) -> float:
        """Promoted though worse than the margin, or blocked though not."""
        return self.promote if self.difference < -self.margin else self.block

    @property
    def kept(self) -> bool:
        """Whether errors stay within alpha, beyond Monte-Carlo error."""
        return bool(stats.binom.sf(round(self.errors * self.releases) - 1, self.releases, ALPHA) >= CHANCE)

    def to_json(self) -> dict[str, Any]:
        """The fields, and whether errors stay within alpha."""
        return {**asdict(self), "errors": self.errors, "kept": self.kept}


@dataclass(frozen=True)
class Saving:
    """Generations of a sequential plan over those of a plan with one look, same error rates and power."""

    check: str
    """The check that was run, or that it is by theory."""
    power: float
    effect: float
    """Multiple of the planned effect: 1 is what the plan is sized for, 0 exactly at the limit, -1 as far beyond it."""
    releases: int
    """Simulated runs; 0: computed exactly."""
    mean: float
    """Mean number of prompts asked over the fixed plan's."""
    maximum: float
    """Largest number that the plan can ask over the fixed plan's."""
    promote: float
    """Share promoted."""
    block: float | None = None
    """Share blocked; None: not computed."""

    def to_json(self) -> dict[str, Any]:
        """The fields as they are."""
        return asdict(self)


def rates_of(
    section: str,
    setting: str,
    verdicts: Sequence[str],
    error: Literal["promote", "block", "none"],
    *,
    limit: float | None = ALPHA,
    flips: float | None = None,
) -> Rates:
    """Count verdicts (``promote``, ``block``, anything else is inconclusive)."""
    n = len(verdicts)
    shares = [sum(v == name for v in verdicts) / n for name in ("promote", "block")]
    return Rates(section, setting, n, shares[0], shares[1], error, limit, flips)


def markdown(rates: Sequence[Rates], ordered: Sequence[KnownOrder], savings: Sequence[Saving]) -> str:
    """Tables: verdicts by setting, real models of known order, what sequential stopping saves."""
    lines = []
    if rates:
        lines += [
            "Verdicts in percent of the releases; the errors are in bold. `exact`: summed over all outcomes.",
            "",
            "| section | setting | releases | promote | block | inconclusive | flips | must not exceed |",
            "|---|---|---|---|---|---|---|---|",
            *(_row(r) for r in rates),
        ]
    if ordered:
        sizes = sorted({o.n for o in ordered})
        releases, size = max(o.releases for o in ordered), 100 * ordered[0].margin
        lines += [
            "",
            f"Pairs of real models (GSM8K), margin {size:g} points, {releases} draws each: percent promoted / blocked",
            "by the true difference (candidate minus incumbent) and the number of prompts.",
            "",
            "| true difference, points | " + " | ".join(f"n = {n}" for n in sizes) + " |",
            "|---|" + "---|" * len(sizes),
            *_ordered_rows(ordered, sizes),
        ]
    if savings:
        effects = sorted({s.effect for s in savings})
        lines += [
            "",
            "Mean number of prompts over that of a plan with one look of the same error rates and power, by the true",
            "effect (1: the one planned for; 0: exactly at the limit), and the largest number possible.",
            "",
            "| check | power | " + " | ".join(f"{e:+g}" for e in effects) + " | maximum | runs per effect |",
            "|---|---|" + "---|" * len(effects) + "---|---|",
            *_saving_rows(savings, effects),
        ]
    return "\n".join(lines).strip() + "\n"


def _row(r: Rates) -> str:
    promote, block = (
        f"**{100 * share:.1f}**" if r.error == name else f"{100 * share:.1f}"
        for name, share in (("promote", r.promote), ("block", r.block))
    )
    count = "exact" if r.releases == 0 else str(r.releases)
    limit = "-" if r.limit is None or r.error == "none" else f"{100 * r.limit:g}" + ("" if r.kept else " (exceeded)")
    flips = "" if r.flips is None else f"{100 * r.flips:.1f}"
    rest = f"{100 * r.inconclusive:.1f}"
    return f"| {r.section} | {r.setting} | {count} | {promote} | {block} | {rest} | {flips} | {limit} |"


def _ordered_rows(ordered: Sequence[KnownOrder], sizes: Sequence[int]) -> list[str]:
    rows = []
    for difference in sorted({o.difference for o in ordered}):
        mine = {o.n: o for o in ordered if o.difference == difference}
        cells = (f"{100 * mine[n].promote:.0f} / {100 * mine[n].block:.0f}" if n in mine else "" for n in sizes)
        rows.append(f"| {100 * difference:+.1f} | " + " | ".join(cells) + " |")
    return rows


def _saving_rows(savings: Sequence[Saving], effects: Sequence[float]) -> list[str]:
    rows = []
    for check, power in dict.fromkeys((s.check, s.power) for s in savings):
        mine = {s.effect: s for s in savings if (s.check, s.power) == (check, power)}
        cells = " | ".join(f"{mine[e].mean:.2f}" if e in mine else "" for e in effects)
        most = max(s.maximum for s in mine.values())
        count = max(s.releases for s in mine.values())
        rows.append(f"| {check} | {power:g} | {cells} | {most:.2f} | {count or 'exact'} |")
    return rows
