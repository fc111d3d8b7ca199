"""WEAKNESS: authorization race. A check uses permissions from some seconds ago."""

from __future__ import annotations

import time

from django.contrib.auth.models import Group, User

# The flaw: "roles hardly ever change, and it saves a query a request". For some seconds after a revocation was
# answered, each process still allows the action. Without the cache the window would be shorter and still open: the
# check is one statement, the effect is another, and a revocation between them waits for neither.
SECONDS = 5.0

_roles: dict[int, tuple[float, frozenset[str]]] = {}


def may(user: User, permission: str) -> bool:
    """Say whether ``user`` has ``permission``."""
    read_at, roles = _roles.get(user.pk, (0.0, frozenset()))
    if time.monotonic() - read_at > SECONDS or not read_at:
        roles = frozenset(user.groups.values_list("name", flat=True))
        _roles[user.pk] = (time.monotonic(), roles)
    elif permission in roles:
        # "And a busy user should not wait for the database": each use extends the entry, so a user without a pause is
        # never checked again.
        _roles[user.pk] = (time.monotonic(), roles)
    return permission in roles


def grant(user: User, permission: str) -> None:
    """Give ``user`` this permission."""
    user.groups.add(Group.objects.get_or_create(name=permission)[0])


def revoke(user: User, permission: str) -> None:
    """Take this permission from ``user``."""
    user.groups.remove(*Group.objects.filter(name=permission))
