"""The release of a router: attempt -> plan -> frozen test -> gate -> register -> report -> promote.

The same gate, registry and channels as for models. What differs: the models' answers to the frozen test are there, so
nothing is asked but the router; the incumbent is what channel ``router`` serves, and where it serves nothing the router
that sends everything to the flagship; and evidence that was measured with other models than are served is stale.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from evalharness.evidence import Estimate, Evidence
from gates.decision import Decision, Verdict
from gates.gate import Measured, gate
from gates.registry import ChannelState, Registry
from gates.registry.channels import PRODUCTION
from gates.registry.channels import ROUTERS as CHANNEL
from gates.reports import ReportPaths
from gates.staleness import still_said
from golden_sets.errors import InputError
from pipelines.attempts import AttemptPlans, exposures_of
from pipelines.progress import Progress
from pipelines.promotion import promote as move_channel
from pipelines.release import renewed_report
from pipelines.release_rules import against_another
from pipelines.released import Released, promoting_decision
from pipelines.router_measuring import NamedRouter, measure_routers, plan_for_test, routes_of
from pipelines.router_place import RouterPlace
from pipelines.router_sections import EVALUATION, is_whole_share, router_sections
from pipelines.signing import submit
from pipelines.subjects import Subject
from pipelines.tracking import mirror_alias, mirror_release
from router_training.always_flagship import NAME as ALWAYS_FLAGSHIP
from router_training.always_flagship import always_flagship
from router_training.evaluation import RouterEvaluation
from router_training.frozen_test import FrozenTest
from router_training.router import Router


@dataclass(frozen=True)
class RouterRelease(Released):
    """What came of the release of a router."""

    share: Estimate | None
    """Share of prompts that the router sends to the flagship."""

    @property
    def own(self) -> dict[str, Any]:
        """The share of the flagship, plain JSON data."""
        return {"flagship_share": None if self.share is None else self.share.to_json()}


def incumbent_of(place: RouterPlace, named: str | None) -> NamedRouter:
    """The router a new one is compared with.

    Args:
        place: where it is released.
        named: its directory, or ``always-flagship``; None: what channel ``router`` serves, else always the flagship.

    Raises:
        InputError: no such router, or its files are gone or changed.
    """
    default = NamedRouter(ALWAYS_FLAGSHIP, always_flagship())
    if named == ALWAYS_FLAGSHIP:
        return default
    if named is not None:
        return NamedRouter(Path(named).resolve().name, Router.load(named))
    state = place.registry.incumbent(CHANNEL, place.stage)
    if state.digest is None:
        return default
    return NamedRouter(state.name or ALWAYS_FLAGSHIP, place.archive.load(state.digest, state.name))


def release_router(
    place: RouterPlace,
    candidate: NamedRouter,
    incumbent: NamedRouter,
    test: FrozenTest,
    *,
    progress: Progress,
    promote: bool = True,
    evaluation: RouterEvaluation | None = None,
) -> RouterRelease:
    """Release a router; a decision that is recorded and still holds is returned and spends nothing.

    A further router, or the same on other answers or under another policy, is another attempt of the lineage on the
    frozen test. The same router after a model changed is no attempt: its evidence is there, and is stale.

    Args:
        place: registry, policy and folders.
        candidate: who is to be released.
        incumbent: whom it is compared with.
        test: the frozen test.
        progress: who is told.
        promote: move the channel when the decision allows it.
        evaluation: the router on the frozen test beside its baselines: the evidence keeps it, the report tells it.

    Raises:
        InputError: a name that a model has, a bad policy, a channel that moved meanwhile, or a router that is compared
            with itself and was never promoted.
        InfrastructureError: the disk or the database failed.
    """
    if candidate.digest == incumbent.digest:
        return _served_already(place, candidate)
    registry, policy = place.registry, place.policy.policy
    _require_free_name(registry, candidate)
    before = _seeded(place, incumbent) if promote else place.current()
    attempt = _attempt(place, candidate, incumbent, test)
    plan = attempt.next()
    known = registry.find_decision(
        subject_digest=candidate.digest,
        plan_digest=plan.digest,
        policy_digest=policy.digest,
        incumbent_digest=plan.incumbent_digest,
    )
    serving = place.serving()
    if known is None:
        details = {} if evaluation is None else {EVALUATION: evaluation.to_json()}
        measured = _measure(place, attempt, candidate, incumbent, test, details, progress)
    else:
        evidence = registry.evidence(known.evidence_digest)
        measured = Measured(evidence, registry.outcomes(evidence), plan)
    recorded = known is not None and still_said(known.reason, measured.evidence, serving)
    if known is not None and recorded:
        decision = known
        progress.say(f"  {candidate.name}: this decision is recorded already")
    else:
        decision = gate(policy, measured, require_plan=True, serving=serving, where=place.policy.where)
        registry.record_decision(decision)
    exposures = exposures_of(registry, measured.evidence.set_digests)
    if decision.verdict is Verdict.PROMOTE:
        place.archive.keep(candidate.router)
    warnings = (() if evaluation is None else evaluation.notes) + _other_test(candidate, incumbent)
    warnings += _obstacle(place, before, candidate, incumbent) if promote else ()
    warnings += submit(registry, decision)
    moved = move_channel(registry, decision, before, wanted=promote)
    sections = router_sections(measured.evidence)
    paths = renewed_report(registry, decision, place.reports, moved.state, sections=sections)
    warnings += tuple(w for w in moved.warnings if w not in warnings)
    if not recorded or moved.moved:
        warnings += _mirrored(place, candidate, decision, measured, paths, moved.state if moved.promoted else None)
    return RouterRelease(
        decision=decision,
        reports=paths,
        state=moved.state,
        promoted=moved.promoted,
        recorded=recorded,
        share=_share(measured.evidence),
        exposures=exposures,
        warnings=warnings,
        refused=moved.refused,
    )


def _served_already(place: RouterPlace, candidate: NamedRouter) -> RouterRelease:
    """The release by which the channel came to serve a router: there is nobody to compare it with."""
    registry, state = place.registry, place.current()
    decision = promoting_decision(registry, state, candidate.digest)
    if decision is None:
        raise InputError(f"'{candidate.name}' would be compared with itself", do="name another router with --incumbent")
    evidence = registry.evidence(decision.evidence_digest)
    return RouterRelease(
        decision=decision,
        reports=renewed_report(registry, decision, place.reports, state, sections=router_sections(evidence)),
        state=state,
        promoted=state.digest == candidate.digest,
        recorded=True,
        share=_share(evidence),
        exposures=exposures_of(registry, evidence.set_digests),
        warnings=(),
    )


def _attempt(place: RouterPlace, candidate: NamedRouter, incumbent: NamedRouter, test: FrozenTest) -> AttemptPlans:
    routes = routes_of(candidate.router)
    return AttemptPlans(
        place.registry,
        candidate,
        lambda number: plan_for_test(
            test,
            place.policy,
            incumbent.digest,
            name=place.name,
            lineage=place.lineage,
            attempt=number,
            routes=routes,
        ),
    )


def _measure(
    place: RouterPlace,
    attempt: AttemptPlans,
    candidate: NamedRouter,
    incumbent: NamedRouter,
    test: FrozenTest,
    details: Mapping[str, Any],
    progress: Progress,
) -> Measured:
    """Count the attempt, commit to its plan, measure; each step is recorded before the next."""
    registry = place.registry
    plan = attempt.begin()
    if plan.attempt > 1:
        progress.say(f"  {candidate.name}: attempt {plan.attempt} of {plan.lineage}, alpha {plan.alpha:.3g}")
    registry.record_policy(place.policy.policy)
    index = registry.record_plan(plan)
    with progress.step(f"{candidate.name} and {incumbent.name} on the frozen test"):
        evidence, table = measure_routers(
            test, plan, place.policy, candidate, incumbent, plan_index=index, details=details
        )
    for one in (incumbent, candidate):
        register(registry, one)
    registry.record_evidence(evidence, table.to_parquet())
    return Measured(evidence, table, plan)


def register(registry: Registry, named: NamedRouter) -> None:
    """Register a router's manifest under its name."""
    point = named.router.manifest.operating_point
    details = {"threshold": point.threshold, "max_loss": point.max_loss, "head": named.router.manifest.head}
    registry.register(named.name, named.router.manifest, kind="router", details=details)


