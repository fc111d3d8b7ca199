"""Check: one attack, with its severity, references and remedy."""

from __future__ import annotations

import enum
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from securecore_scan.client.target import Target
from securecore_scan.outcomes import Outcome

CATEGORIES = {
    "request-replay": "Request replay",
    "idempotency": "Idempotency keys",
    "token-replay": "Token replay",
    "session-fixation": "Session fixation",
    "object-authorization": "Object-level authorization",
    "authorization-race": "Authorization race",
    "memory-leak": "Memory leak",
    "forged-identity": "Forged identity",
    "tls": "TLS of the port",
}


class Severity(enum.IntEnum):
    INFO = 0
    LOW = 1
    MEDIUM = 2
    HIGH = 3
    CRITICAL = 4

    @property
    def label(self) -> str:
        return self.name.lower()


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
