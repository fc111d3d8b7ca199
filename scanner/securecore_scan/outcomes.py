"""Outcome: the result of one attack on one subject."""

from __future__ import annotations

import enum
from dataclasses import dataclass


class Verdict(enum.StrEnum):
    """PASS means that the attack failed in every round that was tried. PASS does not mean that the service is safe."""

    PASS = "PASS"  # noqa: S105
    FAIL = "FAIL"
    INCONCLUSIVE = "INCONCLUSIVE"
    SKIPPED = "SKIPPED"
    NOT_APPLICABLE = "NOT APPLICABLE"
    ERROR = "ERROR"


class Confidence(enum.StrEnum):
    """HIGH: the scanner read the effect back. MEDIUM: only the responses show the effect. LOW: nothing was decided."""

    LOW = "low"
    MEDIUM = "medium"
    HIGH = "high"


class Skipped(Exception):
    """The check needs an entry of the plan, and may hide a weakness. The message names the entry."""


class NotApplicable(Skipped):
    """The service has nothing that the check could attack. Example: plain http has no certificates."""


class Inconclusive(Exception):
    """The attack could not be carried out as intended. Example: the login that precedes the attack failed."""


@dataclass(frozen=True)
class Outcome:
    """The result of one attack on one subject. The subject is a route, such as ``POST /api/transfers``, or the port."""

    verdict: Verdict
    subject: str
    evidence: tuple[str, ...]
    confidence: Confidence = Confidence.HIGH


def outcome_of(attack_worked: bool, subject: str, *evidence: str, confidence: Confidence = Confidence.HIGH) -> Outcome:
    """Return FAIL if the attack worked, else PASS."""
    return (failed if attack_worked else passed)(subject, *evidence, confidence=confidence)


def passed(subject: str, *evidence: str, confidence: Confidence = Confidence.HIGH) -> Outcome:
    """Return PASS: the attack was tried and did not work."""
    return Outcome(Verdict.PASS, subject, evidence, confidence)


def failed(subject: str, *evidence: str, confidence: Confidence = Confidence.HIGH) -> Outcome:
    """Return FAIL: the attack worked."""
    return Outcome(Verdict.FAIL, subject, evidence, confidence)


def inconclusive(subject: str, *evidence: str) -> Outcome:
    """Return INCONCLUSIVE: the attack ran, and the observations do not decide whether it worked."""
    return Outcome(Verdict.INCONCLUSIVE, subject, evidence, Confidence.LOW)


def skipped(subject: str, *evidence: str) -> Outcome:
    """Return SKIPPED: this subject was not attacked, and may hide a weakness."""
    return Outcome(Verdict.SKIPPED, subject, evidence, Confidence.LOW)
