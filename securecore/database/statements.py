"""SQL statements that are the same for every request: written once, and prepared where the connection allows it."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Any

from django.db.backends.base.base import BaseDatabaseWrapper

try:
    from securecore.database.plans import Bound, Plans
except ImportError:  # no psycopg 3
    Plans = None  # type: ignore[assignment, misc]


class Statement:
    """An SQL statement that is built once and runs for every request.

    ``text`` names its parameters ``%(name)s``. ``new`` are the parameters that a ``Question`` gets anew for each run,
    for example ``now``.
    """

    def __init__(self, text: str, new: Sequence[str] = ()) -> None:
        self.text = text
        used = dict.fromkeys(re.findall(r"%\((\w+)\)s", text))
        self.new = [name for name in new if name in used]
        self.names = [*(name for name in used if name not in self.new), *self.new]
        numbers = {name: f"${number}" for number, name in enumerate(self.names, 1)}
        # PostgreSQL's own form of parameters, so that psycopg need not translate the text for each request.
        self.numbered = re.sub(r"%\((\w+)\)s", lambda match: numbers[match[1]], text).replace("%%", "%").encode()

    def rows(self, database: BaseDatabaseWrapper, parameters: dict[str, Any]) -> list[tuple[Any, ...]]:
        """Run the statement and return its rows. ``parameters`` have the form of the database (``get_db_prep_value``).

        Where the connection allows it (``prepare_threshold`` in OPTIONS), the statement is prepared: on PostgreSQL that
        takes a tenth of the time of Django's cursor, which is mostly planning. Elsewhere Django's cursor runs the
        statement, for example behind a pooler, and where ``connection.queries`` or a wrapper records the statements.
        """
        return Question(self, parameters).rows(database, parameters)

    def asked(self, parameters: dict[str, Any]) -> Asked:
        """Return the statement bound to all its ``parameters``, for one run."""
        return Question(self, parameters), parameters


class Question:
    """A bound statement: a ``Statement`` with ``parameters``, for many runs."""

    def __init__(self, statement: Statement, parameters: dict[str, Any]) -> None:
        self.statement, self.parameters = statement, parameters
        self._bound: Any = None

    def rows(
        self, database: BaseDatabaseWrapper, parameters: dict[str, Any], meanwhile: Callable[[], None] | None = None
    ) -> list[tuple[Any, ...]]:
        """Run the statement as ``Statement.rows()`` does. ``parameters`` replace those of the same name.

        If the result is the same as that of the last run, the same list is returned, so do not change the list.
        ``meanwhile`` may be called while PostgreSQL works, and must run no statement.
        """
        plans = _plans(database)
        if plans is not None:
            bound, new = self.bound(parameters)
            with database.wrap_database_errors:
                rows: list[tuple[Any, ...]] | None = plans.rows(bound, new, meanwhile)
            if rows is not None:
                return rows
        with database.cursor() as cursor:
            cursor.execute(self.statement.text, self.parameters | parameters)
            return list(cursor.fetchall())

    def bound(self, parameters: dict[str, Any]) -> tuple[Any, list[Any]]:
        """Return the query and values for ``Plans``, and those of ``parameters`` that replace the last values."""
        statement = self.statement
        if self._bound is None:
            given = self.parameters | parameters
            self._bound = Bound(statement.numbered, [given[name] for name in statement.names])
        return self._bound, [parameters[name] for name in statement.new]


#: A bound statement, and the parameters of this run.
Asked = tuple[Question, dict[str, Any]]


def begun(database: BaseDatabaseWrapper, *asked: Asked, commits: bool = False) -> list[list[tuple[Any, ...]]] | None:
    """Send BEGIN and these bound statements in one round trip, and return the rows of each statement.

    Returns None, and has sent nothing that stays, where the transaction has begun already or statements may not be
    prepared. With ``commits`` the round trip also commits. The transaction is then finished; run nothing more in it.
    """
    plans = _plans(database)
    if plans is None:
        return None
    with database.wrap_database_errors:
        rows: list[list[tuple[Any, ...]]] | None = plans.begun([each.bound(given) for each, given in asked], commits)
    return rows


def is_djangos_own(database: BaseDatabaseWrapper) -> bool:
    """Say whether ``database`` is one of Django's own backends.

    A plan runs without a cursor, and another backend may depend on its cursor. Example: the backend of django-tenants
    sets the tenant's ``search_path`` when it opens a cursor.
    """
    return type(database).__module__.startswith("django.")


def _plans(database: Any) -> Any:
    """Return the prepared statements of the connection of ``database``, or None where none may be prepared."""
    if database.vendor != "postgresql" or database.queries_logged or database.execute_wrappers or Plans is None:
        return None
    if not is_djangos_own(database):
        return None
    # Do the same as Django's cursor() before its first statement.
    if database.health_check_enabled and not database.health_check_done:
        database.close_if_health_check_failed()
    database.ensure_connection()
    if database.needs_rollback:
        database.validate_no_broken_transaction()
    connection = database.connection
    # A psycopg 2 connection has no such attribute.
    if getattr(connection, "prepare_threshold", None) is None:
        return None
    # psycopg's connection keeps its plans. A pool may give Django another psycopg connection for each request, and
    # later the first one again.
    plans = getattr(connection, "securecore_plans", None)
    if plans is None:
        plans = connection.securecore_plans = Plans(connection)
    return plans
