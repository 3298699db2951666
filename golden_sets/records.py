"""The records of floor 1: what is asked, and how an answer could be checked by program."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from functools import cached_property
from typing import Any, ClassVar, Literal, Self

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    SerializerFunctionWrapHandler,
    field_validator,
    model_serializer,
    model_validator,
)

from golden_sets.digests import Digest, digest_json

STANDARD_DIMENSIONS = ("tier", "length_bucket", "category", "severity", "tenant", "attack", "language")
"""Cell dimensions every set may use without declaring them in its card."""


class Record(BaseModel):
    """A frozen record: validated when made, closed to unknown keys, never changed afterwards."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    def to_json(self) -> dict[str, Any]:
        """Plain JSON data, the form that digests and files are made from."""
        return self.model_dump(mode="json")

    @cached_property
    def digest(self) -> Digest:
        """``sha256:<hex>`` over the canonical JSON of the whole record."""
        return digest_json(self.to_json())

    def model_copy(self, *, update: Mapping[str, Any] | None = None, deep: bool = False) -> Self:
        """A copy with some fields changed; what was computed from the old fields (the digest) is not carried over."""
        copied = super().model_copy(update=update, deep=deep)
        for name in [n for n in copied.__dict__ if n not in type(self).model_fields]:
            del copied.__dict__[name]
        return copied


class GrownRecord(Record):
    """A record that got fields after the first ones were written: older ones keep their digests.

    The fields named in ``grown`` are written, and hashed, only where they differ from their defaults.
    """

    grown: ClassVar[tuple[str, ...]] = ()

    @model_serializer(mode="wrap")
    def _without_defaults(self, written: SerializerFunctionWrapHandler) -> dict[str, Any]:
        found: dict[str, Any] = written(self)
        fields = type(self).model_fields
        unsaid = {n for n in self.grown if getattr(self, n) == fields[n].get_default(call_default_factory=True)}
        return {name: value for name, value in found.items() if name not in unsaid}


class SetKind(StrEnum):
    """What a set is for; ``where: {set: ...}`` in a policy matches it."""

    GOLDEN = "golden"
    ADVERSARIAL = "adversarial"
    FALSE_REFUSAL = "false_refusal"


class Message(Record):
    """One chat message."""

    role: Literal["system", "user", "assistant"]
    """Who speaks."""
    content: str = Field(min_length=1)
    """What is said, plain text."""


class Checker(Record):
    """How a program can tell whether an answer meets the set's expectation (data, never code)."""

    kind: Literal["exact", "number", "word", "quoted", "refusal", "compliance"]
    """Which rule applies; the rules are documented in ``evalharness.checkers``."""
    value: str | None = None
    """The expected value, for the kinds that need one."""

    @model_validator(mode="after")
    def _value_where_needed(self) -> Checker:
        needs_value = self.kind not in ("refusal", "compliance")
        if needs_value != (self.value is not None):
            raise ValueError(f"checker kind '{self.kind}' {'needs a value' if needs_value else 'takes no value'}")
        return self


class Prompt(Record):
    """One prompt of a set. Its identity is its content: id and source do not count."""

    id: str = Field(min_length=1)
    """Name of the prompt, unique within its set."""
    messages: tuple[Message, ...] = Field(min_length=1)
    """The conversation that the candidate continues."""
    reference: str | None = None
    """The ideal answer, where there is one."""
    rubric: str | None = None
    """Id of the rubric it is judged by; filled from the card where the line names none."""
    checker: Checker | None = None
    """Programmatic truth, where there is one."""
    dimensions: Mapping[str, str] = Field(default_factory=dict)
    """Cell dimensions: ``tier``, ``length_bucket``, ``category``, ``severity``, ``tenant``..."""
    cluster: str | None = None
    """Template, seed or conversation it derives from; prompts of one cluster never count as independent."""
    source: str | None = None
    """Where it comes from."""

    @field_validator("dimensions")
    @classmethod
    def _sorted(cls, value: Mapping[str, str]) -> dict[str, str]:
        return dict(sorted(value.items()))

    @cached_property
    def digest(self) -> Digest:
        """Digest of the content: everything but id and source."""
        return digest_json(self.model_dump(mode="json", exclude={"id", "source"}))

    @cached_property
    def request_digest(self) -> Digest:
        """Digest of the messages alone: what a generation depends on (a second rubric reuses generations)."""
        return digest_json([m.to_json() for m in self.messages])

    @property
    def unit(self) -> str:
        """The randomised unit: the declared cluster, else the prompt itself."""
        return self.cluster if self.cluster is not None else self.digest


class PromptSet(Record):
    """A versioned set of prompts. The digest does not depend on their order."""

    kind: SetKind
    """What the set is for."""
    name: str = Field(min_length=1)
    """Name of the set; ``where: {set_name: ...}`` in a policy matches it."""
    version: str = Field(min_length=1)
    """Version of the set."""
    canary: str | None = None
    """A random string that only this set holds: found in a model's output it proves contamination."""
    prompts: tuple[Prompt, ...] = Field(min_length=1)
    """The prompts."""
    criteria: tuple[str, ...] = ()
    """Ids of further rubrics that every answer is judged by."""

    @cached_property
    def digest(self) -> Digest:
        """Digest over kind, name, version, canary, further rubrics if any, and the sorted prompts' digests."""
        content: dict[str, Any] = {
            "kind": self.kind.value,
            "name": self.name,
            "version": self.version,
            "canary": self.canary,
            "prompts": sorted(p.digest for p in self.prompts),
        }
        return digest_json({**content, "criteria": sorted(self.criteria)} if self.criteria else content)
