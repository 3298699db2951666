"""What the report of a router's release tells besides the checks: the frontier, the operating point, the forecast."""

from __future__ import annotations

from evalharness.evidence import Estimate, Evidence
from evalharness.outcomes import Arm
from gates.reports import Figure, Listing, Section
from gates.wording import number
from router_training.evaluation import BaselineResult, RouterEvaluation
from router_training.plots import frontier_figure, frontier_words, reliability_figure, reliability_words
from router_training.records import OperatingPoint

EVALUATION = "evaluation"
"""Under what a router's evidence keeps its evaluation."""
LEAST_OF_FAMILY = 20
"""Families with fewer prompts tell nothing."""
MOST_FAMILIES = 12
"""Task families that the report lists; those that lose most come first."""


def router_sections(evidence: Evidence) -> tuple[Section, ...]:
    """The sections of a router's report, from the evaluation that its evidence keeps; none where it keeps none."""
    kept = evidence.provenance.details.get(EVALUATION)
    if kept is None:
        return ()
    evaluation = RouterEvaluation.model_validate(kept)
    before = next((e.value for e in evidence.estimates if is_whole_share(e, "incumbent")), None)
    return (_operation(evaluation, before), _frontier(evaluation), _parts(evaluation))


def is_whole_share(estimate: Estimate, arm: Arm) -> bool:
    """Whether an estimate is the share of all prompts that a router sends to the flagship."""
    return (estimate.metric, estimate.arm, dict(estimate.cell)) == ("flagship_share", arm, {})


def _operation(evaluation: RouterEvaluation, share_before: float | None) -> Section:
    done, point = evaluation.operation, evaluation.operating_point
    rows = [
        ("Quality", _interval(done.quality)),
        ("Quality of always asking the flagship", _interval(evaluation.flagship_quality)),
        ("Quality of the small model alone", _interval(evaluation.small_quality)),
        ("Quality given up", _interval(done.loss)),
        (f"Upper {100 * point.confidence:g} % bound on it", number(done.loss_bound.high, "1")),
        ("Sent to the flagship", _interval(done.flagship_share)),
        ("of these inside the uncertainty band", _interval(done.band_share)),
        ("of these unlike anything learnt from", _interval(done.unlike_share)),
    ]
    if done.usd is not None:
        rows.append(("Cost per prompt", _interval(done.usd)))
    if done.usd_ratio is not None:
        rows.append(("Cost against always asking the flagship", _interval(done.usd_ratio)))
    literal = evaluation.literal_band
    rows.append(
        (
            f"A literal band [{literal.low:.2f}, {literal.high:.2f}] instead",
            f"flagship {number(literal.flagship_share, '1')}, given up {number(literal.loss, '1')}",
        )
    )
    listing = Listing("At the operating point", ("on the frozen test", "measured"), tuple(rows))
    return Section("The router", (*_words(evaluation, point, share_before), *evaluation.notes), listings=(listing,))


def _words(evaluation: RouterEvaluation, point: OperatingPoint, before: float | None) -> list[str]:
    told = [
        f"The frozen test holds {evaluation.n:,} prompts in {evaluation.groups:,} groups; neither head nor calibration "
        "nor threshold has seen them."
    ]
    if point.why_always_flagship is None:
        told.append(
            f"The small model answers where P(hard) is below {point.threshold:.3f}; from there to "
            f"{point.band_high:.3f} lies the band, in which the flagship answers. The threshold is the highest at "
            f"which at most {number(point.max_loss, '1')} of quality is given up, at {100 * point.confidence:g} % "
            f"confidence on {point.n:,} calibration prompts."
        )
    share = evaluation.operation.flagship_share
    if before is not None and share.value is not None:
        jump = 100 * (share.value - before)
        told.append(
            f"Forecast for the switch: on prompts like these {number(share.value, '1')} go to the flagship "
            f"({_bounds(share)}), {number(before, '1')} did before: a jump of {jump:+.1f} points."
        )
    return told


def _frontier(evaluation: RouterEvaluation) -> Section:
    found = {"this router": BaselineResult(apgr=evaluation.apgr, cpt50=evaluation.cpt50, cpt80=evaluation.cpt80)}
    rows = tuple(
        (name.replace("_", " "), *(_interval(e) for e in (one.apgr, one.cpt50, one.cpt80)), _points(one.apgr_gain))
        for name, one in {**found, **evaluation.baselines}.items()
        if one.apgr is not None
    )
    fixed = evaluation.apgr_fixed
    text = [
        "APGR is the area under the recovered share of the gap between the two models, CPT(x) the least share of "
        "flagship calls that recovers x % of it (RouteLLM's definitions, arXiv 2406.18665)."
    ]
    if fixed is not None:
        text.append(f"With thresholds fixed on calibration prompts, APGR is {_interval(fixed)}.")
    columns = ("rule", "APGR", "CPT(50)", "CPT(80)", "the router's APGR is more by")
    words = frontier_words(evaluation)
    caption = "Up is better, left is cheaper. The mark is the operating point with its interval."
    figures = [Figure(frontier_figure(evaluation), words, caption)]
    if evaluation.operation.usd is not None:
        figures.append(Figure(frontier_figure(evaluation, "usd"), words, "The same by what it costs."))
    return Section("The frontier", tuple(text), tuple(figures), (Listing("Against other rules", columns, rows),))


def _parts(evaluation: RouterEvaluation) -> Section:
    found = evaluation.calibration
    families = [cell for cell in evaluation.families if cell.n >= LEAST_OF_FAMILY]
    cells = [*evaluation.lengths, *families[:MOST_FAMILIES]]
    rows = tuple(
        (
            cell.name,
            f"{cell.n:,}",
            number(cell.flagship_share, "1"),
            number(cell.small_quality, "1"),
            number(cell.router_quality, "1"),
            number(cell.flagship_quality, "1"),
            _interval(cell.loss),
        )
        for cell in cells
    )
    columns = ("prompts", "n", "to the flagship", "small model", "router", "flagship", "given up")
    text = (
        f"{number(found.hard_share, '1')} of the prompts are hard. Expected calibration error "
        f"{_plain(found.ece)}, where a perfect forecast of as many prompts shows {found.ece_of_perfect:.3f}; Brier "
        f"score {_plain(found.brier)}, where the base rate alone gets {found.brier_of_base_rate:.3f}.",
    )
    figure = Figure(
        reliability_figure(evaluation),
        reliability_words(evaluation),
        "On the diagonal P(hard) can be taken at its word.",
    )
    return Section("Calibration, by length and family", text, (figure,), (Listing("By part", columns, rows),))


def _interval(estimate: Estimate | None) -> str:
    if estimate is None or estimate.value is None:
        return "–"
    if estimate.metric.startswith(("apgr", "brier", "ece")):
        return _plain(estimate)
    return f"{number(estimate.value, estimate.unit)} ({_bounds(estimate)})"


def _bounds(estimate: Estimate) -> str:
    low, high = (None if x is None else number(x, estimate.unit) for x in (estimate.low, estimate.high))
    return f"{low or '–'} to {high or '–'}"


def _plain(estimate: Estimate) -> str:
    bounds = " to ".join("–" if x is None else f"{x:.3f}" for x in (estimate.low, estimate.high))
    return "–" if estimate.value is None else f"{estimate.value:.3f} ({bounds})"


def _points(gain: Estimate | None) -> str:
    return "" if gain is None else _plain(gain)
