"""The gate: a lock that makes the effects of a principal and the changes of what it may do wait for each other.

Isolation levels do not help: even SERIALIZABLE lets an effect commit after the revocation that it read past. Only a
lock does. The lock and the reading must be two statements, since one statement that waited still sees what was before
the wait.

Note [Gates]
    A check *enters*: on PostgreSQL by an advisory lock that all checks share (``GATE``), else by its rows in
    ``securecore_gate``, one check at a time. A change *closes* both, whatever ``GATE`` says, so that hosts may differ
    while they are being deployed; whatever does not come through here is closed by a trigger. All locks end with the
    outermost transaction. PostgreSQL queues fairly: a check that comes after a change waits behind it, so a client that
    keeps requests in flight cannot keep its own revocation waiting (with FOR SHARE it did, for 5 to 10 seconds).

Note [Lock order]
    Advisory locks: the caller's own names, then its groups and roles; within each by lock number. Rows: groups and
    roles, then own names, each sorted. A check that enters by rows locks its own names only: a change of a group or
    role writes to the rows of all that belong to it. Whoever belongs to it newly writes to its row too, so a change
    misses nobody. What goes round us may take them in any order; then PostgreSQL ends one of the two after a second.

Note [Lock numbers]
    Names are spread over 1,024 numbers: a statement that changes every user takes 1,024 locks and not a million, which
    would use up PostgreSQL's lock table (6,400 by default) for everybody. Two principals of one number only wait for
    each other.
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

#: Classes of advisory locks, so that they meet nobody else's: own names, groups and roles.
_OWN, _DERIVED = 1_589_641_217, 1_589_641_218
_NUMBERS = 1_024

_SHARED, _EXCLUSIVE = "pg_advisory_xact_lock_shared", "pg_advisory_xact_lock"

_EVERY_NUMBER = f"SELECT {_EXCLUSIVE}({_OWN}, number) FROM generate_series(0, {_NUMBERS - 1}) number"  # noqa: S608

#: What the first statement at a gate also does and finds out.
_TRANSACTION = """
    set_config('lock_timeout', %(sc_timeout)s, true), current_setting('transaction_isolation'), pg_is_in_recovery(),
    set_config('idle_in_transaction_session_timeout', %(sc_idle)s, true)
"""
_INSPECTION = Statement(f"SELECT {_TRANSACTION}")
_ROW = Statement("SELECT principal FROM securecore_gate WHERE principal = %(sc_name)s")
_LOCKED_ROW = Statement(f"{_ROW.text} FOR NO KEY UPDATE")
#: Makes the row or locks it, in one statement: a purge may delete the row between two.
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
    """Let a check of the caller with these own names in, who is thought to belong to these groups and roles. Return the
    names whose gates are held now, or None if its own are all that matter, and the rows of ``then``, which was run
    behind the gate; None if that is left to the caller.

    Needs the outermost transaction. Raises ``Busy`` (503) after ``LOCK_TIMEOUT``, and ``Misuse`` where the permission
    could be an old one: at another isolation level, or on a replica.
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
    """Let the check in at these gates too: behind the others the caller was found to belong to them as well."""
    with _locking():
        question, parameters = _entering(names)
        question.rows(database.connection(), parameters)


def close(
    *names: str, rows_too: Sequence[str] = (), then: Asked | None = None, commits: bool = False, wins: bool = True
) -> Rows | None:
    """Let no check of these principals in until the transaction ends, once all that are in have left. Return the rows
    of ``then`` if it could be run behind the gate in the same turn; None if that is left to the caller. With
    ``commits`` it was then committed in this turn too. If it ``wins``, sessions that hold the gate for longer than half
    of ``LOCK_TIMEOUT`` are ended (eviction.py).

    Needs the outermost transaction. Raises ``Busy`` (503) after ``LOCK_TIMEOUT``, and ``Misuse`` on a replica.
    """
    connection = database.connection()
    ordered = sorted({*names, *rows_too}, key=lambda name: (not name.startswith(DERIVED), name))
    if not ordered:  # nobody is concerned
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
            # In one turn: on a busy machine each is one that everybody else has first.
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
    """Let no check of anybody in until the transaction ends, once all that are in have left.

    For a revocation that does not know whose requests it ends. Example: everything that a signing key has signed. All
    1,024 lock numbers are taken, in the order of Note [Lock order], so that a check needs no lock more for this; and
    the table of the rows, which lets no row be locked or made. Needs a transaction. Raises ``Busy`` (503).
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
    """Hold ``principal``'s row until the transaction ends: whoever does, does so alone. Raises ``Busy`` (503)."""
    with database.bounded_wait(Busy):
        _lock_row(principal)


def is_advisory(connection: BaseDatabaseWrapper) -> bool:
    """Whether checks enter by an advisory lock."""
    return settings.GATE == "advisory" or (settings.GATE == "auto" and connection.vendor == "postgresql")


def lock_sql(names: str, function: str, more: str = "NULL") -> str:
    """Return a statement that takes the advisory locks of the principals that ``names`` selects, in their order
    (Note [Lock order]). Its columns are ``more``, evaluated first, and the name.
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
    """The bounds of a transaction that holds a gate: its waits for locks, and the time between two statements."""
    return _timeout() | {"sc_idle": database.lock_timeout(settings.GATE_IDLE_TIMEOUT)}


def _enter_shared(connection: BaseDatabaseWrapper, names: Collection[str], then: Asked) -> Rows:
    """Enter by locks that all checks share."""
    entering = _entering(names)
    # Whoever closes this gate waits for each turn that those who are in still need: better one than three.
    found = begun(connection, entering, then) or [asked.rows(connection, given) for asked, given in (entering, then)]
    rows, behind = found
    _require_current(*rows[0][1:3])
    return behind


def _enter_alone(connection: BaseDatabaseWrapper, names: Sequence[str], then: Asked) -> Rows | None:
    """Enter by the caller's rows, which no other check and no change can hold at once."""
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
    """What takes the locks of these names."""
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
            f"began, from before the revocation that it waited for. Use READ COMMITTED, PostgreSQL's default, for "
            f"authorize(): remove 'isolation_level' from OPTIONS and SET TRANSACTION from the code before it."
        )
    if is_replica:
        raise _on_a_replica()


def _on_a_replica() -> Misuse:
    return Misuse(
        f"DATABASES[{settings.DATABASE!r}] is a replica, which learns of a revocation later and knows no locks, or "
        f"this transaction is read-only. Name the primary in SECURECORE['DATABASE']."
    )


@contextmanager
def _locking() -> Iterator[None]:
    """Raise ``Busy`` for a wait that was too long, and ``Misuse`` where nothing can be locked."""
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
    """Give up what ``begun()`` has locked: a row is not there yet, and those behind it were locked before it could be
    made (Note [Lock order]). Nothing else has happened in this transaction.
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
    # SQLite locks no rows: there the transaction is alone from its beginning (``transaction_mode``).
    statement = _LOCKED_ROW if connection.features.has_select_for_update else _ROW
    if not statement.rows(connection, {"sc_name": name}):
        _HELD_ROW.rows(connection, {"sc_name": name})
