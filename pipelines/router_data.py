"""Where the labelled prompts of a router come from: files of scores, a project's two models, or both."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from evalharness.candidate import Candidate
from golden_sets.errors import InputError
from golden_sets.reading import LoadedSet, read_set
from pipelines.progress import Progress
from pipelines.project import PROJECT_FILE, Project
from pipelines.router_labels import RouterLabels, labels_of_project
from pipelines.workspace import Workspace
from router_training.combining import combined
from router_training.contamination import overlap, refuse_overlap
from router_training.labelled_file import LEAST_PAIRS, read_pairs
from router_training.pairs import Pairs
from router_training.training import Models


@dataclass(frozen=True)
class Source:
    """What was asked for."""

    data: tuple[Path, ...] = ()
    """Files of scores."""
    columns: Mapping[str, str] = field(default_factory=dict)
    """``our name: their column`` of the files."""
    where: Mapping[str, str] = field(default_factory=dict)
    """``column: value`` of the rows that count."""
    small: str | None = None
    """Candidate of the project, or its file; None: the one that its ``router`` section names."""
    flagship: str | None = None
    """The same for the flagship."""
    sets: tuple[Path, ...] = ()
    """Cards of prompts that both models answer; none: those of the ``router`` section, unless there are files."""
    project: Path = Path()
    """Project directory, or its file."""
    store: str | None = None
    """SQLAlchemy URL in place of the project's."""
    least: int = LEAST_PAIRS
    """So many labelled prompts are needed."""


@dataclass(frozen=True, eq=False)
class Labelled:
    """Labelled prompts, and what they were labelled with."""

    pairs: Pairs
    """The prompts."""
    models: Models
    """Who answered and who judged, as far as it is known."""
    generated: int
    """Answers that were asked for now."""
    judged: int
    """Verdicts that were asked for now."""
    notes: tuple[str, ...]
    """What a reader must know of them."""


def project_of(source: Source) -> Project | None:
    """The project, if there is one where it was looked for.

    Raises:
        InputError: it cannot be read, or was needed and is not there.
    """
    there = source.project.is_file() or (source.project / PROJECT_FILE).is_file()
    asked = source.sets or source.small or source.flagship
    if not there and not source.data and not asked:
        raise InputError(
            "there are no labelled prompts",
            do="name a file with --data, or a project whose models answer with --project",
        )
    return Project.load(source.project, store=source.store) if there or asked else None


def labelled(source: Source, project: Project | None, progress: Progress) -> Labelled:
    """Read labelled prompts, or have them labelled.

    Files alone need no project; both models answer the sets where some are named or there is no file. Models that are
    named beside files are those whose answers the files score.

    Raises:
        InputError: bad labels or fewer than 50, no labels at all, or a model that is unknown.
        InfrastructureError: a model does not start or dies; everything finished is kept.
    """
    parts: list[Pairs] = []
    notes: list[str] = []
    generated = judged = 0
    models = Models()
    if project is not None and (source.small or source.flagship or not source.data or source.sets):
        small, flagship = _candidates(source, project)
        models = Models(small.digest, flagship.digest)
        if not source.data or source.sets:
            answers = labels_of_project(Workspace.open(project), small, flagship, _sets(source, project), progress)
            found = labelled_by(project, answers, small, flagship)
            models, generated, judged = found.models, found.generated, found.judged
            parts.append(found.pairs)
            notes += found.notes
    if source.data:
        with progress.step("reading and grouping prompts"):
            least = source.least if not parts else 1
            parts.append(read_pairs(source.data, columns=source.columns, where=source.where, least=least))
    pairs = combined(parts)
    if len(pairs) < source.least:
        raise InputError(
            f"{len(pairs)} labelled prompts, at least {source.least} are needed",
            do="give larger sets; a router learns from hundreds to thousands",
        )
    return Labelled(pairs, models, generated, judged, tuple(notes))


def labelled_by(project: Project, found: RouterLabels, small: Candidate, flagship: Candidate) -> Labelled:
    """What a project's models and judge made of prompts, as labels."""
    models = Models(small.digest, flagship.digest, project.judge_digest)
    notes = (*found.labelled.notes(), *found.warnings)
    return Labelled(found.labelled.pairs, models, found.generated, found.judged, notes)


def check_overlap(
    pairs: Pairs, source: Source, project: Project | None, progress: Progress, *, allow: bool
) -> tuple[str, ...]:
    """Refuse labelled prompts that are in the project's evaluation sets, too; told where it is allowed.

    Raises:
        InputError: there are some.
    """
    if project is None:
        return ("there is no project here: the prompts were not compared with evaluation sets",)
    labelling = {one.prompt_set.digest for one in _sets(source, project)} if _asks(source) else set()
    with progress.step("comparing with evaluation sets"):
        found = overlap(pairs, [one.prompt_set for one in project.sets if one.prompt_set.digest not in labelling])
    if not allow:
        refuse_overlap(pairs, found, where=project.path)
    rows = len({one.row for one in found})
    return (f"{rows} prompts are in evaluation sets of the project, too, or nearly so: allowed",) if rows else ()


def _asks(source: Source) -> bool:
    return bool(source.sets) or not source.data


def _candidates(source: Source, project: Project) -> tuple[Candidate, Candidate]:
    if (source.small is None) != (source.flagship is None):
        raise InputError("--small and --flagship go together", do="name both, or neither")
    if source.small is None or source.flagship is None:
        return project.candidate(project.router.small), project.candidate(project.router.flagship)
    return project.candidate(source.small), project.candidate(source.flagship)


def _sets(source: Source, project: Project) -> tuple[LoadedSet, ...]:
    return tuple(read_set(card) for card in source.sets) if source.sets else project.routing_sets
