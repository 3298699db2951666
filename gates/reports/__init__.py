"""Reports of one decision: an HTML page, a Markdown summary, JUnit XML and JSON, all from the same records."""

from gates.reports.json_document import kept_examples, render_json
from gates.reports.junit import render_junit
from gates.reports.markdown import render_markdown
from gates.reports.model import FailingExample, JudgedAnswer, ReportInput
from gates.reports.page import render_html
from gates.reports.sections import Figure, Listing, Section
from gates.reports.standing import Signature, Standing, ThresholdsSince, WaiverGiven
from gates.reports.writing import ReportPaths, write_report

__all__ = [
    "FailingExample",
    "Figure",
    "JudgedAnswer",
    "Listing",
    "ReportInput",
    "ReportPaths",
    "Section",
    "Signature",
    "Standing",
    "ThresholdsSince",
    "WaiverGiven",
    "kept_examples",
    "render_html",
    "render_json",
    "render_junit",
    "render_markdown",
    "write_report",
]
