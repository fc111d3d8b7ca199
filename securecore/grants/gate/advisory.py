"""The gates by advisory locks, on one PostgreSQL primary. The checks of a principal share a gate, so they run at once.

``_run`` is the one place that decides how statements reach PostgreSQL.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from functools import lru_cache

from django.db.backends.base.base import BaseDatabaseWrapper

from securecore import database
from securecore.conf import settings
from securecore.database import BoundStatement, Rows, Statement
from securecore.grants.gate import transaction
from securecore.grants.gate.interface import Gates
from securecore.grants.gate.lock_numbers import EVERY_NUMBER, EXCLUSIVE, SHARED, lock_sql

#: Inserts the row or writes it, in one statement: between two statements a purge could delete the row.
_WRITTEN_ROW = Statement(
    "INSERT INTO securecore_gate (principal, epoch) VALUES (%(sc_name)s, 0) "
    "ON CONFLICT (principal) DO UPDATE SET epoch = securecore_gate.epoch RETURNING principal"
)
_CLOSING = Statement(
    lock_sql(
        "SELECT unnest(CAST(%(sc_names)s AS text[])) AS name",
        EXCLUSIVE,
        "set_config('lock_timeout', %(sc_timeout)s, true)",
    )
)


class AdvisoryGates(Gates):
    """A check takes shared locks of the caller's own names, groups and roles; a change takes exclusive ones."""

    def enter(self, names: Collection[str], group_names: Collection[str], query: BoundStatement) -> Rows:
        (first, *_), rows = _run(self.connection, [_entering({*names, *group_names}), query])
        transaction.require_current(*first[:4])
        return rows

    def enter_also(self, group_names: Collection[str]) -> bool:
        _run(self.connection, [_entering(group_names)])
        return True

    def close(
        self, names: Collection[str], rows: Sequence[str], statement: BoundStatement | None, commits: bool
    ) -> Rows:
        writing = [_WRITTEN_ROW.bind({"sc_name": name}) for name in rows]  # other hosts may check by row locks
        if statement is None:
            _run(self.connection, [_closing(names), *writing])
            return []
        return _run(self.connection, [_closing(names), *writing, statement], commits=commits)[-1]

    def close_all(self) -> None:
        close_every_gate(self.connection)


def take_exclusive(connection: BaseDatabaseWrapper, names: Collection[str]) -> None:
    """Wait for the checks that hold advisory locks of ``names``, and let no other check take one."""
    _run(connection, [_closing(names)])


def close_every_gate(connection: BaseDatabaseWrapper) -> None:
    """Take all 1,024 lock numbers, and lock the table of the row gates.

    Each check takes one of these numbers, so it needs no extra lock that stands for every gate. While the table is
    locked, no check locks or inserts a row there.
    """
    database.limit_waits(settings.LOCK_TIMEOUT)
    with connection.cursor() as cursor:
        cursor.execute(EVERY_NUMBER)
        cursor.execute("LOCK TABLE securecore_gate IN EXCLUSIVE MODE")


def _run(connection: BaseDatabaseWrapper, statements: Sequence[BoundStatement], *, commits: bool = False) -> list[Rows]:
    """Run the statements in their order, and return the rows of each.

    A transaction that begins here is one round trip where statements may be prepared. A revocation waits for each round
    trip of the checks that hold the gate, and on a busy machine its own round trips queue behind other sessions.
    """
    rows = database.run_in_pipeline(connection, statements, commits=commits)
    return [each.rows(connection) for each in statements] if rows is None else rows


def _entering(names: Collection[str]) -> BoundStatement:
    given = {f"sc_name{index}": name for index, name in enumerate(names)}
    return _shared(len(names)).bind(given | transaction.limits())


@lru_cache(maxsize=64)
def _shared(count: int) -> Statement:
    names = ", ".join(f"(CAST(%(sc_name{index})s AS text))" for index in range(count))
    return Statement(lock_sql(f"SELECT * FROM (VALUES {names}) given (name)", SHARED, transaction.COLUMNS))  # noqa: S608


def _closing(names: Collection[str]) -> BoundStatement:
    return _CLOSING.bind({"sc_names": list(names), "sc_timeout": database.lock_timeout(settings.LOCK_TIMEOUT)})
