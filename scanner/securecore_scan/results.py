"""The results of a scan: a score for each category that was judged, and a grade if all of them were.

A verdict counts only if the attack was carried out. See Note [Judged or not].
"""

from __future__ import annotations

import datetime as dt
import enum
import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, field

from securecore_scan.checks import CATEGORIES, Check, Severity
from securecore_scan.outcomes import Outcome, Verdict

#: The weight of a check in the score of its category.
_WEIGHTS = {Severity.CRITICAL: 10, Severity.HIGH: 6, Severity.MEDIUM: 3, Severity.LOW: 1, Severity.INFO: 0}
_DECIDED = (Verdict.PASS, Verdict.FAIL)
#: A category is judged if at least this share of its results that apply is PASS or FAIL.
DECIDED_SHARE = 2 / 3
#: The grade by the most severe finding. Without a finding the grade is A.
_GRADES = {Severity.INFO: "A", Severity.LOW: "B", Severity.MEDIUM: "C", Severity.HIGH: "D", Severity.CRITICAL: "F"}
#: From this number of high findings on, the grade is E.
_MANY = 3

# Note [Judged or not]
#
# A score over three decided checks of nine comforts its reader falsely. Results that apply are all but NOT APPLICABLE:
# an INCONCLUSIVE, SKIPPED or ERROR may hide a weakness. Below ``DECIDED_SHARE`` a category has no score and the scan
# exits with 3. With findings it still exits with 1, because a finding stays true. The grade is for the whole: it needs
# every category of the catalogue, and TLS, so a part of the checks or plain http has no grade.


class Judgement(enum.StrEnum):
    JUDGED = "judged"
    NOT_JUDGED = "not judged"
    NOT_APPLICABLE = "not applicable"


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
    began: dt.datetime = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)

    @property
    def is_complete(self) -> bool:
        """Say whether the scan ran to its end without an ERROR and decided at least one check."""
        verdicts = [result.outcome.verdict for result in self.results]
        return not self.stopped and Verdict.ERROR not in verdicts and any(found in _DECIDED for found in verdicts)

    def findings(self, at_least: Severity = Severity.INFO) -> list[Result]:
        """Return every FAIL that the baseline does not accept, the most severe first."""
        found = [one for one in self.results if one.is_finding and one.check.severity >= at_least]
        return sorted(found, key=lambda one: -one.check.severity)

    def decided(self, category: str | None = None) -> tuple[int, int]:
        """Return the number of decided results and of those that apply, in one category or in all."""
        found = [one.outcome.verdict for one in self.results if category in (None, one.check.category)]
        applying = [verdict for verdict in found if verdict is not Verdict.NOT_APPLICABLE]
        return sum(verdict in _DECIDED for verdict in applying), len(applying)

    def judgement(self, category: str) -> Judgement:
        """Say whether enough checks of the category were decided for a score. See Note [Judged or not]."""
        decided, applying = self.decided(category)
        if applying == 0:
            return Judgement.NOT_APPLICABLE
        return Judgement.JUDGED if decided >= DECIDED_SHARE * applying else Judgement.NOT_JUDGED

    @property
    def not_judged(self) -> list[str]:
        """The titles of the categories with too few decided checks."""
        return [title for key, title, _ in self.categories() if self.judgement(key) is Judgement.NOT_JUDGED]

    @property
    def grade(self) -> str | None:
        """Return A to F, by the most severe finding. Return None unless every category was judged, TLS among them."""
        present = {key for key, _, _ in self.categories()}
        if not self.is_complete or self.not_judged or present != set(CATEGORIES):
            return None
        if self.judgement("tls") is not Judgement.JUDGED:
            return None
        findings = self.findings()
        if not findings:
            return "A"
        worst = findings[0].check.severity
        many = sum(one.check.severity is Severity.HIGH for one in findings) >= _MANY
        return "E" if worst is Severity.HIGH and many else _GRADES[worst]

    def score(self, category: str) -> int | None:
        """Return 0 to 100: the weight of PASS among PASS and FAIL. Return None if the category was not judged."""
        decided = [one for one in self.results if one.check.category == category and one.outcome.verdict in _DECIDED]
        weights = [_WEIGHTS[one.check.severity] for one in decided]
        if self.judgement(category) is not Judgement.JUDGED or not sum(weights):
            return None
        lost = sum(_WEIGHTS[one.check.severity] for one in decided if one.is_finding)
        return round(100 * (1 - lost / sum(weights)))

    def categories(self) -> Iterator[tuple[str, str, list[Result]]]:
        """Yield the key, title and results of each category that has results."""
        for key, title in CATEGORIES.items():
            results = [one for one in self.results if one.check.category == key]
            if results:
                yield key, title, results
