"""System checks, one function an id, numbered once: 1xx identity, 2xx sessions, 3xx tokens, 4xx replay,
5xx idempotency, 6xx grants, 7xx access.

``securecore.E001`` (settings that cannot be read) is raised when Django starts, since nothing could be checked after
it.
"""

from __future__ import annotations

from django.core import checks

from securecore.checks import access, grants, idempotency, identity, replay, sessions, tokens

EVERY_CHECK = (
    *identity.CHECKS,
    *sessions.CHECKS,
    *tokens.CHECKS,
    *replay.CHECKS,
    *idempotency.CHECKS,
    *grants.CHECKS,
    *access.CHECKS,
)


def register() -> None:
    for check in EVERY_CHECK:
        checks.register(check, checks.Tags.security)
    for check in (*grants.DATABASE_CHECKS, *access.DATABASE_CHECKS):
        checks.register(check, checks.Tags.database)
