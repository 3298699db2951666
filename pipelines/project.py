"""A project directory: ``relgate.yaml`` names the policy, the judge, the sets, the candidates and the store."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from pydantic import Field, field_validator

import evalharness
from evalharness.candidate import Candidate
from evalharness.candidate_files import load_candidate
from evalharness.plan import LatencyLoad
from evalharness.spending import Spending
from golden_sets.digests import Digest, digest_file
from golden_sets.errors import InputError
from golden_sets.reading import LoadedSet, read_set
from golden_sets.records import Record
from golden_sets.yaml_files import load_yaml_record

# Policies and judges bring statistics with them, a second or more: what only moves a pointer must not wait for those.
if TYPE_CHECKING:
    from evalharness.judging.judge import Judge
    from evalharness.judging.panel import Panel
    from evalharness.judging.rubric import Rubric
    from gates.policy import PolicyFile

PROJECT_FILE = "relgate.yaml"
SHIPPED_DETECTOR = Path(evalharness.__file__).parent / "refusals" / "shipped.json"
"""The detector that ships with relgate; the path is spelt out because importing its package takes seconds."""


class GenerationOptions(Record):
    """How answers are generated."""

    concurrency: int = Field(default=64, ge=1)
    """Requests in flight for each served model."""
    timeout_s: float = Field(default=120.0, gt=0)
    """Time limit of one request, seconds."""
    retries: int = Field(default=3, ge=0)
    """Further tries after a failure that is safe to repeat."""
    repeats: int = Field(default=1, ge=1)
    """Independent samples per prompt."""


class LabelOptions(Record):
    """Where the truth about single answers comes from."""

    source: Literal["checker", "file", "none"] = "none"
    """``checker``: the prompts' own checkers; ``file``: people, by a file of labels; ``none``: no truth, checks on
    judged answers stay inconclusive."""
    file: str | None = None
    """JSONL or CSV of people's labels, for source ``file``. It may be missing: what a run wants labelled is written to
    ``NAME.to-label.jsonl`` beside its evidence."""
    seed: int = 0
    """Seed of the labelling sample."""
    sensitivity: float | None = Field(default=None, gt=0, lt=1)
    """The judge's sensitivity that plans expect, until it was measured beside the incumbent."""
    specificity: float | None = Field(default=None, gt=0, lt=1)
    """The judge's specificity, likewise."""


class JudgingOptions(Record):
    """What is asked of the judge beside the scores: how it errs, and which of two answers it prefers.

    All of it is asked once, when a run is over.
    """

    pairwise: str | None = None
    """Id of the pairwise rubric by which candidate and incumbent are compared; null: they are not."""
    pairs: int | None = Field(default=200, ge=0)
    """Golden prompts whose two answers are judged in pairs, in both orders; null: all. A check of the win rate needs 20
    of them labelled, and labels are drawn apart: take all."""
    pairwise_truth: bool = False
    """Whether the better answer by the pairwise rubric is the one that truly meets the prompt's own rubric (and neither
    is where both or none do): labels then correct the verdicts."""
    repeated: int = Field(default=50, ge=0)
    """Answers of the candidate that are judged once more, to see how often the verdict changes."""
    planted: int | None = Field(default=None, ge=0)
    """Planted answers of either kind for each judged set, spread over the suite; null: so many that
    every text of it is planted."""
    seed: int = 0
    """Seed of these draws."""


class RefusalOptions(Record):
    """The detector that classifies every answer without a language model."""

    detector: str | None = None
    """File of a detector that ``judge fit-refusals`` made; null: the one that ships with relgate."""
    classify: bool = True
    """Whether answers are classified at all."""


MOST_LOOKS = 50
"""More planned looks than this gain nothing and cost time."""


class LookOptions(Record):
    """How often a run is looked at while it goes on, and how its error rates are spent over the looks."""

    number: int = Field(default=1, ge=1, le=MOST_LOOKS)
    """Looks, equally far apart; the last is at the planned maximum."""
    spending: Spending = "quadratic"
    """How the alphas of pass and fail are spent."""
    futility: Spending | None = None
    """How the chance of a missed pass is spent on stopping early without one; null: never."""


class RouterOptions(Record):
    """The router between two of the project's candidates: what it learns from, and what its releases must show."""

    small: str = Field(min_length=1)
    """Name of the small candidate; what channel ``small`` serves in production counts in its place."""
    flagship: str = Field(min_length=1)
    """Name of the flagship; what channel ``flagship`` serves in production counts in its place."""
    sets: tuple[str, ...] = ()
    """Cards of the sets whose prompts both models answer to label them: none of them is a set of the gate."""
    policy: str = "router-policy.yaml"
    """The policy of its releases."""
    max_loss: float = Field(default=0.02, gt=0, lt=1)
    """Most mean quality that may be given up against always asking the flagship."""
    confidence: float = Field(default=0.95, gt=0.5, lt=1)
    """Of the upper bound on it."""
    stage: Literal["shadow", "canary", "production"] = "production"
    """Stage of channel ``router`` that releases move."""
    line: str = "main"
    """Declared line of work: routers of one line are attempts of one lineage."""


