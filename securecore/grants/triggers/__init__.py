"""Triggers that close the gate for changes outside securecore: the admin, ``QuerySet.update()``, groups, SQL.

The triggers are on securecore's tables and on Django's. They are built from the user model when ``migrate`` ends. So
they follow a custom user model, and they return after SQLite rebuilt a table. A change that fires a trigger waits for
the effects of the principals that it changes, and later checks wait for the commit of the change, as for ``revoke()``.
On SQLite ``BEGIN IMMEDIATE`` does this waiting; the triggers count the epochs and end sessions and tokens.

The triggers do not fire under ``session_replication_role = replica``, after ``DISABLE TRIGGER``, and for ``TRUNCATE``
(its table lock waits for every transaction that has read the table, and so for each check of grants that is in flight
where the grants are truncated). ``manage.py check --database default`` reports a missing trigger
(securecore.W606).

This file installs and compares. ``rules`` is the table of all triggers, ``conditions`` and ``jobs`` have their SQL, and
``postgresql`` and ``sqlite`` the SQL that differs.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from django.db import transaction
from django.db.backends.base.base import BaseDatabaseWrapper

from securecore import database
from securecore.conf import settings
from securecore.database.locks import MIGRATE
from securecore.database.missing_rights import naming_missing_rights
from securecore.grants.triggers.dialect import PREFIX, Dialect, Rule
from securecore.grants.triggers.postgresql import PostgreSQL
from securecore.grants.triggers.rules import AUDIT_KEPT, TABLES, every_rule, principals_in_rows
from securecore.grants.triggers.sqlite import SQLite

_DIALECTS: dict[str, type[Dialect]] = {"postgresql": PostgreSQL, "sqlite": SQLite}


def missing() -> list[str]:
    """Return the names of triggers that are missing, or that differ from their rule."""
    dialect = _dialect()
    if dialect is None:
        return []
    differing = dialect.expected(_wanted(dialect)).items() - dialect.installed().items()
    return sorted(name for (_, name), _ in differing)


def install() -> None:
    """Install every trigger by its rule. When all are right already, this costs one query."""
    dialect = _dialect()
    if dialect is None:
        return
    wanted = every_rule(dialect)
    if dialect.installed() == dialect.expected(wanted):
        return
    wanted = _wanted(dialect)
    tables = {rule.table for rule in wanted}
    with transaction.atomic(using=settings.DATABASE):
        database.take_advisory_lock(MIGRATE)  # another ``migrate`` may run
        _remove(dialect)
        for rule in wanted:
            _run(dialect.create(rule))
        for table, names in principals_in_rows(dialect).items():
            _run(dialect.insert_gates(names) if table in tables else [])


def remove() -> None:
    """Drop every trigger of securecore."""
    dialect = _dialect()
    if dialect is not None:
        with transaction.atomic(using=settings.DATABASE):
            _remove(dialect)


@contextmanager
def without_audit_guard() -> Iterator[None]:
    """Let the block delete audit rows on SQLite, for ``manage.py flush``, which deletes row by row there.

    On PostgreSQL ``flush`` is a TRUNCATE, which fires no trigger.
    """
    if database.connection().vendor != "sqlite":
        yield
        return
    found = _audit_guard()
    _run([f"DROP TRIGGER IF EXISTS {PREFIX}{AUDIT_KEPT}"])
    try:
        yield
    finally:
        if not _audit_guard():  # ``flush`` ends with post_migrate, which installs the trigger
            _run(found)


def _audit_guard() -> list[str]:
    """Return the text of the installed trigger on SQLite, or an empty list."""
    with database.connection().cursor() as cursor:
        cursor.execute("SELECT sql FROM sqlite_master WHERE type = 'trigger' AND name = %s", [f"{PREFIX}{AUDIT_KEPT}"])
        return [sql for (sql,) in cursor.fetchall()]


def before_migrate(*, using: str, **_: Any) -> None:
    """Drop the triggers on SQLite before ``migrate``.

    SQLite's migrations rebuild a table under another name and rename it. That breaks a trigger that names the table.
    """
    if using == settings.DATABASE and database.connection().vendor == "sqlite":
        remove()


def after_migrate(*, using: str, **_: Any) -> None:
    """Install the triggers after ``migrate``, for the user model of now.

    Raises ``CommandError`` if the role of ``migrate`` lacks a right.
    """
    if using == settings.DATABASE:
        with naming_missing_rights("triggers", database.connection()):
            install()


def _dialect() -> Dialect | None:
    connection: BaseDatabaseWrapper = database.connection()
    dialect = _DIALECTS.get(connection.vendor)
    return None if dialect is None else dialect(connection)


def _wanted(dialect: Dialect) -> list[Rule]:
    """Return the rules of the tables that exist; none until all of securecore's exist, since the rules name several."""
    rules = every_rule(dialect)
    tables = dialect.existing(rules)
    return [rule for rule in rules if rule.table in tables] if _are_all_there(dialect, tables) else []


def _are_all_there(dialect: Dialect, tables: set[str]) -> bool:
    return tables.issuperset(TABLES) or set(dialect.connection.introspection.table_names()).issuperset(TABLES)


def _remove(dialect: Dialect) -> None:
    for table, name in dialect.installed():
        _run(dialect.drop(table, name))


def _run(statements: list[str]) -> None:
    with database.connection().cursor() as cursor:
        for statement in statements:
            cursor.execute(statement)
