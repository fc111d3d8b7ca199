"""SQL statements that are written by hand: a text with named parameters, and the text with its values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from django.db.backends.base.base import BaseDatabaseWrapper

Rows = list[tuple[Any, ...]]


@dataclass(frozen=True, slots=True)
class Statement:
    """A statement. ``text`` names its parameters ``%(name)s``."""

    text: str

    def rows(self, connection: BaseDatabaseWrapper, parameters: Mapping[str, Any]) -> Rows:
        """Run the statement and return its rows. ``parameters`` have the form of the database."""
        with connection.cursor() as cursor:
            cursor.execute(self.text, parameters)
            return list(cursor.fetchall())

    def bind(self, parameters: Mapping[str, Any]) -> BoundStatement:
        return BoundStatement(self, parameters)


@dataclass(frozen=True, slots=True)
class BoundStatement:
    """A statement with the values of its parameters, for one run."""

    statement: Statement
    parameters: Mapping[str, Any]

    def rows(self, connection: BaseDatabaseWrapper) -> Rows:
        """Run the statement and return its rows."""
        return self.statement.rows(connection, self.parameters)


def is_djangos_own(connection: BaseDatabaseWrapper) -> bool:
    """Say whether ``connection`` is of one of Django's own backends.

    Another backend may switch to the schema of a tenant. Example: django-tenants does when it opens a cursor.
    """
    return type(connection).__module__.startswith("django.")
