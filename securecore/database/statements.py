"""Statements that are the same for every request: written once, and prepared where the connection allows it."""

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
    """A SELECT that is made once and run for every request. ``text`` names its parameters ``%(name)s``; ``new`` are
    those that a ``Question`` gets each time.
    """

    def __init__(self, text: str, new: Sequence[str] = ()) -> None:
        self.text = text
        used = dict.fromkeys(re.findall(r"%\((\w+)\)s", text))
        self.new = [name for name in new if name in used]
        self.names = [*(name for name in used if name not in self.new), *self.new]
        numbers = {name: f"${number}" for number, name in enumerate(self.names, 1)}
        # As PostgreSQL itself wants it, so that nothing has to be translated for each request.
        self.numbered = re.sub(r"%\((\w+)\)s", lambda found: numbers[found[1]], text).replace("%%", "%").encode()

    def rows(self, database: BaseDatabaseWrapper, parameters: dict[str, Any]) -> list[tuple[Any, ...]]:
        """Run it and return its rows. ``parameters`` are spelled as the database wants them (``get_db_prep_value``).

        Prepared where the connection may be (``prepare_threshold`` in OPTIONS): on PostgreSQL a tenth of the time that
        Django's cursor takes, of which most is planning. Through Django's cursor everywhere else, behind a pooler say,
        and when somebody watches the statements.
        """
        return Question(self, parameters).rows(database, parameters)

    def asked(self, parameters: dict[str, Any]) -> Asked:
        """Return it with all its ``parameters``, to be asked once."""
        return Question(self, parameters), parameters


class Question:
    """A ``Statement`` with ``parameters``, to be asked again and again."""

    def __init__(self, statement: Statement, parameters: dict[str, Any]) -> None:
        self.statement, self.parameters = statement, parameters
        self._bound: Any = None

    def rows(
        self, database: BaseDatabaseWrapper, parameters: dict[str, Any], meanwhile: Callable[[], None] | None = None
    ) -> list[tuple[Any, ...]]:
        """Run it as ``Statement.rows()`` does, with ``parameters`` in the place of its own. The list is the one that
        was returned before if it would be equal; nobody may change it. ``meanwhile`` may be called while the database
        works, and must not ask it for anything.
        """
        plans = _plans(database)
        if plans is not None:
            bound, new = self.bound(parameters)
            with database.wrap_database_errors:
                found: list[tuple[Any, ...]] | None = plans.rows(bound, new, meanwhile)
            if found is not None:
                return found
        with database.cursor() as cursor:
            cursor.execute(self.statement.text, self.parameters | parameters)
            return list(cursor.fetchall())

    def bound(self, parameters: dict[str, Any]) -> tuple[Any, list[Any]]:
        """Return it for psycopg's ``Plans``, and which of ``parameters`` take the place of its last values."""
        statement = self.statement
        if self._bound is None:
            given = self.parameters | parameters
            self._bound = Bound(statement.numbered, [given[name] for name in statement.names])
        return self._bound, [parameters[name] for name in statement.new]


#: A question with its parameters of this time.
Asked = tuple[Question, dict[str, Any]]


def begun(database: BaseDatabaseWrapper, *asked: Asked, commits: bool = False) -> list[list[tuple[Any, ...]]] | None:
    """Begin the transaction of ``database`` with these questions and return their rows, from one turn instead of one
    for each and one for ``BEGIN``. None, and nothing is done, where it has begun or they may not be prepared.

    With ``commits`` the transaction has been committed then: whoever opened it must want nothing else of it.
    """
    plans = _plans(database)
    if plans is None:
        return None
    with database.wrap_database_errors:
        found: list[list[tuple[Any, ...]]] | None = plans.begun([each.bound(given) for each, given in asked], commits)
    return found


def is_djangos_own(database: BaseDatabaseWrapper) -> bool:
    """Say whether ``database`` is one of Django's own backends. Another backend may do more before each statement: that
    of django-tenants sets the tenant's ``search_path`` when a cursor is made, and a plan is run without a cursor.
    """
    return type(database).__module__.startswith("django.")


def _plans(database: Any) -> Any:
    """Return what is prepared on the connection of ``database``, or None if nothing may be."""
    if database.vendor != "postgresql" or database.queries_logged or database.execute_wrappers or Plans is None:
        return None
    if not is_djangos_own(database):
        return None
    # What Django's cursor() does first, where it has something to do.
    if database.health_check_enabled and not database.health_check_done:
        database.close_if_health_check_failed()
    database.ensure_connection()
    if database.needs_rollback:
        database.validate_no_broken_transaction()
    connection = database.connection
    # A psycopg 2 connection has no such attribute.
    if getattr(connection, "prepare_threshold", None) is None:
        return None
    # Kept by psycopg's connection: a pool gives Django's another one for each request, and in time the first again.
    plans = getattr(connection, "securecore_plans", None)
    if plans is None:
        plans = connection.securecore_plans = Plans(connection)
    return plans
