"""The connection of the database that holds securecore's tables."""

from __future__ import annotations

from typing import Any

from django.db import connections
from django.db.backends.base.base import BaseDatabaseWrapper

from securecore.conf import settings


def connection() -> BaseDatabaseWrapper:
    """Return the calling thread's connection of ``SECURECORE["DATABASE"]``."""
    return connections[settings.DATABASE]


def may_be_standby() -> bool:
    """Say whether the server of the open connection is or was a standby, or hides its role as some poolers do.

    PostgreSQL reports the parameter to its clients at each change, so this runs no statement. A standby that is being
    promoted accepts connections before it accepts writes, and a transaction that began before the promotion stays
    read-only behind it. So a connection that began on a standby counts as one to its end.
    """
    database = connection()
    if database.vendor != "postgresql" or database.connection is None:
        return False
    return _role(database) != "off" or bool(getattr(database.connection, _BEGAN_ON_STANDBY, False))


def note_role(*, connection: BaseDatabaseWrapper, **_: Any) -> None:
    """Note on a new connection whether its server is a standby. A receiver of ``connection_created``."""
    if connection.vendor == "postgresql" and _role(connection) == "on":
        setattr(connection.connection, _BEGAN_ON_STANDBY, True)


#: An attribute of psycopg's connection, which ends with the connection.
_BEGAN_ON_STANDBY = "_securecore_began_on_standby"


def _role(database: BaseDatabaseWrapper) -> Any:
    """Return PostgreSQL's ``in_hot_standby``: "on", "off", or None where a pooler hides it."""
    return database.connection.info.parameter_status("in_hot_standby")
