"""Two operations on rows, one statement each: update, and delete in batches. ``claims`` has the third, the claim.

*Update*: its row count shows whether the row exists. *Delete*: in batches that hold no lock for long. No code above
this package reads a row to decide a write.
"""

from __future__ import annotations

import datetime as dt
from functools import lru_cache
from typing import Any

from django.db import NotSupportedError, connections, models, transaction
from django.db.backends.base.base import BaseDatabaseWrapper

from securecore.conf import settings
from securecore.database.connections import connection


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

    Citus refuses such a statement for a table that it spreads, since a ``ctid`` is an address on one server. Then the
    rows are selected by their key.
    """
    database = connection()
    quote = database.ops.quote_name
    meta: Any = model._meta
    table, column, key = quote(meta.db_table), quote(meta.get_field(instant).column), quote(meta.pk.column)
    expired = f"FROM {table} WHERE {column} <= %s ORDER BY {column} LIMIT %s"
    by_key = f"DELETE FROM {table} WHERE {key} IN (SELECT {key} {expired})"  # noqa: S608
    by_address = f"DELETE FROM {table} WHERE ctid = ANY(ARRAY(SELECT ctid {expired} FOR UPDATE SKIP LOCKED))"  # noqa: S608
    parameters = [meta.get_field(instant).get_db_prep_value(until, database), limit]
    if database.vendor != "postgresql":
        return _deleted(database, by_key, parameters)
    try:
        return _deleted(database, by_address, parameters)
    except NotSupportedError:
        return _deleted(database, by_key, parameters)


def _deleted(database: BaseDatabaseWrapper, statement: str, parameters: list[Any]) -> int:
    with transaction.atomic(using=settings.DATABASE), database.cursor() as cursor:
        cursor.execute(statement, parameters)
        return int(cursor.rowcount)
