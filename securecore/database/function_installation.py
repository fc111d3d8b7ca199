"""Create the functions of this version in PostgreSQL, and drop those of versions that no service runs any more."""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection

from django.db import transaction
from django.db.backends.base.base import BaseDatabaseWrapper

from securecore import clock
from securecore.database.callable_functions import PREFIX, look
from securecore.database.functions import Function
from securecore.database.locks import MIGRATE, take_advisory_lock
from securecore.database.statements import Statement

#: The days that ``migrate`` keeps a function which this version does not call. A deployment takes hours, not days.
KEPT = 30
_UNUSED_SINCE = "securecore: unused since "

_INSTALLED = Statement("""
    SELECT proname, oid::regprocedure::text, obj_description(oid, 'pg_proc'), ARRAY(
        SELECT format_type(argument.type, -1)
        FROM unnest(proallargtypes, proargmodes) WITH ORDINALITY argument (type, mode, place)
        WHERE mode = 't' ORDER BY place)
    FROM pg_proc
    WHERE starts_with(proname, %(prefix)s) AND prorettype <> 'trigger'::regtype
    AND pronamespace = current_schema()::regnamespace
""")


def missing(wanted: Collection[Function], connection: BaseDatabaseWrapper) -> list[str]:
    """Return the names of the wanted functions that the role of ``connection`` cannot call now."""
    if connection.vendor != "postgresql":
        return []
    return sorted({function.name for function in wanted} - look(connection))


def install(wanted: Collection[Function], connection: BaseDatabaseWrapper) -> None:
    """Create the wanted functions, and drop those that no version has wanted for ``KEPT`` days.

    Needs the right to create functions in the current schema, which the role of ``migrate`` has. Two ``migrate`` at
    once, for example of two containers that start, create one after the other.
    """
    if connection.vendor != "postgresql":
        return
    names = {function.name for function in wanted}
    with transaction.atomic(using=connection.alias), connection.cursor() as cursor:
        take_advisory_lock(MIGRATE)
        installed = {row[0]: row[1:] for row in _INSTALLED.rows(connection, {"prefix": PREFIX})}
        for function in wanted:
            types = function.column_types(connection)
            call, comment, has_types = installed.get(function.name, (None, None, types))
            if call is not None and has_types != types:  # ``migrate APP`` created it before the migration of a column
                cursor.execute(f"DROP FUNCTION {call}")
                call = None
            if call is None:
                cursor.execute(function.definition(types))
            elif comment:
                cursor.execute(f"COMMENT ON FUNCTION {call} IS NULL")
        for name, (call, comment, _) in installed.items():
            if name in names:
                continue
            since = _unused_since(comment)
            if since is None:
                cursor.execute(f"COMMENT ON FUNCTION {call} IS %s", [f"{_UNUSED_SINCE}{clock.now().isoformat()}"])
            elif since < clock.now() - dt.timedelta(days=KEPT):
                cursor.execute(f"DROP FUNCTION {call}")
    look(connection)


def _unused_since(comment: str | None) -> dt.datetime | None:
    if comment is None or not comment.startswith(_UNUSED_SINCE):
        return None
    return dt.datetime.fromisoformat(comment.removeprefix(_UNUSED_SINCE))
