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
    """What a move of a channel means for the routers that are served, for people; empty where nothing.

    A model that moves may leave the routers that were measured with another; a router that is put back may have been
    measured with models that are served no more.
    """
    if moved.channel == ROUTERS:
        states, roles = [moved], ROLES
    elif moved.channel in ROLES and moved.stage == PRODUCTION:
        states, roles = [registry.channel(ROUTERS, stage) for stage in STAGES], (moved.channel,)
    else:
        return ()
    found = []
    for state in states:
        if state.digest is None:
            continue
        manifest = registry.show(state.digest).manifest
        for role in roles:
            measured, served = manifest.get(role), registry.channel(role, PRODUCTION)
            if measured is not None and served.digest is not None and measured != served.digest:
                found.append(
                    f"{state.where} serves '{state.name}', which was measured with {role} {short(measured)}, not with "
                    f"'{served.name}': its evidence is stale; train it again and release it"
                )
    return tuple(found)
