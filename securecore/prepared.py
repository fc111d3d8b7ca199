"""Statements that are the same for every request: written once, and prepared where the connection allows it."""

from __future__ import annotations

import re
from typing import Any

from django.db.backends.base.base import BaseDatabaseWrapper

try:
    from securecore.plans import Plans
except ImportError:  # no psycopg 3
    Plans = None  # type: ignore[assignment, misc]


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

        Prepared where the connection may be (``prepare_threshold`` in OPTIONS): on PostgreSQL a tenth of the time that
        Django's cursor takes, of which most is planning. Through Django's cursor everywhere else, behind a pooler say,
        and when somebody watches the statements.
        """
        if _may_prepare(database):
            values = [parameters[name] for name in self._names]
            with database.wrap_database_errors:
                found: list[tuple[Any, ...]] | None = _plans(database).rows(self._numbered, values)
            if found is not None:
                return found
        with database.cursor() as cursor:
            cursor.execute(self.text, parameters)
            return list(cursor.fetchall())


def _may_prepare(database: Any) -> bool:
    if database.vendor != "postgresql" or database.queries_logged or database.execute_wrappers or Plans is None:
        return False
    # What Django's cursor() does first.
    database.close_if_health_check_failed()
    database.ensure_connection()
    database.validate_no_broken_transaction()
    # A psycopg 2 connection has no such attribute.
    return getattr(database.connection, "prepare_threshold", None) is not None


def _plans(database: Any) -> Any:
    plans = getattr(database, "securecore_plans", None)
    if plans is None or plans.connection is not database.connection:
        plans = database.securecore_plans = Plans(database.connection)
    return plans
