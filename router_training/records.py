"""The records of a router: what it pins, where it operates, and what it decides."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal, Self

from pydantic import Field, JsonValue, model_validator

from golden_sets.digests import Digest
from golden_sets.records import Record

Model = Literal["small", "flagship"]
Precision = Literal["fp32", "int8"]
Reason = Literal["easy", "hard", "band", "unlike training", "always flagship"]
"""Why a prompt goes where it goes: below the threshold; above the band; inside it; nothing like it was learnt from; or
the router sends everything to the flagship."""


@dataclass(frozen=True, slots=True)
class Route:
    """Where one prompt goes."""

    model: Model
    """Who answers."""
    reason: Reason
    """Why."""
    p_hard: float
    """Calibrated probability that the flagship's answer is better by more than .15."""
    expected_delta: float
    """Calibrated expected score of the flagship's answer minus the small model's, in [-1, 1]."""
    uncertainty: float
    """How far the members of the head disagree about the delta, or its neighbours do, in units of delta."""
    novelty: float
    """Cosine distance to the nearest cluster of the training prompts, in [0, 2]."""


class Curve(Record):
    """A strictly increasing map from a head's prediction to a calibrated number, by linear interpolation.

    Flat beyond its ends; flat altogether (the base rate) where nothing was learnt.
    """

    x: tuple[float, ...] = Field(min_length=2)
    """Predictions of the head, increasing."""
    y: tuple[float, ...] = Field(min_length=2)
    """Calibrated values, increasing."""

    @model_validator(mode="after")
    def _increasing(self) -> Self:
        if len(self.x) != len(self.y):
            raise ValueError("a curve has as many values as places")
        if any(after < before for line in (self.x, self.y) for before, after in pairwise(line)):
            raise ValueError("a curve never falls")
        return self


class OperatingPoint(Record):
    """Where the router switches from the small model to the flagship, on the calibrated P(hard).

    Small below ``threshold``; flagship above ``band_high``; between them lies the band: the point estimate would allow
    the small model there, the bound does not, and the flagship answers.
    """

    threshold: float = Field(ge=0, le=1)
    """The highest P(hard) up to which the bound on the quality given up holds; 0: everything to the flagship."""
    band_high: float = Field(ge=0, le=1)
    """Where the estimate itself reaches the limit; at least ``threshold``."""
    max_loss: float = Field(gt=0, lt=1)
    """Most mean quality that may be given up, against always asking the flagship."""
    confidence: float = Field(gt=0, lt=1)
    """Of the upper bound."""
    loss: float
    """Mean quality given up on the calibration prompts at ``threshold``."""
    loss_high: float
    """Its upper bound."""
    flagship_share: float = Field(ge=0, le=1)
    """Share of the calibration prompts that go to the flagship."""
    n: int
    """Calibration prompts."""
    method: str
    """Method of the bound."""
    why_always_flagship: str | None = None
    """Set where no threshold was safe or nothing could be learnt: then everything goes to the flagship."""


class Novelty(Record):
    """When a prompt counts as unlike anything learnt from."""

    max_distance: float
    """Cosine distance to the nearest training cluster beyond which a prompt is sent to the flagship."""
    max_tokens: int
    """Longest training prompt, tokens before truncation; longer than twice that is unlike training, too."""
    max_characters: int
    """Longest training prompt, characters; longer than twice that is unlike training, too."""
    scripts: tuple[str, ...]
    """Unicode scripts (first word of the character's name, e.g. ``LATIN``) that training prompts are written in."""


class EncoderPin(Record):
    """Which encoder, and which export of it."""

    name: str
    """Name of the encoder."""
    source: Digest
    """Digest of the encoder's tokenizer and weights, before the export."""
    precision: Precision
    """Arithmetic of the export."""
    layers: int = Field(ge=0)
    """How many of the encoder's transformer layers are used."""
    max_tokens: int = Field(ge=8)
    """Of longer prompts as many tokens are kept: half from the start, half from the end."""


class RouterManifest(Record):
    """Everything that changes what a router decides, and what it was made from. Its digest is the router's identity.

    A router that learnt nothing has neither encoder nor novelty, and its operating point says why.
    """

    encoder: EncoderPin | None = None
    """The encoder; None: everything goes to the flagship unread."""
    files: Mapping[str, Digest]
    """Digest of every other file of the router's directory: export, tokenizer, head, clusters."""
    features: tuple[str, ...]
    """Cheap features beside the embedding, in order."""
    head: str
    """Kind of the head."""
    head_settings: Mapping[str, JsonValue]
    """Settings of the head."""
    p_hard: Curve
    """From the head's prediction to P(hard)."""
    delta: Curve
    """From the head's prediction to the expected delta."""
    operating_point: OperatingPoint
    """Threshold and band."""
    novelty: Novelty | None = None
    """When a prompt is unlike training; None without an encoder."""
    small: Digest | None = None
    """Manifest digest of the small model; None: learnt from a file that names none."""
    flagship: Digest | None = None
    """Manifest digest of the flagship."""
    training_data: Digest
    """Digest of the labelled prompts it was fitted on."""
    calibration_data: Digest
    """Digest of those its threshold was chosen on."""
    test_data: Digest
    """Digest of the frozen test: it does not move when the head is fitted again."""
    judge: Digest | None = None
    """Digest of the judge that made the labels."""

    @model_validator(mode="after")
    def _whole(self) -> Self:
        if (self.encoder is None) != (self.novelty is None):
            raise ValueError("encoder and novelty come together")
        if self.encoder is None and self.operating_point.why_always_flagship is None:
            raise ValueError("a router without an encoder sends everything to the flagship, and says why")
        return self
