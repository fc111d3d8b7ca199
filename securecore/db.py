"""The few database moves that everything else is made of.

*Claim*: an insert whose row count says who won. *Wait*: bounded, and an honest "busy" when it was too long. *Delete*:
in batches that hold no lock for long. There is no read-then-write anywhere above this file.

Note [Transactions]
    A claim that must survive a failing request (nonce) is committed by itself, before the view. A claim that must
    vanish with a failing effect (idempotency) and every gate belong to the outermost transaction, never to a
    savepoint: a lock taken in a savepoint is lost when the savepoint rolls back, while the transaction goes on.
"""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from django.db import DatabaseError, InterfaceError, OperationalError, connections, models, transaction
from django.db.backends.base.base import BaseDatabaseWrapper

from securecore.conf import settings
from securecore.errors import Misuse, Refused

#: PostgreSQL: lock_not_available, deadlock_detected, query_canceled by statement_timeout.
_WAIT_STATES = {"55P03", "40P01", "57014"}


def connection() -> BaseDatabaseWrapper:
    """Return the connection of the database that holds securecore's tables."""
    return connections[settings.DATABASE]


def _open_blocks() -> list[transaction.Atomic]:
    """The atomic blocks around the caller, without those that Django's TestCase wraps around a test."""
    blocks: list[transaction.Atomic] = connection().atomic_blocks
    return [block for block in blocks if not block._from_testcase]  # type: ignore[attr-defined]


def require_no_transaction(what: str) -> None:
    """Raise ``Misuse`` inside a transaction: its rollback would undo ``what``, which must stay done."""
    if _open_blocks():
        raise Misuse(
            f"{what} must commit by itself, but a transaction is open: a later rollback would undo it. Call it "
            f"outside atomic(); under ATOMIC_REQUESTS put the decorator on the view function or on dispatch(), or mark "
            f"the view with @transaction.non_atomic_requests."
        )


@contextmanager
def outermost_transaction(what: str) -> Iterator[None]:
    """Open a transaction, or join the one that is open. Raises ``Misuse`` inside a savepoint (Note [Transactions])."""
    blocks = _open_blocks()
    if any(block.savepoint for block in blocks[1:]):
        raise Misuse(
            f"{what} takes a lock that must live until the outermost transaction ends, but it was called inside a "
            f"nested atomic(): if that savepoint rolled back, the lock would be gone and the rest would still commit. "
            f"Call it in the outermost atomic(), or outside of any. Decorators go @fresh, @requires, @idempotent."
        )
    if blocks:
        yield
        return
    with transaction.atomic(using=settings.DATABASE):
        yield


@contextmanager
def committed_transaction(what: str) -> Iterator[None]:
    """Open a transaction that is committed when the block has ended. Raises ``Misuse`` inside another one."""
    require_no_transaction(what)
    with transaction.atomic(using=settings.DATABASE):
        yield


@contextmanager
def bounded_wait(timed_out: type[Refused]) -> Iterator[None]:
    """Wait at most ``LOCK_TIMEOUT`` seconds for locks in this block, then raise ``timed_out``.

    Needs a transaction, which is broken after the refusal. SQLite waits as long as the connection's ``timeout`` says.
    """
    database = connection()
    try:
        if database.vendor == "postgresql":
            with database.cursor() as cursor:
                milliseconds = max(1, int(settings.LOCK_TIMEOUT * 1000))  # 0 would be for ever
                cursor.execute("SELECT set_config('lock_timeout', %s, true)", [f"{milliseconds}ms"])
        yield
    except OperationalError as error:
        if not is_lock_timeout(error):
            raise
        raise timed_out from error


def is_lock_timeout(error: OperationalError | InterfaceError) -> bool:
    """Say whether ``error`` means "waited too long for another transaction"."""
    state = getattr(error.__cause__, "sqlstate", None)
    return state in _WAIT_STATES or "database is locked" in str(error)


