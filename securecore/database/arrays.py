"""A parameter that is an array of texts: an array on PostgreSQL, a JSON array on SQLite."""

from __future__ import annotations

import json
from collections.abc import Sequence

from django.db.backends.base.base import BaseDatabaseWrapper


def array_parameter(values: Sequence[str], database: BaseDatabaseWrapper) -> list[str] | str:
    """Return ``values`` in the form of ``database``."""
    return list(values) if database.vendor == "postgresql" else json.dumps(list(values))


def in_array_sql(expression: str, name: str, database: BaseDatabaseWrapper) -> str:
    """Return the condition that ``expression`` is one of the texts in the parameter ``name``."""
    if database.vendor == "postgresql":
        return f"{expression} = ANY(CAST(%({name})s AS text[]))"
    return f"{expression} IN (SELECT value FROM json_each(%({name})s))"  # noqa: S608


def elements_sql(name: str, database: BaseDatabaseWrapper, column: str) -> str:
    """Return a column and a FROM clause that have the texts in the parameter ``name`` as rows."""
    if database.vendor == "postgresql":
        return f"{column} FROM unnest(CAST(%({name})s AS text[])) {column}"
    return f"value AS {column} FROM json_each(%({name})s)"


def array_literal(values: Sequence[str | None]) -> str:
    """Return ``values`` in the text form of a PostgreSQL array, for example ``{"a","it\\"s",NULL}``."""
    return f"{{{','.join('NULL' if value is None else _element(value) for value in values)}}}"


def _element(value: str) -> str:
    escaped = value.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'
