"""``relgate registry pin``: the one policy that a channel moves under from now on."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pipelines.cli.options import ProjectOption, StoreOption
from pipelines.cli.output import Json, line, stdout, table
from pipelines.cli.registry.common import ChannelOption, open_workspace
from pipelines.cli.registry.signing import KeyOption, PersonOption, PrepareOption, Signer

if TYPE_CHECKING:
    from gates.policy import Policy
    from gates.signing.predicates import PolicyPin
    from pipelines.workspace import Workspace


def pin(
    policy: Annotated[
        Path | None, typer.Argument(help="Policy file; default: the project's.", show_default=False)
    ] = None,
    *,
    reason: Annotated[str, typer.Option("--reason", help="Why, for the log.", show_default=False)],
    owner: Annotated[
        list[str] | None,
        typer.Option("--owner", help="Who may pin the next; default: as before, else who signs.", show_default=False),
    ] = None,
    sets: Annotated[
        bool, typer.Option("--sets/--no-sets", help="Pin the project's sets and judge too (not those of a router).")
    ] = True,
    key: KeyOption = None,
    channel: ChannelOption = None,
    prepare: PrepareOption = None,
    person: PersonOption = None,
    project: ProjectOption = Path(),
    store: StoreOption = None,
    as_json: Json = False,
) -> None:
    """Pin a policy to a channel: only decisions under it move the channel, on planned and counted evidence.

    The first is signed with a root key, every other by an owner of the one before. What it changes is listed.
    """
    from gates.policy import load_policy
    from gates.registry.channels import ROUTERS
    from pipelines.signing import prepare_pin

    workspace = open_workspace(project, store)
    found = workspace.project.policy.policy if policy is None else load_policy(policy).policy
    named = channel or workspace.project.file.channel
    measured = sets and named != ROUTERS
    signer = Signer.of(workspace, key, prepare, person)
    act = prepare_pin(
        workspace.registry,
        found,
        person=signer.person,
        channel=named,
        owners=owner or [],
        reason=reason,
        sets={s.prompt_set.name: s.prompt_set.digest for s in workspace.project.sets} if measured else None,
        judge=workspace.project.judge_digest if measured else None,
    )
    workspace.registry.record_policy(found)
    if not as_json:
        _show_changes(workspace, named, found, act)
    signer.finish(act, as_json=as_json)


def _show_changes(workspace: Workspace, channel: str, policy: Policy, pin: PolicyPin) -> None:
    from gates.policy_changes import changes, pin_changes

    before = workspace.registry.authority().pinned(channel)
    if before is None:
        return
    rows = [
        (one.check or "", one.field, one.before, one.after, one.owner or "", "loosened" if one.loosened else "")
        for one in (*changes(workspace.registry.policy(before.pin.policy), policy), *pin_changes(before.pin, pin))
    ]
    console = stdout()
    if rows:
        console.print(table(f"changes to channel '{channel}'", ("check", "what", "from", "to", "owner", ""), rows))
    else:
        line(console, "the policy says what the one before said")
