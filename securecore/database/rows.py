"""The few moves on rows that everything else is made of, one statement each.

*Claim*: an insert whose row count says who won. *Update*: believed by its row count too. *Delete*: in batches that hold
no lock for long. There is no read-then-write anywhere above this file.
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
    """Insert a row with ``values`` and say whether this call made it; the unique index is the referee.

    ``values`` must hold the primary key and ``expires_at``. A row that has expired is taken over, purged or not, so
    purging never decides anything. A concurrent claim of the same key waits for the other's transaction, then loses if
    that committed and wins if it rolled back; ``wait`` limits this and each later wait for a lock in the transaction,
    in seconds and without a statement of its own.
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
    # A row that is taken over is as new: what is not among the values gets the column's default.
    renewed = ", ".join(f"{column} = excluded.{column}" for column in (quote(f.column) for f in meta.concrete_fields))
    # Without a WHERE, SQLite would take ON CONFLICT for the ON of a join.
    condition = "set_config('lock_timeout', %s, true) IS NOT NULL" if bounded else "true"
    return (
        f"INSERT INTO {table} ({columns}) SELECT {', '.join(['%s'] * len(names))} WHERE {condition} "
        f"ON CONFLICT ({quote(meta.pk.column)}) DO UPDATE SET {renewed} WHERE {table}.{expires_at} <= %s"
    )


def update(model: type[models.Model], *, pk: Any, **values: Any) -> bool:
    """Set ``values`` in the row ``pk`` and say whether there is one: ``filter(pk=pk).update(...)`` at a third of its
    price, for what every request does.
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
    """Delete up to ``limit`` rows whose column ``instant`` is at or before ``until``; return how many went.

    A transaction of its own. On PostgreSQL the rows are found by ``ctid`` and skipped when locked: six times faster
    than ``pk IN (subquery)``, and two purges at once share the work instead of waiting for each other. No signals, no
    cascade.
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
