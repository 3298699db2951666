"""Where a router is released: a project with its registry, or a plain folder for those who only have scores."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Self

from evalharness.database import open_database
from gates.policy import PolicyFile, load_policy
from gates.registry import ChannelState, Registry
from gates.registry.channels import PRODUCTION
from gates.registry.channels import ROUTERS as CHANNEL
from gates.staleness import Served
from golden_sets.errors import InputError
from pipelines.project import PROJECT_FILE, Project, absolute_sqlite
from pipelines.resources import examples_directory
from pipelines.router_archive import RouterArchive
from pipelines.router_staleness import serving_models
from pipelines.workspace import Workspace

DEFAULT_POLICY = "router-policy.yaml"
DATA = ".relgate"


@dataclass(frozen=True)
class RouterPlace:
    """Registry, folders and rules of a router's release."""

    name: str
    """Name of the project, or of the folder."""
    registry: Registry
    policy: PolicyFile
    data: Path
    """Folder of what relgate writes."""
    line: str = "main"
    """Declared line of work."""
    stage: str = PRODUCTION
    """Stage of channel ``router`` that releases move."""
    mlflow_uri: str | None = None
    """Tracking URI of the mirror; None: no mirror."""
    workspace: Workspace | None = None
    """The project at work; None in a plain folder."""

    @classmethod
    def open(cls, path: Path, *, store: str | None = None, policy: Path | None = None) -> Self:
        """Open a project, or a folder without one.

        Args:
            path: project directory or file; a folder without a project keeps everything in its ``.relgate``.
            store: SQLAlchemy URL; default: the project's, else ``.relgate/relgate.db``.
            policy: policy file; default: the project's, else the one that ships with relgate.

        Raises:
            InputError: a bad project file, policy or store.
            InfrastructureError: the database cannot be opened.
        """
        if path.is_file() or (path / PROJECT_FILE).is_file():
            return cls._of_project(Project.load(path, store=store), policy)
        if not path.is_dir():
            raise InputError("there is no such folder", where=path, do="name a project or a folder with --project")
        data = path.resolve() / DATA
        return cls(
            name=path.resolve().name or "relgate",
            registry=Registry(open_database(store or absolute_sqlite(f"sqlite:///{DATA}/relgate.db", path.resolve()))),
            policy=load_policy(policy or examples_directory() / "demo" / DEFAULT_POLICY),
            data=data,
        )

    @classmethod
    def _of_project(cls, project: Project, policy: Path | None) -> Self:
        workspace, options = Workspace.open(project), project.file.router
        named = project.at(options.policy if options is not None else DEFAULT_POLICY)
        return cls(
            name=project.file.name,
            registry=workspace.registry,
            policy=load_policy(policy or named),
            data=project.data,
            line=options.line if options is not None else "main",
            stage=options.stage if options is not None else PRODUCTION,
            mlflow_uri=project.mlflow_uri,
            workspace=workspace,
        )

    @property
    def lineage(self) -> str:
        """``router/line``."""
        return f"{CHANNEL}/{self.line}"

    @property
    def reports(self) -> Path:
        """Folder of the reports."""
        return self.data / "reports"

    @property
    def archive(self) -> RouterArchive:
        """The routers that were released here."""
        return RouterArchive.of(self.data)

    def current(self) -> ChannelState:
        """What channel ``router`` serves now."""
        return self.registry.channel(CHANNEL, self.stage)

    def serving(self) -> dict[str, Served]:
        """The models a router chooses from now."""
        return serving_models(self.registry, None if self.workspace is None else self.workspace.project)
