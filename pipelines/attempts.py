"""Which attempt a plan is of: the plan names its number, and the number is counted by what the plan asks."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from evalharness.candidate import Candidate
from evalharness.plan import Plan
from gates.registry import Registry
from golden_sets.digests import Digest
from pipelines.planning import plan_for
from pipelines.subjects import Named
from pipelines.workspace import Workspace


@dataclass(frozen=True)
class PlanOptions:
    """What a command line may ask of a plan, see :func:`pipelines.planning.plan_for`."""

    looks: int | None = None
    """Number of looks; None: the project's."""
    budget: float | None = None
    """USD for all arms together."""
    deadline: float | None = None
    """Seconds for all arms together."""
    requests_per_second: float | None = None
    """How fast the engine answers."""


@dataclass(frozen=True)
class AttemptPlans:
    """The plans of a subject's attempts: the same question, with the number that the ledger gives it.

    The question is the plan as it would be for the first attempt. So whatever else a plan depends on, be it the seed,
    the policy or what is known of the incumbent, a change of it makes another question, and the same subject asked
    another question is another attempt.
    """

    registry: Registry
    """Where attempts are counted."""
    subject: Named | None
    """Who is put to the sets; None: somebody new."""
    plan_as: Callable[[int], Plan]
    """The plan as attempt 1, 2, ...; nothing else of it may change from call to call."""
    _made: dict[int, Plan] = field(default_factory=dict, init=False, repr=False, compare=False)

    def next(self) -> Plan:
        """The plan of the attempt that this is, or would be if it were begun now; nothing is written."""
        first = self._numbered(1)
        subject = None if self.subject is None else self.subject.digest
        return self._numbered(self.registry.attempt_number(first.lineage, first.set_digests, subject, first.digest))

    def begin(self) -> Plan:
        """Count the attempt, and its plan: with another number than :meth:`next` foretold if somebody was faster.

        Raises:
            ValueError: there is no subject.
        """
        if self.subject is None:
            raise ValueError("an attempt is somebody's")
        first = self._numbered(1)
        return self._numbered(
            self.registry.begin_attempt(
                first.lineage, first.set_digests, self.subject.digest, first.digest, name=self.subject.name
            )
        )

    def _numbered(self, number: int) -> Plan:
        if number not in self._made:
            self._made[number] = self.plan_as(number)
        return self._made[number]


def attempt_plans(
    workspace: Workspace,
    subject: Candidate | None,
    arms: tuple[Candidate | None, Candidate | None],
    options: PlanOptions | None = None,
) -> AttemptPlans:
    """The plans of a subject's attempts in a project.

    Args:
        workspace: project and registry.
        subject: who is put to the sets; None: somebody new.
        arms: the incumbent and the policy's anchor it is compared with.
        options: what the command line asks of the plan.
    """
    incumbent, anchor = arms
    options = options or PlanOptions()
    known = None if incumbent is None else workspace.known_evidence(incumbent.digest)

    def plan_as(number: int) -> Plan:
        return plan_for(
            workspace.project,
            incumbent,
            known,
            candidate=subject,
            anchor=anchor,
            attempt=number,
            looks=options.looks,
            budget=options.budget,
            deadline=options.deadline,
            requests_per_second=options.requests_per_second,
        )

    return AttemptPlans(workspace.registry, subject, plan_as)


def exposures_of(registry: Registry, sets: Mapping[str, Digest]) -> dict[str, int]:
    """How many subjects have recorded evidence on each set, by the set's name."""
    return {name: registry.exposures(digest) for name, digest in sets.items()}
