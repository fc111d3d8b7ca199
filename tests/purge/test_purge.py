from __future__ import annotations

import datetime as dt
import io
import itertools
import threading
import uuid
from concurrent.futures import ThreadPoolExecutor, wait
from types import SimpleNamespace
from typing import Any

import psycopg
import pytest
from django.contrib.auth.models import User
from django.core.management import CommandError, call_command
from django.db import NotSupportedError, connection, models, transaction

from securecore import clock, last_runs
from securecore.audit import chain
from securecore.errors import Misuse
from securecore.last_runs import PURGE
from securecore.models import (
    AuditRow,
    Certificate,
    CertificateIdentifier,
    Client,
    ControlRoom,
    Gate,
    Grant,
    GrantUse,
    IdempotencyRecord,
    LastRun,
    ListedCertificate,
    Lockout,
    OneTimeToken,
    RefreshFamily,
    RefreshToken,
    RefusalCount,
    RefusalTotal,
    RevocationList,
    RevokedToken,
    SeenNonce,
    Session,
    SignatureKey,
    SigningKey,
    TokenEpoch,
)
from securecore.purge import FINISHED, count_expired, expiring, lags, purge

pytestmark = pytest.mark.django_db(transaction=True)

HOUR, MICROSECOND = dt.timedelta(hours=1), dt.timedelta(microseconds=1)
EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
NONCES = "securecore_seen_nonce"
NOT_BY_EXPIRY = {"securecore_gate": 0, "securecore_listed_certificate": 0}


def nonces(count: int, expires_at: dt.datetime) -> None:
    SeenNonce.objects.bulk_create(SeenNonce(id=uuid.uuid4(), expires_at=expires_at) for _ in range(count))


def one_of_each(now: dt.datetime) -> None:
    """A row in every table that ended at ``now``."""
    SeenNonce.objects.create(id=uuid.uuid4(), expires_at=now)
    RevokedToken.objects.create(id=uuid.uuid4(), expires_at=now)
    IdempotencyRecord.objects.create(id=uuid.uuid4(), fingerprint=b"", created_at=now, expires_at=now)
    Session.objects.create(id=uuid.uuid4(), data="", created_at=now, last_seen_at=now, expires_at=now, ends_at=now)
    Certificate.objects.create(thumbprint=uuid.uuid4().hex, not_after=now, enrolled_at=now)
    CertificateIdentifier.objects.create(id=uuid.uuid4(), certificate="x", identifier="y", expires_at=now)
    Grant.objects.create(principal="user:1", permission=uuid.uuid4().hex, granted_at=now, revoked_at=now)
    GrantUse.objects.create(id=uuid.uuid4(), grant_id=10**9, principal="user:1", expires_at=now)
    Lockout.objects.create(subject=f"service:{uuid.uuid4()}", locked_at=now, expires_at=now)
    OneTimeToken.objects.create(id=uuid.uuid4(), subject="x", expires_at=now)
    SigningKey.objects.create(kid=uuid.uuid4().hex, created_at=now, signs_at=now, expires_at=now)
    RefreshToken.objects.create(id=uuid.uuid4(), family=family(expires_at=now), expires_at=now)
    RefusalCount.objects.create(id=uuid.uuid4(), minute=now, code="x", count=1, expires_at=now)
    RefusalTotal.objects.create(id=uuid.uuid4(), seconds=60, begins=now, code="x", count=1, expires_at=now)
    for expires_at in (now, now + dt.timedelta(days=10_000)):  # the purge keeps the last row of the chain
        AuditRow.objects.create(at=now, payload={}, expires_at=expires_at)


def family(*, expires_at: dt.datetime) -> RefreshFamily:
    user, _ = User.objects.get_or_create(username="alice")
    return RefreshFamily.objects.create(
        id=uuid.uuid4(), user=user, client_id="alice", rotates=True, created_at=expires_at, expires_at=expires_at
    )


def listed(issuer: str, expires_at: dt.datetime, entries: int = 3) -> None:
    """A revocation list with some entries."""
    dates = dict.fromkeys(("this_update", "next_update", "imported_at", "expires_at"), expires_at)
    row = RevocationList.objects.create(name=uuid.uuid4(), issuer=issuer, **dates)
    ListedCertificate.objects.bulk_create(
        ListedCertificate(certificate=uuid.uuid4(), revocation_list=row, revoked_at=expires_at, reason=1)
        for _ in range(entries)
    )


class RouterToNowhere:
    def db_for_write(self, model: object, **hints: object) -> str:
        return "nowhere"


