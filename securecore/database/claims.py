"""``ClaimStatement``: an INSERT that decides which of several callers has a row."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from django.db import connections, models
from django.db.backends.base.base import BaseDatabaseWrapper

from securecore import meters
from securecore.conf import settings
from securecore.database.connections import connection
from securecore.database.functions import Function
from securecore.database.locks import lock_timeout

_LIMIT_WAITS = "SELECT set_config('lock_timeout', %(sc_lock_timeout)s, true)"


@dataclass(frozen=True)
class ClaimStatement:
    """A claim of rows of ``model``. ``columns`` are the fields that each call gives: the primary key and others.

    The unique index decides between two calls. A claim takes over an expired row, so a
    purge never decides anything. If another transaction claims the same key at the same time, the claim waits for that
    transaction: it fails after a commit, and succeeds after a rollback. If the claim ``is_bounded``, each call limits
    this wait.
    """

    model: type[models.Model]
    columns: tuple[str, ...]
    is_bounded: bool = False

    def take(self, *, now: dt.datetime, wait: float | None = None, **values: Any) -> bool:
        """Insert the row of ``values`` and say whether this call inserted it. ``values`` must hold ``expires_at``.

        ``wait`` limits the wait for the row, and each later wait for a lock in the transaction, in seconds.
        """
        database = connection()
        meta: Any = self.model._meta
        given = {name: _adapted(meta.get_field(name), values[name], database) for name in self.columns}
        given["now"] = meta.get_field("expires_at").get_db_prep_value(now, database)
        if wait is not None:
            given["sc_lock_timeout"] = lock_timeout(wait)
        is_won = self._insert(database, given)
        if not is_won:
            meters.CLAIMS_LOST.add(str(meta.model_name))
        return is_won

    def _insert(self, database: BaseDatabaseWrapper, given: dict[str, Any]) -> bool:
        if database.vendor == "postgresql":
            return bool(self.function.rows(database, given))
        with database.cursor() as cursor:  # SQLite has RETURNING since 3.35, and RHEL 9 has 3.34
            cursor.execute(self.function.query, given)
            return bool(cursor.rowcount == 1)

    @property
    def function(self) -> Function:
        """Return the statement, for which PostgreSQL keeps a plan."""
        return _function(self.model, self.columns, self.is_bounded, settings.DATABASE)


@lru_cache(maxsize=64)
def _function(model: type[models.Model], names: Sequence[str], is_bounded: bool, alias: str) -> Function:
    database = connections[alias]
    quote = database.ops.quote_name
    meta: Any = model._meta
    table, expires_at = quote(meta.db_table), quote(meta.get_field("expires_at").column)
    columns = ", ".join(quote(meta.get_field(name).column) for name in names)
    # A row that is taken over is as new: each column that is not among the values gets its default.
    # No primary key is updated: a distributed database spreads the rows by it.
    others = [quote(field.column) for field in meta.concrete_fields if not field.primary_key]
    renewed = ", ".join(f"{column} = excluded.{column}" for column in others)
    # VALUES, and not SELECT: a distributed PostgreSQL reported one row for each copy of an INSERT ... SELECT.
    text = (
        f"INSERT INTO {table} ({columns}) VALUES ({', '.join(f'%({name})s' for name in names)}) "  # noqa: S608
        f"ON CONFLICT ({quote(meta.pk.column)}) DO UPDATE SET {renewed} WHERE {table}.{expires_at} <= %(now)s"
    )
    is_postgresql = database.vendor == "postgresql"
    types = {name: str(meta.get_field(name).rel_db_type(database)) for name in names}
    returning = " RETURNING 1" if is_postgresql else ""
    first = (_LIMIT_WAITS,) if is_bounded and is_postgresql else ()
    return Function.of(f"claim_{meta.model_name}", text + returning, types | {"now": types["expires_at"]}, first)


def _adapted(field: Any, value: Any, database: Any) -> Any:
    # Each driver adapts bytes by itself. Django would wrap them in an object of the driver.
    return value if isinstance(value, bytes) else field.get_db_prep_save(value, database)