class ProjectFile(Record):
    """The keys of ``relgate.yaml``. Paths are relative to the file."""

    name: str = Field(min_length=1)
    """Name of the project."""
    policy: str = "policy.yaml"
    """The policy's file."""
    judge: str | None = None
    """The judge's file."""
    judges: tuple[str, ...] = ()
    """In its place, the files of several judges that vote."""
    sets: tuple[str, ...] = Field(min_length=1)
    """Cards of the prompt sets."""
    candidates: str = "candidates"
    """Directory in which ``NAME`` stands for ``NAME.yaml``."""
    channel: Literal["flagship", "small", "router"] = "flagship"
    """Channel that releases move."""
    stage: Literal["shadow", "canary", "production"] = "production"
    """Stage of that channel."""
    line: str = "main"
    """Declared line of work: new subjects of one channel and line are attempts of one lineage."""
    data: str = ".relgate"
    """Directory of what relgate writes: the store, ``reports/``, ``logs/``, the mirror."""
    store: str | None = None
    """SQLAlchemy URL of samples and registry; default: ``relgate.db`` in the data directory. A relative SQLite path is
    relative to the file."""
    mlflow: str | None = "local"
    """Tracking URI of the MLflow mirror; ``local``: ``mlflow.db`` in the data directory; null: no mirror."""
    seed: int = 0
    """Seed of the order in which prompts are drawn."""
    generation: GenerationOptions = GenerationOptions()
    """How answers are generated."""
    latency: LatencyLoad | None = None
    """Load of the latency pass; null: latency is taken from what was measured beside the answers."""
    labels: LabelOptions = LabelOptions()
    """Where the truth about single answers comes from."""
    judging: JudgingOptions = JudgingOptions()
    """What is asked of the judge beside the scores."""
    refusals: RefusalOptions = RefusalOptions()
    """How answers are classified without a language model."""
    looks: LookOptions = LookOptions()
    """How often a run is looked at while it goes on; by default once, at the end."""
    weights: Mapping[str, Mapping[str, float]] = Field(default_factory=dict)
    """What groups of a set's prompts count in numbers pooled over them, e.g. ``{golden: {tier=easy: 0.8, tier=hard:
    0.2}}`` for the mix of the traffic; by default every prompt counts alike."""
    router: RouterOptions | None = None
    """The router between two candidates; null: there is none."""
    controls: str | None = None
    """JSONL of control answers with known labels, judged beside the run to measure the judge's sensitivity."""

    @field_validator("weights")
    @classmethod
    def _positive(cls, value: Mapping[str, Mapping[str, float]]) -> Mapping[str, Mapping[str, float]]:
        for name, groups in value.items():
            for group, weight in groups.items():
                if not (math.isfinite(weight) and weight > 0):
                    raise ValueError(f"the weight of '{group}' in set '{name}' must be above 0, not {weight:g}")
        return value


