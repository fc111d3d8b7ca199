"""The columns of a user's row, as the one query returns them."""

from __future__ import annotations

from typing import Any

from django.db import connection

from securecore.caller.user_table import UserTable
from securecore.database.statements import Statement


def selected(table: UserTable, key: Any) -> Any:
    """Return the user with this key, built from its columns; None if there is no such row."""
    condition, parameters = table.condition()
    statement = Statement(f"SELECT {table.columns} FROM {table.source} WHERE {table.key} = %(key)s{condition}")
    rows = statement.rows(connection, parameters | {"key": table.key_of(str(key))})
    assert connection.alias == table.alias
    return table.user(rows[0]) if rows else None
