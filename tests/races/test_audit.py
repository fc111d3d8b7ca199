"""The audit under concurrency: a change and its row commit together, and sealing loses no row and delays no writer."""

from __future__ import annotations

from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import DatabaseError, connection, transaction

from securecore import audit, clock, grants, revocation
from securecore.audit import chain
from securecore.audit.models import AuditRow
from securecore.events import KeyRetired
from securecore.grants import principal_of
from securecore.models import Certificate, Grant
from tests.races.test_authorization import Held, Thread, wait_until_blocked

pytestmark = pytest.mark.django_db(transaction=True)

ROUNDS = 10


def test_each_committed_row_is_sealed_once_and_no_other(run_together: Any) -> None:
    """Eight writers, every second transaction rolls back, while two processes seal."""

    def write(number: int) -> None:
        for turn in range(ROUNDS):
            with transaction.atomic():
                audit.write(KeyRetired(kid=f"{number}-{turn}"))
                transaction.set_rollback(turn % 2 == 1)

    def work(number: int) -> None:
        if number < 8:
            write(number)
        else:
            for _ in range(ROUNDS):
                audit.seal()

    run_together(10, work)
    audit.seal()
    found = audit.verify()
    assert (found.faults, found.unsealed, found.head.position) == ([], 0, 8 * ROUNDS / 2)
    assert AuditRow.objects.count() == 8 * ROUNDS / 2


def test_a_second_seal_waits_for_the_first() -> None:
    """Both would give the next position to different rows."""
    with transaction.atomic():
        audit.write(KeyRetired(kid="first"))
    with transaction.atomic():
        assert chain._seal_batch(0) == (1, None)
        second = Thread(audit.seal)
        wait_until_blocked(1, "the second seal", second)
    assert second.result() == 0


def test_a_writer_with_an_open_transaction_delays_neither_writers_nor_the_seal() -> None:
    held = Held(lambda: audit.write(KeyRetired(kid="slow")))
    try:
        with transaction.atomic():
            audit.write(KeyRetired(kid="fast"))
        assert audit.seal() == 1
    finally:
        held.let_go()
    assert audit.seal() == 1
    assert [row.payload["kid"] for row in AuditRow.objects.order_by("position")] == ["fast", "slow"]
    assert audit.verify().faults == []


def test_grant_and_row_commit_together_when_sessions_are_killed(users: dict[str, User], run_together: Any) -> None:
    """PostgreSQL ends sessions at random instants, before, in and after the commit."""
    own = principal_of(users["alice"])

    def work(number: int) -> None:
        if number == 0:
            kill_sessions()
            return
        for turn in range(ROUNDS):
            try:
                grants.grant(principal=own, permission=f"things.make-{number}-{turn}", now=clock.now())
            except DatabaseError:
                connection.close()

    run_together(5, work)
    given = set(Grant.objects.filter(principal=own).values_list("permission", flat=True))
    rows = AuditRow.objects.filter(event="securecore.grants.grant-given", subject=own)
    assert given
    assert {row.payload["permission"] for row in rows} == given


def kill_sessions() -> None:
    """End the other sessions of this database one after the other, a few times."""
    for _ in range(ROUNDS):
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() "
                "AND pid <> pg_backend_pid() AND state = 'idle in transaction' LIMIT 1"
            )


def test_revocation_and_row_roll_back_together_at_a_lock_timeout(users: dict[str, User], settings: Any) -> None:
    """The revoking transaction closes the gate and then cannot lock the row of the certificate."""
    settings.SECURECORE = {**settings.SECURECORE, "LOCK_TIMEOUT": 0.3}
    certificate = users["alice"].certificates.get()
    before = AuditRow.objects.count()
    held = Held(lambda: Certificate.objects.select_for_update().get(pk=certificate.pk))
    try:
        with pytest.raises(Exception, match="too long"):
            revocation.revoke_certificate(thumbprint=certificate.pk)
    finally:
        held.let_go()
    certificate.refresh_from_db()
    assert (certificate.revoked_at, AuditRow.objects.count()) == (None, before)
    revocation.revoke_certificate(thumbprint=certificate.pk)
    assert AuditRow.objects.count() == before + 1
