"""The card of a prompt set: a small YAML file that names the set, says where its prompts are and how to read them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Literal

from pydantic import Field, field_validator, model_validator

from golden_sets.records import STANDARD_DIMENSIONS, Record, SetKind
from golden_sets.yaml_files import load_yaml_record

PROMPT_KEYS = ("id", "messages", "prompt", "reference", "rubric", "checker", "cluster", "source")
"""Keys of a prompt that are not cell dimensions. ``prompt`` is short for one user message."""

_DIMENSION_NAME = re.compile(r"[a-z][a-z0-9_]*")
_RESERVED = ("set", "set_name", *PROMPT_KEYS)


DETECTOR = "refusal-detector"
"""What stands in place of a rubric's id where the refusal detector scores."""


class Card(Record):
    """What a set is, where its prompts are, and how they are read."""

    name: str = Field(min_length=1, pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")
    """Name of the set: letters, digits, ``.``, ``_`` and ``-``."""
    version: str = Field(min_length=1)
    """Version of the set."""
    kind: SetKind
    """What the set is for."""
    file: str | None = None
    """JSONL or Parquet file with the prompts, relative to the card, inside its directory."""
    dataset: str | None = None
    """Instead of a file: a Hugging Face dataset, ``owner/name`` or a local directory."""
    subset: str | None = None
    """Configuration of the dataset, where it has several."""
    split: str | None = None
    """Split of the dataset; may be left out where it has only one."""
    revision: str | None = None
    """Commit, tag or branch of the dataset on the hub. A commit is the only one that cannot move."""
    rubric: str | None = None
    """Id of the rubric that answers are judged by; a prompt may name its own."""
    criteria: tuple[str, ...] = ()
    """Ids of further rubrics that every answer is judged by, from the same generation; ``where: {rubric: ID}`` in a
    policy matches their scores."""
    canary: str | None = Field(default=None, min_length=8)
    """A random string that only this set holds: found in a model's output it proves contamination."""
    description: str | None = None
    """What the set asks, for people."""
    source: str | None = None
    """Where the prompts come from, and their licence."""
    columns: Mapping[str, str] = Field(default_factory=dict)
    """For foreign files, ``our key: their column``. Exactly the columns named here are read."""
    dimensions: tuple[str, ...] = ()
    """Cell dimensions beside the standard ones (``tier``, ``category``, ``severity``...) that prompts may have."""
    scoring: Literal["judge", "checker", "detector"] = "judge"
    """Who scores the answers: the judge, each prompt's programmatic checker, or, for adversarial and false-refusal
    sets, the refusal detector, which asks no language model and is measured like a judge."""
    needs_reference: bool | None = None
    """Whether every prompt must have a reference or a checker; default: only in golden sets."""
    stage: int = Field(default=1, ge=1)
    """Sets of lower stages run first; a candidate that fails there is never asked the later ones."""

    @field_validator("dimensions")
    @classmethod
    def _names(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for name in value:
            if not _DIMENSION_NAME.fullmatch(name):
                raise ValueError(f"dimension '{name}': use lower-case letters, digits and _")
            if name in _RESERVED:
                raise ValueError(f"dimension '{name}' is the name of something else")
        return value

    @model_validator(mode="after")
    def _consistent(self) -> Card:
        if (self.file is None) == (self.dataset is None):
            raise ValueError("a card names either a file or a dataset, one of the two")
        if self.file is not None and (self.subset or self.split or self.revision):
            raise ValueError("subset, split and revision belong to a dataset, not to a file")
        known = self.prompt_keys
        for key in self.columns:
            if key not in known:
                raise ValueError(f"columns: unknown key '{key}'; the keys are {', '.join(known)}")
        if self.scoring == "detector" and (self.kind is SetKind.GOLDEN or self.rubric is not None):
            raise ValueError(
                "scoring: detector tells refusals: it is for adversarial and false_refusal sets, no rubric"
            )
        if self.criteria and self.scoring == "checker":
            raise ValueError("criteria: answers that checkers score are never drawn for labels: let a judge score")
        doubled = [name for name in self.criteria if name == self.rubric or self.criteria.count(name) > 1]
        if doubled:
            raise ValueError(f"criteria: rubric '{doubled[0]}' judges every answer already")
        if self.columns and not {"prompt", "messages"} & set(self.columns):
            raise ValueError("columns: map 'prompt' or 'messages', else there is nothing to ask")
        return self

    @property
    def all_dimensions(self) -> tuple[str, ...]:
        """The standard dimensions and the card's own."""
        return tuple(dict.fromkeys((*STANDARD_DIMENSIONS, *self.dimensions)))

    @property
    def prompt_keys(self) -> tuple[str, ...]:
        """Every key that a prompt of this set may have."""
        return (*PROMPT_KEYS, *self.all_dimensions)

    @property
    def references_required(self) -> bool:
        """Whether a prompt without reference and checker is an error."""
        return self.kind is SetKind.GOLDEN if self.needs_reference is None else self.needs_reference


def load_card(path: Path) -> Card:
    """Load a card.

    Raises:
        InputError: the file does not exist, is not YAML, or is no card; names file and line.
        InfrastructureError: the file cannot be read.
    """
    return load_yaml_record(path, Card)
