"""What closes the gate for changes that go round securecore: the admin, ``QuerySet.update()``, groups, SQL.

Triggers on our tables and on Django's, made from the user model as it is when ``migrate`` ends: they follow a custom
user model, and come back after SQLite rebuilt a table. A change that fires one waits for the effects of those whom it
concerns, and later checks wait for its commit: the same promise as for ``revoke()``. On SQLite ``BEGIN IMMEDIATE``
keeps that promise, and the triggers keep the rest: epochs, and the ends of sessions and tokens.

They do not fire under ``session_replication_role = replica``, after ``DISABLE TRIGGER``, and for ``TRUNCATE`` (which
waits for every check by itself). ``manage.py check --database default`` says if one is missing (securecore.W606).
"""

from __future__ import annotations

from typing import Any

from django.db import transaction
from django.db.backends.base.base import BaseDatabaseWrapper

from securecore import database
from securecore.conf import settings
from securecore.grants.triggers.dialect import Dialect, Rule
from securecore.grants.triggers.postgresql import PostgreSQL
from securecore.grants.triggers.rules import TABLES, every_rule
from securecore.grants.triggers.sqlite import SQLite

_DIALECTS: dict[str, type[Dialect]] = {"postgresql": PostgreSQL, "sqlite": SQLite}


def missing() -> list[str]:
    """Return the names of triggers that should be there and are not, or are others than they should be."""
    dialect = _dialect()
    return [] if dialect is None else sorted(rule.name for rule in _differing(dialect, _wanted(dialect)))


def install() -> None:
    """Make every trigger what it should be. One query when all are."""
    dialect = _dialect()
    if dialect is None:
        return
    wanted = every_rule(dialect)
    if dialect.installed() == dialect.expected(wanted):
        return
    wanted = _wanted(dialect)
    with transaction.atomic(using=settings.DATABASE):
        _remove(dialect)
        for rule in wanted:
            _run(dialect.create(rule))


def remove() -> None:
    """Take every trigger away."""
    dialect = _dialect()
    if dialect is not None:
        with transaction.atomic(using=settings.DATABASE):
            _remove(dialect)


def before_migrate(*, using: str, **_: Any) -> None:
    """SQLite rebuilds a table by another name, and renames nothing that the body of a trigger names."""
    if using == settings.DATABASE and database.connection().vendor == "sqlite":
        remove()


def after_migrate(*, using: str, **_: Any) -> None:
    if using == settings.DATABASE:
        install()


def _dialect() -> Dialect | None:
    connection: BaseDatabaseWrapper = database.connection()
    dialect = _DIALECTS.get(connection.vendor)
    return None if dialect is None else dialect(connection)


def _wanted(dialect: Dialect) -> list[Rule]:
    """The rules whose tables are there; none before all of ours are, since they name each other."""
    tables = set(dialect.connection.introspection.table_names())
    return [rule for rule in every_rule(dialect) if rule.table in tables] if tables.issuperset(TABLES) else []


def _differing(dialect: Dialect, wanted: list[Rule]) -> list[Rule]:
    installed = dialect.installed()
    return [rule for rule in wanted if dialect.expected([rule]).items() - installed.items()]


def _remove(dialect: Dialect) -> None:
    for table, name in dialect.installed():
        _run(dialect.drop(table, name))


def _run(statements: list[str]) -> None:
    with database.connection().cursor() as cursor:
        for statement in statements:
            cursor.execute(statement)