@dataclass(frozen=True)
class Project:
    """A project directory, its files read when they are asked for."""

    path: Path
    """The ``relgate.yaml``."""
    file: ProjectFile
    """Its keys."""
    store_override: str | None = field(default=None)
    """``--store`` of the command line."""

    @classmethod
    def load(cls, path: Path, *, store: str | None = None) -> Project:
        """Read a project file, or the one in a directory.

        Raises:
            InputError: there is none, or it has an unknown key or a bad value.
        """
        place = path / PROJECT_FILE if path.is_dir() else path
        if not place.exists():
            raise InputError(
                "there is no project here", where=place, do="make one with 'relgate init', or name it with --project"
            )
        return cls(place.resolve(), load_yaml_record(place, ProjectFile), store)

    @property
    def directory(self) -> Path:
        """The directory of the project."""
        return self.path.parent

    def at(self, relative: str) -> Path:
        """A path of the file, made absolute."""
        return (self.directory / relative).resolve()

    @property
    def store_url(self) -> str:
        """URL of the store."""
        if self.store_override is not None:
            return self.store_override
        return absolute_sqlite(self.file.store or f"sqlite:///{self.data / 'relgate.db'}", self.directory)

    @property
    def mlflow_uri(self) -> str | None:
        """Tracking URI of the mirror."""
        if self.file.mlflow == "local":
            return f"sqlite:///{self.data / 'mlflow.db'}"
        return None if self.file.mlflow is None else absolute_sqlite(self.file.mlflow, self.directory)

    @property
    def data(self) -> Path:
        """Directory of what relgate writes."""
        return self.at(self.file.data)

    @property
    def reports(self) -> Path:
        """Directory of the reports."""
        return self.data / "reports"

    @property
    def logs(self) -> Path:
        """Directory of the engines' logs."""
        return self.data / "logs"

    def to_label(self, name: str) -> Path:
        """Where a release writes which answers of a candidate await a label."""
        return self.data / "to-label" / f"{name}.jsonl"

    @property
    def lineage(self) -> str:
        """``channel/line``."""
        return f"{self.file.channel}/{self.file.line}"

    @cached_property
    def policy(self) -> PolicyFile:
        """The policy."""
        from gates.policy import load_policy

        return load_policy(self.at(self.file.policy))

    @cached_property
    def judges(self) -> tuple[Judge, ...]:
        """The judge, or several that vote; none where nothing is judged.

        Raises:
            InputError: both ``judge`` and ``judges`` are named, or a file is none of a judge.
        """
        from evalharness.judging.judge import load_judge

        if self.file.judge is not None and self.file.judges:
            raise InputError("both 'judge' and 'judges' are named", where=self.path, do="name one of the two")
        named = self.file.judges or (() if self.file.judge is None else (self.file.judge,))
        return tuple(load_judge(self.at(name), cache_dir=self.data) for name in named)

    @cached_property
    def panel(self) -> Panel | None:
        """The judges as those who vote; None where nothing is judged.

        Raises:
            InputError: two of one name or of the same weights, or with other rubrics.
        """
        from evalharness.judging.panel import Panel

        return Panel(self.judges) if self.judges else None

    @property
    def judge_digest(self) -> Digest | None:
        """What identifies the judge, or all that vote; None where there is none."""
        return None if self.panel is None else self.panel.digest

    @property
    def detector_file(self) -> Path | None:
        """File of the refusal detector; None where nothing is classified."""
        if not self.file.refusals.classify and all(s.card.scoring != "detector" for s in self.sets):
            return None
        named = self.file.refusals.detector
        return SHIPPED_DETECTOR if named is None else self.at(named)

    @property
    def detector_digest(self) -> Digest | None:
        """Digest of that file.

        Raises:
            InputError: there is none.
        """
        path = self.detector_file
        if path is None:
            return None
        if not path.is_file():
            raise InputError("there is no detector's file", where=path, do="make it with 'relgate judge fit-refusals'")
        return digest_file(path)

    @property
    def rubrics(self) -> tuple[Rubric, ...]:
        """The rubrics that answers can be judged by."""
        return self.judges[0].rubrics if self.judges else ()

    @property
    def criteria(self) -> dict[str, str]:
        """What each rubric asks for, by its id."""
        return {rubric.id: rubric.criteria for rubric in self.rubrics}

    @cached_property
    def sets(self) -> tuple[LoadedSet, ...]:
        """The prompt sets.

        Raises:
            InputError: two sets with one name, or a set that cannot be read.
        """
        loaded = tuple(read_set(self.at(card)) for card in self.file.sets)
        names = [s.prompt_set.name for s in loaded]
        doubled = sorted({n for n in names if names.count(n) > 1})
        if doubled:
            raise InputError(f"two sets are named '{doubled[0]}'", where=self.path, do="give every set its own name")
        return loaded

    @property
    def router(self) -> RouterOptions:
        """What the project says of its router.

        Raises:
            InputError: nothing.
        """
        if self.file.router is None:
            raise InputError(
                "the project says nothing of a router",
                where=self.path,
                do="add 'router: {small: NAME, flagship: NAME, sets: [CARD]}'",
            )
        return self.file.router

    @cached_property
    def routing_sets(self) -> tuple[LoadedSet, ...]:
        """The sets that label a router's prompts.

        Raises:
            InputError: one is a set of the gate, too, or two have one name, or one cannot be read.
        """
        loaded = tuple(read_set(self.at(card)) for card in self.router.sets)
        names = [s.prompt_set.name for s in (*self.sets, *loaded)]
        doubled = sorted({n for n in names if names.count(n) > 1})
        if doubled:
            raise InputError(f"two sets are named '{doubled[0]}'", where=self.path, do="give every set its own name")
        return loaded

    def candidate_names(self) -> list[str]:
        """Names that ``candidate`` knows."""
        return sorted(p.stem for p in self.at(self.file.candidates).glob("*.yaml"))

    def candidate(self, name: str) -> Candidate:
        """A candidate by name, or by the path of its file.

        Raises:
            InputError: unknown, or its files are missing or wrong.
        """
        direct = Path(name)
        if direct.suffix in (".yaml", ".yml"):
            return load_candidate(direct, cache_dir=self.data)
        path = self.at(self.file.candidates) / f"{name}.yaml"
        if "/" in name or not path.is_file():
            known = ", ".join(self.candidate_names()) or "none"
            raise InputError(
                f"unknown candidate '{name}'",
                where=self.at(self.file.candidates),
                do=f"known are: {known}; or name a candidate file",
            )
        return load_candidate(path, cache_dir=self.data)


def absolute_sqlite(url: str, directory: Path) -> str:
    """A SQLite URL whose relative path is taken from ``directory``; other URLs as they are."""
    prefix = "sqlite:///"
    if not url.startswith(prefix) or url.startswith(prefix + "/") or url == prefix + ":memory:":
        return url
    return prefix + str((directory / url.removeprefix(prefix)).resolve())
