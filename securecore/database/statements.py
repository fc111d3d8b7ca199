"""SQL statements that are the same for every request: written once, and prepared where the connection allows it."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Any

from django.db.backends.base.base import BaseDatabaseWrapper

try:
    from securecore.database.plans import Encoded, Plans
except ImportError:  # no psycopg 3
    Plans = None  # type: ignore[assignment, misc]


class Statement:
    """An SQL statement that is built once and runs for every request.

    ``text`` names its parameters ``%(name)s``. ``new`` are the parameters that ``BoundStatement.with_new()`` gets anew
    for each run, for example ``now``.
    """

    def __init__(self, text: str, new: Sequence[str] = ()) -> None:
        self.text = text
        used = dict.fromkeys(re.findall(r"%\((\w+)\)s", text))
        self.new = [name for name in new if name in used]
        self.names = [*(name for name in used if name not in self.new), *self.new]
        numbers = {name: f"${number}" for number, name in enumerate(self.names, 1)}
        # PostgreSQL's own form of parameters, so that psycopg need not translate the text for each request.
        self.numbered = re.sub(r"%\((\w+)\)s", lambda match: numbers[match[1]], text).replace("%%", "%").encode()

    def bind(self, parameters: dict[str, Any]) -> BoundStatement:
        """Return the statement with ``parameters`` in the form of the database (``get_db_prep_value``)."""
        return BoundStatement(self, parameters)

    def rows(self, database: BaseDatabaseWrapper, parameters: dict[str, Any]) -> Rows:
        """Run the statement once with these ``parameters``, and return its rows."""
        return self.bind(parameters).rows(database)


class BoundStatement:
    """A ``Statement`` with ``parameters``. Requests with the same values share one, and the threads too.

    ``with_new()`` gives one run the values that differ, for example ``now``. The copies share the encoded values of the
    other parameters and the last result.
    """

    def __init__(self, statement: Statement, parameters: dict[str, Any], _encoded: list[Any] | None = None) -> None:
        self.statement, self.parameters = statement, parameters
        #: Nothing, or one ``plans.Encoded``: the first run on a connection that prepares fills the list for all copies.
        self._encoded: list[Any] = [] if _encoded is None else _encoded

    def with_new(self, parameters: dict[str, Any]) -> BoundStatement:
        """Return this statement for one run, with new values of the parameters that ``Statement`` names as ``new``."""
        return BoundStatement(self.statement, self.parameters | parameters, self._encoded)

    def rows(self, database: BaseDatabaseWrapper, meanwhile: Callable[[], None] | None = None) -> Rows:
        """Run the statement and return its rows.

        Where the connection allows it (``prepare_threshold`` in OPTIONS), the statement is prepared: on PostgreSQL that
        takes a tenth of the time of Django's cursor, which is mostly planning. Elsewhere Django's cursor runs the
        statement, for example behind a pooler, and where ``connection.queries`` or a wrapper records the statements.

        If the result is the same as that of the last run, the same list is returned, so do not change the list.
        ``meanwhile`` may be called while PostgreSQL works, and must run no statement.
        """
        plans = _plans(database)
        if plans is not None:
            encoded, new = self.encoded()
            with database.wrap_database_errors:
                rows: Rows | None = plans.rows(encoded, new, meanwhile)
            if rows is not None:
                return rows
        with database.cursor() as cursor:
            cursor.execute(self.statement.text, self.parameters)
            return list(cursor.fetchall())

    def encoded(self) -> tuple[Any, list[Any]]:
        """Return the query and values for ``Plans``, and the new values of this run."""
        statement = self.statement
        if not self._encoded:
            self._encoded.append(Encoded(statement.numbered, [self.parameters[name] for name in statement.names]))
        return self._encoded[0], [self.parameters[name] for name in statement.new]


Rows = list[tuple[Any, ...]]


def run_in_pipeline(
    database: BaseDatabaseWrapper, statements: Sequence[BoundStatement], *, commits: bool = False
) -> list[Rows] | None:
    """Send BEGIN and these statements in one round trip, and return the rows of each statement.

    Returns None, and has sent nothing that stays, where the transaction has begun already or statements may not be
    prepared. With ``commits`` the round trip also commits. The transaction is then finished; run nothing more in it.
    """
    plans = _plans(database)
    if plans is None:
        return None
    with database.wrap_database_errors:
        rows: list[Rows] | None = plans.run_in_pipeline([each.encoded() for each in statements], commits)
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