class TestPurge:
    def test_purge_deletes_what_has_expired_and_nothing_else(self, now: Any) -> None:
        nonces(3, now - HOUR)
        nonces(2, now + HOUR)
        assert purge(now=now).rows[NONCES] == 3
        assert SeenNonce.objects.count() == 2

    def test_purge_knows_every_table_that_grows(self, now: Any) -> None:
        longest = dt.timedelta(days=1000)
        one_of_each(now - longest)
        assert purge(now=now).rows == {each.table: 1 for each in expiring()} | NOT_BY_EXPIRY

    def test_purge_takes_the_gates_of_unknown_certificates(self, now: Any) -> None:
        """Each certificate of the authority leaves one under the row gate, also by a refused request."""
        Grant.objects.create(principal="certificate:granted", permission="x", granted_at=now)
        Certificate.objects.create(thumbprint="enrolled", not_after=now + HOUR, enrolled_at=now)
        Gate.objects.all().delete()
        known = ["certificate:enrolled", "certificate:granted", "group:1", "role:clerk", "service:c", "user:1"]
        for principal in (*known, "certificate:stranger", "certificate:another"):
            Gate.objects.create(principal=principal, epoch=len(principal) % 2)
        assert count_expired(now=now)["securecore_gate"] == 2
        assert purge(now=now, batch_size=1).rows["securecore_gate"] == 2
        assert list(Gate.objects.order_by("principal").values_list("principal", flat=True)) == known

    def test_purge_leaves_no_table_out(self) -> None:
        """A new model must be purged, or say here why it is bounded without."""
        bounded = {Gate, TokenEpoch, Client, SignatureKey}  # one row a principal; a subject; a registration
        bounded |= {LastRun, ControlRoom}  # one row a job; no table
        from django.apps import apps

        grows: set[type[models.Model]] = set(apps.get_app_config("securecore").get_models())
        by_list = {RevocationList, ListedCertificate}  # the test below
        assert grows - bounded - by_list == {each.model for each in expiring()}

    def test_purge_deletes_a_list_with_its_entries(self, now: Any) -> None:
        for ends, name in ((now - HOUR, "old"), (now + HOUR, "new")):
            listed(name, ends)
        assert count_expired(now=now)["securecore_listed_certificate"] == 3
        assert purge(now=now, batch_size=2).rows["securecore_listed_certificate"] == 3
        assert [row.issuer for row in RevocationList.objects.all()] == ["new"]
        assert ListedCertificate.objects.count() == 3

    def test_purge_deletes_every_list_that_has_expired(self, now: Any) -> None:
        for name in ("one", "two"):
            listed(name, now - HOUR)
        assert purge(now=now, batch_size=2).rows["securecore_listed_certificate"] == 6
        assert not RevocationList.objects.exists()

    def test_purge_asks_no_router(self, now: Any, settings: Any) -> None:
        """SECURECORE["DATABASE"] names the database; a router that is right for users may name another."""
        listed("one", now - HOUR)
        settings.DATABASE_ROUTERS = [f"{__name__}.RouterToNowhere"]
        assert purge(now=now, batch_size=2).rows["securecore_listed_certificate"] == 3

    def test_purge_keeps_live_grants_and_certificates_for_ever(self, now: Any) -> None:
        Grant.objects.create(principal="user:1", permission="x", granted_at=now - 10_000 * HOUR)
        Certificate.objects.create(thumbprint="x", not_after=now + HOUR, enrolled_at=now - 10_000 * HOUR)
        purge(now=now)
        assert Grant.objects.exists()
        assert Certificate.objects.exists()

    def test_purge_keeps_a_revoked_grant_as_history(self, now: Any, settings: Any) -> None:
        settings.SECURECORE = settings.SECURECORE | {"HISTORY_RETENTION": 3_600}
        Grant.objects.create(principal="user:1", permission="x", granted_at=now, revoked_at=now)
        for seconds, rows in ((3_609, 0), (3_610, 1)):  # an hour and the clock skew
            assert purge(now=now + dt.timedelta(seconds=seconds)).rows["securecore_grant"] == rows

    def test_purge_keeps_the_signing_key_that_has_no_successor(self, now: Any) -> None:
        long_ago = now - 10_000 * HOUR
        SigningKey.objects.create(kid="newest", created_at=long_ago, signs_at=long_ago)
        purge(now=now)
        assert SigningKey.objects.exists()

    def test_purge_takes_a_family_without_its_tokens_and_tokens_without_their_family(self, now: Any) -> None:
        dead, alive = family(expires_at=now - HOUR), family(expires_at=now + HOUR)
        for each, expires_at in ((dead, now + HOUR), (alive, now - HOUR), (alive, now + HOUR)):
            RefreshToken.objects.create(id=uuid.uuid4(), family=each, expires_at=expires_at)
        rows = purge(now=now).rows
        assert (rows["securecore_refresh_family"], rows["securecore_refresh_token"]) == (1, 1)
        assert RefreshFamily.objects.get() == alive
        assert {token.family_id for token in RefreshToken.objects.all()} == {dead.pk, alive.pk}

    def test_purge_keeps_a_family_as_long_as_its_last_access_token_lives(self, now: Any) -> None:
        family(expires_at=now)
        assert purge(now=now + dt.timedelta(seconds=309)).rows["securecore_refresh_family"] == 0
        assert purge(now=now + dt.timedelta(seconds=311)).rows["securecore_refresh_family"] == 1

    def test_purge_waits_for_a_host_with_a_slow_clock(self, now: Any) -> None:
        nonces(1, now - dt.timedelta(seconds=9))
        assert purge(now=now).rows[NONCES] == 0
        assert purge(now=now + dt.timedelta(seconds=1)).rows[NONCES] == 1

    def test_purge_works_in_bounded_batches(self, now: Any) -> None:
        nonces(10, now - HOUR)
        seen: list[tuple[str, int]] = []
        purge(now=now, batch_size=4, progress=lambda table, rows: seen.append((table, rows)))
        assert [rows for table, rows in seen if table == NONCES] == [4, 8, 10]

    def test_purge_stops_in_time_and_says_so(self, now: Any) -> None:
        nonces(10, now - HOUR)
        purged = purge(now=now, batch_size=1, max_seconds=0)
        assert (purged.finished, SeenNonce.objects.count()) == (False, 10)
        assert purge(now=now, batch_size=1).finished

    def test_purge_stops_while_it_seals_the_audit_behind_every_other_table(
        self, now: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """300,000 unsealed rows take 45 s: an incident writes as many."""
        nonces(1, now - HOUR)
        unsealed = [AuditRow(at=now, payload={}, expires_at=now + HOUR) for _ in range(200)]
        AuditRow.objects.bulk_create(unsealed)
        monkeypatch.setattr(chain, "_BATCH", 1)
        seconds = itertools.count()
        monkeypatch.setattr("securecore.purge.time", SimpleNamespace(monotonic=lambda: next(seconds)))
        assert not purge(now=now, max_seconds=100).finished
        assert not SeenNonce.objects.exists()
        assert 0 < AuditRow.objects.filter(position=None).count() < 200

    def test_purge_is_safe_to_repeat(self, now: Any) -> None:
        nonces(3, now - HOUR)
        purge(now=now)
        assert set(purge(now=now).rows.values()) == {0}

    def test_purge_does_not_run_in_a_transaction(self, now: Any) -> None:
        with pytest.raises(Misuse), transaction.atomic():
            purge(now=now)


class TestLastRun:
    def test_last_run_is_kept_and_the_next_one_replaces_it(self, now: Any) -> None:
        nonces(3, now - HOUR)
        purge(now=now, batch_size=1, max_seconds=0)
        assert last_runs.last_runs()[PURGE].outcome == "stopped"
        purge(now=now)
        [run] = LastRun.objects.all()
        assert (run.name, run.outcome) == (PURGE, FINISHED)
        assert run.detail.startswith("3 rows deleted in ")
        assert run.at >= now

    def test_lag_is_the_age_of_the_oldest_row_of_each_table(self, now: Any) -> None:
        assert set(lags(now).values()) == {0.0}
        nonces(1, now - HOUR)
        nonces(1, now + HOUR)
        Grant.objects.create(principal="user:1", permission="x", granted_at=now, revoked_at=now - 20_000 * HOUR)
        late = {table: lag for table, lag in lags(now).items() if lag}
        assert late.keys() == {NONCES, "securecore_grant"}, "a grant expires by either of two columns"
        assert late[NONCES] == 3_590

    def test_lag_of_the_audit_is_that_of_its_first_row(self, now: Any) -> None:
        for expires_at in (now - HOUR, now + HOUR):
            AuditRow.objects.create(at=now, payload={}, expires_at=expires_at)
        assert lags(now)["securecore_audit"] == 3_590

    def test_lag_and_count_leave_out_the_head_of_the_audit(self, now: Any) -> None:
        for _ in range(3):
            AuditRow.objects.create(at=now, payload={}, expires_at=now - HOUR)
        assert count_expired(now=now)["securecore_audit"] == 2
        assert purge(now=now).rows["securecore_audit"] == 2
        assert (count_expired(now=now)["securecore_audit"], lags(now)["securecore_audit"]) == (0, 0.0)


class TestCommand:
    def run(self, *arguments: str) -> dict[str, int]:
        out = io.StringIO()
        call_command("securecore_purge", *arguments, stdout=out)
        lines = [line.split() for line in out.getvalue().splitlines() if line.startswith("securecore_")]
        return {line[0]: int(line[1].replace(",", "")) for line in lines}

    def test_command_counts_each_table(self) -> None:
        nonces(1200, clock.now() - HOUR)
        tables = [*(each.table for each in expiring()), *NOT_BY_EXPIRY]
        assert self.run() == {table: 1200 if table == NONCES else 0 for table in tables}
        assert not SeenNonce.objects.exists()

    def test_command_has_its_numbers_in_one_column(self) -> None:
        out = io.StringIO()
        call_command("securecore_purge", stdout=out)
        assert len({line.index(" 0 deleted") for line in out.getvalue().splitlines()}) == 1

    def test_command_deletes_nothing_in_a_dry_run(self) -> None:
        nonces(5, clock.now() - HOUR)
        assert self.run("--dry-run")[NONCES] == 5
        assert SeenNonce.objects.count() == 5

    def test_command_tells_the_same_dry_as_wet(self) -> None:
        one_of_each(clock.now() - dt.timedelta(days=1000))
        assert self.run("--dry-run") == self.run()

    def test_command_says_when_its_time_was_too_short(self) -> None:
        out = io.StringIO()
        nonces(2, clock.now() - HOUR)
        call_command("securecore_purge", "--max-seconds", "0", stdout=out)
        assert "run it again" in out.getvalue()

    @pytest.mark.parametrize("arguments", [("--batch-size", "0"), ("--batch-size", "-1"), ("--batch-size", "many")])
    def test_command_refuses_a_batch_of_nothing(self, arguments: tuple[str, str]) -> None:
        with pytest.raises(CommandError):
            self.run(*arguments)

    def test_command_draws_progress_on_a_terminal_only(self) -> None:
        class Terminal(io.StringIO):
            def isatty(self) -> bool:
                return True

        nonces(3, clock.now() - HOUR)
        terminal = Terminal()
        call_command("securecore_purge", "--batch-size", "1", stdout=terminal)
        assert f"\r\033[K{NONCES}: 2 deleted" in terminal.getvalue()


def test_counting_is_what_purging_deletes(now: Any) -> None:
    one_of_each(now - dt.timedelta(days=1000))
    long_ago = now - dt.timedelta(days=1000)
    Grant.objects.create(
        principal="user:2", permission="x", granted_at=long_ago, revoked_at=long_ago, valid_until=long_ago
    )
    one_of_each(now + HOUR)
    AuditRow.objects.create(at=now, payload={}, expires_at=long_ago)  # behind a row that stays
    assert count_expired(now=now) == purge(now=now).rows


@pytest.mark.skipif(connection.vendor != "postgresql", reason="other engines are purged by key anyway")
def test_purge_deletes_by_key_where_the_engine_spreads_the_table(now: dt.datetime) -> None:
    """Citus refuses FOR UPDATE on a table that it spreads; tools/citus runs the purge on it."""
    nonces(3, now - HOUR)
    nonces(2, now + HOUR)

    def refuse_addresses(execute: Any, sql: str, *rest: Any) -> Any:
        if "ctid" in sql and NONCES in sql:
            raise NotSupportedError("could not run distributed query with FOR UPDATE/SHARE commands")
        return execute(sql, *rest)

    with connection.execute_wrapper(refuse_addresses):
        assert purge(now=now, batch_size=2).rows[NONCES] == 3
    assert SeenNonce.objects.count() == 2


class TestBatches:
    """PostgreSQL keeps deleted rows until a VACUUM. A batch from the first row on would read those of all batches."""

    pytestmark = pytest.mark.skipif(connection.vendor != "postgresql", reason="SQLite keeps no deleted rows")

    def test_batches_begin_at_the_instant_at_which_the_one_before_ended(self, now: dt.datetime) -> None:
        instants = [now - HOUR + dt.timedelta(minutes=number) for number in range(5)]
        for each in instants:
            nonces(2, each)
        begun = [parameters[1] if len(parameters) == 3 else None for parameters in self.sent("ctid", NONCES, now)]
        assert begun == [None, *((each - EPOCH) // MICROSECOND for each in (instants[1], instants[3]))]

    @pytest.mark.parametrize("zone", ["America/New_York", "Asia/Kolkata"])
    def test_batches_go_on_in_each_time_zone_of_the_connection(self, now: dt.datetime, zone: str) -> None:
        """Django reads an instant of such a connection hours away from its meaning."""
        for number in range(10):
            nonces(1, now - HOUR + number * MICROSECOND)
        with connection.cursor() as cursor:
            cursor.execute("SELECT set_config('timezone', %s, false)", [zone])
        try:
            assert purge(now=now, batch_size=3).rows[NONCES] == 10
        finally:
            connection.close()

    def test_batches_go_on_with_parameters_that_the_server_binds(self, now: dt.datetime) -> None:
        connection.close()
        connection.settings_dict["OPTIONS"]["server_side_binding"] = True
        try:
            for number in range(10):
                nonces(1, now - HOUR + number * MICROSECOND)
                Gate.objects.create(principal=f"certificate:{number}")
            rows = purge(now=now, batch_size=3).rows
            assert (rows[NONCES], rows["securecore_gate"]) == (10, 10)
        finally:
            connection.close()
            del connection.settings_dict["OPTIONS"]["server_side_binding"]

    def test_batches_leave_a_locked_row_to_the_next_run(self, now: dt.datetime) -> None:
        for number in range(10):
            nonces(1, now - HOUR + number * MICROSECOND)
        third = SeenNonce.objects.order_by("expires_at")[3]
        with psycopg.connect(connection.connection.info.dsn) as other:
            other.execute("SELECT 1 FROM securecore_seen_nonce WHERE id = %s FOR UPDATE", [third.pk])
            assert purge(now=now, batch_size=2).rows[NONCES] == 9
        assert purge(now=now, batch_size=2).rows[NONCES] == 1

    def test_batches_go_on_behind_instants_before_1970(self, now: dt.datetime) -> None:
        """Django writes no such instant, but SQL may."""
        nonces(10, now - HOUR)
        early = "UPDATE securecore_seen_nonce SET expires_at = '-infinity' WHERE id IN (SELECT id FROM {} LIMIT 5)"
        with connection.cursor() as cursor:
            cursor.execute(early.format(NONCES))
        assert purge(now=now, batch_size=2).rows[NONCES] == 10

    def test_batches_of_two_purges_leave_no_entry_without_its_list(self, now: dt.datetime) -> None:
        """The second purge finds the entries locked by the first, and must not take them for the last ones."""
        listed("one", now - HOUR, entries=200)
        deleted, go_on = threading.Event(), threading.Event()

        def stop_after_delete(execute: Any, sql: str, *rest: Any) -> Any:
            result = execute(sql, *rest)
            if sql.startswith("DELETE FROM securecore_listed") and not deleted.is_set():
                deleted.set()
                assert go_on.wait(30)
            return result

        def first() -> None:
            with connection.execute_wrapper(stop_after_delete):
                purge(now=now, batch_size=2)
            connection.close()

        def second() -> None:
            purge(now=now, batch_size=2)
            connection.close()

        with ThreadPoolExecutor(2) as threads:
            stopped = threads.submit(first)
            assert deleted.wait(30)
            waiting = threads.submit(second)
            wait([waiting], timeout=1)  # it ends, or waits for the rows of the first
            go_on.set()
            waiting.result()
            stopped.result()
        assert (ListedCertificate.objects.count(), RevocationList.objects.count()) == (0, 0)

    def test_batches_of_one_instant_end(self, now: dt.datetime) -> None:
        nonces(10, now - HOUR)
        assert purge(now=now, batch_size=4).rows[NONCES] == 10

    def test_batches_of_gates_begin_behind_the_last_principal(self, now: dt.datetime) -> None:
        names = [f"certificate:{number}" for number in range(9)]
        for name in names:
            Gate.objects.create(principal=name)
        begun = [parameters[0] for parameters in self.sent("DELETE", "securecore_gate", now)]
        assert begun == ["", names[3], names[7]]

    def test_batches_of_the_audit_begin_behind_the_last_position(self, now: dt.datetime) -> None:
        for expires_at in (*[now - HOUR] * 9, now + HOUR):
            AuditRow.objects.create(at=now, payload={}, expires_at=expires_at)
        assert [parameters[0] for parameters in self.sent("max(expires_at)", "securecore_audit", now)] == [0, 4, 8]

    def sent(self, text: str, table: str, now: dt.datetime) -> list[Any]:
        """Purge in batches of four; return the parameters of each statement with ``text`` and ``table``."""
        found: list[Any] = []

        def note(execute: Any, sql: str, parameters: Any, *rest: Any) -> Any:
            if text in sql and table in sql:
                found.append(parameters)
            return execute(sql, parameters, *rest)

        with connection.execute_wrapper(note):
            purge(now=now, batch_size=4)
        return found
