"""Shadow validation at work: requests and scores in, replays to make and alerts out. Killed, it goes on from there."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from golden_sets.errors import InputError
from router_training.deciding import Decisions
from router_training.heads.head import Matrix
from router_training.pairs import DIGITS
from router_training.router import Router
from router_training.shadow.alerts import Alert
from router_training.shadow.drift import QUESTIONS, DriftTests, Question, Seen
from router_training.shadow.quality import Labelled, QualityTests, days_of
from router_training.shadow.raising import Watched, daily_alert, drift_alert, quality_alert
from router_training.shadow.sampling import is_sampled, uniform
from router_training.shadow.store import Scored, ShadowStore, Taken, Waiting, bytes_of, check_settings
from router_training.shadow.traffic import Batch, Request

KINDS = 5
"""Kinds of alerts, which share the chance of a false alarm evenly: drift, excess band, quality given up, large
differences, daily P75."""

Embed = Callable[[Sequence[str]], Matrix]


@dataclass(frozen=True)
class ShadowSettings:
    """What a state is begun with."""

    sample: float = 0.05
    """Probability with which a small-routed request is replayed. It may be raised later, never lowered."""
    seed: int = 0
    """Of the draw, of ties, and of the clustering of what is new."""
    false_alarm: float = 0.05
    """Chance that any alert ever rings although nothing is wrong."""

    def __post_init__(self) -> None:
        """Refuse what is no probability.

        Raises:
            InputError: a sample outside (0, 1], a chance outside (0, 1).
        """
        if not 0 < self.sample <= 1:
            raise InputError(f"the sampled share must lie in (0, 1], got {self.sample}", where="--sample")
        if not 0 < self.false_alarm < 1:
            raise InputError(f"the chance must lie strictly between 0 and 1, got {self.false_alarm}", where="--alpha")

    @property
    def alpha(self) -> float:
        """Chance of a false alarm for each kind of alert."""
        return self.false_alarm / KINDS


class Watch:
    """A router's traffic, watched. What it knows is in the store; another watch on the same store goes on from there.

    Args:
        router: whose decisions are watched.
        store: what is remembered.
        settings: sampling and error rates.
        embed: prompts to embeddings; default: the router's own encoder.

    Raises:
        InputError: a router without an encoder, or a state that belongs to another router or other settings.
    """

    def __init__(
        self, router: Router, store: ShadowStore, settings: ShadowSettings, *, embed: Embed | None = None
    ) -> None:
        if router.centroids is None or router.reference is None or router.embedder is None:
            raise InputError(
                "the router learnt nothing and sends everything to the flagship: there is nothing to validate",
                where=router.directory,
                do="train a router on labelled prompts first",
            )
        known = {"router": router.digest, "seed": settings.seed, "false_alarm": settings.false_alarm}
        check_settings(store, known)
        least = store.settings().get("sample")
        if least is None:
            store.begin({"sample": settings.sample})
        elif settings.sample < least:
            raise InputError(
                f"the state was begun with a sample of {least:g}: it may be raised, not lowered to {settings.sample:g}",
                where="--sample",
                do="name another --state directory",
            )
        self.router, self.store, self.settings = router, store, settings
        self.least_probability: float = settings.sample if least is None else least
        self._embed: Embed = router.embedder.embed if embed is None else embed
        point = router.manifest.operating_point
        self.drift = DriftTests(router.centroids, router.reference, point, alpha=settings.alpha)
        self.quality = QualityTests(point.max_loss, least_probability=self.least_probability, alpha=settings.alpha)
        self._judged = 0
        self._rang: dict[str, int] = {}
        self._count = store.count()
        self._restore()
        self.watched = Watched(
            router, store, self.drift, self.least_probability, alpha=settings.alpha, seed=settings.seed
        )
        self._raise_alerts(after=0)  # of a process that was killed in between
        self._judge()

    # -- requests ------------------------------------------------------------------------------------------

    def take(self, batch: Batch, path: Path) -> int:
        """Route a batch, test it and draw what is to be replayed; returns how many requests were new."""
        known = self.store.known([one.id for one in batch.requests])
        first: dict[str, Request] = {}
        for one in batch.requests:
            if one.id not in known:
                first.setdefault(one.id, one)
        new = list(first.values())
        taken = self._taken(new) if new else []
        tests = {"drift": self.drift.state()} if taken else {}
        self.store.take(taken, batch.place, path, tests, {})
        self._count += len(taken)
        if taken:
            self._judge()
        return len(taken)

    def _taken(self, requests: Sequence[Request]) -> list[Taken]:
        prompts = [one.prompt for one in requests]
        embeddings = self._embed(prompts)
        decisions = self.router.decide(prompts, embeddings)
        p_hard = np.nan_to_num(decisions.scores.p_hard, nan=1.0)
        scores = self.drift.scores(embeddings, p_hard)
        return [
            self._one(
                request, row, embeddings[row], decisions, {name: float(scores.of(name)[row]) for name in QUESTIONS}
            )
            for row, request in enumerate(requests)
        ]

    def _one(
        self,
        request: Request,
        row: int,
        embedding: Matrix,
        decisions: Decisions,
        scores: Mapping[Question, float],
    ) -> Taken:
        ties = {name: uniform(self.settings.seed, f"tie {name}", request.id) for name in QUESTIONS}
        seen = self.drift.observe(scores, ties)
        small = decisions.reasons[row] == "easy"
        drawn = small and is_sampled(self.settings.seed, request.id, self.settings.sample)
        return Taken(
            number=self._count + row + 1,
            id=request.id,
            time=request.time,
            family=request.family,
            model="small" if small else "flagship",
            reason=decisions.reasons[row],
            p_hard=float(np.nan_to_num(decisions.scores.p_hard[row], nan=1.0)),
            expected_delta=float(np.nan_to_num(decisions.scores.delta[row])),
            composition=scores["composition"],
            novelty=scores["novelty"],
            band=scores["band"],
            **_evidence(seen),
            probability=self.settings.sample if drawn else None,
            prompt=request.prompt,
            expected=json.dumps(request.expected) if drawn and request.expected else None,
            embedding=bytes_of(embedding),
        )

    # -- replays -------------------------------------------------------------------------------------------

    def waiting(self) -> list[Waiting]:
        """Requests that are to be replayed, in the order of arrival."""
        return self.store.waiting()

    def score(self, scored: Sequence[Scored]) -> None:
        """Take what came of replays.

        The tests advance in the order of arrival up to the first replay that is still awaited: what is known without
        sampling (the flagship's own requests) must not run ahead of what is not.
        """
        self.store.score(scored)
        self._judge()

    def _judge(self) -> None:
        judged, before = self._judged, self.store.first_waiting() or self._count + 1
        evidence: list[dict[str, Any]] = []
        for number, model, probability, small, flagship in self.store.resolved(self._judged, before):
            loss = large = False
            if model == "flagship":
                loss = self.quality.flagship()
            elif probability is not None and small is not None and flagship is not None:
                loss, large = self.quality.replayed(round(flagship - small, DIGITS), probability)
                wagers = {"e_loss": self.quality.loss.wager.log10, "e_large": self.quality.large.wager.log10}
                evidence.append({"number": number, **wagers})
            self._judged = number
            self._rang |= {name: number for name, rings in (("loss", loss), ("large", large)) if rings}
        state = {**self.quality.state(), "judged": self._judged, "rang": self._rang}
        self.store.judge(evidence, {"quality": state}, {})
        self._raise_alerts(judged if evidence else self._judged)

    def labelled(self) -> list[Labelled]:
        """The replays with both scores that the tests have seen, in the order of arrival."""
        return self.store.labelled(self._judged)

    # -- alerts --------------------------------------------------------------------------------------------

    def rang_at(self, name: Literal["loss", "large"]) -> int | None:
        """Number of the request whose replay rang a test of quality; None: it did not ring."""
        return self._rang.get(name)

    def alerts(self) -> list[Alert]:
        """Every alert that stands, in the order in which they rang."""
        return list(self.store.alerts().values())

    def _raise_alerts(self, after: int) -> None:
        """Write the alerts of tests that rang and have none; of days, those with labels of later requests than one."""
        there = self.store.alerts()
        found: dict[str, Alert] = {}
        for question in QUESTIONS:
            rang_at = self.drift.rang_at(question)
            if rang_at is not None and question not in there:
                found[question] = drift_alert(self.watched, question, rang_at)
        labelled = self.labelled() if self._judged else []
        for name, number in self._rang.items():
            if name not in there:
                found[name] = quality_alert(self.watched, name, number, labelled)
        for day in days_of(labelled, least_probability=self.least_probability, alpha=self.settings.alpha, after=after):
            if day.proved_by is not None and (name := f"p75 of day {day.day}") not in there:
                found[name] = daily_alert(self.watched, day)
        if found:
            self.store.judge([], {}, dict(sorted(found.items(), key=lambda item: item[1].request)))

    def _restore(self) -> None:
        tests = self.store.tests()
        if "drift" in tests:
            stored = self.store.requests(QUESTIONS)
            self.drift.restore(tests["drift"], {name: stored[name] for name in QUESTIONS})
        if "quality" in tests:
            self.quality.restore(tests["quality"])
            self._judged, self._rang = tests["quality"]["judged"], dict(tests["quality"]["rang"])


def _evidence(seen: Mapping[Question, Seen]) -> dict[str, float]:
    return {
        **{f"p_{name}": one.p for name, one in seen.items()},
        **{f"e_{name}": one.log10 for name, one in seen.items()},
    }
