"""Statements that are the same for every request: written once, and prepared where the connection allows it."""

from __future__ import annotations

import re
from typing import Any

from django.db import DatabaseError
from django.db.backends.base.base import BaseDatabaseWrapper

#: PostgreSQL: a migration has changed a column's type, or somebody has deallocated what we had prepared.
_PLAN_IS_GONE = {"0A000", "26000"}


class Statement:
    """A SELECT that is made once and run for every request. ``text`` names its parameters ``%(name)s``."""

    def __init__(self, text: str) -> None:
        self.text = text
        self._names = list(dict.fromkeys(re.findall(r"%\((\w+)\)s", text)))
        numbers = {name: f"${number}" for number, name in enumerate(self._names, 1)}
        # As PostgreSQL itself wants it, so that nothing has to be translated for each request.
        self._numbered = re.sub(r"%\((\w+)\)s", lambda found: numbers[found[1]], text).replace("%%", "%").encode()

    def rows(self, database: BaseDatabaseWrapper, parameters: dict[str, Any]) -> list[tuple[Any, ...]]:
        """Run it and return its rows. ``parameters`` are spelled as the database wants them (``get_db_prep_value``).

        Prepared where the connection may be (``prepare_threshold`` in OPTIONS): on PostgreSQL a third of the time that
        Django's cursor takes, of which most is planning. Through Django's cursor everywhere else, behind a pooler say,
        and when somebody watches the statements.
        """
        if _may_prepare(database):
            try:
                with database.wrap_database_errors:
                    cursor = _prepared_cursor(database)
                    cursor.execute(self._numbered, [parameters[name] for name in self._names], prepare=True)
                    return list(cursor.fetchall())
            except DatabaseError as error:
                if getattr(error.__cause__, "sqlstate", None) not in _PLAN_IS_GONE or database.in_atomic_block:
                    raise
        with database.cursor() as cursor:
            cursor.execute(self.text, parameters)
            return list(cursor.fetchall())


def _may_prepare(database: Any) -> bool:
    if database.vendor != "postgresql" or database.queries_logged or database.execute_wrappers:
        return False
    # What Django's cursor() does first.
    database.close_if_health_check_failed()
    database.ensure_connection()
    # A psycopg 2 connection has no such attribute.
    return getattr(database.connection, "prepare_threshold", None) is not None


def _prepared_cursor(database: Any) -> Any:
    from psycopg import RawCursor

    database.validate_no_broken_transaction()
    cursor = getattr(database, "securecore_cursor", None)
    if cursor is None or cursor.connection is not database.connection:
        # One for as long as the connection lives: to make a cursor takes a sixth of the whole time.
        cursor = database.securecore_cursor = RawCursor(database.connection)
    return cursor
