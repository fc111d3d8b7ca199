"""Two operations on rows, one statement each: update, and delete in batches. ``claims`` has the third, the claim.

*Update*: its row count shows whether the row exists. *Delete*: in batches that hold no lock for long. Each
operation decides by its row count, not by a SELECT before it.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from functools import lru_cache
from typing import Any

from django.db import NotSupportedError, connections, models, transaction
from django.db.backends.base.base import BaseDatabaseWrapper

from securecore.conf import settings
from securecore.database.connections import connection

#: Microseconds since 1970; null for an instant before 1970, and for '-infinity'.
_MICROSECONDS = "CASE WHEN max({0}) > 'epoch' THEN CAST(extract(epoch FROM max({0})) * 1000000 AS bigint) END"
_INSTANT = "timestamptz 'epoch' + %s * interval '1 microsecond'"


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


def delete_in_batches(model: type[models.Model], instant: str, *, until: dt.datetime, limit: int) -> Iterator[int]:
    """Delete the rows with the column ``instant`` at or before ``until``; yield the number of rows of each batch.

    A batch is a transaction of its own and has at most ``limit`` rows. A batch of fewer rows is the last one. Rows that
    are inserted meanwhile are left to the next run, and on PostgreSQL also locked rows. Django sends no signals and
    cascades nothing.

    On PostgreSQL the statement selects the rows by ``ctid`` and skips locked rows. That is six times faster than ``pk
    IN (subquery)``, and two concurrent purges share the work instead of waiting for each other. A deleted row stays in
    the index until a VACUUM. So a batch begins at the instant at which the batch before it ended. With batches that
    begin at the first row, 10,000,000 rows took 22 times as long as one DELETE.

    Citus refuses such a statement for a table that it spreads, since a ``ctid`` is an address on one server. Then the
    rows are selected by their key.
    """
    database = connection()
    since: int | None = None
    deleted = limit
    while deleted >= limit:
        deleted, since = _delete_batch(database, model, instant, since, until, limit)
        yield deleted


def _delete_batch(
    database: BaseDatabaseWrapper,
    model: type[models.Model],
    instant: str,
    since: int | None,
    until: dt.datetime,
    limit: int,
) -> tuple[int, int | None]:
    """Delete up to ``limit`` rows; return their number, and the latest instant among them where that is known.

    ``since`` and the latest instant are microseconds since 1970. Django would read an instant by the time zone of the
    settings, and the connection may have another one: the next batch would begin hours later and leave rows.
    """
    quote = database.ops.quote_name
    meta: Any = model._meta
    table, column, key = quote(meta.db_table), quote(meta.get_field(instant).column), quote(meta.pk.column)
    expired = f"FROM {table} WHERE {column} <= %s"
    parameters = [meta.get_field(instant).get_db_prep_value(until, database)]
    by_key = f"DELETE FROM {table} WHERE {key} IN (SELECT {key} {expired} ORDER BY {column} LIMIT %s)"  # noqa: S608
    if database.vendor != "postgresql":
        return _deleted(database, by_key, [*parameters, limit]), None
    lower_bound, more = ("", []) if since is None else (f" AND {column} >= {_INSTANT}", [since])
    chosen = f"SELECT ctid {expired}{lower_bound} ORDER BY {column} LIMIT %s FOR UPDATE SKIP LOCKED"
    by_address = f"DELETE FROM {table} WHERE ctid = ANY(ARRAY({chosen}))"  # noqa: S608
    try:
        return delete_returning_last(by_address, column, _MICROSECONDS.format(column), [*parameters, *more, limit])
    except NotSupportedError:
        return _deleted(database, by_key, [*parameters, limit]), None


def _deleted(database: BaseDatabaseWrapper, statement: str, parameters: list[Any]) -> int:
    with transaction.atomic(using=settings.DATABASE), database.cursor() as cursor:
        cursor.execute(statement, parameters)
        return int(cursor.rowcount)


def delete_returning_last(statement: str, column: str, aggregate: str, parameters: list[Any]) -> tuple[int, Any]:
    """Run a DELETE in a transaction of its own. Return the number of rows, and the value of ``aggregate``.

    ``aggregate`` is SQL over the ``column`` of the deleted rows. For PostgreSQL, where the next batch of a purge begins
    at that value. Example: ``max(principal)``.
    """
    counted = f"WITH deleted AS ({statement} RETURNING {column}) SELECT count(*), {aggregate} FROM deleted"  # noqa: S608
    with transaction.atomic(using=settings.DATABASE), connection().cursor() as cursor:
        cursor.execute(counted, parameters)
        count, value = cursor.fetchone()
        return int(count), value
