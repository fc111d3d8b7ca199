"""System checks, one function for each id: 1xx identity, 2xx sessions, 3xx tokens, 4xx replay, 5xx idempotency,
6xx grants, 7xx callers, the one query and its leases, 8xx the user model and Django's settings, 9xx the database
engine.

``securecore.E001`` (unreadable settings) is not here: it is raised when Django starts, because every check needs the
settings.
"""

from __future__ import annotations

from django.core import checks

from securecore.checks import (
    access,
    django_settings,
    engines,
    grants,
    idempotency,
    identity,
    logs,
    observe,
    replay,
    rest_framework,
    revocation_lists,
    sessions,
    tokens,
    user_model,
)

EVERY_CHECK = (
    *identity.CHECKS,
    *sessions.CHECKS,
    *tokens.CHECKS,
    *replay.CHECKS,
    *idempotency.CHECKS,
    *grants.CHECKS,
    *access.CHECKS,
    *rest_framework.CHECKS,
    *user_model.CHECKS,
    *django_settings.CHECKS,
    *engines.CHECKS,
)


def register() -> None:
    for check in EVERY_CHECK:
        checks.register(check, checks.Tags.security)
    for check in (*logs.DEPLOY_CHECKS, *observe.DEPLOY_CHECKS):
        checks.register(check, checks.Tags.security, deploy=True)
    for module in (revocation_lists, tokens, grants, access):
        for check in module.DATABASE_CHECKS:
            checks.register(check, checks.Tags.database)
