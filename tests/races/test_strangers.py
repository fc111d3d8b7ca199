"""Gates of unknown certificates are purged while checks and revocations use them.

Checks of the row gate leave such rows, and changes of both gates: other hosts may check by row locks.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing import Event
from typing import Any

import psycopg
import pytest
from django.db import connection, transaction

from securecore import clock, grants
from securecore.grants import Gate, authorize, gate, strangers
from tests.races.gates import EVERY_GATE, ROW, ROW_PREPARED
from tests.races.revocations import MAKE, Person
from tests.races.test_authorization import Held, Thread, _gate, wait_until_blocked

__all__ = ["_gate"]

pytestmark = pytest.mark.django_db(transaction=True)
of_row_gates = pytest.mark.parametrize("_gate", [ROW, ROW_PREPARED], indirect=True)
of_every_gate = pytest.mark.parametrize("_gate", EVERY_GATE, indirect=True)

STRANGER = "certificate:" + "x" * 43


def enter(person: Person) -> None:
    grants.decide((person.own, STRANGER), MAKE, clock=clock.now).require()


@pytest.fixture
def other() -> Iterator[psycopg.Connection[Any]]:
    """A connection that waits 5 ms for a lock."""
    connection.ensure_connection()
    with psycopg.connect(connection.connection.info.dsn, options="-c lock_timeout=5ms") as other:
        yield other


@of_row_gates
def test_a_gate_that_is_held_stays() -> None:
    person = Person()
    person.give(person.own)
    check = Held(lambda: enter(person))
    assert sum(strangers.forget_unknown(10)) == 0
    closed = Held(lambda: gate.close(STRANGER), waits=True)
    wait_until_blocked(1, "the gate", closed.thread)
    check.let_go()
    closed.await_work()
    assert sum(strangers.forget_unknown(10)) == 0
    closed.let_go()
    assert sum(strangers.forget_unknown(10)) == 1


@of_row_gates
def test_a_row_that_another_check_inserted_is_locked(other: psycopg.Connection[Any]) -> None:
    """The second check finds no row, and its insert waits for the first check."""
    person = Person()
    person.give(person.own)
    first = Held(lambda: enter(person))
    second = Held(lambda: enter(person), waits=True)
    wait_until_blocked(1, "the row of the first check", second.thread)
    first.let_go()
    second.await_work()
    assert is_held(other)
    second.let_go()


@of_every_gate
def test_a_gate_that_is_purged_while_a_change_closes_it_stays_locked(other: psycopg.Connection[Any]) -> None:
    with purging():
        for _ in range(150):
            with transaction.atomic():
                gate.close(STRANGER)
                assert is_held(other)
    assert Gate.objects.filter(principal=STRANGER).count() <= 1


@of_every_gate
def test_a_gate_whose_row_is_there_is_locked_by_a_change(other: psycopg.Connection[Any]) -> None:
    Gate.objects.create(principal=STRANGER)
    with transaction.atomic():
        gate.close(STRANGER)
        assert is_held(other)


@of_row_gates
def test_a_gate_that_is_purged_while_a_check_enters_it_stays_locked(other: psycopg.Connection[Any]) -> None:
    person = Person()
    person.give(person.own)
    with purging():
        for _ in range(150):
            with authorize((person.own, STRANGER), MAKE, clock=clock.now):
                assert is_held(other)
    assert Gate.objects.filter(principal=STRANGER).count() <= 1


@contextmanager
def purging() -> Iterator[None]:
    """Purge the gates of unknown certificates in another thread, again and again, during the block."""
    done = Event()

    def purge() -> None:
        while not done.is_set():
            sum(strangers.forget_unknown(10))

    thread = Thread(purge)
    try:
        yield
    finally:
        done.set()
    thread.result()


def is_held(other: psycopg.Connection[Any]) -> bool:
    """Return whether another connection can neither insert the row nor lock it."""
    statement = "INSERT INTO securecore_gate VALUES (%s, 0) ON CONFLICT (principal) DO UPDATE SET epoch = 0"
    try:
        other.execute(statement, [STRANGER])
    except psycopg.errors.LockNotAvailable:
        return True
    finally:
        other.rollback()
    return False