def _seeded(place: RouterPlace, incumbent: NamedRouter) -> ChannelState:
    """The stage, beginning with the router that sends everything to the flagship: that is what was served before."""
    state = place.current()
    empty = place.registry.incumbent(CHANNEL, place.stage).digest is None
    if not empty or incumbent.digest != always_flagship().digest:
        return state
    register(place.registry, incumbent)
    return place.registry.promote(
        CHANNEL,
        place.stage,
        incumbent.digest,
        decision_digest=None,
        expected_generation=state.generation,
        reason="without a router the flagship answers everything",
    )


def _require_free_name(registry: Registry, candidate: NamedRouter) -> None:
    for version in registry.versions():
        if candidate.name in version.names and version.kind != "router":
            raise InputError(
                f"'{candidate.name}' is the name of a model in this registry", do="give the router another with --name"
            )


def _other_test(candidate: NamedRouter, incumbent: NamedRouter) -> tuple[str, ...]:
    """What it means that two routers have frozen tests of their own."""
    ours, theirs = candidate.router.manifest, incumbent.router.manifest
    if theirs.encoder is None or ours.test_data == theirs.test_data:
        return ()
    what = f"'{incumbent.name}' has another frozen test: prompts it was trained on may be among these"
    return (f"{what}, which speaks for it",)


