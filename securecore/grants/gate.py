"""The gate of a principal: a lock by which its effects and the changes of its grants wait for each other.

No isolation level replaces the lock. Even SERIALIZABLE lets an effect commit after a revocation that its snapshot does
not show. The lock and the read must be two statements: a statement that waited still sees the rows from before the
wait.

Note [Gates]
    A check *enters* the gate. On PostgreSQL it takes an advisory lock that all checks share (``GATE``); elsewhere it
    locks its rows in ``securecore_gate``, one check at a time. A change *closes* the gate: it takes the advisory lock
    exclusively and the rows too, for every value of ``GATE``, so that hosts with different values may run during a
    deployment. A trigger closes the gate for changes outside securecore. All locks end with the outermost transaction.
    PostgreSQL queues fairly: a check that arrives after a change waits behind the change. So a client that keeps
    requests in flight cannot delay its own revocation (with FOR SHARE it did, for 5 to 10 seconds).

Note [Lock order]
    Advisory locks: the caller's own names, then its groups and roles; within each by lock number. Rows: groups and
    roles, then own names, each sorted. A check that locks rows locks those of its own names only, since a change of a
    group or role also writes the rows of all its members. Joining a group or role writes the row of that group or role
    too, so the change misses no new member. SQL outside securecore may lock in any order. PostgreSQL then ends one of
    the two transactions as a deadlock after one second.

Note [Lock numbers]
    Names are hashed to 1,024 lock numbers. So a statement that changes a million users takes 1,024 locks. A million
    locks would fill PostgreSQL's lock table (6,400 by default), and every transaction would fail. Two principals with
    the same number wait for each other, and nothing worse.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from functools import lru_cache
from typing import Any

from django.db import InternalError
from django.db.backends.base.base import BaseDatabaseWrapper

from securecore import database
from securecore.conf import settings
from securecore.database.statements import Asked, Statement, begun
from securecore.errors import Busy, Misuse
from securecore.grants import eviction, turnstile
from securecore.grants.principals import DERIVED

#: The first key of the advisory locks: for own names, and for groups and roles. Another program on the same database is
#: unlikely to use such large numbers.
_OWN, _DERIVED = 1_589_641_217, 1_589_641_218
_NUMBERS = 1_024

#: Seconds between two statements of a transaction that holds a gate; then PostgreSQL ends its session. A revocation
#: waits for such a transaction, so a view that computes or calls another service for longer enters the gate at its end
#: (``late_gate``).
IDLE_TIMEOUT = 10.0

_SHARED, _EXCLUSIVE = "pg_advisory_xact_lock_shared", "pg_advisory_xact_lock"

_EVERY_NUMBER = f"SELECT {_EXCLUSIVE}({_OWN}, number) FROM generate_series(0, {_NUMBERS - 1}) number"  # noqa: S608

#: Columns of the first statement at a gate: they limit the waits, and read the isolation level and the server's role.
_TRANSACTION = """
    set_config('lock_timeout', %(sc_timeout)s, true), current_setting('transaction_isolation'), pg_is_in_recovery(),
    set_config('idle_in_transaction_session_timeout', %(sc_idle)s, true)
