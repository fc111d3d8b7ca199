"""What a check is, and what it can find."""

from __future__ import annotations

import enum
import hashlib
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
    """PASS never says "safe": it says that this attack, tried so often, was not seen to work."""

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
    """HIGH: the effect itself was read back. MEDIUM: the answers say so. LOW: it looks like it."""

    LOW = "low"
    MEDIUM = "medium"
    HIGH = "high"


class Skipped(Exception):
    """The check does not apply, or needs what the plan does not name; the message says which."""


class NotJudged(Exception):
    """The attack could not be carried out as meant, so it says nothing about the service."""


@dataclass(frozen=True)
class Seen:
    """What one attack did to one subject, such as ``POST /api/transfers``."""

    verdict: Verdict
    subject: str
    evidence: tuple[str, ...]
    confidence: Confidence = Confidence.HIGH


@dataclass(frozen=True)
class Check:
    """One attack. ``run`` yields what it did, once for each subject, and raises ``Skipped`` or ``NotJudged``.

    ``asvs`` are requirements of OWASP ASVS 5.0, ``owasp`` is of the OWASP API Security Top 10 2023. ``remedy`` mends
    any service, ``securecore`` names the setting or the decorator.
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
    run: Callable[[Target], Iterator[Seen]]


@dataclass(frozen=True)
class Result:
    """A check, what it saw, and how to see it again."""

    check: Check
    seen: Seen
    seconds: float
    reproduce: str
    accepted: str = ""

    @property
    def is_finding(self) -> bool:
        return self.seen.verdict is Verdict.FAIL and not self.accepted

    @property
    def fingerprint(self) -> str:
        """The same for the same finding in every run: the check and what it was about, not what it saw."""
        return hashlib.sha256(f"{self.check.id}|{self.seen.subject}".encode()).hexdigest()[:32]


def held(subject: str, *evidence: str, confidence: Confidence = Confidence.HIGH) -> Seen:
    """Say that the attack was not seen to work."""
    return Seen(Verdict.PASS, subject, evidence, confidence)


def fell(subject: str, *evidence: str, confidence: Confidence = Confidence.HIGH) -> Seen:
    """Say that the attack worked."""
    return Seen(Verdict.FAIL, subject, evidence, confidence)


def unclear(subject: str, *evidence: str) -> Seen:
    """Say that the attack happened and that what was seen does not decide it."""
    return Seen(Verdict.INCONCLUSIVE, subject, evidence, Confidence.LOW)


def judged(attack_worked: bool, subject: str, *evidence: str, confidence: Confidence = Confidence.HIGH) -> Seen:
    """Say which of the two it was."""
    return (fell if attack_worked else held)(subject, *evidence, confidence=confidence)
