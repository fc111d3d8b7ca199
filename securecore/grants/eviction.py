"""Ends PostgreSQL sessions that hold a gate for too long while a revocation waits for the gate.

Note [A revocation wins]
    A check holds the gate until its transaction ends, and the view inside may run for a long time, for example a
    statement of a minute or a call to another service. So a revocation that has waited for half of ``LOCK_TIMEOUT``
    ends the PostgreSQL sessions that hold the gate and wait for no other lock (``pg_terminate_backend``). The effects
    of these sessions roll back, and their clients get 503 with Retry-After.

    Two kinds of sessions are left alone. A session that waits for a lock: ``LOCK_TIMEOUT`` bounds its wait. A session
    that closes a gate: one revocation never ends another. The statement finds a session by its locks, an advisory lock
    with a number of the gates or a row lock on ``securecore_gate``. The pid is that of the PostgreSQL backend, so this
    works behind a pooler too.

    The revoking connection is busy waiting, so a thread opens another connection at half of ``LOCK_TIMEOUT`` and runs
    the statement there. If that connection cannot be opened, or its role may not end the session, the revocation gives
    up with ``Busy`` after ``LOCK_TIMEOUT``.
"""

from __future__ import annotations

import threading
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from typing import Any

from django.db import DatabaseError
from django.db.backends.base.base import BaseDatabaseWrapper

from securecore import events
from securecore.conf import settings

#: The fraction of LOCK_TIMEOUT between two attempts of a waiting revocation to end the sessions that hold its gate.
_PATIENCE = 0.5

#: One statement finds and ends the sessions. With two, a session could release the gate in between and be ended anyway.
#: Without MATERIALIZED PostgreSQL would call pg_terminate_backend() before it evaluates the other conditions.
_END_HOLDERS = """
    WITH RECURSIVE gates AS (
        SELECT pid, classid::bigint AS kind, objid::bigint AS number, mode, granted FROM pg_locks
        WHERE locktype = 'advisory' AND objsubid = 2 AND classid::bigint = ANY(%(kinds)s)
        AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
    ), closing AS (
        SELECT pid FROM gates WHERE mode = 'ExclusiveLock'
        AND (CAST(%(names)s AS text[]) IS NULL
             OR number IN (SELECT hashtext(name) & %(mask)s FROM unnest(CAST(%(names)s AS text[])) AS name))
    ), ahead (pid) AS (
        SELECT pid FROM closing
        UNION
        SELECT blocking.pid FROM ahead, unnest(pg_blocking_pids(ahead.pid)) AS blocking (pid)
    ), waiting AS (
        SELECT pid FROM pg_locks WHERE NOT granted
    ), holding AS (
        SELECT pid FROM gates WHERE mode = 'ShareLock' AND granted
        UNION
        SELECT pid FROM pg_locks WHERE relation = CAST('securecore_gate' AS regclass) AND mode = 'RowShareLock'
    ), holders AS MATERIALIZED (
        SELECT pid FROM ahead WHERE pid IN (SELECT pid FROM holding) AND pid NOT IN (SELECT pid FROM waiting)
        AND pid NOT IN (SELECT pid FROM gates WHERE mode = 'ExclusiveLock')
    )
    SELECT pid FROM holders WHERE pg_terminate_backend(pid)
"""


@contextmanager
def ending_holders(
    database: BaseDatabaseWrapper, names: Collection[str] | None, *, kinds: Collection[int], numbers: int
) -> Iterator[None]:
    """Run the block, which closes the gates of ``names`` (None: all gates), and end sessions that hold them too long.

    ``kinds`` are the classes of advisory locks that gates use, ``numbers`` is the count of lock numbers.
    """
    is_closed = threading.Event()
    ended: list[int] = []
    parameters = {"names": None if names is None else list(names), "kinds": list(kinds), "mask": numbers - 1}
    thread = threading.Thread(target=_end_holders, args=(database, parameters, is_closed, ended), daemon=True)
    thread.start()
    try:
        yield
    finally:
        is_closed.set()
        thread.join(settings.LOCK_TIMEOUT)
        for pid in ended:
            events.emit(events.GateHolderEnded(principals=tuple(names or ()), pid=pid))


def _end_holders(
    database: BaseDatabaseWrapper, parameters: dict[str, Any], is_closed: threading.Event, ended: list[int]
) -> None:
    own: BaseDatabaseWrapper | None = None
    try:
        while not is_closed.wait(settings.LOCK_TIMEOUT * _PATIENCE):
            own = own or _connection_like(database)
            ended.extend(_end(own, parameters))
    except DatabaseError:
        return  # the revocation waits on, and raises Busy after LOCK_TIMEOUT
    finally:
        if own is not None:
            own.close()


def _end(own: BaseDatabaseWrapper, parameters: dict[str, Any]) -> list[int]:
    """End the sessions that hold the gates now; return their pids."""
    with own.cursor() as cursor:
        cursor.execute(_END_HOLDERS, parameters)
        return [pid for (pid,) in cursor.fetchall()]


def _connection_like(database: BaseDatabaseWrapper) -> BaseDatabaseWrapper:
    """Return a new connection to the same database, in autocommit mode. A pool is not used: it may be exhausted."""
    given = database.settings_dict
    options = {name: value for name, value in given.get("OPTIONS", {}).items() if name != "pool"}
    return type(database)({**given, "OPTIONS": options, "CONN_MAX_AGE": 0, "AUTOCOMMIT": True}, database.alias)
