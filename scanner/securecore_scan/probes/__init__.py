"""The attacks, one subject a file.

The docstring of each check's function says when the attack counts as working. CATALOGUE lists the checks in the order
of a scan: checks that load the service or revoke a permission come last.
"""

from __future__ import annotations

from securecore_scan.checks import Check
from securecore_scan.probes import (
    authorization_race,
    dpop,
    function_authorization,
    header_trust,
    idempotency,
    mass_assignment,
    memory_leak,
    object_authorization,
    refresh,
    request_replay,
    revoked_certificate,
    session_cookie,
    session_fixation,
    session_lifecycle,
    tls_posture,
    token_claims,
    token_forgery,
    token_replay,
    use_limit,
)

CATALOGUE: tuple[Check, ...] = (
    *tls_posture.CHECKS,
    *revoked_certificate.CHECKS,
    *header_trust.CHECKS,
    *request_replay.CHECKS,
    *idempotency.CHECKS,
    *object_authorization.CHECKS,
    *function_authorization.CHECKS,
    *mass_assignment.CHECKS,
    *token_replay.CHECKS,
    *token_forgery.CHECKS,
    *token_claims.CHECKS,
    *refresh.CHECKS,
    *dpop.CHECKS,
    *session_fixation.CHECKS,
    *session_lifecycle.CHECKS,
    *session_cookie.CHECKS,
    *use_limit.CHECKS,
    *authorization_race.CHECKS,
    *memory_leak.CHECKS,
)