"""
_INSPECTION = Statement(f"SELECT {_TRANSACTION}")
_ROW = Statement("SELECT principal FROM securecore_gate WHERE principal = %(sc_name)s")
_LOCKED_ROW = Statement(f"{_ROW.text} FOR NO KEY UPDATE")
#: Inserts the row or locks it, in one statement: between two statements a purge could delete the row.
_HELD_ROW = Statement(
    "INSERT INTO securecore_gate (principal, epoch) VALUES (%(sc_name)s, 0) "
    "ON CONFLICT (principal) DO UPDATE SET epoch = securecore_gate.epoch RETURNING principal"
)

#: PostgreSQL: read_only_sql_transaction.
_READ_ONLY = "25006"

Rows = list[tuple[Any, ...]]


def enter(
    names: tuple[str, ...], belongs_to: Collection[str], *, then: Asked
) -> tuple[frozenset[str] | None, Rows | None]:
    """Enter the gates of a check, and run the permission query ``then`` behind them.

    ``names`` are the caller's own names, ``belongs_to`` its groups and roles as the last check read them. Returns the
    locked names and the rows of ``then``. The locked names are None where a check locks its own names only. The rows
    are None where the calling function must run the query itself.

    Needs the outermost transaction. Raises ``Busy`` (503) after ``LOCK_TIMEOUT``, and ``Misuse`` where the read
    permission could be out of date: at another isolation level, or on a replica.
    """
    connection = database.connection()
    if connection.vendor == "sqlite":
        _require_immediate()
        return None, None
    with turnstile.turn(names), _locking():
        if not is_advisory(connection):
            return None, _enter_alone(connection, names, then)
        everybody = frozenset(names).union(belongs_to)
        return everybody, _enter_shared(connection, everybody, then)


def enter_also(names: Collection[str]) -> None:
    """Enter the gates of groups and roles that the caller has joined since the last check."""
    with _locking():
        question, parameters = _entering(names)
        question.rows(database.connection(), parameters)


def close(
    *names: str, rows_too: Sequence[str] = (), then: Asked | None = None, commits: bool = False, wins: bool = True
) -> Rows | None:
    """Close the gates of these principals: wait for the checks that hold them, and let no other check enter.

    ``rows_too`` are principals of which only the rows are locked, for example the role that ``names`` get. The gates
    stay closed until the transaction ends. Returns the rows of ``then`` if that statement ran in the same
    round trip, and None if the calling function must run it. With ``commits`` the same round trip also committed the
    transaction, if it ran ``then``. With ``wins`` sessions that hold a gate for longer than half of ``LOCK_TIMEOUT``
    are ended (eviction.py).

    Needs the outermost transaction. Raises ``Busy`` (503) after ``LOCK_TIMEOUT``, and ``Misuse`` on a replica.
    """
    connection = database.connection()
    ordered = sorted({*names, *rows_too}, key=lambda name: (not name.startswith(DERIVED), name))
    if not ordered:  # the change concerns no principal
        database.limit_waits(settings.LOCK_TIMEOUT)
        return None
    with ExitStack() as stack:
        stack.enter_context(_locking())
        if connection.vendor == "sqlite":
            _require_immediate()
            return None
        if connection.vendor == "postgresql":
            if wins:
                stack.enter_context(winning())
                eviction.watch(names)
            closing = _closing().asked({"sc_names": list(names)} | _timeout())
            locking = [_HELD_ROW.asked({"sc_name": name}) for name in ordered]
            # One round trip: on a busy machine each further one queues behind those of the other sessions.
            found = begun(
                connection, closing, *locking, *([then] if then else []), commits=commits and then is not None
            )
            if found is not None:
                return found[-1] if then else None
            closing[0].rows(connection, closing[1])
        for name in ordered:
            _HELD_ROW.rows(connection, {"sc_name": name})
    return None


def close_all() -> None:
    """Close every gate until the transaction ends, and wait for all checks that hold one.

    For a revocation that cannot name the principals, for example of all tokens that one signing key has signed. It
    takes all 1,024 lock numbers, in the order of Note [Lock order], so a check needs no extra lock for this. It also
    locks the table ``securecore_gate``, so that no check locks or inserts a row there. Needs a transaction. Raises
    ``Busy`` (503).
    """
    connection = database.connection()
    with _locking():
        if connection.vendor == "sqlite":
            _require_immediate()
            return
        with winning(), connection.cursor() as cursor:
            eviction.watch(None)
            database.limit_waits(settings.LOCK_TIMEOUT)
            cursor.execute(_EVERY_NUMBER)
            cursor.execute("LOCK TABLE securecore_gate IN EXCLUSIVE MODE")


def winning() -> AbstractContextManager[None]:
    """Let the block, a revocation, end the sessions that hold the gates which it closes (eviction.py): also when it
    waits for them after it has closed the gates, for the rows of a group's members.
    """
    return eviction.watched(database.connection(), kinds=(_OWN, _DERIVED), numbers=_NUMBERS)


def take_gate(principal: str) -> None:
    """Lock ``principal``'s row until the transaction ends, against every other transaction. Raises ``Busy`` (503)."""
    with database.bounded_wait(Busy):
        _lock_row(principal)


def is_advisory(connection: BaseDatabaseWrapper) -> bool:
    """Say whether checks enter by an advisory lock."""
    return settings.GATE == "advisory" or (settings.GATE == "auto" and connection.vendor == "postgresql")


def lock_sql(names: str, function: str, more: str = "NULL") -> str:
    """Return a SELECT that takes the advisory locks of the principals that the query ``names`` selects.

    The locks are taken in the order of Note [Lock order]. The columns are ``more``, which PostgreSQL evaluates first,
    the name, and the call of ``function``.
    """
    derived = " OR ".join(f"substr(name, 1, {len(kind)}) = '{kind}'" for kind in DERIVED)
    ordered = (
        f"SELECT name, CASE WHEN {derived} THEN {_DERIVED} ELSE {_OWN} END AS kind, "  # noqa: S608
        f"hashtext(name) & {_NUMBERS - 1} AS number FROM ({names}) named ORDER BY kind, number OFFSET 0"
    )
    return f"SELECT {more}, name, {function}(kind, number) FROM ({ordered}) ordered"  # noqa: S608


