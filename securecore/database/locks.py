"""Waits for locks, and their limit: after ``LOCK_TIMEOUT`` the waiting request is refused."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from django.db import OperationalError

from securecore.conf import settings
from securecore.database.connections import connection
from securecore.errors import Refused

#: PostgreSQL: lock_not_available, deadlock_detected, query_canceled by statement_timeout.
_WAIT_STATES = {"55P03", "40P01", "57014"}
#: The class of the advisory locks of ``take_advisory_lock``. The gates of principals use two other classes.
_NUMBERED = 1_589_641_219
#: The number of the lock for triggers and functions, which ``migrate`` creates.
MIGRATE = 2


def take_advisory_lock(number: int) -> None:
    """Take the exclusive advisory lock ``number`` until the transaction ends; wait while another transaction holds it.

    The next statement reads the rows that the previous holder committed. A statement that took the lock itself would
    still see the rows from before the wait. Needs a transaction. PostgreSQL waits at most for the time of
    ``limit_waits``. On SQLite writing transactions run one at a time, so this does nothing (securecore.E601).
    """
    database = connection()
    if database.vendor == "postgresql":
        with database.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_xact_lock(%s, %s)", [_NUMBERED, number])


@contextmanager
def bounded_wait(timed_out: type[Refused]) -> Iterator[None]:
    """Wait at most ``LOCK_TIMEOUT`` seconds for locks in this block, then raise ``timed_out``.

    Needs a transaction, which can only roll back after the refusal. SQLite waits for the connection's ``timeout``.
    """
    with refused_when_locked(timed_out):
        limit_waits(settings.LOCK_TIMEOUT)
        yield


def limit_waits(seconds: float) -> None:
    """Let PostgreSQL wait at most ``seconds`` for each lock until the transaction ends."""
    database = connection()
    if database.vendor == "postgresql":
        with database.cursor() as cursor:
            cursor.execute("SELECT set_config('lock_timeout', %s, true)", [lock_timeout(seconds)])


def lock_timeout(seconds: float) -> str:
    """Return ``seconds`` in the form of PostgreSQL's ``lock_timeout``, for example ``"2000ms"``."""
    return f"{max(1, int(seconds * 1000))}ms"  # 0 would mean no limit


@contextmanager
def refused_when_locked(timed_out: type[Refused]) -> Iterator[None]:
    """Raise ``timed_out`` if a statement of this block fails after too long a wait for a lock."""
    try:
        yield
    except OperationalError as error:
        if not is_lock_timeout(error):
            raise
        raise timed_out from error


def is_deadlock(error: BaseException | None) -> bool:
    """Say whether PostgreSQL raised ``error`` to end a deadlock."""
    return getattr(getattr(error, "__cause__", None), "sqlstate", None) == "40P01"


def is_lock_timeout(error: Exception) -> bool:
    """Say whether ``error`` ended a wait for a lock: by a timeout, or by PostgreSQL to end a deadlock."""
    state = getattr(error.__cause__, "sqlstate", None)
    return state in _WAIT_STATES or "database is locked" in str(error)
