"""Transactions that commit where their caller expects it, or raise.

Note [Transactions]
    A claim that must survive a failing request (nonce) is committed by itself, before the view. A claim that must
    vanish with a failing effect (idempotency) and every gate belong to the outermost transaction, never to a
    savepoint: a lock taken in a savepoint is lost when the savepoint rolls back, while the transaction goes on.
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

#: libpq: ``BEGIN`` was not sent yet; and a statement of the transaction has failed.
_IDLE, _FAILED = 0, 3
#: PostgreSQL: active_sql_transaction.
_IN_SAVEPOINT = "25001"
#: Seconds in which the other one of a deadlock wakes up and takes the row we let go: it is anybody's who comes first.
_AFTER_DEADLOCK = 0.05


def _open_blocks(database: BaseDatabaseWrapper) -> list[transaction.Atomic]:
    """The atomic blocks around the caller, without those that Django's TestCase wraps around a test."""
    blocks: list[transaction.Atomic] = database.atomic_blocks
    return [block for block in blocks if not block._from_testcase]  # type: ignore[attr-defined]


def require_no_transaction(what: str) -> None:
    """Raise ``Misuse`` inside a transaction: its rollback would undo ``what``, which must stay done."""
    if _open_blocks(connection()):
        raise Misuse(
            f"{what} must commit by itself, but a transaction is open: a later rollback would undo it. Call it "
            f"outside atomic(); under ATOMIC_REQUESTS put the decorator on the view function or on dispatch(), or mark "
            f"the view with @transaction.non_atomic_requests."
        )


@contextmanager
def outermost_transaction(what: str) -> Iterator[bool]:
    """Open a transaction, or join the one that is open, and say whether it was opened here. Raises ``Misuse`` inside a
    savepoint (Note [Transactions]).
    """
    database = connection()
    if _blocks_without_savepoint(what, database):
        yield False
        return
    if not database.get_autocommit() and not database.in_atomic_block:
        raise Misuse(
            f"{what} must commit its effect, but autocommit was turned off, so that leaving atomic() commits nothing. "
            f"Remove 'AUTOCOMMIT': False from DATABASES and set_autocommit(False) from the code."
        )
    with transaction.atomic(using=settings.DATABASE):
        yield True
        if not database.needs_rollback:  # a view may have asked for it
            _require_not_failed(what, database)


@contextmanager
def outermost_transaction_from(what: str, first: Callable[[], Result]) -> Iterator[Result]:
    """Like ``outermost_transaction``, and ``first()`` is run in it, whose result the block gets.

    When PostgreSQL ended ``first()`` to solve a deadlock and the transaction is ours, it is begun once more.
    """
    with ExitStack() as stack:
        try:
            result = _begun(stack, what, first)
        except Refused as refusal:
            if _open_blocks(connection()) or not is_deadlock(refusal.__cause__):
                raise
            time.sleep(_AFTER_DEADLOCK)
            result = _begun(stack, what, first)
        yield result


def _begun(stack: ExitStack, what: str, first: Callable[[], Result]) -> Result:
    with ExitStack() as attempt:
        attempt.enter_context(outermost_transaction(what))
        result = first()
        stack.enter_context(attempt.pop_all())
    return result


def require_outermost_transaction(what: str) -> None:
    """Raise ``Misuse`` in autocommit mode and inside a savepoint (Note [Transactions])."""
    database = connection()
    _blocks_without_savepoint(what, database)
    if not database.in_atomic_block:
        raise Misuse(
            f"{what} takes a lock that must live until the effect has committed, but no transaction is open: it would "
            f"be released at once. Use it inside transaction.atomic(), or use authorize(), which opens one."
        )
    _require_no_savepoint_by_hand(what, database)


def _require_no_savepoint_by_hand(what: str, database: BaseDatabaseWrapper) -> None:
    """Raise ``Misuse`` inside a savepoint of ``transaction.savepoint()``, which Django does not keep a list of.

    PostgreSQL refuses to export a snapshot from a savepoint, and that is the one way to ask it. It is asked (0.1 to 0.2
    ms) only where Django has ever made a savepoint on this connection and the transaction has begun. SQLite locks
    the whole database, and keeps that lock when a savepoint rolls back.
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
            f"{what} takes a lock that must live until the outermost transaction ends, but a savepoint that was made "
            f"by transaction.savepoint() is open: savepoint_rollback() would drop the lock, and the rest would still "
            f"commit. Call {what} before the savepoint, or after savepoint_commit()."
        ) from error


def _blocks_without_savepoint(what: str, database: BaseDatabaseWrapper) -> list[transaction.Atomic]:
    blocks = _open_blocks(database)
    if any(block.savepoint for block in blocks[1:]):
        raise Misuse(
            f"{what} takes a lock that must live until the outermost transaction ends, but it was called inside a "
            f"nested atomic(): if that savepoint rolled back, the lock would be gone and the rest would still commit. "
            f"Call it in the outermost atomic(), or outside of any. Decorators go @fresh, @requires, @idempotent."
        )
    return blocks


def may_hold_locks() -> bool:
    """Whether the transaction has asked for anything yet. Always true where that cannot be known."""
    database = connection()
    return database.vendor != "postgresql" or database.connection.info.transaction_status != _IDLE


@contextmanager
def committed_transaction(what: str) -> Iterator[None]:
    """Open a transaction that is committed when the block has ended. Raises ``Misuse`` inside another one, and
    ``TransactionManagementError`` if nothing would be committed.
    """
    require_no_transaction(what)
    with transaction.atomic(using=settings.DATABASE):
        yield
        database = connection()
        if database.needs_rollback:
            raise transaction.TransactionManagementError(_NOT_COMMITTED.format(what=what))
        _require_not_failed(what, database)


_NOT_COMMITTED = (
    "{what} was rolled back: a statement of its transaction failed, and some code caught that error without an "
    "atomic() block around the statement. Look at the receivers of signals, or wrap the statement in atomic()."
)


def _require_not_failed(what: str, database: BaseDatabaseWrapper) -> None:
    """Raise if a statement failed and its error was swallowed: PostgreSQL would answer COMMIT by ROLLBACK, and neither
    psycopg nor Django calls that an error.
    """
    if database.vendor == "postgresql" and database.connection.info.transaction_status == _FAILED:
        raise transaction.TransactionManagementError(_NOT_COMMITTED.format(what=what))
