"""Alerts: what has been shown, when, with what evidence, and what to do about it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from pydantic import Field

from golden_sets.digests import Digest
from golden_sets.records import Record

AlertKind = Literal["drift", "excess band", "quality given up", "large differences", "daily p75", "p75 exceeded"]

WHAT_TO_DO: Mapping[AlertKind, str] = {
    "drift": "label the examples of the new clusters, train the router again with them (router train --refit), and "
    "release it; until then consider sending these clusters to the flagship",
    "excess band": "the flagship answers more often for want of evidence: label prompts in the band and train again",
    "quality given up": "lower the threshold or send everything to the flagship now; then train again on the "
    "labelled traffic",
    "large differences": "the small model loses by much on too many prompts that it answers: look at the labelled "
    "traffic for what they have in common, and train again with it",
    "daily p75": "look at this day's labelled traffic; the alert 'large differences' says whether it lasts",
    "p75 exceeded": "nothing yet if it is a single day: on few replays the quartile exceeds the limit by chance, and "
    "the alert 'daily p75' rings once it is proved; if it comes back day after day, replay more (--sample)",
}


class NewCluster(Record):
    """Prompts that the traffic now holds more of than the reference does."""

    requests: int
    """Requests of the window that fall into it."""
    share: float = Field(ge=0, le=1)
    """Their share of the window."""
    reference_share: float = Field(ge=0, le=1)
    """Share of the reference that falls into it."""
    ratio_low: float
    """Lower bound of share / reference share, all clusters together at the stated confidence."""
    p_value: float = Field(ge=0, le=1)
    """Chance of as many, were traffic and reference alike; times the number of clusters (Bonferroni), at most 1."""
    flagship_share: float = Field(ge=0, le=1)
    """Share of its requests that the router sends to the flagship."""
    families: Mapping[str, int] = Field(default_factory=dict)
    """Requests by the task family that the log names."""
    examples: tuple[str, ...]
    """Ids of requests to label, nearest to the cluster's centre first."""
    prompts: tuple[str, ...]
    """Their prompts."""


class Alert(Record):
    """One alert, or a notice. An alert stands until the router is replaced."""

    level: Literal["alert", "notice"] = "alert"
    """A notice tells what was seen and proves nothing."""
    kind: AlertKind
    """What it is about."""
    test: str
    """The test that rang: ``composition``, ``novelty``, ``band``, ``loss``, ``large`` or ``p75``."""
    request: int = Field(ge=1)
    """Number of the request, in the order of arrival, with which the evidence was complete."""
    time: float | None
    """Its arrival, in the log's seconds."""
    what: str
    """What has been shown, in one sentence."""
    do: str
    """What to do about it."""
    false_alarm: float | None = Field(default=None, gt=0, lt=1)
    """Chance that such an alert ever rings although nothing is wrong; None for a notice."""
    evidence: float | None = None
    """Capital won by betting against "nothing is wrong"; it rings at 1 / false_alarm."""
    n: int
    """Observations that it rests on."""
    numbers: Mapping[str, float | None] = Field(default_factory=dict)
    """The numbers it is about, by name."""
    began: int | None = None
    """Number of the request with which the change began, as far as the evidence can tell."""
    clusters: tuple[NewCluster, ...] = ()
    """What is new, where it is about drift."""
    router: Digest
    """Digest of the router's manifest."""
