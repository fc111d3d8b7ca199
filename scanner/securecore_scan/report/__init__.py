"""A report, in the form somebody needs.

text      for people at a terminal, with the progress bar
document  the JSON that every other form is made of, with its version
sarif     for code scanning: SARIF 2.1.0
junit     for test reports
html      for people, in one file

Every form is made of one document whose texts were hidden before: no writer can tell a secret, because none sees one.
"""

from __future__ import annotations

import json

from securecore_scan.report import html, junit, sarif, text
from securecore_scan.report.content import described
from securecore_scan.report.progress import Progress
from securecore_scan.runner import Report
from securecore_scan.secrets import Secrets

__all__ = ["FORMATS", "Progress", "document"]

FORMATS = ("text", "json", "sarif", "junit", "html")


def document(form: str, report: Report, *, secrets: Secrets, exit_code: int, location: str) -> str:
    """Return the report as text of this form."""
    content = secrets.hide_all(described(report, exit_code=exit_code))
    if form == "json":
        return json.dumps(content, indent=2) + "\n"
    if form == "sarif":
        return json.dumps(sarif.log(content, location=location), indent=2) + "\n"
    writer = {"text": text.page, "junit": junit.suites, "html": html.page}[form]
    return writer(content)