#: PostgreSQL: a migration has changed a column's type, or somebody has deallocated what we had prepared.
_PLAN_IS_GONE = {"0A000", "26000"}


class Statement:
    """A SELECT that is made once and run for every request. ``text`` names its parameters ``%(name)s``."""

    def __init__(self, text: str) -> None:
        self.text = text
        self._names = list(dict.fromkeys(re.findall(r"%\((\w+)\)s", text)))
        numbers = {name: f"${number}" for number, name in enumerate(self._names, 1)}
        # As PostgreSQL itself wants it, so that nothing has to be translated for each request.
        self._numbered = re.sub(r"%\((\w+)\)s", lambda found: numbers[found[1]], text).replace("%%", "%").encode()

    def rows(self, database: BaseDatabaseWrapper, parameters: dict[str, Any]) -> list[tuple[Any, ...]]:
        """Run it and return its rows. ``parameters`` are spelled as the database wants them (``get_db_prep_value``).

        Prepared where the connection may be (``prepare_threshold`` in OPTIONS): on PostgreSQL a third of the time that
        Django's cursor takes, of which most is planning. Through Django's cursor everywhere else, behind a pooler say,
        and when somebody watches the statements.
        """
        if _may_prepare(database):
            try:
                with database.wrap_database_errors:
                    cursor = _prepared_cursor(database)
                    cursor.execute(self._numbered, [parameters[name] for name in self._names], prepare=True)
                    return list(cursor.fetchall())
            except DatabaseError as error:
                if getattr(error.__cause__, "sqlstate", None) not in _PLAN_IS_GONE or database.in_atomic_block:
                    raise
        with database.cursor() as cursor:
            cursor.execute(self.text, parameters)
            return list(cursor.fetchall())


def _may_prepare(database: Any) -> bool:
    if database.vendor != "postgresql" or database.queries_logged or database.execute_wrappers:
        return False
    # What Django's cursor() does first.
    database.close_if_health_check_failed()
    database.ensure_connection()
    # A psycopg 2 connection has no such attribute.
    return getattr(database.connection, "prepare_threshold", None) is not None


def _prepared_cursor(database: Any) -> Any:
    from psycopg import RawCursor

    database.validate_no_broken_transaction()
    cursor = getattr(database, "securecore_cursor", None)
    if cursor is None or cursor.connection is not database.connection:
        # One for as long as the connection lives: to make a cursor takes a sixth of the whole time.
        cursor = database.securecore_cursor = RawCursor(database.connection)
    return cursor


def claim(model: type[models.Model], *, now: dt.datetime, **values: Any) -> bool:
    """Insert a row with ``values`` and say whether this call made it; the unique index is the referee.

    ``values`` must hold the primary key and ``expires_at``. A row that has expired is taken over, purged or not, so
    purging never decides anything. A concurrent claim of the same key waits for the other's transaction, then loses if
    that committed and wins if it rolled back.
    """
    database = connection()
    quote = database.ops.quote_name
    meta: Any = model._meta
    fields = [meta.get_field(name) for name in values]
    columns = [quote(field.column) for field in fields]
    parameters = [field.get_db_prep_save(value, database) for field, value in zip(fields, values.values(), strict=True)]
    table = quote(meta.db_table)
    expires_at = meta.get_field("expires_at")
    sql = (
        f"INSERT INTO {table} ({', '.join(columns)}) VALUES ({', '.join(['%s'] * len(columns))}) "  # noqa: S608
        f"ON CONFLICT ({quote(meta.pk.column)}) DO UPDATE SET {', '.join(f'{c} = excluded.{c}' for c in columns)} "
        f"WHERE {table}.{quote(expires_at.column)} <= %s"
    )
    with database.cursor() as cursor:
        cursor.execute(sql, [*parameters, expires_at.get_db_prep_value(now, database)])
        return bool(cursor.rowcount == 1)


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
