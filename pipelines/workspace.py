"""A project at work: its files, its opened store and its registry."""

from __future__ import annotations

from dataclasses import dataclass

from evalharness.candidate import Candidate
from evalharness.database import open_database
from evalharness.evidence import Evidence
from evalharness.samples import SampleStore
from gates.registry import ChannelState, Registry
from golden_sets.digests import Digest
from golden_sets.errors import InputError
from pipelines.project import Project


@dataclass(frozen=True)
class Workspace:
    """A project with its opened store and registry."""

    project: Project
    store: SampleStore
    registry: Registry

    @classmethod
    def open(cls, project: Project) -> Workspace:
        """Open the project's database.

        Raises:
            InputError: a bad store URL.
            InfrastructureError: the database cannot be opened.
        """
        engine = open_database(project.store_url)
        return cls(project, SampleStore(engine), Registry(engine))

    def current(self) -> ChannelState:
        """What the project's channel serves now."""
        return self.registry.channel(self.project.file.channel, self.project.file.stage)

    def incumbent(self, name: str | None) -> Candidate | None:
        """The incumbent as something that can be served: by name, else what the stage serves, or production if nothing.

        Candidate files that cannot be read are passed over; they are named if nothing else fits.

        Raises:
            InputError: the channel's version is not among the project's candidates.
        """
        if name is not None:
            return self.project.candidate(name)
        state = self.registry.incumbent(self.project.file.channel, self.project.file.stage)
        if state.digest is None:
            return None
        broken = []
        # Most likely the file still has the version's name: then no other model need be hashed.
        for known in sorted(self.project.candidate_names(), key=lambda known: known != state.name):
            try:
                candidate = self.project.candidate(known)
            except InputError as error:
                broken.append(f"{known} ({error.what})")
                continue
            if candidate.digest == state.digest:
                return candidate
        skipped = f"; files that cannot be read: {', '.join(broken)}" if broken else ""
        raise InputError(
            f"the incumbent '{state.name}' ({state.digest}) is no candidate of this project, or its files changed"
            + skipped,
            where=self.project.at(self.project.file.candidates),
            do="restore its files, or name the incumbent with --incumbent",
        )

    def anchor(self) -> Candidate | None:
        """The fixed version that the policy's anchor checks compare with; None where it has none.

        Raises:
            InputError: it is no candidate of the project.
        """
        named = self.project.policy.policy.anchor
        if named is None or not named.startswith("sha256:"):
            return None if named is None else self.project.candidate(named)
        for known in self.project.candidate_names():
            if (candidate := self.project.candidate(known)).digest == named:
                return candidate
        raise InputError(
            f"the policy's anchor {named} is no candidate of this project, or its files changed",
            where=self.project.at(self.project.file.candidates),
            do="restore its files, or name another anchor in a new version of the policy",
        )

    def known_evidence(self, subject: Digest) -> Evidence | None:
        """The newest recorded evidence about a subject."""
        return self.registry.newest_evidence(subject)
