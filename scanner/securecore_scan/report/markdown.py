"""The report as a Markdown summary, for the page of a pipeline or a comment on a change."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from securecore_scan.report import summary
from securecore_scan.report.document import mend_first

_SPECIAL = re.compile(r"([\\`*_{}\[\]<>#|!~&])")


def page(content: dict[str, Any]) -> str:
    """Return the report in GitHub's Markdown. Texts of the service cannot add markup."""
    return "\n".join(_lines(content)) + "\n"


def _lines(content: dict[str, Any]) -> Iterator[str]:
    yield f"## {_plain(summary.whole(content))}"
    yield ""
    yield f"{_plain(summary.counts(content))}. {_plain(summary.origin(content))}."
    if content["stopped"]:
        yield f"\n**Incomplete:** {_plain(content['stopped'])}."
    findings = mend_first(content)
    if findings:
        yield "\n| mend first | check | where | remedy |\n|---|---|---|---|"
    for found in findings:
        cells = (found["severity"], f"{found['check']} {found['title']}", ", ".join(found["subjects"]), found["remedy"])
        yield f"| {' | '.join(map(_plain, cells))} |"
    yield "\n| category | score |\n|---|---|"
    for category in content["categories"]:
        yield f"| {_plain(category['title'])} | {_plain(summary.score(category))} |"
    for note in content["notes"]:
        yield f"\nBaseline: {_plain(note)}."
    if advice := summary.advice(content):
        yield f"\n{_plain(advice)}."
    yield f"\n{summary.CLOSING}"


def _plain(text: str) -> str:
    return _SPECIAL.sub(r"\\\1", text)
