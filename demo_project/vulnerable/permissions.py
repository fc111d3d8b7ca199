"""WEAKNESS: authorization race. What a user may do is what he could do some seconds ago."""

from __future__ import annotations

import time

from django.contrib.auth.models import Group, User

# The flaw: "roles hardly ever change, and it saves a query a request". For so many seconds after a revocation was
# answered each process goes on as before. Without the cache the window would be narrower and still open: the check is
# one statement, the effect another, and nothing makes a revocation wait for what lies between them.
SECONDS = 5.0

_roles: dict[int, tuple[float, frozenset[str]]] = {}


def may(user: User, permission: str) -> bool:
    """Say whether ``user`` has ``permission``."""
    read_at, roles = _roles.get(user.pk, (0.0, frozenset()))
    if time.monotonic() - read_at > SECONDS or not read_at:
        roles = frozenset(user.groups.values_list("name", flat=True))
        _roles[user.pk] = (time.monotonic(), roles)
    elif permission in roles:
        # "And whoever is busy should not wait for the database": who never stops is never asked again.
        _roles[user.pk] = (time.monotonic(), roles)
    return permission in roles


def grant(user: User, permission: str) -> None:
    """Let ``user`` do this."""
    user.groups.add(Group.objects.get_or_create(name=permission)[0])


def revoke(user: User, permission: str) -> None:
    """Do not let ``user`` do this any more."""
    user.groups.remove(*Group.objects.filter(name=permission))
