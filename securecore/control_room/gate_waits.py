"""The sessions of the database that wait for a lock, and the sessions that hold it. PostgreSQL only.

No text of a statement is read: it may hold the digest of a session id.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from django.db import NotSupportedError, ProgrammingError, transaction

from securecore import database
from securecore.conf import settings
from securecore.control_room.bounded import SHOWN, Count, lasting
from securecore.grants.gate.lock_numbers import KINDS

#: The names of the places at which a session waits. A session that waits for the row of a gate waits for another
#: transaction, and holds a tuple lock meanwhile.
_WAITING = """
    WITH waits AS (
        SELECT DISTINCT ON (pid) pid, waitstart,
            CASE WHEN locktype = 'advisory' AND classid::bigint = ANY(%(kinds)s)
                THEN CASE mode WHEN 'ShareLock' THEN 'gate, for a check' ELSE 'gate, for a revocation' END
                WHEN relation = to_regclass('securecore_gate') OR EXISTS (
                    SELECT 1 FROM pg_locks AS tuple WHERE tuple.pid = waiting.pid AND tuple.locktype = 'tuple'
                    AND tuple.relation = to_regclass('securecore_gate')
                ) THEN 'row of a gate'
                ELSE 'another lock' END AS place
        FROM pg_locks AS waiting WHERE NOT granted
        AND pid IN (SELECT pid FROM pg_stat_activity WHERE datname = current_database())
        ORDER BY pid
    )
    SELECT pid, place, coalesce(extract(epoch FROM clock_timestamp() - coalesce(waitstart, query_start)), 0)::float,
        coalesce(application_name, ''), pg_blocking_pids(pid), count(*) OVER ()
    FROM waits JOIN pg_stat_activity USING (pid) ORDER BY 3 DESC LIMIT %(shown)s
"""
_HOLDING = """
    SELECT pid, coalesce(state, 'unknown'),
        coalesce(extract(epoch FROM clock_timestamp() - xact_start), 0)::float, coalesce(application_name, ''),
        coalesce(usename, '')
    FROM pg_stat_activity WHERE pid = ANY(%(pids)s) ORDER BY xact_start LIMIT %(shown)s
"""


@dataclass(frozen=True, slots=True)
class Waiting:
    pid: int
    place: str
    seconds: float
    application: str
    waits_for: list[int]

    @property
    def lasting(self) -> str:
        return lasting(self.seconds)

    @property
    def held_by(self) -> str:
        return ", ".join(map(str, self.waits_for))


@dataclass(frozen=True, slots=True)
class Holding:
    """A session for which others wait. ``seconds`` is the age of its transaction."""

    pid: int
    state: str
    seconds: float
    application: str
    user: str

    @property
    def lasting(self) -> str:
        return lasting(self.seconds)


@dataclass(frozen=True, slots=True)
class GateWaits:
    """The waits of this instant. ``is_known`` is false if the database does not report waits."""

    is_known: bool
    waiting: list[Waiting]
    holding: list[Holding]
    count: Count


_UNKNOWN = GateWaits(False, [], [], Count(0))


def read_gate_waits() -> GateWaits:
    """Return the sessions that wait, the longest first. Takes no lock of a table.

    They are unknown on SQLite, and on an engine that speaks PostgreSQL's protocol without these views (docs/scale.md).
    """
    if database.connection().vendor != "postgresql":
        return _UNKNOWN
    try:
        with transaction.atomic(using=settings.DATABASE):  # of ATOMIC_REQUESTS only the savepoint fails
            return _read()
    except (ProgrammingError, NotSupportedError):
        return _UNKNOWN


def _read() -> GateWaits:
    with database.connection().cursor() as cursor:
        cursor.execute(_WAITING, {"kinds": list(KINDS), "shown": SHOWN})
        rows: list[Any] = cursor.fetchall()
        waiting = [Waiting(*row[:-1]) for row in rows]
        pids = sorted({pid for each in waiting for pid in each.waits_for} - {each.pid for each in waiting})
        holding = []
        if pids:
            cursor.execute(_HOLDING, {"pids": pids, "shown": SHOWN})
            holding = [Holding(*row) for row in cursor.fetchall()]
    return GateWaits(True, waiting, holding, Count(rows[0][-1] if rows else 0))
