"""What a plan expects: base rates and the judge's error, from earlier evidence, the policy, or an assumption."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

from evalharness.cell_design import ASSUMED_LEVEL
from evalharness.evidence import Calibration, Estimate, Evidence
from evalharness.judge_error import ASSUMED_POSITIVES, ASSUMED_SENSITIVITY, ASSUMED_SPECIFICITY, JudgeError
from evalharness.judging.controls import read_controls
from evalharness.metrics import METRICS
from evalharness.plan import Requirement
from evalharness.planning import ASSUMED_DISCORDANCE, Expected, ExpectedRate
from evalharness.scoring import event
from gates.policy import Policy
from golden_sets.records import SetKind
from pipelines.project import Project

ASSUMED_FAILING = 0.1
"""Share of the failures that a limit allows which is expected, where nothing is known."""


def expected_rates(policy: Policy, known: Evidence | None) -> ExpectedRate:
    """Expected rates: from the incumbent's evidence, else from the policy, else assumed (and said so).

    A plan is made for a candidate that meets the limits. Where the incumbent does not, its rate is no guide: the check
    is sized for what the policy expects, and the note says so.
    """

    def expected(requirement: Requirement) -> Expected:
        limit = requirement.limit
        observed = None if known is None else _observed(known, requirement)
        level = _level(known, requirement)
        if requirement.purpose not in ("floor", "ceiling", "margin") or limit is None:
            return Expected(None, "none", level=level)
        declared = policy.by_id[requirement.check.split("/")[0]].expected
        note = None
        if requirement.purpose == "margin":
            return _discordance(observed, declared)._replace(level=level)
        if observed is not None and (observed > limit if requirement.purpose == "floor" else observed < limit):
            return Expected(observed, "incumbent")
        if observed is not None:
            note = (
                f"the incumbent's {observed:.3g} does not meet the limit {limit:.3g}: sized for a candidate that does"
            )
        if declared is not None:
            return Expected(declared, "policy", note)
        return Expected(_assumed(requirement, limit), "assumed", note)

    return expected


def judge_errors(project: Project, known: Evidence | None) -> dict[str, JudgeError]:
    """The judge's error by kind of set: as measured beside the incumbent, else as the project states, else assumed.

    Raises:
        InputError: a file of controls with bad rows.
        InfrastructureError: it cannot be read.
    """
    planted = _planted(project)
    measured = {} if known is None or known.judge_digest != project.judge_digest else _measured(known.calibrations)
    return {kind.value: _judge_error(project, measured.get(kind), planted[kind]) for kind in SetKind}


def _judge_error(project: Project, measured: Mapping[str, int] | None, planted: int) -> JudgeError:
    stated = project.file.labels
    if measured is not None:
        return JudgeError(
            sensitivity=_share(measured["true_positives"], measured["positives"], ASSUMED_SENSITIVITY),
            specificity=_share(measured["true_negatives"], measured["negatives"], ASSUMED_SPECIFICITY),
            positives=max(planted, measured["positives"]),
            source="measured",
        )
    return JudgeError(
        sensitivity=ASSUMED_SENSITIVITY if stated.sensitivity is None else stated.sensitivity,
        specificity=ASSUMED_SPECIFICITY if stated.specificity is None else stated.specificity,
        positives=planted or ASSUMED_POSITIVES,
        source="assumed" if stated.sensitivity is None and stated.specificity is None else "stated",
    )


def _planted(project: Project) -> Counter[SetKind]:
    """Positive controls by kind of set."""
    if project.file.controls is None:
        return Counter()
    controls = read_controls(project.at(project.file.controls))
    return Counter(c.set for c in controls if event(c.set, meets=c.label == "pass") == 1.0)


def _measured(calibrations: tuple[Calibration, ...]) -> dict[SetKind, Counter[str]]:
    """Labelled answers by kind of set, added up over rubrics."""
    found: dict[SetKind, Counter[str]] = {}
    for one in calibrations:
        if one.set_kind is not None:
            names = ("positives", "true_positives", "negatives", "true_negatives")
            found.setdefault(one.set_kind, Counter()).update({name: getattr(one, name) for name in names})
    return found


def _share(part: int, whole: int, otherwise: float) -> float:
    """A rate from counts, never 0 or 1: the posterior mean under Jeffreys' prior."""
    return (part + 0.5) / (whole + 1) if whole else otherwise


def _discordance(rate: float | None, declared: float | None) -> Expected:
    """Share of prompts on which two versions differ.

    Of two versions that pass a share p each, independently of one another, 2 p (1 - p) differ; real ones agree more.
    """
    if declared is not None:
        return Expected(declared, "policy")
    if rate is not None and 2 * rate * (1 - rate) < ASSUMED_DISCORDANCE:
        return Expected(
            2 * rate * (1 - rate), "incumbent", "at most what independent answers of two such models differ"
        )
    return Expected(ASSUMED_DISCORDANCE, "assumed")


def _assumed(requirement: Requirement, limit: float) -> float:
    if METRICS[requirement.metric].family == "reliability":
        return 1 - (1 - limit) * ASSUMED_FAILING
    return (1 + limit) / 2 if requirement.purpose == "floor" else limit * ASSUMED_FAILING


def _observed(known: Evidence, requirement: Requirement) -> float | None:
    """The incumbent's rate in the requirement's cell; None where its evidence does not tell.

    An observed 0/n or n/n is no proof of 0 or 1: it becomes (k + 1/2) / (n + 1), the posterior mean under Jeffreys'
    prior (Brown, Cai and DasGupta, Statistical Science 16 (2001) 101). Where that crosses the limit, n was too small to
    tell anything about it.
    """
    found = _estimate(known, requirement)
    if found is None or found.value is None or found.n < 1:
        return None
    if 0 < found.value < 1:
        return found.value
    shrunk = (found.n * found.value + 0.5) / (found.n + 1)
    limit = requirement.limit
    if requirement.purpose == "margin" or limit is None:
        return shrunk
    # A rate of 0 under a floor (or 1 over a ceiling) is a finding at any n.
    passing = found.value == (1.0 if requirement.purpose == "floor" else 0.0)
    tells = shrunk > limit if requirement.purpose == "floor" else shrunk < limit
    return shrunk if tells or not passing else None


def _level(known: Evidence | None, requirement: Requirement) -> float:
    """The rate of either arm in a requirement's sets: what the incumbent's evidence says of that kind of set."""
    for one in () if known is None else known.estimates:
        about = METRICS[one.metric]
        pooled = about.family == "rate" and one.arm == "candidate" and not one.cell
        if pooled and about.set_kind is requirement.set_kind and one.value is not None:
            return min(0.99, max(0.01, one.value))
    return ASSUMED_LEVEL


def _estimate(known: Evidence, requirement: Requirement) -> Estimate | None:
    """The incumbent's estimate of exactly this cell. Evidence pools all sets of a metric's kind, never single ones."""
    if requirement.set_name is not None or requirement.set_kind is not METRICS[requirement.metric].set_kind:
        return None
    for one in known.estimates:
        if one.metric == requirement.metric and one.arm == "candidate" and dict(one.cell) == dict(requirement.cell):
            return one
    return None
