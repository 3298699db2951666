"""Replay: the events of a log in order, the state they lead to, and what should not be among them.

It needs the events and a way to get at contents by digest, no database: what the registry decides before it appends,
this decides again afterwards, by the same rules on the same facts, as they were at that place of the log. Time is the
latest moment that any event up to then tells of, so a clock that was set back revives nothing.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

from evalharness.evidence import Evidence
from evalharness.plan import Plan
from gates.decision import Decision
from gates.signing.predicates import Waiver
from gates.verifier import merkle
from gates.verifier.attempts import Counting
from gates.verifier.authority import ACT_EVENTS, Authority, Given
from gates.verifier.contents import Contents
from gates.verifier.events import EVENT_TYPES, Event
from gates.verifier.promotion import Case, counted, involved, is_counted_attempt, refusals, return_problem
from golden_sets.digests import Digest, short
from golden_sets.errors import InputError

Place = tuple[str, str]
"""Channel and stage."""

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
class Served:
    """What a stage serves."""

    digest: Digest | None = None
    """The version; None: never anything."""
    generation: int = 0
    """Number of moves so far."""
    move: Event | None = None
    """The newest of them."""


@dataclass(frozen=True)
class Move:
    """A promotion by a decision, as it was found in the log."""

    event: Event
    case: Case
    """The facts about it, then."""


@dataclass
class Replay:
    """The state after the events so far. Feed it every event in order: :meth:`add`.

    Args:
        contents: where what the events name is found.
        judged: channels whose promotions are judged by their rules; None: all. Of others only the order of the moves is
            checked, because what they rest on need not be at hand.
        watched: sizes of the log whose roots are wanted, for checkpoints.
    """

    contents: Contents
    judged: Collection[str] | None = None
    watched: Collection[int] = ()

    size: int = 0
    frontier: tuple[bytes, ...] = ()
    roots: dict[int, Digest] = field(default_factory=dict)
    """Root of the log at each watched size."""
    now: str = ""
    """The latest moment so far."""
    authority: Authority = field(default_factory=Authority)
    stages: dict[Place, Served] = field(default_factory=dict)
    """What every stage serves."""
    promotions: dict[Place, dict[Digest, Event]] = field(default_factory=lambda: defaultdict(dict))
    """The newest promotion (or seed) of each version to each stage."""
    withdrawn: dict[Place, dict[Digest, Event]] = field(default_factory=lambda: defaultdict(dict))
    """The newest rollback of each stage away from each version."""
    moves: list[Move] = field(default_factory=list)
    """Every judged promotion by a decision."""
    blobs: dict[Digest, int] = field(default_factory=dict)
    """Contents that must be there, each with the first event that names it."""
    unjudged: list[Event] = field(default_factory=list)
    """Promotions on channels that are not judged."""
    problems: list[str] = field(default_factory=list)
    notices: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._facts: dict[tuple[str, Digest], list[Event]] = defaultdict(list)
        self._compared: dict[tuple[Digest, Digest, Digest | None], list[Event]] = defaultdict(list)
        self._attempts = Counting()
        self._serving: dict[Digest, dict[str, Digest]] = {}
        self._expired: set[tuple[Place, Digest]] = set()
        self._next = 0
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
        completed = self.grow(event.position, event.leaf_hash if leaf is None else leaf)
        try:
            self._take(event)
        except KeyError as error:
            self._problem(event, f"lacks {error}")
        except _UNFIT as error:
            self._problem(event, f"is not in order: {error}")
        return completed

    def grow(self, position: int, leaf: bytes) -> list[tuple[merkle.Coordinate, bytes]]:
        """Take in a leaf alone, of an event that cannot be read."""
        if position != self._next:
            self.problems.append(f"event {self._next} is missing: the next one is {position}")
        self._next = position + 1
        self.frontier, completed = merkle.append_leaf(self.size, self.frontier, leaf)
        self.size += 1
        if self.size == 1:
            self.authority.log = "sha256:" + leaf.hex()
        self._watch()
        return completed

    def end(self) -> None:
        """What is to be said after the last event."""
        for channel in sorted({channel for channel, _ in self.stages}):
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
        for name in NAMED_BLOBS.get(event.type, ()):
            if event.payload[name] is not None:
                self.blobs.setdefault(event.payload[name], event.position)
        if event.type in ACT_EVENTS:
            self._act(event)
        elif event.type == "promoted":
            self._promoted(event)
        elif event.type == "rolled_back":
            self._rolled_back(event)
        elif event.type == "expired":
            self._expire(event)
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
            production = {c: served.digest for (c, s), served in self.stages.items() if s == "production"}
            self._serving.setdefault(digest, {c: served for c, served in production.items() if served is not None})
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
        place, subject, before = self._moving(event)
        registered = self._facts["registered", subject]
        if not registered or (registered[0].payload["kind"] == "router") != (place[0] == "router"):
            self._problem(event, f"moves {short(subject)}, which is not registered for channel '{place[0]}'")
        if payload["decision"] is None or payload["seed"]:
            self._seeded(event, place, before)
        elif self.judged is None or place[0] in self.judged:
            try:
                self._judge(event, place, before)
            except _UNFIT as error:  # the pointer moves all the same
                self._problem(event, f"cannot be judged: {error}")
        else:
            self.unjudged.append(event)
        self.promotions[place][subject] = event
        self._serve(event, place)

    def _rolled_back(self, event: Event) -> None:
        place, subject, before = self._moving(event)
        promotion = self.promotions[place].get(subject)
        if promotion is None:
            self._problem(event, "goes to a version that was never promoted there")
        else:
            footing = self._footing(promotion)
            problem = return_problem(
                expiries=[one.act.expires for one in footing if isinstance(one.act, Waiver)],
                revoked=not all(map(self.authority.counts, footing)),
                withdrawn=self._is_withdrawn(place, promotion),
                now=self.now,
            )
            if problem is not None:
                self._problem(event, f"goes to a version that may not come back: {problem}")
        if before.digest is not None:
            self.withdrawn[place][before.digest] = event
        self._serve(event, place)

    def _moving(self, event: Event) -> tuple[Place, Digest, Served]:
        payload = event.payload
        place = (payload["channel"], payload["stage"])
        before = self.stages.get(place, Served())
        if (payload["previous"], payload["generation"]) != (before.digest, before.generation + 1):
            self._problem(event, f"does not follow from generation {before.generation}")
        return place, payload["subject"], before

    def _serve(self, event: Event, place: Place) -> None:
        self.stages[place] = Served(event.payload["subject"], event.payload["generation"], event)

    def _seeded(self, event: Event, place: Place, before: Served) -> None:
        """The first version of a channel; with a pinned policy only what production serves needs no decision."""
        subject, production = event.payload["subject"], self._production(place[0])
        allowed = {subject} if self.authority.pinned(place[0]) is not None else {None, subject}
        if before.digest is not None or production not in allowed or event.payload["decision"] is not None:
            self._problem(event, "needed a decision")

    def _judge(self, event: Event, place: Place, before: Served) -> None:
        """Whether every rule allowed a promotion, and it names exactly the signatures it rests on."""
        case = self._case(event, place, before)
        found = refusals(case)
        if found:
            self._problem(event, f"was not allowed: {'; '.join(refusal.text for refusal in found)}")
        rests = [given.envelope for given in counted(case)]
        if event.payload.get("sanctions", []) != rests:
            self._problem(event, "does not name the signatures and waivers that it rests on")
        self.moves.append(Move(event, case))

    def _case(self, event: Event, place: Place, before: Served) -> Case:
        from gates.policy import Policy  # brings the metrics with it: a rollback must not wait for those

        channel, stage = place
        digest, subject = event.payload["decision"], event.payload["subject"]
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
            production=self._production(channel),
            decision=decision,
            policy=self.contents.record(decision.policy_digest, Policy),
            evidence=evidence,
            evaluated=evaluated[0].time,
            planned=planned,
            attempted=planned is not None and self._is_counted(decision, channel),
            actors=involved((one.actor for one in about), given),
            reached=frozenset(s for (c, s) in self.promotions if c == channel and self._stands((c, s), subject)),
            pin=self.authority.pinned(channel),
            given=tuple(one for one in given if self.authority.counts(one)),
            now=self.now,
            overtaken=self._overtaken(decision, decided[0].position),
        )

    def _overtaken(self, decision: Decision, position: int) -> Digest | None:
        """The newest later decision about the same comparison under the same policy, where it did not pass."""
        same = self._compared[decision.subject_digest, decision.policy_digest, decision.incumbent_digest]
        if not same or same[-1].position <= position or same[-1].payload["verdict"] == "promote":
            return None
        return str(same[-1].payload["decision"])

    def _stands(self, place: Place, subject: Digest) -> bool:
        """Whether a version was promoted to a stage by a decision, not taken back since, and all of it still counts."""
        promotion = self.promotions[place].get(subject)
        if promotion is None or promotion.payload["decision"] is None or self._is_withdrawn(place, promotion):
            return False
        footing = self._footing(promotion)
        expired = any(isinstance(one.act, Waiver) and one.act.expires <= self.now for one in footing)
        return not expired and all(map(self.authority.counts, footing))

    def _footing(self, promotion: Event) -> list[Given]:
        """What was signed for a promotion."""
        rests = promotion.payload.get("sanctions", [])
        given = self.authority.given.get(promotion.payload["decision"], [])
        return [one for one in given if one.envelope in rests]

    def _is_withdrawn(self, place: Place, promotion: Event) -> bool:
        rollback = self.withdrawn[place].get(promotion.payload["subject"])
        return rollback is not None and rollback.position > promotion.position

    def _is_counted(self, decision: Decision, channel: str) -> bool:
        """Whether the attempt that a decision's plan says it was is counted: never, where the plan cannot be read."""
        try:
            plan = self.contents.record(decision.plan_digest or "", Plan)
        except InputError:
            return False
        counted_for = is_counted_attempt(plan, decision, channel)
        return counted_for and self._attempts.has_begun(plan, decision.subject_digest)

    def planned_at(self, plan: Digest | None) -> int | None:
        """Where a plan was recorded first; None: it was not."""
        events = [] if plan is None else self._facts["planned", plan]
        return events[0].position if events else None

    def serving_at(self, decision: Digest) -> Mapping[str, Digest]:
        """What each channel's production served when a decision was recorded first."""
        return self._serving.get(decision, {})

    def _production(self, channel: str) -> Digest | None:
        return self.stages.get((channel, "production"), Served()).digest

    # -- expiry ----------------------------------------------------------------------------------------------

    def _expire(self, event: Event) -> None:
        """A waiver on which what a stage serves rests has expired, and what it says is done."""
        payload = event.payload
        place, subject, envelope = (payload["channel"], payload["stage"]), payload["subject"], payload["envelope"]
        promotion = self.promotions[place].get(subject)
        given = [] if promotion is None else [g for g in self._footing(promotion) if g.envelope == envelope]
        if not given or self.stages[place].digest != subject:
            self._problem(event, "speaks of a waiver on which nothing rests that is served there")
        elif not isinstance(given[0].act, Waiver) or self.now < given[0].act.expires:
            self._problem(event, "speaks of what had not expired")
        if (place, envelope) in self._expired or payload["action"] not in ("demote", "block"):
            self._problem(event, "tells of what had expired before, or of no action")
        self._expired.add((place, envelope))

    def _problem(self, event: Event, text: str) -> None:
        said = event.payload if isinstance(event.payload, Mapping) else {}
        where = f" {said['channel']}/{said['stage']}" if {"channel", "stage"} <= said.keys() else ""
        self.problems.append(f"event {event.position} ({event.type}{where}) {text}")

    def _watch(self) -> None:
        if self.size in self.watched:
            self.roots[self.size] = self.root
