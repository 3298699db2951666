"""From a project to its plan: the policy's checks as requirements, expected rates, totals for people."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from evalharness.allocating import DeclaredWeight
from evalharness.candidate import Candidate
from evalharness.cell_design import RateSource
from evalharness.cell_sizes import SIZED
from evalharness.evidence import Estimate, Evidence
from evalharness.metrics import METRICS
from evalharness.plan import Looks, Plan, Requirement
from evalharness.planning import ASSUMED_DISCORDANCE, ExpectedRate, PlanInputs, joint_power, make_plan, naive_total
from gates.policy import Policy
from gates.requirements import requirements
from golden_sets.digests import Digest, digest_bytes
from golden_sets.errors import InfrastructureError, InputError
from golden_sets.length import count_tokens
from golden_sets.yaml_files import read_yaml
from pipelines.project import MOST_LOOKS, Project

POWER_LEEWAY = 0.002
"""Power that rounding may take."""
MOST_TOLD = 5
"""Checks that a message names at most."""
LEAST_LABELS = 50
"""Answers per set and arm that are labelled at least, where a judge scores them."""
ASSUMED_FAILING = 0.1
"""Share of the failures that a limit allows which is expected, where nothing is known."""
ASSUMED_ANSWER_TOKENS = 0.5
"""Share of ``max_tokens`` that an answer is assumed to take, where no evidence tells."""


def plan_for(
    project: Project,
    incumbent: Candidate | None,
    known: Evidence | None = None,
    *,
    candidate: Candidate | None = None,
    anchor: Candidate | None = None,
    attempt: int = 1,
    looks: int | None = None,
    budget: float | None = None,
    deadline: float | None = None,
) -> Plan:
    """The plan of a project.

    The subject is no part of a plan: it says what any candidate of the lineage will be asked. Its price is, because
    the checks on cost depend on it.

    Args:
        project: policy, sets, judge and options.
        incumbent: whom the candidate is compared with.
        known: earlier evidence in which the incumbent was the subject: base rates come from it.
        candidate: whose price counts; nothing else of it does.
        anchor: the fixed version that the policy's anchor checks compare with.
        attempt: which attempt of the lineage on these sets it is.
        looks: how often the run is looked at; default: as the project says.
        budget: USD that the run may cost.
        deadline: seconds that the run may take.

    Raises:
        InputError: a check that matches no prompt, or cannot be sized; no file of controls.
        InfrastructureError: the file of controls cannot be read.
    """
    policy, sets = project.policy.policy, [s.prompt_set for s in project.sets]
    judged = frozenset(s.prompt_set.kind.value for s in project.sets if s.card.scoring == "judge")
    inputs = PlanInputs(
        name=project.file.name,
        lineage=project.lineage,
        policy_digest=policy.digest,
        sets=sets,
        requirements=requirements(policy, sets, attempt=attempt, where=project.policy.where),
        expected=expected_rates(policy, known),
        incumbent_digest=None if incumbent is None else incumbent.digest,
        judge_digest=None if project.judge is None else project.judge.digest,
        alpha=policy.alpha_of(attempt),
        attempt=attempt,
        anchor_digest=None if anchor is None else anchor.digest,
        looks=looks_of(project, looks),
        weights=declared_weights(project),
        stages={s.prompt_set.name: s.card.stage for s in project.sets},
        joint_power=policy.joint_power,
        repeats=project.file.generation.repeats,
        seed=project.file.seed,
        labels_per_arm=(LEAST_LABELS if policy.labels_per_arm is None else policy.labels_per_arm) if judged else 0,
        latency=project.file.latency,
        judged_kinds=judged,
        also=_also(project, incumbent, candidate),
    )
    return make_plan(inputs)


@dataclass(frozen=True)
class Shortfall:
    """A check whose sample is too small for its part of the joint power."""

    check: str
    """The check, with its cell."""
    power: float
    """Chance that it passes at the expected rate."""
    wanted: float
    """Chance that it was to have."""
    n: int
    """Prompts it rests on."""
    n_wanted: int | None
    """Prompts it would take; None: no number would do."""

    @property
    def text(self) -> str:
        """The same for people."""
        takes = "no number of prompts would do" if self.n_wanted is None else f"it takes {self.n_wanted}"
        return f"{self.check}: power {self.power:.2f} of {self.wanted:.2f} with {self.n} prompts, {takes}"


def shortfalls(plan: Plan) -> list[Shortfall]:
    """The checks below their part of the joint power, the worst first."""
    sized = [cell for cell in plan.cells if cell.purpose in SIZED]
    share = max((c.power_wanted for c in sized if c.power_wanted is not None), default=plan.joint_power)
    found = [
        Shortfall(c.check, c.power or 0.0, share, c.n, c.n_wanted or None)
        for c in sized
        if (c.power or 0.0) < share - POWER_LEEWAY
    ]
    return sorted(found, key=lambda one: one.power)


def require_power(plan: Plan, policy: Policy) -> None:
    """A plan must have the joint power that its policy wants.

    Raises:
        InputError: it has less; the worst checks are named, with the prompts they would take.
    """
    reached = joint_power(plan.cells)
    if reached >= policy.joint_power - POWER_LEEWAY:
        return
    short = shortfalls(plan)
    worst = "; ".join(one.text for one in short[:MOST_TOLD])
    more = f"; and {len(short) - MOST_TOLD} more" if len(short) > MOST_TOLD else ""
    raise InputError(
        f"the plan has a joint power of {reached:.2f}, policy '{policy.name}' wants {policy.joint_power:.2f}: "
        f"{worst}{more}",
        do="add prompts (see 'relgate plan'), loosen the limits, or pass --accept-power",
    )


def looks_of(project: Project, number: int | None = None) -> Looks:
    """When a run is looked at: as the project says, or ``number`` times.

    Raises:
        InputError: less than one look, or more than the project file may ask for.
    """
    declared = project.file.looks
    wanted = declared.number if number is None else number
    if not 1 <= wanted <= MOST_LOOKS:
        raise InputError(f"a run is looked at 1 to {MOST_LOOKS} times, not {wanted}")
    fractions = tuple((k + 1) / wanted for k in range(wanted))
    return Looks(fractions=fractions, spending=declared.spending, futility=declared.futility)


def declared_weights(project: Project) -> dict[str, tuple[DeclaredWeight, ...]]:
    """The weights that a project declares, with their places.

    Raises:
        InputError: a set that the project does not have, or a group that is no ``dimension=value``.
    """
    if not project.file.weights:
        return {}
    document = read_yaml(project.path)
    known = [s.prompt_set.name for s in project.sets]
    found = {}
    for name, groups in project.file.weights.items():
        if name not in known:
            raise InputError(
                f"weights: there is no set '{name}'",
                where=document.where("weights", name),
                do=f"the sets are {', '.join(known)}",
            )
        found[name] = tuple(
            DeclaredWeight(_group(text, where), weight, where)
            for text, weight in groups.items()
            for where in [document.where("weights", name, text)]
        )
    return found


def _group(text: str, where: str) -> dict[str, str]:
    cell = {}
    for part in text.split(","):
        key, equals, value = (piece.strip() for piece in part.partition("="))
        if not (key and equals and value):
            raise InputError(
                f"weights: '{text}' names no group of prompts", where=where, do="write it as dimension=value"
            )
        cell[key] = value
    return cell


def _also(project: Project, incumbent: Candidate | None, candidate: Candidate | None) -> dict[str, Any]:
    """What decides the numbers beside policy, sets, judge and sizes: see `Plan.inputs`."""
    arms = {"candidate": candidate, "incumbent": incumbent}
    return {
        "labels": {"source": project.file.labels.source, "seed": project.file.labels.seed},
        "controls": _controls_digest(project),
        "rubrics": {} if project.judge is None else {r.id: r.digest for r in project.judge.rubrics},
        "prices": {name: arm.price.to_json() if arm and arm.price else None for name, arm in arms.items()},
    }


def _controls_digest(project: Project) -> Digest | None:
    if project.file.controls is None:
        return None
    path = project.at(project.file.controls)
    try:
        return digest_bytes(path.read_bytes())
    except FileNotFoundError as error:
        raise InputError("the file of controls does not exist", where=path, do="check 'controls'") from error
    except OSError as error:
        raise InfrastructureError(f"cannot be read: {error.strerror}", where=path) from error


def expected_rates(policy: Policy, known: Evidence | None) -> ExpectedRate:
    """Expected rates: from the incumbent's evidence, else from the policy, else assumed (and said so)."""

    def expected(requirement: Requirement) -> tuple[float | None, RateSource]:
        if requirement.purpose not in ("floor", "ceiling", "margin") or requirement.limit is None:
            return None, "none"
        observed = None if known is None else _observed(known, requirement)
        if observed is not None:
            return observed, "incumbent"
        declared = policy.by_id[requirement.check.split("/")[0]].expected
        if declared is not None:
            return declared, "policy"
        limit = requirement.limit
        if METRICS[requirement.metric].family == "reliability":
            return 1 - (1 - limit) * ASSUMED_FAILING, "assumed"
        assumed = {"floor": (1 + limit) / 2, "ceiling": limit * ASSUMED_FAILING, "margin": ASSUMED_DISCORDANCE}
        return assumed[requirement.purpose], "assumed"

    return expected


