"""Check and Outcome: one attack, and its result for one route."""

from __future__ import annotations

import enum
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from securecore_scan.client.target import Target

CATEGORIES = {
    "request-replay": "Request replay",
    "token-replay": "Token replay",
    "session-fixation": "Session fixation",
    "authorization-race": "Authorization race",
    "memory-leak": "Memory leak",
    "forged-identity": "Forged identity",
    "tls": "TLS of the port",
}


class Verdict(enum.StrEnum):
    """PASS means that the attack failed in every round that was tried. PASS does not mean that the service is safe."""

    PASS = "PASS"  # noqa: S105
    FAIL = "FAIL"
    INCONCLUSIVE = "INCONCLUSIVE"
    SKIPPED = "SKIPPED"
    ERROR = "ERROR"


class Severity(enum.IntEnum):
    INFO = 0
    LOW = 1
    MEDIUM = 2
    HIGH = 3
    CRITICAL = 4

    @property
    def label(self) -> str:
        return self.name.lower()


class Confidence(enum.StrEnum):
    """HIGH: the scanner read the effect back. MEDIUM: only the responses show the effect. LOW: nothing was decided."""

    LOW = "low"
    MEDIUM = "medium"
    HIGH = "high"


class Skipped(Exception):
    """The check does not apply, or needs an entry of the plan. The message names the entry."""


class Inconclusive(Exception):
    """The attack could not be carried out as intended. Example: the login that precedes the attack failed."""


@dataclass(frozen=True)
class Outcome:
    """The result of one attack on one subject. The subject is a route, such as ``POST /api/transfers``, or the port."""

    verdict: Verdict
    subject: str
    evidence: tuple[str, ...]
    confidence: Confidence = Confidence.HIGH


@dataclass(frozen=True)
class Check:
    """One attack. ``run`` yields an ``Outcome`` for each subject, and may raise ``Skipped`` or ``Inconclusive``.

    ``asvs`` lists requirements of OWASP ASVS 5.0; ``owasp`` is an entry of the OWASP API Security Top 10 2023.
    ``remedy`` applies to any service. ``securecore`` names the setting or decorator of securecore that helps.
    """

    id: str
    title: str
    category: str
    severity: Severity
    cwe: tuple[int, ...]
    owasp: str
    asvs: tuple[str, ...]
    risk: str
    remedy: str
    securecore: str
    run: Callable[[Target], Iterator[Outcome]]


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
