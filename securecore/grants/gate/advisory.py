"""The gates by advisory locks, on one PostgreSQL primary. The checks of a principal share a gate, so they run at once.

A check is one call of a function in PostgreSQL (``database.functions``): it takes the locks, and then runs the query as
a statement of its own, which sees the commits that the locks waited for. A revocation waits for each round trip of the
checks that hold the gate, so a check makes no more round trips than this one before its effect.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from functools import lru_cache

from django.db.backends.base.base import BaseDatabaseWrapper

from securecore import database
from securecore.conf import settings
from securecore.database import BoundStatement, Rows, Statement
from securecore.database.functions import BoundFunction, Function
from securecore.grants.gate import transaction
from securecore.grants.gate.interface import Gates
from securecore.grants.gate.lock_numbers import EVERY_NUMBER, EXCLUSIVE, SHARED, lock_sql

#: Inserts the row or writes it, in one statement: between two statements a purge could delete the row.
_WRITTEN_ROW = Statement(
    "INSERT INTO securecore_gate (principal, epoch) VALUES (%(sc_name)s, 0) "
    "ON CONFLICT (principal) DO UPDATE SET epoch = securecore_gate.epoch RETURNING principal"
)
_NAMES = "SELECT unnest(CAST(%(sc_gates)s AS text[])) AS name"
_CLOSING = Statement(lock_sql(_NAMES, EXCLUSIVE, "set_config('lock_timeout', %(sc_timeout)s, true)"))
_ENTERING = Statement(lock_sql(_NAMES, SHARED, transaction.LIMITS))
_TYPES = {"sc_gates": "text[]", "sc_timeout": "text", "sc_idle": "text"}


class AdvisoryGates(Gates):
    """A check takes shared locks of the caller's own names, groups and roles; a change takes exclusive ones."""

    def enter(self, names: Collection[str], group_names: Collection[str], query: BoundFunction) -> Rows:
        rows = behind_locks(query.function).rows(
            self.connection, {**query.parameters, **_entering({*names, *group_names})}
        )
        transaction.require_current(*rows[0][:2])
        return [row[2:] for row in rows]

    def enter_also(self, group_names: Collection[str]) -> bool:
        _ENTERING.rows(self.connection, _entering(group_names))
        return True

    def close(self, names: Collection[str], rows: Sequence[str], statement: BoundStatement | None) -> Rows:
        take_exclusive(self.connection, names)
        for name in rows:  # other hosts may check by row locks
            _WRITTEN_ROW.rows(self.connection, {"sc_name": name})
        return statement.rows(self.connection) if statement else []

    def close_all(self) -> None:
        close_every_gate(self.connection)


@lru_cache(maxsize=64)
def behind_locks(query: Function) -> Function:
    """Return the function that takes the shared locks of a check, and then runs ``query``."""
    text = f"SELECT {transaction.INSPECTION}, behind.* FROM ({query.query}) behind"  # noqa: S608
    return Function.of(f"gate_{query.job}", text, {**query.parameters, **_TYPES}, first=(_ENTERING.text,))


def every_function(queries: Iterable[Function]) -> list[Function]:
    """Return the functions of checks that run these ``queries``."""
    return [behind_locks(query) for query in queries]


def take_exclusive(connection: BaseDatabaseWrapper, names: Collection[str]) -> None:
    """Wait for the checks that hold advisory locks of ``names``, and let no other check take one."""
    timeout = database.lock_timeout(settings.LOCK_TIMEOUT)
    _CLOSING.rows(connection, {"sc_gates": list(names), "sc_timeout": timeout})


def close_every_gate(connection: BaseDatabaseWrapper) -> None:
    """Take all 1,024 lock numbers, and lock the table of the row gates.

    Each check takes one of these numbers, so it needs no extra lock that stands for every gate. While the table is
    locked, no check locks or inserts a row there.
    """
    database.limit_waits(settings.LOCK_TIMEOUT)
    with connection.cursor() as cursor:
        cursor.execute(EVERY_NUMBER)
        cursor.execute("LOCK TABLE securecore_gate IN EXCLUSIVE MODE")


def _entering(names: Collection[str]) -> dict[str, object]:
    return {"sc_gates": list(names), **transaction.limits()}
