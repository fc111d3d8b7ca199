"""Transactions that commit at the end of their block, or raise.

Note [Transactions]
    A claim that must survive a failing request (nonce) is committed by itself, before the view. A claim that must
    vanish with a failing effect (idempotency) belongs to the outermost transaction, and so does every gate. Neither may
    be taken in a savepoint: when the savepoint rolls back, the lock is lost while the transaction goes on.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import TypeVar

from django.db import DatabaseError, transaction
from django.db.backends.base.base import BaseDatabaseWrapper

from securecore.conf import settings
from securecore.database.connections import connection
from securecore.database.locks import is_deadlock
from securecore.errors import Misuse, Refused

Result = TypeVar("Result")

#: Transaction states of libpq: ``BEGIN`` was not sent yet, and a statement of the transaction has failed.
_IDLE, _FAILED = 0, 3
#: PostgreSQL: active_sql_transaction.
_IN_SAVEPOINT = "25001"
#: Seconds of pause after a deadlock, so that the other transaction of the deadlock takes the released row first.
_AFTER_DEADLOCK = 0.05


def _open_blocks(database: BaseDatabaseWrapper) -> list[transaction.Atomic]:
    """Return the open atomic blocks, without those that Django's TestCase wraps around a test."""
    blocks: list[transaction.Atomic] = database.atomic_blocks
    return [block for block in blocks if not block._from_testcase]  # type: ignore[attr-defined]


def require_no_transaction(operation: str) -> None:
    """Raise ``Misuse`` inside a transaction: a rollback of that transaction would undo ``operation``."""
    if _open_blocks(connection()):
        raise Misuse(
            f"{operation} must commit by itself, but a transaction is open: a later rollback would undo it. Call it "
            f"outside atomic(); under ATOMIC_REQUESTS put the decorator on the view function or on dispatch(), or mark "
            f"the view with @transaction.non_atomic_requests."
        )


@contextmanager
def outermost_transaction(operation: str) -> Iterator[bool]:
    """Open a transaction or join the open one; the block gets True if this call opened the transaction.

    Raises ``Misuse`` inside a savepoint (Note [Transactions]).
    """
    database = connection()
    if _blocks_without_savepoint(operation, database):
        yield False
        return
    if not database.get_autocommit() and not database.in_atomic_block:
        raise Misuse(
            f"{operation} must commit its effect, but autocommit was turned off, so that leaving atomic() commits "
            f"nothing. Remove 'AUTOCOMMIT': False from DATABASES and set_autocommit(False) from the code."
        )
    with transaction.atomic(using=settings.DATABASE):
        yield True
        if not database.needs_rollback:  # set_rollback(True) by a view is no failure
            _require_not_failed(operation, database)


@contextmanager
def outermost_transaction_from(operation: str, first: Callable[[], Result]) -> Iterator[Result]:
    """Open or join the outermost transaction, call ``first()`` in the transaction, and give its result to the block.

    If this call opened the transaction, a deadlock of ``first()`` is retried (``retry_after_deadlock``).
    """

    def begin() -> Result:
        with ExitStack() as attempt:
            attempt.enter_context(outermost_transaction(operation))
            result = first()
            stack.enter_context(attempt.pop_all())
        return result

    with ExitStack() as stack:
        yield retry_after_deadlock(begin)


def retry_after_deadlock(work: Callable[[], Result]) -> Result:
    """Call ``work``, a whole transaction, and once more if PostgreSQL ended it to solve a deadlock.

    Inside an open transaction there is no second call, since the statements before ``work`` were rolled back too.
    """
    try:
        return work()
    except Refused as refusal:
        if _open_blocks(connection()) or not is_deadlock(refusal.__cause__):
            raise
        time.sleep(_AFTER_DEADLOCK)
        return work()