def _obstacle(
    place: RouterPlace, before: ChannelState, candidate: NamedRouter, incumbent: NamedRouter
) -> tuple[str, ...]:
    reason = against_another(
        before,
        place.registry.channel(CHANNEL, PRODUCTION).digest,
        subject=candidate.digest,
        incumbent=incumbent.digest,
        incumbent_name=incumbent.name,
    )
    return () if reason is None else (f"not promoted: {reason}",)


def _share(evidence: Evidence) -> Estimate | None:
    return next((estimate for estimate in evidence.estimates if is_whole_share(estimate, "candidate")), None)


def _mirrored(
    place: RouterPlace,
    candidate: NamedRouter,
    decision: Decision,
    measured: Measured,
    paths: ReportPaths,
    served: ChannelState | None,
) -> tuple[str, ...]:
    """Copy the release to MLflow, where there is a mirror; a failure there is a warning and nothing more."""
    if place.mlflow_uri is None:
        return ()
    manifest = candidate.router.manifest
    params: dict[str, object] = {
        "head": manifest.head,
        "encoder": None if manifest.encoder is None else f"{manifest.encoder.name} {manifest.encoder.precision}",
        "layers": None if manifest.encoder is None else manifest.encoder.layers,
        "features": ", ".join(manifest.features),
        "threshold": manifest.operating_point.threshold,
        "max_loss": manifest.operating_point.max_loss,
    }
    mirrored = [
        mirror_release(
            place.mlflow_uri,
            candidate=Subject(candidate.name, candidate.digest, params),
            decision=decision,
            evidence=measured.evidence,
            report_dir=paths.html.parent,
            channel=CHANNEL,
        )
    ]
    if served is not None:
        mirrored.append(
            mirror_alias(
                place.mlflow_uri, channel=CHANNEL, stage=served.stage, digest=candidate.digest, name=candidate.name
            )
        )
    return tuple(one.warning for one in mirrored if one.warning is not None)
