"""The three operations on rows, one statement each: claim, update, delete in batches.

*Claim*: an insert; its row count decides which of several callers has the row. *Update*: its row count shows whether
the row exists. *Delete*: in batches that hold no lock for long. No code above this module reads a row to decide a
write.
"""

from __future__ import annotations

import datetime as dt
from functools import lru_cache
from typing import Any

from django.db import connections, models, transaction

from securecore.conf import settings
from securecore.database.connections import connection
from securecore.database.locks import lock_timeout


def claim(model: type[models.Model], *, now: dt.datetime, wait: float | None = None, **values: Any) -> bool:
    """Insert a row with ``values`` and say whether this call inserted it. The unique index decides between two calls.

    ``values`` must hold the primary key and ``expires_at``. The claim takes over an expired row, so a purge never
    decides anything. If another transaction claims the same key at the same time, this call waits for that transaction:
    it returns False after a commit, and True after a rollback. ``wait`` limits this wait and each later wait for a lock
    in the transaction, in seconds, without a statement of its own.
    """
    database = connection()
    bounded = wait is not None and database.vendor == "postgresql"
    meta: Any = model._meta
    parameters = [meta.get_field(name).get_db_prep_save(value, database) for name, value in values.items()]
    if bounded:
        parameters.append(lock_timeout(wait or 0))
    parameters.append(meta.get_field("expires_at").get_db_prep_value(now, database))
    with database.cursor() as cursor:
        cursor.execute(_claim_sql(model, tuple(values), settings.DATABASE, bounded), parameters)
        return bool(cursor.rowcount == 1)


@lru_cache(maxsize=64)
def _claim_sql(model: type[models.Model], names: tuple[str, ...], alias: str, bounded: bool) -> str:
    quote = connections[alias].ops.quote_name
    meta: Any = model._meta
    table, expires_at = quote(meta.db_table), quote(meta.get_field("expires_at").column)
    columns = ", ".join(quote(meta.get_field(name).column) for name in names)
    # A row that is taken over is as new: each column that is not among the values gets its default.
    renewed = ", ".join(f"{column} = excluded.{column}" for column in (quote(f.column) for f in meta.concrete_fields))
    # The WHERE is for SQLite, which would parse ON CONFLICT as the ON of a join.
    condition = "set_config('lock_timeout', %s, true) IS NOT NULL" if bounded else "true"
    return (
        f"INSERT INTO {table} ({columns}) SELECT {', '.join(['%s'] * len(names))} WHERE {condition} "
        f"ON CONFLICT ({quote(meta.pk.column)}) DO UPDATE SET {renewed} WHERE {table}.{expires_at} <= %s"
    )


def update(model: type[models.Model], *, pk: Any, **values: Any) -> bool:
    """Set ``values`` in the row ``pk`` and say whether the row exists.

    For updates in every request: this takes a third of the time of ``filter(pk=pk).update(...)``.
    """
    database = connection()
    meta: Any = model._meta
    parameters = [meta.get_field(name).get_db_prep_save(value, database) for name, value in values.items()]
    parameters.append(meta.pk.get_db_prep_value(pk, database))
    with database.cursor() as cursor:
        cursor.execute(_update_sql(model, tuple(values), settings.DATABASE), parameters)
        return bool(cursor.rowcount == 1)


@lru_cache(maxsize=64)
def _update_sql(model: type[models.Model], names: tuple[str, ...], alias: str) -> str:
    quote = connections[alias].ops.quote_name
    meta: Any = model._meta
    assigned = ", ".join(f"{quote(meta.get_field(name).column)} = %s" for name in names)
    return f"UPDATE {quote(meta.db_table)} SET {assigned} WHERE {quote(meta.pk.column)} = %s"  # noqa: S608


def delete_batch(model: type[models.Model], instant: str, *, until: dt.datetime, limit: int) -> int:
    """Delete up to ``limit`` rows with the column ``instant`` at or before ``until``; return their number.

    Runs a transaction of its own. On PostgreSQL the statement selects the rows by ``ctid`` and skips locked rows. That
    is six times faster than ``pk IN (subquery)``, and two concurrent purges share the work instead of waiting for each
    other. Django sends no signals and cascades nothing.
    """
    database = connection()
    quote = database.ops.quote_name
    meta: Any = model._meta
    table, column = quote(meta.db_table), quote(meta.get_field(instant).column)
    expired = f"FROM {table} WHERE {column} <= %s ORDER BY {column} LIMIT %s"
    if database.vendor == "postgresql":
        chosen = f"ctid = ANY(ARRAY(SELECT ctid {expired} FOR UPDATE SKIP LOCKED))"
    else:
        key = quote(meta.pk.column)
        chosen = f"{key} IN (SELECT {key} {expired})"
    parameters = [meta.get_field(instant).get_db_prep_value(until, database), limit]
    with transaction.atomic(using=settings.DATABASE), database.cursor() as cursor:
        cursor.execute(f"DELETE FROM {table} WHERE {chosen}", parameters)  # noqa: S608
        return int(cursor.rowcount)