def require_outermost_transaction(operation: str) -> None:
    """Raise ``Misuse`` in autocommit mode and inside a savepoint (Note [Transactions])."""
    database = connection()
    _blocks_without_savepoint(operation, database)
    if not database.in_atomic_block:
        raise Misuse(
            f"{operation} takes a lock that must live until the effect has committed, but no transaction is open: "
            f"PostgreSQL would release the lock at once. Use it inside transaction.atomic(), or use authorize(), "
            f"which opens a transaction."
        )
    _require_no_savepoint_by_hand(operation, database)


def _require_no_savepoint_by_hand(operation: str, database: BaseDatabaseWrapper) -> None:
    """Raise ``Misuse`` inside a savepoint of ``transaction.savepoint()``. Django keeps no list of these savepoints.

    PostgreSQL refuses to export a snapshot from a savepoint, and offers no other way to detect one. The statement (0.1
    to 0.2 ms) runs only if Django has ever made a savepoint on this connection and the transaction has begun. SQLite
    locks the whole database, and keeps that lock when a savepoint rolls back.
    """
    in_test = len(_open_blocks(database)) != len(database.atomic_blocks)  # TestCase wraps each test in a savepoint
    if database.vendor != "postgresql" or database.savepoint_state == 0 or in_test or not may_hold_locks():
        return
    try:
        with database.cursor() as cursor:
            cursor.execute("SELECT pg_export_snapshot()")
    except DatabaseError as error:
        if getattr(error.__cause__, "sqlstate", None) != _IN_SAVEPOINT:
            raise
        raise Misuse(
            f"{operation} takes a lock that must live until the outermost transaction ends, but a savepoint of "
            f"transaction.savepoint() is open: savepoint_rollback() would drop the lock, and the rest would still "
            f"commit. Call {operation} before the savepoint, or after savepoint_commit()."
        ) from error


def _blocks_without_savepoint(operation: str, database: BaseDatabaseWrapper) -> list[transaction.Atomic]:
    blocks = _open_blocks(database)
    if any(block.savepoint for block in blocks[1:]):
        raise Misuse(
            f"{operation} takes a lock that must live until the outermost transaction ends, but it was called inside a "
            f"nested atomic(): if that savepoint rolled back, the lock would be gone and the rest would still commit. "
            f"Call it in the outermost atomic(), or outside of any. Decorators go @fresh, @requires, @idempotent."
        )
    return blocks


def may_hold_locks() -> bool:
    """Say whether the transaction has run a statement. Always true where that cannot be known."""
    database = connection()
    return database.vendor != "postgresql" or database.connection.info.transaction_status != _IDLE


@contextmanager
def committed_transaction(operation: str) -> Iterator[None]:
    """Open a transaction that commits at the end of the block.

    Raises ``Misuse`` inside another transaction, and ``TransactionManagementError`` if PostgreSQL would roll back.
    """
    require_no_transaction(operation)
    with transaction.atomic(using=settings.DATABASE):
        yield
        require_no_failure(operation)


def require_no_failure(operation: str) -> None:
    """Raise ``TransactionManagementError`` if the open transaction would roll back: a statement of it has failed."""
    database = connection()
    if database.needs_rollback:
        raise transaction.TransactionManagementError(_NOT_COMMITTED.format(operation=operation))
    _require_not_failed(operation, database)


_NOT_COMMITTED = (
    "{operation} was rolled back: a statement of its transaction failed, and some code caught the error without an "
    "atomic() block around the statement. Look at the receivers of signals, or wrap the statement in atomic()."
)


def has_failed(database: BaseDatabaseWrapper) -> bool:
    """Say whether a statement of the open transaction failed. PostgreSQL then rolls the whole transaction back."""
    return database.vendor == "postgresql" and bool(database.connection.info.transaction_status == _FAILED)


def _require_not_failed(operation: str, database: BaseDatabaseWrapper) -> None:
    """Raise if a statement failed and some code swallowed its error.

    PostgreSQL would reply to COMMIT with ROLLBACK, and neither psycopg nor Django raises an error for that reply.
    """
    if has_failed(database):
        raise transaction.TransactionManagementError(_NOT_COMMITTED.format(operation=operation))
