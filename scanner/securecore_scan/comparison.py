"""Compares two JSON reports: new findings, mended ones, and checks that are no longer decided."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from securecore_scan.checks import Severity
from securecore_scan.client.responses import parsed_json
from securecore_scan.report import FORMAT, all_results

#: Exit codes of the comparison.
SAME_OR_BETTER, WORSE, UNREADABLE, LESS_DECIDED = 0, 1, 2, 3
_DECIDED = ("PASS", "FAIL")
_Subjects = dict[str, set[str]]


class ReportError(Exception):
    """A file is no JSON report of this version."""


@dataclass(frozen=True)
class Comparison:
    """Each entry is ``CHECK SUBJECT``, by the fingerprint that both scans share."""

    new: tuple[str, ...]
    mended: tuple[str, ...]
    remaining: tuple[str, ...]
    undecided: tuple[str, ...]

    @property
    def code(self) -> int:
        if self.new:
            return WORSE
        return LESS_DECIDED if self.undecided else SAME_OR_BETTER

    def lines(self) -> Iterator[str]:
        """Yield the comparison for a terminal."""
        for title, entries in (
            ("New findings", self.new),
            ("Mended", self.mended),
            ("Still open", self.remaining),
            ("No longer decided", self.undecided),
        ):
            yield f"{title}: {len(entries)}"
            yield from (f"  {entry}" for entry in entries)


def load(path: Path) -> dict[str, Any]:
    """Return a report written with ``--format json``. Raises ``ReportError``."""
    try:
        content = parsed_json(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ReportError(f"Cannot read the report {path}: {error}") from None
    if not isinstance(content, dict) or content.get("format") != FORMAT:
        raise ReportError(f"{path} is no report in the format {FORMAT}: write one with --format json.")
    try:
        compare(content, content)
    except (KeyError, TypeError, AttributeError):
        raise ReportError(f"{path} is not whole: an entry of the format {FORMAT} is missing.") from None
    return content


def compare(old: dict[str, Any], new: dict[str, Any]) -> Comparison:
    """Compare two reports. A finding that was not decided again counts as undecided, and never as mended."""
    before, after = _findings(old), _findings(new)
    was, now = _decided(old), _decided(new)
    gone = [one for key, one in before.items() if key not in after]
    mended = [one for one in gone if _is_decided_again(one, was, now)]
    lost = [_said(one) for one in gone if one not in mended]
    lost += sorted(check for check in was if check not in now and not any(one["check"] == check for one in gone))
    return Comparison(
        new=tuple(_said(one) for key, one in after.items() if key not in before),
        mended=tuple(map(_said, mended)),
        remaining=tuple(_said(one) for key, one in after.items() if key in before),
        undecided=tuple(lost),
    )


def _is_decided_again(finding: dict[str, Any], was: _Subjects, now: _Subjects) -> bool:
    """Say whether the new scan decided the check on the same subject.

    A protection may be seen on another kind of subject than its absence: the port offers no early data, so no route is
    tried. Then no subject of the old scan is left.
    """
    again = now.get(finding["check"], set())
    return finding["subject"] in again or bool(again and not again & was[finding["check"]])


def _decided(content: dict[str, Any]) -> _Subjects:
    """Return the subjects of each check that were decided."""
    found: _Subjects = {}
    for result in all_results(content):
        if result["verdict"] in _DECIDED:
            found.setdefault(result["check"], set()).add(result["subject"])
    return found


def _findings(content: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Return the findings by fingerprint, the most severe first."""
    found = [one for one in all_results(content) if one["verdict"] == "FAIL" and not one["accepted"]]
    found.sort(key=lambda one: -Severity[one["severity"].upper()])
    return {one["fingerprint"]: one for one in found}


def _said(finding: dict[str, Any]) -> str:
    return f"{finding['check']} {finding['severity']} {finding['title']}: {finding['subject']}"
