"""Compares two JSON reports: new findings, mended ones, and checks that are no longer decided."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from securecore_scan.report import FORMAT, all_results

#: Exit codes of the comparison.
SAME_OR_BETTER, WORSE, UNREADABLE, LESS_DECIDED = 0, 1, 2, 3
_DECIDED = ("PASS", "FAIL")


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
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ReportError(f"Cannot read the report {path}: {error}") from None
    if not isinstance(content, dict) or content.get("format") != FORMAT:
        raise ReportError(f"{path} is no report in the format {FORMAT}: write one with --format json.")
    return content


def compare(old: dict[str, Any], new: dict[str, Any]) -> Comparison:
    """Compare two reports. A finding that was not decided again counts as undecided, and never as mended."""
    before, after = _findings(old), _findings(new)
    decided = {result["check"] for result in all_results(new) if result["verdict"] in _DECIDED}
    was = {result["check"] for result in all_results(old) if result["verdict"] in _DECIDED}
    gone = {key: name for key, name in before.items() if key not in after}
    return Comparison(
        new=tuple(name for key, name in after.items() if key not in before),
        mended=tuple(name for name in gone.values() if name.split()[0] in decided),
        remaining=tuple(name for key, name in after.items() if key in before),
        undecided=tuple(sorted(was - decided)),
    )


def _findings(content: dict[str, Any]) -> dict[str, str]:
    return {
        result["fingerprint"]: f"{result['check']} {result['severity']} {result['title']}: {result['subject']}"
        for result in all_results(content)
        if result["verdict"] == "FAIL" and not result["accepted"]
    }
