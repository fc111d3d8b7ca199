"""The database engines that keep securecore's promises, and the refusal of every other engine."""

from __future__ import annotations

from typing import Any

from django.core.exceptions import ImproperlyConfigured
from django.db import connections

from securecore.conf import settings

#: The ``vendor`` of Django's backends, also of backends that extend them, for example PostGIS and SpatiaLite.
SUPPORTED = ("postgresql", "sqlite")
_NAMES = {"mysql": "MySQL or MariaDB", "oracle": "Oracle"}


def unsupported_engine() -> str:
    """Return why the engine of ``SECURECORE["DATABASE"]`` cannot serve; empty for PostgreSQL and SQLite.

    The name of the engine decides, so nothing connects to the database.
    """
    if settings.DATABASE not in connections:
        return ""  # securecore.E603
    connection = connections[settings.DATABASE]
    if connection.vendor in SUPPORTED:
        return ""
    # Not display_name: for MySQL and MariaDB it connects, to tell them apart.
    name = _NAMES.get(connection.vendor, connection.settings_dict["ENGINE"])
    return (
        f"The database {settings.DATABASE!r} is {name}, and securecore runs on PostgreSQL and SQLite only: "
        f"claims, gates and triggers are statements of these two."
    )


def refuse_unsupported_engine() -> None:
    """Raise ``ImproperlyConfigured`` for an engine on which the first request would fail."""
    if reason := unsupported_engine():
        raise ImproperlyConfigured(f"securecore.E901: {reason} {HINT}")


def before_migrate(*, using: str, **_: Any) -> None:
    """Refuse an unsupported engine before ``migrate`` creates a table, also with ``--skip-checks``."""
    if using == settings.DATABASE:
        refuse_unsupported_engine()


#: The way out.
HINT = (
    "Keep securecore's tables and the users in PostgreSQL (SECURECORE['DATABASE'] and a database router), or remove "
    "'securecore' from INSTALLED_APPS."
)
