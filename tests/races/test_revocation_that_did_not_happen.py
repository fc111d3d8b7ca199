"""A revocation that PostgreSQL did not commit raises, for every cause."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import psycopg
import pytest
from django.contrib.auth.models import User
from django.db import OperationalError, ProgrammingError, connection, transaction
from django.db.models.signals import m2m_changed
from django.db.transaction import TransactionManagementError

from securecore.errors import Busy
from securecore.grants import Grant
from securecore.revocation import remove_from_group, revoke_grant
from tests.races.gates import AS_DJANGO_DOES, PREPARED, connect_with
from tests.races.revocations import MAKE, Person

pytestmark = [pytest.mark.one_process, pytest.mark.django_db(transaction=True)]

ROUNDS = 300


@pytest.fixture(
    params=[
        pytest.param(AS_DJANGO_DOES, id="unprepared"),
        pytest.param(PREPARED, id="prepared", marks=pytest.mark.matrix),
    ],
    autouse=True,
)
def _prepares(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    connect_with(request.param, monkeypatch)
    yield
    connection.close()


@pytest.fixture
def administrator() -> Iterator[psycopg.Connection[Any]]:
    connection.ensure_connection()
    with psycopg.connect(connection.connection.info.dsn, autocommit=True) as administrator:
        yield administrator


@contextmanager
def cancelled_at_random(administrator: psycopg.Connection[Any]) -> Iterator[None]:
    """Cancel the running statement of this connection again and again, as an administrator does with
    ``pg_cancel_backend()``.
    """
    connection.ensure_connection()
    done = threading.Event()
    # Read now: a cancelled pipeline closes the connection, which then knows no pid.
    pid = connection.connection.info.backend_pid

    def cancel() -> None:
        while not done.is_set():
            administrator.execute("SELECT pg_cancel_backend(%s)", [pid])

    thread = threading.Thread(target=cancel, daemon=True)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()


def test_that_was_cancelled_raises(administrator: psycopg.Connection[Any]) -> None:
    person = Person()
    returned = 0
    for _ in range(ROUNDS):
        person.give(person.own)
        with suppress(Busy, OperationalError):
            with cancelled_at_random(administrator):
                said = revoke_grant(principal=person.own, permission=MAKE)
            returned += 1
            assert said
            assert not Grant.objects.not_revoked().filter(principal=person.own).exists()
    assert returned < ROUNDS, "no revocation was cancelled"


def fails(*, action: str, **_: Any) -> None:
    """A signal receiver of the project that runs a failing statement and hides the error."""
    if action != "post_remove":
        return
    with suppress(ProgrammingError), connection.cursor() as cursor:
        cursor.execute("SELECT nonsense")


def fails_in_atomic(*, action: str, **_: Any) -> None:
    if action != "post_remove":
        return
    with suppress(ProgrammingError), transaction.atomic(savepoint=False), connection.cursor() as cursor:
        cursor.execute("SELECT nonsense")


@pytest.mark.parametrize("receiver", [fails, fails_in_atomic])
def test_that_was_rolled_back_by_an_error_that_somebody_swallowed_raises(receiver: Any) -> None:
    """PostgreSQL replies ROLLBACK to the COMMIT of a failed transaction, without an error."""
    person = Person()
    m2m_changed.connect(receiver, sender=User.groups.through)
    try:
        with pytest.raises(TransactionManagementError, match=r"remove_from_group\(\) was rolled back"):
            remove_from_group(user=person.user, group=person.group)
    finally:
        m2m_changed.disconnect(receiver, sender=User.groups.through)
    assert person.group.user_set.filter(pk=person.user.pk).exists()
