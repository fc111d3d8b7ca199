"""The attacks. A file is one subject, a check one attack; each says in its docstring how it is judged.

Quiet ones first. What disturbs the service, or takes a permission away, comes last.
"""

from __future__ import annotations

from securecore_scan.probes import (
    authorization_race,
    dpop,
    header_trust,
    memory_leak,
    refresh,
    request_replay,
    session_cookie,
    session_fixation,
    tls_posture,
    token_forgery,
    token_replay,
    use_limit,
)
from securecore_scan.verdict import Check

CATALOGUE: tuple[Check, ...] = (
    *tls_posture.CHECKS,
    *header_trust.CHECKS,
    *request_replay.CHECKS,
    *token_replay.CHECKS,
    *token_forgery.CHECKS,
    *refresh.CHECKS,
    *dpop.CHECKS,
    *session_fixation.CHECKS,
    *session_cookie.CHECKS,
    *use_limit.CHECKS,
    *authorization_race.CHECKS,
    *memory_leak.CHECKS,
)
