"""The connection of the database that holds securecore's tables."""

from __future__ import annotations

from django.db import connections
from django.db.backends.base.base import BaseDatabaseWrapper

from securecore.conf import settings


def connection() -> BaseDatabaseWrapper:
    """Return the calling thread's connection of ``SECURECORE["DATABASE"]``."""
    return connections[settings.DATABASE]


def may_be_standby() -> bool:
    """Say whether the server of the open connection is a standby, or hides its role as some poolers do.

    PostgreSQL reports the parameter to its clients at each change, so this runs no statement. A standby that is being
    promoted accepts connections before it accepts writes.
    """
    database = connection()
    if database.vendor != "postgresql" or database.connection is None:
        return False
    return bool(database.connection.info.parameter_status("in_hot_standby") != "off")
