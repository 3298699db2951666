"""Replay: the events of a log in order, the state they lead to, and what should not be among them.

It needs the events and a way to get at contents by digest, no database: what the registry decides before it appends,
this decides again afterwards, by the same rules on the same facts, as they were at that place of the log. Time is the
latest moment that any event or checkpoint up to then tells of, so a clock that was set back revives nothing.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from evalharness.evidence import Evidence
from evalharness.plan import Plan
from gates.decision import Decision
from gates.signing.checkpoints import SignedCheckpoint
from gates.verifier import merkle
from gates.verifier.attempts import Counting
from gates.verifier.authority import ACT_EVENTS, Authority
from gates.verifier.contents import Contents
from gates.verifier.events import EVENT_TYPES, Checkpoint, Event
from gates.verifier.promotion import Case, counted, involved, is_counted_attempt, overtaken_by, refusals
from gates.verifier.shapes import misshapen
from gates.verifier.stages import CHANNELS, PRODUCTION, STAGES, Stages
from golden_sets.digests import Digest, short
from golden_sets.errors import InputError

Kept = Checkpoint | SignedCheckpoint
"""A checkpoint that somebody kept."""

NAMED_BLOBS = {
    "registered": ("subject",),
    "policy_recorded": ("policy",),
    "planned": ("plan", "policy"),
    "evaluated": ("evidence", "outcomes", "plan"),
    "decided": ("decision", "policy", "evidence", "plan"),
    "promoted": ("subject", "decision"),
    "rolled_back": ("subject",),
    "expired": ("envelope",),
    **dict.fromkeys(ACT_EVENTS, ("envelope",)),
}
"""Payload fields whose digests must be there as contents."""

_SAYS: Mapping[str, tuple[str, Mapping[str, str]]] = {
    "policy_recorded": ("policy", {"name": "name", "version": "version"}),
    "planned": ("plan", {"lineage": "lineage", "policy": "policy_digest", "incumbent": "incumbent_digest"}),
    "evaluated": (
        "evidence",
        {
            "outcomes": "outcomes",
            "subject": "subject_digest",
            "incumbent": "incumbent_digest",
            "plan": "plan_digest",
            "sets": "set_digests",
            "judge": "judge_digest",
        },
    ),
    "decided": (
        "decision",
        {
            "verdict": "verdict",
            "subject": "subject_digest",
            "policy": "policy_digest",
            "evidence": "evidence_digest",
            "plan": "plan_digest",
            "incumbent": "incumbent_digest",
        },
    ),
}
"""What events about a record must repeat of it: payload field and the record's own."""

_MOMENT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z")
_UNFIT = (ArithmeticError, AssertionError, AttributeError, InputError, LookupError, TypeError, ValueError)
"""What reading an event may raise that somebody wrote by hand."""


@dataclass(frozen=True)
class Move:
    """A promotion by a decision, as it was found in the log."""

    event: Event
    case: Case
    """The facts about it, then."""
    lineage: str | None
    """Whose attempt it was; None: its plan cannot be read."""


