"""The gate of a principal: a lock by which its effects and the changes of its grants wait for each other.

No isolation level replaces the lock. Even SERIALIZABLE lets an effect commit after a revocation that its snapshot does
not show. The lock and the read must be two statements: a statement that waited still sees the rows from before the
wait.

``interface.Gates`` is the interface, ``row`` and ``advisory`` implement it by row locks and by advisory locks, and
``one_writer`` for SQLite. This file chooses one of them and adds the behaviour that they share: the ``semaphore``
before the gate, the ``eviction`` of sessions that hold a gate for too long, and the refusals.

Note [Gates]
    A check *enters* the gate. On PostgreSQL it takes an advisory lock that all checks share (``GATE``); elsewhere it
    locks its rows in ``securecore_gate``, one check at a time. A change *closes* the gate: it takes the advisory lock
    exclusively and the rows too, for every value of ``GATE``, so that hosts with different values may run during a
    deployment. A trigger closes the gate for changes outside securecore. All locks end with the outermost transaction.
    PostgreSQL queues fairly: a check that arrives after a change waits behind the change. So a client that keeps
    requests in flight cannot delay its own revocation. With FOR SHARE such a client did, for 5 to 10 seconds.

Note [Lock order]
    Advisory locks: the caller's own names, then its groups and roles; within each by lock number. Rows: groups and
    roles, then own names, each sorted. A check that locks rows locks those of the caller's own names only, since a
    change of a group or role also writes the rows of all its members. A change that adds a member writes the row of the
    group or role too, so another change of that group or role misses no new member. SQL outside securecore may lock in
    any order. PostgreSQL then ends one of the two transactions as a deadlock after one second.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from contextlib import contextmanager, nullcontext

from django.db import InternalError

from securecore import database, meters
from securecore.conf import settings
from securecore.database import BoundStatement, Rows
from securecore.database.functions import BoundFunction
from securecore.errors import Busy, DatabaseUnavailable
from securecore.grants.gate import eviction, semaphore
from securecore.grants.gate.advisory import AdvisoryGates
from securecore.grants.gate.interface import Gates
from securecore.grants.gate.one_writer import OneWriterGates
from securecore.grants.gate.row import RowGates, lock_row
from securecore.grants.gate.transaction import replica_misuse
from securecore.grants.principals import DERIVED

#: PostgreSQL: read_only_sql_transaction.
_READ_ONLY = "25006"


def gates() -> Gates:
    """Return the gates of this database, by ``GATE``."""
    connection = database.connection()
    if connection.vendor == "sqlite":
        return OneWriterGates(connection)
    if settings.GATE == "advisory" or (settings.GATE == "auto" and connection.vendor == "postgresql"):
        return AdvisoryGates(connection)
    return RowGates(connection)


def enter(names: tuple[str, ...], group_names: Collection[str], query: BoundFunction) -> Rows:
    """Enter the gates of a check, run the permission query ``query`` behind them, and return its rows.

    ``names`` are the caller's own names, ``group_names`` its groups and roles as the last check read them. If the query
    reads other groups and roles, call ``enter_also``.

    Needs the outermost transaction. Raises ``Busy`` (503) after ``LOCK_TIMEOUT``, and ``Misuse`` where the read
    permission could be out of date: at another isolation level, or on a replica.
    """
    with meters.GATE_WAIT.timed("check"), semaphore.slot(names), _refusing():
        return gates().enter(names, group_names, query)


def enter_also(group_names: Collection[str]) -> bool:
    """Enter the gates of groups and roles that the caller has joined since the last check.

    Returns whether the permission must be read again: a change of these groups and roles may have committed since the
    query, and before this lock. Raises ``Busy`` (503) after ``LOCK_TIMEOUT``.
    """
    with _refusing():
        return gates().enter_also(group_names)


def close(
    *names: str,
    rows_too: Collection[str] = (),
    statement: BoundStatement | None = None,
    ends_holders: bool = True,
) -> Rows:
    """Close the gates of these principals: wait for the checks that hold them, and let no other check enter.

    ``rows_too`` are principals of which only the rows are locked, for example the role that ``names`` get. The gates
    stay closed until the transaction ends. Returns the rows of ``statement``, the change, which runs behind the gates.
    With ``ends_holders`` a wait of half of ``LOCK_TIMEOUT`` ends the sessions that hold the gates (eviction.py).

    Needs the outermost transaction. Raises ``Busy`` (503) after ``LOCK_TIMEOUT``, and ``Misuse`` on a replica.
    """
    if not names:  # the change concerns no principal
        database.limit_waits(settings.LOCK_TIMEOUT)
        return statement.rows(database.connection()) if statement else []
    rows = sorted({*names, *rows_too}, key=lambda name: (not name.startswith(DERIVED), name))  # Note [Lock order]
    ending = eviction.ending_holders() if ends_holders else nullcontext()
    with meters.GATE_WAIT.timed("revocation"), _refusing(), ending:
        eviction.watch(names)
        return gates().close(names, rows, statement)


def close_all() -> None:
    """Close every gate until the transaction ends, and wait for all checks that hold one.

    For a revocation that cannot name the principals, for example of all tokens that one signing key has signed. Needs a
    transaction. Raises ``Busy`` (503) after ``LOCK_TIMEOUT``.
    """
    with meters.GATE_WAIT.timed("revocation"), _refusing(), eviction.ending_holders():
        eviction.watch(None)
        gates().close_all()


def take_gate(principal: str) -> None:
    """Lock ``principal``'s row until the transaction ends, against every other transaction. Raises ``Busy`` (503)."""
    with database.bounded_wait(Busy):
        lock_row(principal)


@contextmanager
def _refusing() -> Iterator[None]:
    """Raise ``Busy`` for a wait longer than ``LOCK_TIMEOUT``.

    Where the transaction is read-only, raise ``DatabaseUnavailable`` (503) on a standby, else ``Misuse``.
    """
    try:
        with database.refused_when_locked(Busy):
            yield
    except InternalError as error:
        if getattr(error.__cause__, "sqlstate", None) != _READ_ONLY:
            raise
        if database.may_be_standby():
            raise DatabaseUnavailable from replica_misuse()
        raise replica_misuse() from error
