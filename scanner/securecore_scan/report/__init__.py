"""Writes a report in one of six formats.

document  the JSON document from which every other format is made
summary   the sentences with which text, HTML and Markdown begin
text      for a terminal
html      one page, for people
junit     JUnit XML, for continuous integration
sarif     SARIF 2.1.0, for code scanning
markdown  a summary, for the page of a pipeline
terminal  escapes control characters
progress  the progress bar

Secrets are redacted in the document, before any writer sees it. No writer can leak a secret.
"""

from __future__ import annotations

import json

from securecore_scan.redaction import Redactor
from securecore_scan.report import html, junit, markdown, sarif, text
from securecore_scan.report.document import FORMAT, all_results, build, map_texts
from securecore_scan.report.progress import Progress
from securecore_scan.report.terminal import escape_controls
from securecore_scan.results import Report

__all__ = ["FORMAT", "FORMATS", "FORMAT_OF", "Progress", "all_results", "render"]

#: The format of a file by its ending.
FORMAT_OF = {
    ".json": "json",
    ".sarif": "sarif",
    ".xml": "junit",
    ".html": "html",
    ".md": "markdown",
    ".txt": "text",
}
FORMATS = ("text", "json", "sarif", "junit", "html", "markdown")


def render(form: str, report: Report, *, redactor: Redactor, exit_code: int, location: str) -> str:
    """Return the report in this format. ``location`` is the file to which SARIF attaches the findings."""
    content = map_texts(build(report, exit_code=exit_code), redactor.redact)
    if form == "json":
        return json.dumps(content, indent=2) + "\n"
    if form == "sarif":
        return json.dumps(sarif.log(content, location=location), indent=2) + "\n"
    if form == "junit":
        return junit.suites(content)
    # People read these three, and the service under test chose some of the texts.
    writer = {"text": text.page, "html": html.page, "markdown": markdown.page}[form]
    return writer(map_texts(content, escape_controls))
