"""The results of a scan, with its score for each category."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, field

from securecore_scan.checks import CATEGORIES, Check, Severity
from securecore_scan.outcomes import Outcome, Verdict

#: The weight of a check in the score of its category.
_WEIGHTS = {Severity.CRITICAL: 10, Severity.HIGH: 6, Severity.MEDIUM: 3, Severity.LOW: 1, Severity.INFO: 0}
_DECIDED = (Verdict.PASS, Verdict.FAIL)


@dataclass(frozen=True)
class Result:
    """A check, its outcome, and the command that repeats the check. ``accepted`` is the reason of the baseline."""

    check: Check
    outcome: Outcome
    seconds: float
    reproduce: str
    accepted: str = ""

    @property
    def is_finding(self) -> bool:
        return self.outcome.verdict is Verdict.FAIL and not self.accepted

    @property
    def fingerprint(self) -> str:
        """Identify the same finding in every scan: made of check and subject, without the evidence."""
        return hashlib.sha256(f"{self.check.id}|{self.outcome.subject}".encode()).hexdigest()[:32]


@dataclass(frozen=True)
class Report:
    """All results of a scan. ``stopped`` is the reason if the scan ended early; ``notes`` concern the baseline."""

    url: str
    results: tuple[Result, ...]
    seconds: float
    requests: int
    stopped: str = ""
    routes: dict[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    @property
    def is_complete(self) -> bool:
        """Say whether the scan ran to its end without an ERROR and decided at least one check."""
        verdicts = [result.outcome.verdict for result in self.results]
        return not self.stopped and Verdict.ERROR not in verdicts and any(found in _DECIDED for found in verdicts)

    def findings(self, at_least: Severity = Severity.INFO) -> list[Result]:
        """Return every FAIL that the baseline does not accept, the most severe first."""
        found = [one for one in self.results if one.is_finding and one.check.severity >= at_least]
        return sorted(found, key=lambda one: -one.check.severity)

    def score(self, category: str) -> int | None:
        """Return 0 to 100: the weight of PASS among PASS and FAIL. Return None if the category has neither."""
        decided = [one for one in self.results if one.check.category == category and one.outcome.verdict in _DECIDED]
        weights = [_WEIGHTS[one.check.severity] for one in decided]
        if not sum(weights):
            return None
        lost = sum(_WEIGHTS[one.check.severity] for one in decided if one.is_finding)
        return round(100 * (1 - lost / sum(weights)))

    def categories(self) -> Iterator[tuple[str, str, list[Result]]]:
        """Yield the key, title and results of each category that has results."""
        for key, title in CATEGORIES.items():
            results = [one for one in self.results if one.check.category == key]
            if results:
                yield key, title, results
