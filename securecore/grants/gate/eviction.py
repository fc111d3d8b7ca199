"""Ends PostgreSQL sessions that hold a gate for too long while a revocation waits for the gate.

Note [A revocation wins]
    A check holds the gate until its transaction ends, and its view may run for a long time: a statement of a
    minute, a call to another service, a wait for a lock that another of the caller's requests holds. A revocation that
    waits longer than half of ``LOCK_TIMEOUT`` therefore ends the sessions that hold the gate and block it
    (``pg_terminate_backend``). The effects of these sessions roll back, and their clients get 503 with Retry-After.
    Under the row gate, checks that came before the revocation enter one after the other, so the revocation looks for
    such sessions again every few milliseconds.

    The revocation also ends a session that holds the gate and waits for a lock elsewhere. Otherwise a caller could
    delay a revocation by several slow requests, each of which waits for the one before. Example: twins of one
    idempotency key. The revocation does not end a session that only waits at a gate, since ``LOCK_TIMEOUT`` bounds that
    wait. Nor does it end a session that closes a gate, so one revocation never ends another. The statement finds a
    session by its locks: a lock number of the gates, or a row lock on ``securecore_gate``. The pids are PostgreSQL's
    own, so the statement also works behind a pooler.

    A change of a group or role writes the rows of its members after it has closed its own gate. Under the row gate it
    then waits for the checks of these members. So ``ending_holders`` encloses the whole revocation, and not the closing
    of the gate alone.

    The revoking connection waits, so the statement runs on a connection of its own, which a thread opens after half of
    ``LOCK_TIMEOUT``. If that connection cannot be opened, or its role may not end the other session, the revocation
    raises ``Busy`` after ``LOCK_TIMEOUT``.
"""

from __future__ import annotations

import threading
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from django.db import DatabaseError
from django.db.backends.base.base import BaseDatabaseWrapper

from securecore import database, events
from securecore.conf import settings
from securecore.grants.gate.lock_numbers import KINDS, NUMBERS

#: Parts of LOCK_TIMEOUT: the wait of a revocation before it ends the sessions that hold its gates, and the pause before
#: it looks for such sessions again. With the default of 2 s the pause is 50 ms, and a look takes some 2 ms.
_PATIENCE, _PAUSE = 0.5, 0.025

#: Finding and ending are one statement, so that no session is ended for a lock that it has released. Without
#: MATERIALIZED PostgreSQL would call pg_terminate_backend() before it looks at the other conditions.
_END_HOLDERS = """
    WITH RECURSIVE gates AS (
        SELECT pid, classid::bigint AS kind, objid::bigint AS number, mode, granted FROM pg_locks
        WHERE locktype = 'advisory' AND objsubid = 2 AND classid::bigint = ANY(%(kinds)s)
        AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
    ), closing AS (
        SELECT pid FROM gates WHERE mode = 'ExclusiveLock'
        AND (CAST(%(names)s AS text[]) IS NULL
             OR number IN (SELECT hashtext(name) & %(mask)s FROM unnest(CAST(%(names)s AS text[])) AS name))
    ), rows AS (
        SELECT pid, locktype, mode FROM pg_locks WHERE relation = CAST('securecore_gate' AS regclass)
        AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
    ), holding AS (
        SELECT pid FROM gates WHERE mode = 'ShareLock' AND granted
        UNION SELECT pid FROM rows WHERE mode = 'RowShareLock'
        EXCEPT SELECT pid FROM gates WHERE NOT granted
        EXCEPT SELECT pid FROM rows WHERE locktype = 'tuple'
        EXCEPT SELECT pid FROM gates WHERE mode = 'ExclusiveLock'
    ), ahead (pid) AS (
        SELECT pid FROM closing
        UNION
        SELECT blocking.pid FROM ahead, unnest(pg_blocking_pids(ahead.pid)) AS blocking (pid)
        WHERE ahead.pid NOT IN (SELECT pid FROM holding)
    ), holders AS MATERIALIZED (
        SELECT pid FROM ahead WHERE pid IN (SELECT pid FROM holding)
    )
    SELECT pid FROM holders WHERE pg_terminate_backend(pid)
"""


class _Watch(threading.Thread):
    """Ends the sessions that hold the gates of ``names``, once the revocation has waited too long."""

    def __init__(self, connection: BaseDatabaseWrapper) -> None:
        super().__init__(daemon=True)
        self.names: set[str] | None = set()
        self.ended: list[int] = []
        self.is_over = threading.Event()
        self._connection = connection

    def add(self, names: Collection[str] | None) -> None:
        """Watch the gates of ``names`` too, or every gate for None."""
        # A new set: the thread may be reading the old one.
        self.names = None if names is None or self.names is None else self.names.union(names)

    def run(self) -> None:
        own: BaseDatabaseWrapper | None = None
        try:
            pause = settings.LOCK_TIMEOUT * _PATIENCE
            while not self.is_over.wait(pause):
                own = own or _connection_like(self._connection)
                self.ended += _end(own, self.names)
                pause = settings.LOCK_TIMEOUT * _PAUSE
        except DatabaseError:
            return  # the revocation waits on, and gives up with Busy
        finally:
            if own is not None:
                own.close()


#: The watch over this thread's revocation.
_watch: ContextVar[_Watch | None] = ContextVar("securecore_watch", default=None)


@contextmanager
def ending_holders() -> Iterator[None]:
    """Run the block, a revocation; if it waits too long, end the sessions that hold the gates that it closes.

    The block names these gates by ``watch``. A block inside another such block belongs to the watch of the outer block.
    """
    connection = database.connection()
    if connection.vendor != "postgresql" or _watch.get() is not None:
        yield
        return
    watch = _Watch(connection)
    watch.start()
    token = _watch.set(watch)
    try:
        yield
    finally:
        _watch.reset(token)
        watch.is_over.set()
        watch.join(settings.LOCK_TIMEOUT)
        for pid in watch.ended:
            events.emit(events.GateHolderEnded(principals=tuple(sorted(watch.names or ())), pid=pid))


def watch(names: Collection[str] | None) -> None:
    """Note that the revocation around this call closes the gates of ``names``, or every gate for None."""
    if (current := _watch.get()) is not None:
        current.add(names)


def _end(own: BaseDatabaseWrapper, names: Collection[str] | None) -> list[int]:
    """End the sessions that hold the gates of ``names`` now, or any gate for None; return their pids."""
    given = None if names is None else list(names)
    with own.cursor() as cursor:
        cursor.execute(_END_HOLDERS, {"kinds": list(KINDS), "mask": NUMBERS - 1, "names": given})
        return [pid for (pid,) in cursor.fetchall()]


def _connection_like(connection: BaseDatabaseWrapper) -> BaseDatabaseWrapper:
    """Return a new connection to the same database, in autocommit mode; not from a pool, which may be used up."""
    given = connection.settings_dict
    options = {name: value for name, value in given.get("OPTIONS", {}).items() if name != "pool"}
    return type(connection)({**given, "OPTIONS": options, "CONN_MAX_AGE": 0, "AUTOCOMMIT": True}, connection.alias)