def totals(
    plan: Plan,
    project: Project,
    candidate: Candidate | None,
    known: Evidence | None = None,
    *,
    requests_per_second: float | None = None,
) -> Mapping[str, Any]:
    """What a run of the plan takes: an estimate for people; sources stand beside the numbers.

    Args:
        plan: the plan.
        project: the project it was made for.
        candidate: whose price and token bound count.
        known: earlier evidence in which the incumbent was the subject: answer lengths and speed come from it.
        requests_per_second: how fast the engine answers; default: as in that evidence, else no time is told.
    """
    chosen = {name: frozenset(i for s in planned.strata for i in s.prompts) for name, planned in plan.sets.items()}
    asked = [
        prompt
        for loaded in project.sets
        for prompt in loaded.prompt_set.prompts
        if prompt.id in chosen[loaded.prompt_set.name]
    ]
    lengths = count_tokens(["\n".join(m.content for m in p.messages) for p in asked])
    arms = 1 + (plan.incumbent_digest is not None) + (plan.anchor_digest is not None)
    buckets = len({p.dimensions.get("length_bucket") for p in asked})
    timed = 0 if plan.latency is None else buckets * plan.latency.requests_per_bucket + plan.latency.warmup
    per_arm = len(asked) * plan.repeats + timed
    bound = None if candidate is None else candidate.manifest.sampling.max_tokens
    answer_tokens, answer_source = _answer_tokens(known, bound)
    speed, speed_source = _speed(known, requests_per_second)
    mean_prompt = sum(lengths) / len(lengths)
    output = None if answer_tokens is None else round(per_arm * answer_tokens)
    power = 1.0
    for cell in plan.cells:
        power *= 1.0 if cell.power is None else cell.power
    return {
        "prompts": len(asked),
        "naive_prompts": naive_total(plan.cells),
        "arms": arms,
        "generations": per_arm * arms,
        "generations_per_arm": per_arm,
        "judgments": len(asked) * plan.repeats * arms if plan.judge_digest is not None else 0,
        "labels": plan.labels_per_arm * len(plan.sets) * arms,
        "prompt_tokens_per_arm": round(per_arm * mean_prompt),
        "prompt_tokens_source": "reference tokenizer",
        "output_tokens_per_arm": output,
        "output_tokens_source": answer_source,
        "usd_per_arm": _usd(candidate, per_arm * mean_prompt, output),
        "seconds_per_arm": None if speed is None else _seconds(plan, len(asked) * plan.repeats, timed, speed),
        "seconds_source": speed_source,
        "joint_power": power,
    }


