"""Writing a report: four files in one directory, each there as a whole or not at all."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Self

from gates.reports.json_document import render_json
from gates.reports.junit import render_junit
from gates.reports.markdown import render_markdown
from gates.reports.model import ReportInput
from gates.reports.page import render_html
from golden_sets.documents import write_whole


@dataclass(frozen=True, slots=True)
class ReportPaths:
    """Where the four files of a report lie."""

    html: Path
    """The page for people."""
    markdown: Path
    """The summary for a CI job or a comment."""
    junit: Path
    """JUnit XML for continuous integration."""
    json: Path
    """The decision's summary and all that the page shows."""

    @classmethod
    def below(cls, directory: Path) -> Self:
        """The four files in a folder, whether they are there or not."""
        return cls(
            html=directory / "report.html",
            markdown=directory / "summary.md",
            junit=directory / "junit.xml",
            json=directory / "decision.json",
        )

    def exist(self) -> bool:
        """Whether all four are there."""
        return all(path.exists() for path in (self.html, self.markdown, self.junit, self.json))

    def to_json(self) -> dict[str, str]:
        """The four paths as plain JSON data."""
        return {
            "html": str(self.html),
            "markdown": str(self.markdown),
            "junit": str(self.junit),
            "json": str(self.json),
        }


def write_report(report: ReportInput, directory: Path) -> ReportPaths:
    """Write ``report.html``, ``summary.md``, ``junit.xml`` and ``decision.json``; existing ones are replaced.

    The directory is made where it is missing. All four are rendered before the first is written, and each appears
    under its name only when it is complete.

    Raises:
        InfrastructureError: the directory or a file cannot be written.
    """
    paths = ReportPaths.below(directory)
    contents = {
        paths.html: render_html(report),
        paths.markdown: render_markdown(report),
        paths.junit: render_junit(report),
        paths.json: render_json(report),
    }
    for path, text in contents.items():
        write_whole(path, text.encode())
    return paths