def _timeout() -> dict[str, Any]:
    return {"sc_timeout": database.lock_timeout(settings.LOCK_TIMEOUT)}


def _bounds() -> dict[str, Any]:
    """Return the limits of a transaction that holds a gate: for a lock wait, and for the pause between statements."""
    return _timeout() | {"sc_idle": database.lock_timeout(IDLE_TIMEOUT)}


def _enter_shared(connection: BaseDatabaseWrapper, names: Collection[str], then: Asked) -> Rows:
    """Enter by locks that all checks share."""
    entering = _entering(names)
    # One round trip instead of three: a revocation waits for each round trip of the checks that hold the gate.
    found = begun(connection, entering, then) or [asked.rows(connection, given) for asked, given in (entering, then)]
    rows, behind = found
    _require_current(*rows[0][1:3])
    return behind


def _enter_alone(connection: BaseDatabaseWrapper, names: Sequence[str], then: Asked) -> Rows | None:
    """Enter by row locks on the caller's rows, which exclude every other check and change."""
    ordered = sorted(names)
    found = begun(connection, _INSPECTION.asked(_bounds()), *(_row(name) for name in ordered), then)
    if found is not None and all(found):
        _require_current(*found[0][0][1:3])
        return found[-1]
    if found is not None:
        _begin_again(connection)
    if connection.vendor == "postgresql":
        _require_current(*_INSPECTION.rows(connection, _bounds())[0][1:3])
    for name in ordered:
        _lock_row(name)
    return None


def _entering(names: Collection[str]) -> Asked:
    """Return the statement that takes the shared locks of these names."""
    given = {f"sc_name{index}": name for index, name in enumerate(names)}
    return _shared(len(names)).asked(given | _bounds())


@lru_cache(maxsize=64)
def _shared(count: int) -> Statement:
    names = ", ".join(f"(CAST(%(sc_name{index})s AS text))" for index in range(count))
    return Statement(lock_sql(f"SELECT * FROM (VALUES {names}) given (name)", _SHARED, _TRANSACTION))  # noqa: S608


def _require_current(isolation: str, is_replica: bool) -> None:
    if isolation not in ("read committed", "read uncommitted"):
        raise Misuse(
            f"This transaction is {isolation.upper()}: it would read the permission as it was when the transaction "
            f"began, before the revocation that the check waited for. Use READ COMMITTED, PostgreSQL's default, for "
            f"authorize(): remove 'isolation_level' from OPTIONS and SET TRANSACTION from the code before authorize()."
        )
    if is_replica:
        raise _on_a_replica()


def _on_a_replica() -> Misuse:
    return Misuse(
        f"DATABASES[{settings.DATABASE!r}] is a replica, which gets a revocation later and has no locks, or this "
        f"transaction is read-only. Name the primary in SECURECORE['DATABASE']."
    )


@contextmanager
def _locking() -> Iterator[None]:
    """Raise ``Busy`` for a wait longer than ``LOCK_TIMEOUT``, and ``Misuse`` where the transaction is read-only."""
    try:
        with database.refused_when_locked(Busy):
            yield
    except InternalError as error:
        if getattr(error.__cause__, "sqlstate", None) != _READ_ONLY:
            raise
        raise _on_a_replica() from error


def _require_immediate() -> None:
    if getattr(database.connection(), "transaction_mode", None) not in ("IMMEDIATE", "EXCLUSIVE"):
        raise Misuse(
            "SQLite has no row locks: only a transaction that begins IMMEDIATE keeps a check and its effect together. "
            "Set OPTIONS = {'transaction_mode': 'IMMEDIATE'} in DATABASES (securecore.E601)."
        )


def _begin_again(connection: BaseDatabaseWrapper) -> None:
    """Roll back the locks that ``begun()`` took, so that the rows can be locked in the order of Note [Lock order].

    A row was missing, and ``begun()`` locked the rows behind it in the order. To insert the missing row now would be
    out of order. The transaction has done nothing else.
    """
    with connection.wrap_database_errors:
        connection.connection.rollback()


@lru_cache(maxsize=1)
def _closing() -> Statement:
    names = "SELECT unnest(CAST(%(sc_names)s AS text[])) AS name"
    return Statement(lock_sql(names, _EXCLUSIVE, "set_config('lock_timeout', %(sc_timeout)s, true)"))


def _row(name: str) -> Asked:
    return _LOCKED_ROW.asked({"sc_name": name})


def _lock_row(name: str) -> None:
    connection = database.connection()
    # SQLite has no row locks: there ``transaction_mode`` excludes other writers from the beginning.
    statement = _LOCKED_ROW if connection.features.has_select_for_update else _ROW
    if not statement.rows(connection, {"sc_name": name}):
        _HELD_ROW.rows(connection, {"sc_name": name})