def _observed(known: Evidence, requirement: Requirement) -> float | None:
    """The incumbent's rate in the requirement's cell; None where its evidence does not tell.

    An observed 0/n or n/n is no proof of 0 or 1: it becomes (k + 1/2) / (n + 1), the posterior mean under Jeffreys'
    prior (Brown, Cai and DasGupta, Statistical Science 16 (2001) 101). Where that crosses the limit, n was too small to
    tell anything about it.
    """
    limit = requirement.limit
    # Margins are sized by discordance, which one arm's rate does not tell.
    if requirement.purpose not in ("floor", "ceiling") or limit is None:
        return None
    found = _estimate(known, requirement)
    if found is None or found.value is None or found.n < 1:
        return None
    if 0 < found.value < 1:
        return found.value
    shrunk = (found.n * found.value + 0.5) / (found.n + 1)
    tells = shrunk > limit if requirement.purpose == "floor" else shrunk < limit
    # A rate of 0 under a floor (or 1 over a ceiling) is a finding at any n.
    passing = found.value == (1.0 if requirement.purpose == "floor" else 0.0)
    return shrunk if tells or not passing else None


def _estimate(known: Evidence, requirement: Requirement) -> Estimate | None:
    """The incumbent's estimate of exactly this cell. Evidence pools all sets of a metric's kind, never single ones."""
    if requirement.set_name is not None or requirement.set_kind is not METRICS[requirement.metric].set_kind:
        return None
    for one in known.estimates:
        if one.metric == requirement.metric and one.arm == "candidate" and dict(one.cell) == dict(requirement.cell):
            return one
    return None


def _answer_tokens(known: Evidence | None, bound: int | None) -> tuple[float | None, str]:
    mean = None if known is None else known.provenance.details.get("mean_output_tokens")
    if isinstance(mean, int | float):
        return float(mean), "incumbent's evidence"
    if bound is None:
        return None, "unknown"
    return bound * ASSUMED_ANSWER_TOKENS, f"assumed: {ASSUMED_ANSWER_TOKENS:g} of max_tokens ({bound})"


def _speed(known: Evidence | None, stated: float | None) -> tuple[float | None, str]:
    """Answers per second under full load, and where that number comes from."""
    if stated is not None:
        return stated, "--requests-per-second"
    measured = None if known is None else known.provenance.details.get("requests_per_second")
    if isinstance(measured, int | float):
        return float(measured), "incumbent's evidence"
    return None, "not measured yet"


def _seconds(plan: Plan, answers: int, timed: int, speed: float) -> float:
    """Time of one arm: the answers at full load, the latency pass at its own."""
    rate = None if plan.latency is None else plan.latency.rate
    return answers / speed + timed / (rate or speed)


def _usd(candidate: Candidate | None, prompt_tokens: float, output_tokens: int | None) -> float | None:
    price = None if candidate is None else candidate.price
    if price is None or price.usd_per_million_input_tokens is None or output_tokens is None:
        return None
    assert price.usd_per_million_output_tokens is not None  # noqa: S101 - validated with the price
    return (
        prompt_tokens * price.usd_per_million_input_tokens + output_tokens * price.usd_per_million_output_tokens
    ) / 1e6