@dataclass
class Replay:
    """The state after the events so far. Feed it every event in order: :meth:`add`.

    Args:
        contents: where what the events name is found.
        judged: channels whose promotions are judged by their rules; None: all. Of others only the order of the moves is
            checked, because what they rest on need not be at hand.
        kept: checkpoints of the log. Those that fit bear witness of time: what comes after them happened later.
    """

    contents: Contents
    judged: Collection[str] | None = None
    kept: Sequence[Kept] = ()

    size: int = 0
    frontier: tuple[bytes, ...] = ()
    roots: dict[int, Digest] = field(default_factory=dict)
    """Root of the log at the size of each checkpoint."""
    now: str = ""
    """The latest moment that an event or a checkpoint up to here tells of."""
    authority: Authority = field(default_factory=Authority)
    moves: list[Move] = field(default_factory=list)
    """Every judged promotion by a decision."""
    blobs: dict[Digest, int] = field(default_factory=dict)
    """Contents that must be there, each with the first event that names it."""
    unjudged: list[Event] = field(default_factory=list)
    """Promotions on channels that are not judged."""
    unpinned: list[Event] = field(default_factory=list)
    """Promotions on channels that had no pinned policy then: nobody's signature stands behind those."""
    problems: list[str] = field(default_factory=list)
    notices: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.stages = Stages(self.authority)
        self._facts: dict[tuple[str, Digest], list[Event]] = defaultdict(list)
        self._compared: dict[tuple[Digest, Digest, Digest | None], list[Event]] = defaultdict(list)
        self._attempts = Counting()
        self._serving: dict[Digest, dict[str, Digest]] = {}
        self._next = 0
        self._kept: dict[int, list[Kept]] = defaultdict(list)
        for one in self.kept:
            self._kept[one.size].append(one)
        self._watch()

    @property
    def root(self) -> Digest:
        """Root of the log so far."""
        return "sha256:" + merkle.frontier_root(self.frontier).hex()

    def add(self, event: Event, leaf: bytes | None = None) -> list[tuple[merkle.Coordinate, bytes]]:
        """Take in the next event; returns the subtrees of the log that it completes.

        Args:
            event: the event.
            leaf: its hash, where that is known already.
        """
        completed = self._grow(event.position, event.leaf_hash if leaf is None else leaf)
        try:
            self._take(event)
        except KeyError as error:
            self._problem(event, f"lacks {error}")
        except _UNFIT as error:
            self._problem(event, f"is not in order: {error}")
        self._watch()  # not before: a checkpoint that covers the event is younger than it
        return completed

    def grow(self, position: int, leaf: bytes) -> list[tuple[merkle.Coordinate, bytes]]:
        """Take in a leaf alone, of an event that cannot be read."""
        completed = self._grow(position, leaf)
        self._watch()
        return completed

    def _grow(self, position: int, leaf: bytes) -> list[tuple[merkle.Coordinate, bytes]]:
        if position != self._next:
            self.problems.append(f"event {self._next} is missing: the next one is {position}")
        self._next = position + 1
        self.frontier, completed = merkle.append_leaf(self.size, self.frontier, leaf)
        self.size += 1
        if self.size == 1:
            self.authority.log = "sha256:" + leaf.hex()
        return completed

    def end(self) -> None:
        """What is to be said after the last event."""
        self.problems += self.stages.undone()
        self.notices += self.stages.overdue(self.now)
        self.notices += self._other_lines()
        for channel in sorted({channel for channel, _ in self.stages.served}):
            if self.authority.pinned(channel) is None:
                self.notices.append(f"channel '{channel}' has no pinned policy: any recorded policy moves it")
        if self.unjudged:
            channels = ", ".join(sorted({event.payload["channel"] for event in self.unjudged}))
            self.notices.append(f"{len(self.unjudged)} promotions of other channels were not judged: {channels}")

    # -- events ----------------------------------------------------------------------------------------------

    def _take(self, event: Event) -> None:
        if not _MOMENT.fullmatch(event.time):
            self._problem(event, f"has no moment of time: '{event.time}'")
        elif event.time < self.now:
            self.notices.append(f"the clock went back at event {event.position}: {event.time} after {self.now}")
        else:
            self.now = event.time
        if (problem := misshapen(event)) is not None:
            self._problem(event, problem)
            return
        for name in NAMED_BLOBS.get(event.type, ()):
            if event.payload[name] is not None:
                self.blobs.setdefault(event.payload[name], event.position)
        if event.type in ACT_EVENTS:
            self._act(event)
        elif event.type == "promoted":
            self._promoted(event)
        elif event.type == "rolled_back":
            self._problems(event, self.stages.follows(event))
            self._problems(event, self.stages.roll_back(event, self.now))
        elif event.type == "expired":
            self._problems(event, self.stages.expire(event, self.now))
        elif event.type == "attempted":
            self.problems += self._attempts.take(event)
        elif event.type in EVENT_TYPES:
            self._fact(event)
        else:
            self.problems.append(f"event {event.position} has the unknown type '{event.type}'")

    def _fact(self, event: Event) -> None:
        """An event about a version or a record: remembered, and it must say what the record says."""
        about, fields = _SAYS.get(event.type, ("subject", {}))
        digest = event.payload[about]
        if event.type == "registered" and self._facts["registered", digest]:
            self._problem(event, f"registers {short(digest)} again")
        self._facts[event.type, digest].append(event)
        if event.type == "decided":
            about_what = (event.payload["subject"], event.payload["policy"], event.payload["incumbent"])
            self._compared[about_what].append(event)
            self._serving.setdefault(digest, self.stages.in_production())
        record = self.contents.document(digest) if fields else None
        if record is not None and any(event.payload[ours] != record.get(theirs) for ours, theirs in fields.items()):
            self._problem(event, f"about {about} {short(digest)} does not say what the {about} says")

    def _act(self, event: Event) -> None:
        log, self.authority.log = self.authority.log, self.authority.log if event.position else None
        problem = self.authority.apply(event, self.contents.get(event.payload["envelope"]))
        self.authority.log = log
        if problem is not None:
            self._problem(event, f"should not be in the log: {problem}")

    # -- moves -----------------------------------------------------------------------------------------------

    def _promoted(self, event: Event) -> None:
        payload = event.payload
        channel, subject = payload["channel"], payload["subject"]
        self._problems(event, self.stages.follows(event))
        if channel not in CHANNELS or payload["stage"] not in STAGES:
            self._problem(event, "moves a channel or stage that there is not")
        registered, named = self._facts["registered", subject], self._facts["named", subject]
        if not registered or (registered[0].payload["kind"] == "router") != (channel == "router"):
            self._problem(event, f"moves {short(subject)}, which is not registered for channel '{channel}'")
        elif payload["name"] != (*registered, *named)[-1].payload["name"]:
            self._problem(event, f"moves {short(subject)} under another name than it has")
        if payload["decision"] is None or payload["seed"]:
            self._problems(event, self.stages.seeded(event))
        elif self.judged is None or channel in self.judged:
            try:
                self._judge(event)
            except _UNFIT as error:  # the pointer moves all the same
                self._problem(event, f"cannot be judged: {error}")
        else:
            self.unjudged.append(event)
        if self.authority.pinned(channel) is None:
            self.unpinned.append(event)
        self.stages.promote(event)

    def _judge(self, event: Event) -> None:
        """Whether every rule allowed a promotion, and it names exactly the signatures it rests on."""
        case = self._case(event)
        found = refusals(case)
        if found:
            self._problem(event, f"was not allowed: {'; '.join(refusal.text for refusal in found)}")
        rests = [given.envelope for given in counted(case)]
        if event.payload.get("sanctions", []) != rests:
            self._problem(event, "does not name the signatures and waivers that it rests on")
        self.moves.append(Move(event, case, None if (plan := self._plan(case.decision)) is None else plan.lineage))

    def _case(self, event: Event) -> Case:
        from gates.policy import Policy  # brings the metrics with it: a rollback must not wait for those

        channel, stage = event.payload["channel"], event.payload["stage"]
        digest, subject, before = event.payload["decision"], event.payload["subject"], self.stages.at((channel, stage))
        decided = self._facts["decided", digest]
        if not decided:
            raise InputError(f"no decision {short(digest)} was recorded before")
        decision = self.contents.record(digest, Decision)
        evidence = self.contents.record(decision.evidence_digest, Evidence)
        evaluated = self._facts["evaluated", decision.evidence_digest]
        if not evaluated:
            raise InputError(f"no evidence {short(decision.evidence_digest)} was recorded before")
        planned = self.planned_at(decision.plan_digest)
        about = (*self._facts["registered", subject], evaluated[0], *decided)
        given = self.authority.given.get(digest, [])
        return Case(
            channel=channel,
            stage=stage,
            subject=subject,
            name=event.payload["name"],
            served=before.digest,
            generation=before.generation,
            production=self.stages.at((channel, PRODUCTION)).digest,
            models=self.stages.in_production(),
            decision=decision,
            policy=self.contents.record(decision.policy_digest, Policy),
            evidence=evidence,
            evaluated=evaluated[0].time,
            planned=planned,
            attempted=planned is not None and self._is_counted(decision, channel),
            actors=involved((one.actor for one in about), given),
            reached=self.stages.reached(channel, subject, self.now),
            pin=self.authority.pinned(channel),
            given=tuple(one for one in given if self.authority.counts(one)),
            now=self.now,
            overtaken=overtaken_by(
                decision,
                decided[0].position,
                reversed(self._compared[decision.subject_digest, decision.policy_digest, decision.incumbent_digest]),
            ),
        )

    def _other_lines(self) -> Iterable[str]:
        """Lines of work on which something was promoted, while other lines put their attempts to the same sets."""
        for lineage in sorted({move.lineage for move in self.moves if move.lineage is not None}):
            if others := self._attempts.other_lines(lineage):
                told = ", ".join(f"{count} on '{other}'" for other, count in others.items())
                yield f"attempts on the sets of '{lineage}' that it does not count, being of other lines: {told}"

    def _is_counted(self, decision: Decision, channel: str) -> bool:
        """Whether the attempt that a decision's plan says it was is counted: never, where the plan cannot be read."""
        plan = self._plan(decision)
        if plan is None:
            return False
        counted_for = is_counted_attempt(plan, decision, channel)
        return counted_for and self._attempts.has_begun(plan, decision.subject_digest)

    def _plan(self, decision: Decision) -> Plan | None:
        try:
            return self.contents.record(decision.plan_digest or "", Plan)
        except InputError:
            return None

    def planned_at(self, plan: Digest | None) -> int | None:
        """Where a plan was recorded first; None: it was not."""
        events = [] if plan is None else self._facts["planned", plan]
        return events[0].position if events else None

    def serving_at(self, decision: Digest) -> Mapping[str, Digest]:
        """What each channel's production served when a decision was recorded first."""
        return self._serving.get(decision, {})

    def _problems(self, event: Event, texts: Iterable[str]) -> None:
        for text in texts:
            self._problem(event, text)

    def _problem(self, event: Event, text: str) -> None:
        said = event.payload if isinstance(event.payload, Mapping) else {}
        where = f" {said['channel']}/{said['stage']}" if {"channel", "stage"} <= said.keys() else ""
        self.problems.append(f"event {event.position} ({event.type}{where}) {text}")

    def _watch(self) -> None:
        for one in self._kept.get(self.size, ()):
            self.roots[self.size] = self.root
            if one.root == self.root and _MOMENT.fullmatch(one.time):
                self.now = max(self.now, one.time)
