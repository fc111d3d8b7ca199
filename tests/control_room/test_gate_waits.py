"""The sessions that wait at gates, seen by PostgreSQL while real sessions wait."""

from __future__ import annotations

import os
from contextlib import AbstractContextManager

import pytest
from django.db import connection, transaction

from securecore.control_room import gate_waits
from securecore.control_room.gate_waits import read_gate_waits
from securecore.grants.gate.lock_numbers import DERIVED_KIND, OWN_KIND
from tests.support.waiting_sessions import waiting_session

pytestmark = pytest.mark.django_db(transaction=True)
on_postgresql = pytest.mark.skipif(connection.vendor != "postgresql", reason="SQLite has no view of its waits")

#: A statement that holds, a statement that waits for it, and the place of the wait.
WAITS = {
    "a check behind a revocation": (
        f"SELECT pg_advisory_xact_lock({OWN_KIND}, 7)",
        f"SELECT pg_advisory_xact_lock_shared({OWN_KIND}, 7)",
        "gate, for a check",
    ),
    "a revocation behind a check": (
        f"SELECT pg_advisory_xact_lock_shared({DERIVED_KIND}, 7)",
        f"SELECT pg_advisory_xact_lock({DERIVED_KIND}, 7)",
        "gate, for a revocation",
    ),
    "a check by row locks": (
        "UPDATE securecore_gate SET epoch = epoch WHERE principal = 'user:1'",
        "SELECT 1 FROM securecore_gate WHERE principal = 'user:1' FOR NO KEY UPDATE",
        "row of a gate",
    ),
    "a lock of another program": ("SELECT pg_advisory_xact_lock(7)", "SELECT pg_advisory_xact_lock(7)", "another lock"),
}


def waiting(name: str) -> AbstractContextManager[tuple[int, int]]:
    """Let two sessions wait in the database of the test, which is not that of the suite."""
    holds, waits, _ = WAITS[name]
    url, database = os.environ["TEST_DATABASE_URL"], connection.settings_dict["NAME"]
    return waiting_session(url, holds=holds, waits=waits, dbname=database)


@on_postgresql
@pytest.mark.parametrize("name", WAITS)
def test_waiting_session_is_named_with_its_holder(name: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute("INSERT INTO securecore_gate (principal, epoch) VALUES ('user:1', 0) ON CONFLICT DO NOTHING")
    with waiting(name) as (holder, waiter):
        read = read_gate_waits()
    [each] = read.waiting
    assert (each.pid, each.place, each.application) == (waiter, WAITS[name][2], "app-1")
    assert each.waits_for == [holder]
    assert 0 <= each.seconds < 30
    [held] = read.holding
    assert (held.pid, held.state, held.application) == (holder, "idle in transaction", "app-2")
    assert (read.is_known, str(read.count)) == (True, "1")
    assert "pg_advisory" not in repr(read), "the text of a statement may hold the digest of a session id"
    assert not read_gate_waits().count


@on_postgresql
def test_list_is_bounded_and_the_count_is_not(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gate_waits, "SHOWN", 1)
    with waiting("a check behind a revocation"), waiting("a lock of another program"):
        read = read_gate_waits()
    assert (len(read.waiting), str(read.count)) == (1, "2")


@on_postgresql
def test_engine_without_these_views_is_unknown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gate_waits, "_WAITING", "SELECT waitstart FROM pg_locks_of_another_engine")
    with transaction.atomic():
        assert not read_gate_waits().is_known
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")


@pytest.mark.skipif(connection.vendor != "sqlite", reason="PostgreSQL reports its waits")
def test_sqlite_says_that_the_waits_are_unknown() -> None:
    assert not read_gate_waits().is_known
