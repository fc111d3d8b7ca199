"""Trials of the way to the database: the pooler, the primary, the clocks."""

from __future__ import annotations

import time

from django.db import DatabaseError, transaction

from securecore import clock, database
from securecore.conf import settings
from securecore.database import Statement
from securecore.deployment.concurrent_connections import ConcurrentConnections
from securecore.deployment.trials import POSTGRESQL, Trial, Verdict, broken, kept, not_tried

_SERVER_PROCESS = Statement("SELECT pg_backend_pid(), current_setting('application_name')")
_NAMED = Statement("SELECT set_config('application_name', %(name)s, true)")
#: A pooler gives a connection of the server to the next client when a statement ends. The pause, in seconds, keeps the
#: connection in use, so the pooler has to open others, perhaps to other servers.
_PAUSE = 0.1
_WRITER = Statement(
    "SELECT pg_is_in_recovery(), current_setting('transaction_read_only'), pg_postmaster_start_time(), "
    "pg_backend_pid(), pg_sleep(%(pause)s)"
)
_CLOCK = Statement("SELECT clock_timestamp()")
#: Seconds. Two hosts, one before the database and one behind it, then differ by ``clock.SKEW`` at most.
_ALLOWED = clock.SKEW / 2
#: Readings of the clock; the one with the shortest round trip counts.
_READINGS = 5


def transaction_trial(connections: ConcurrentConnections) -> Verdict:
    """A gate is a lock of the transaction. A pooler that pools statements would release it after each statement."""
    name = "securecore_prove"
    connection = database.connection()
    try:
        with transaction.atomic(using=settings.DATABASE):
            [(first, _)] = _SERVER_PROCESS.rows(connection, {})
            _NAMED.rows(connection, {"name": name})
            [(second, named)] = _SERVER_PROCESS.rows(connection, {})
    except DatabaseError as error:
        if "statement pooling" not in str(error):
            raise
        return broken(f"the pooler accepts no transaction: {error}")
    if first != second or named != name:
        return broken(f"two statements of one transaction ran in the server processes {first} and {second}")
    return kept(f"one transaction, one server process ({first})")


def primary_trial(connections: ConcurrentConnections) -> Verdict:
    """A replica shows a revocation late, and two primaries would each accept a nonce."""
    asked = connections.at_once(lambda: _WRITER.rows(database.connection(), {"pause": _PAUSE}))
    rows = [rows[0] for rows in asked]
    replicas = sum(row[0] for row in rows)
    if replicas:
        return broken(f"{replicas} of {len(rows)} connections reached a replica (pg_is_in_recovery)")
    read_only = sum(row[1] == "on" for row in rows)
    if read_only:
        return broken(f"{read_only} of {len(rows)} connections are read-only (default_transaction_read_only)")
    servers = {row[2] for row in rows}
    if len(servers) > 1:
        return broken(f"{len(rows)} connections reached {len(servers)} servers")
    through = f"through {len({row[3] for row in rows})} server processes"
    since = f"up since {servers.pop():%Y-%m-%d %H:%M:%S %Z}"
    return kept(f"{len(rows)} connections, one server that writes, {through}, {since}")


def clock_trial(connections: ConcurrentConnections) -> Verdict:
    """The hosts and the database's triggers compare the same columns, each with its own clock."""
    readings = sorted(_reading() for _ in range(_READINGS))
    round_trip, offset = readings[0]
    if round_trip > _ALLOWED:
        return not_tried(f"a round trip takes {round_trip:.1f} s")
    text = f"the database is {offset:+.3f} s from this host (+- {round_trip / 2:.3f} s); {_ALLOWED:g} s are allowed"
    return broken(text) if abs(offset) - round_trip / 2 > _ALLOWED else kept(text)


def _reading() -> tuple[float, float]:
    """Return the duration of a round trip, and the clock of the database minus the clock of this host."""
    here, began = clock.now(), time.monotonic()
    [(there,)] = _CLOCK.rows(database.connection(), {})
    round_trip = time.monotonic() - began
    return round_trip, (there - here).total_seconds() - round_trip / 2


TRIALS = (
    Trial("P101", "A transaction stays on one connection of the server", transaction_trial, POSTGRESQL),
    Trial("P102", "Every connection reaches the same primary", primary_trial, POSTGRESQL),
    Trial("P103", "The clocks of application and database agree", clock_trial, POSTGRESQL),
)
