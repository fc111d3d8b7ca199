"""Accepted findings, each with a reason and an expiry date.

[[accepted]]
check = "SC-FIX-4"
subject = "POST /auth/login"
reason = "the legacy portal keeps ids; PAY-1234"
expires = 2027-01-31
"""

from __future__ import annotations

import datetime as dt
import tomllib
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from securecore_scan.outcomes import Verdict
from securecore_scan.results import Result

_ENTRIES = {"check", "subject", "reason", "expires"}


class BaselineError(Exception):
    """The baseline is wrong; the message names the entry."""


@dataclass(frozen=True)
class Accepted:
    """One accepted finding: it counts again after ``expires``."""

    check: str
    subject: str
    reason: str
    expires: dt.date

    def covers(self, result: Result) -> bool:
        return (self.check, self.subject) == (result.check.id, result.outcome.subject)


def load(path: Path) -> list[Accepted]:
    """Return the entries of a baseline. Raises ``BaselineError`` if an entry lacks a reason or an expiry date."""
    try:
        document = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise BaselineError(f"Cannot read the baseline {path}: {error.strerror}.") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise BaselineError(f"{path} is not TOML: {error}") from None
    entries = document.get("accepted", [])
    if set(document) - {"accepted"} or not isinstance(entries, list):
        raise BaselineError(f"{path} must contain [[accepted]] entries and nothing else.")
    return [_entry(entry, f"{path}, entry {number}") for number, entry in enumerate(entries, 1)]


def apply(results: Iterable[Result], accepted: Iterable[Accepted], *, today: dt.date) -> tuple[list[Result], list[str]]:
    """Mark the findings that are accepted today. Return all results, and a note on each useless entry.

    An entry is useless if it has expired or if the attack no longer works. A check that did not run, or that decided
    nothing, says nothing about the attack.
    """
    marked, notes = list(results), []
    for entry in accepted:
        used = is_mended = False
        for index, result in enumerate(marked):
            if not entry.covers(result):
                continue
            is_mended |= result.outcome.verdict is Verdict.PASS
            if result.outcome.verdict is not Verdict.FAIL:
                continue
            used = True
            if entry.expires >= today:
                marked[index] = replace(result, accepted=f"{entry.reason} (until {entry.expires})")
            else:
                notes.append(f"{entry.check} {entry.subject}: accepted until {entry.expires}; the finding counts again")
        if not used and is_mended:
            notes.append(f"{entry.check} {entry.subject}: the attack no longer works; remove this entry")
        elif not used:
            notes.append(
                f"{entry.check} {entry.subject}: not decided in this scan; keep this entry while the route exists"
            )
    return marked, notes


def _entry(entry: Any, where: str) -> Accepted:
    if not isinstance(entry, dict) or set(entry) != _ENTRIES:
        raise BaselineError(f"{where} must have exactly: {', '.join(sorted(_ENTRIES))}.")
    for name in ("check", "subject", "reason"):
        if not isinstance(entry[name], str) or not entry[name].strip():
            raise BaselineError(f"{where}: {name} must be a text.")
    expires = entry["expires"]
    if not isinstance(expires, dt.date) or isinstance(expires, dt.datetime):
        raise BaselineError(f"{where}: expires must be a date, such as 2027-01-31.")
    return Accepted(**entry)
