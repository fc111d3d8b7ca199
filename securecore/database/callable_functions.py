"""The functions of securecore that a connection can call. A process looks once, and again where one is missing."""

from __future__ import annotations

import math
import time
from typing import NamedTuple

from django.db.backends.base.base import BaseDatabaseWrapper

from securecore.caches import BoundedCache
from securecore.database.statements import Statement

#: Every function's name begins with this prefix.
PREFIX = "securecore_"
#: Seconds after which a process looks for a missing function again: ``migrate`` may have created it.
LOOK_AGAIN = 60

#: None where ``array_nulls`` is off, as before PostgreSQL 8.2: NULL in the array of the values is then the text "NULL".
_VISIBLE = Statement("""
    SELECT proname FROM pg_proc
    WHERE starts_with(proname, %(prefix)s) AND prorettype <> 'trigger'::regtype
    AND pg_function_is_visible(oid) AND has_function_privilege(oid, 'EXECUTE')
    AND current_setting('array_nulls')::boolean
""")


class _Known(NamedTuple):
    """The functions of a database that the role of its connections can call, and when to look again for others."""

    names: frozenset[str]
    until: float


#: By alias and name of the database. A name stays known, since ``migrate`` keeps functions that are in use.
_known: BoundedCache[_Known] = BoundedCache(size=16, seconds=lambda: math.inf)


def is_callable(name: str, connection: BaseDatabaseWrapper) -> bool:
    """Say whether the role of ``connection`` can call this function. Looks for a missing one once a minute."""
    if connection.vendor != "postgresql":
        return False
    known = _known.get(_key(connection))
    if known is None or (name not in known.names and time.monotonic() >= known.until):
        return name in look(connection)
    return name in known.names


def forget_callable(connection: BaseDatabaseWrapper) -> None:
    """Run the plain statements for a minute."""
    _known.put(_key(connection), _Known(frozenset(), time.monotonic() + LOOK_AGAIN))


def look(connection: BaseDatabaseWrapper) -> frozenset[str]:
    """Return the names of the functions that the role of ``connection`` can call now."""
    names = frozenset(name for (name,) in _VISIBLE.rows(connection, {"prefix": PREFIX}))
    _known.put(_key(connection), _Known(names, time.monotonic() + LOOK_AGAIN))
    return names


def _key(connection: BaseDatabaseWrapper) -> tuple[str, str]:
    return connection.alias, connection.settings_dict["NAME"]
