"""Routers and the models they choose from: what is served now, and which served routers were measured with others."""

from __future__ import annotations

from evalharness.evidence import Evidence
from gates.registry import ChannelState, Registry
from gates.registry.channels import CHANNEL_NAMES, PRODUCTION, ROUTERS, STAGES
from gates.staleness import Served, stale
from golden_sets.digests import short
from golden_sets.errors import InputError
from pipelines.project import Project

ROLES = tuple(name for name in CHANNEL_NAMES if name != ROUTERS)
"""The channels of the models that a router chooses from."""


def serving_models(registry: Registry, project: Project | None) -> dict[str, Served]:
    """The models a router chooses from now: what their channels serve in production, else the project's candidates.

    Raises:
        InputError: the project names a candidate that cannot be read.
    """
    found: dict[str, Served] = {}
    options = None if project is None else project.file.router
    for role in ROLES:
        state = registry.channel(role, PRODUCTION)
        if state.digest is not None:
            found[role] = Served(state.digest, state.name)
        elif project is not None and options is not None:
            candidate = project.candidate(options.small if role == "small" else options.flagship)
            found[role] = Served(candidate.digest, candidate.name)
    return found


def require_fresh(evidence: Evidence, serving: dict[str, Served]) -> None:
    """A router may be promoted only on evidence that speaks of the models that are served.

    Raises:
        InputError: it is stale.
    """
    outdated = stale(evidence, serving)
    if outdated is not None:
        raise InputError(
            f"'{evidence.subject_name}': {outdated}",
            do="train a router on these models and release it, or put them back",
        )


def outdated_routers(registry: Registry, moved: ChannelState) -> tuple[str, ...]:
    """What a move of a model's channel means for the routers that are served, for people; empty where nothing."""
    if moved.channel not in ROLES or moved.stage != PRODUCTION:
        return ()
    found = []
    for stage in STAGES:
        state = registry.channel(ROUTERS, stage)
        if state.digest is None:
            continue
        measured = registry.show(state.digest).manifest.get(moved.channel)
        if measured is not None and measured != moved.digest:
            found.append(
                f"{state.where} serves '{state.name}', which was measured with {moved.channel} {short(measured)}, not "
                f"with '{moved.name}': its evidence is stale; train it again and release it"
            )
    return tuple(found)
