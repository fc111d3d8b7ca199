"""A check that could read an old permission raises instead of deciding."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from typing import Any

import pytest
from django.contrib.auth.models import Group
from django.db import OperationalError, connection, connections, transaction

from securecore import clock, database
from securecore.checks.grants import e604_gate, e605_replica
from securecore.database import Statement
from securecore.database.functions import Function
from securecore.errors import Busy, Misuse
from securecore.grants import Gate, Grant, authorize, decide, gate, late_gate, principals, revoke
from securecore.grants.gate.lock_numbers import lock_sql
from tests.grants.conftest import MAKE
from tests.support.functions import without_functions

pytestmark = pytest.mark.django_db(transaction=True)

Give = Callable[..., bool]

ADD = Function.of("test_add", "SELECT CAST(%(a)s AS integer) + 1", {"a": "integer"})


class TestMisuse:
    def test_misuse_in_autocommit_mode_teaches(self, alice: str, now: dt.datetime) -> None:
        with pytest.raises(Misuse, match="no transaction is open"):
            decide(alice, MAKE, clock=lambda: now)

    def test_misuse_in_a_savepoint_teaches(self, alice: str, give: Give, now: dt.datetime) -> None:
        give(alice)
        for use in (
            lambda: decide(alice, MAKE, clock=lambda: now),
            lambda: authorize(alice, MAKE, clock=lambda: now).__enter__(),
            lambda: late_gate(alice, clock=clock.now).__enter__(),
            lambda: revoke(principal=alice, permission=MAKE, now=now),
        ):
            with pytest.raises(Misuse, match="savepoint"), transaction.atomic(), transaction.atomic():
                use()

    def test_misuse_where_nothing_is_committed_teaches(self, alice: str, give: Give, now: dt.datetime) -> None:
        give(alice)
        transaction.set_autocommit(False)
        try:
            with pytest.raises(Misuse, match="autocommit was turned off"), authorize(alice, MAKE, clock=lambda: now):
                pass
        finally:
            transaction.rollback()
            transaction.set_autocommit(True)

    @pytest.mark.parametrize("level", ["REPEATABLE READ", "SERIALIZABLE"])
    @pytest.mark.parametrize("kind", ["advisory", "row"])
    def test_misuse_at_another_isolation_level_teaches(
        self, alice: str, give: Give, settings: Any, level: str, kind: str
    ) -> None:
        if connection.vendor == "sqlite":
            return  # this database has only one isolation level
        settings.SECURECORE = settings.SECURECORE | {"GATE": kind}
        give(alice)
        with pytest.raises(Misuse, match=level), transaction.atomic():
            with connection.cursor() as cursor:
                cursor.execute(f"SET TRANSACTION ISOLATION LEVEL {level}")
            decide(alice, MAKE, clock=clock.now)

    def test_misuse_of_a_deferred_transaction_on_sqlite_teaches(self, alice: str, monkeypatch: Any) -> None:
        if connection.vendor != "sqlite":
            return
        monkeypatch.setattr(connections["default"], "transaction_mode", "DEFERRED")
        with pytest.raises(Misuse, match="IMMEDIATE"), transaction.atomic():
            decide(alice, MAKE, clock=clock.now)


@pytest.mark.parametrize("is_function", [True, False])
class TestStatements:
    """A check is a function of PostgreSQL, or the same statements where the function is missing."""

    @pytest.fixture(autouse=True)
    def _functions(self, is_function: bool) -> Iterator[None]:
        with nullcontext() if is_function else without_functions():
            yield

    def test_statements_know_the_caller_and_the_permission(self, alice: str, group: Group, give: Give) -> None:
        service, other = principals.service("payments"), "certificate:" + "x" * 43
        give(principals.group(group), "role:clerk")
        give(principals.role("clerk"))
        give(service, "reports.read")
        for names, permission, allowed in (
            ((alice,), MAKE, True),
            ((alice,), "reports.read", False),
            ((service,), "reports.read", True),
            ((other,), "reports.read", False),
            ((service,), MAKE, False),
            ((alice, service, other), "reports.read", True),
            ((alice, service, other), MAKE, True),
            (("user:none",), MAKE, False),
        ):
            with transaction.atomic():
                assert bool(decide(names, permission, clock=clock.now)) == allowed, (names, permission)


class TestRows:
    def test_rows_that_are_not_there_yet_are_made_and_held(self, alice: str, give: Give, settings: Any) -> None:
        """On connections that may prepare and that may not, before and after the transaction has begun."""
        settings.SECURECORE = settings.SECURECORE | {"GATE": "row"}
        give(alice)
        for number, (threshold, begins) in enumerate(((5, False), (5, True), (None, False), (None, True))):
            names = (alice, principals.service(f"client {number}"))
            connection.close()
            connection.ensure_connection()
            if connection.vendor == "postgresql":
                connection.connection.prepare_threshold = threshold
            with transaction.atomic():
                if begins:
                    Group.objects.exists()
                assert decide(names, MAKE, clock=clock.now)
                assert Gate.objects.filter(principal=names[1]).exists() == (connection.vendor == "postgresql")
                assert decide(names, MAKE, clock=clock.now)
        connection.close()


@pytest.mark.parametrize("threshold", [5, None])
@pytest.mark.parametrize("kind", ["auto", "row"])
class TestRowsOfAStatement:
    """The gate runs the statement that it is given, on every connection, and returns its rows."""

    @pytest.fixture(autouse=True)
    def _connection(self, settings: Any, kind: str, threshold: int | None) -> Iterator[None]:
        settings.SECURECORE = settings.SECURECORE | {"GATE": kind}
        connection.close()
        connection.ensure_connection()
        if connection.vendor == "postgresql":
            connection.connection.prepare_threshold = threshold
        yield
        connection.close()

    @pytest.mark.parametrize("begins", [False, True])
    @pytest.mark.parametrize("names", [(), ("user:4711",), ("user:4711", "group:1")])
    def test_rows_of_a_statement_are_returned_by_close(self, names: tuple[str, ...], begins: bool) -> None:
        with transaction.atomic():
            if begins:
                Group.objects.exists()
            assert gate.close(*names, statement=Statement(ADD.query).bind({"a": 1})) == [(2,)]
            assert gate.close(*names) == []

    @pytest.mark.parametrize("begins", [False, True])
    def test_rows_of_a_statement_are_returned_by_enter(self, begins: bool) -> None:
        with transaction.atomic():
            if begins:
                Group.objects.exists()
            assert gate.enter(("user:4711",), {"group:1"}, ADD.bind({"a": 1})) == [(2,)]


class TestOneTurn:
    """A revocation that begins its transaction is one statement behind the gate, with the same result as in others."""

    @pytest.mark.parametrize("threshold", [5, None])
    def test_one_turn_takes_what_was_named_and_nothing_else(
        self, alice: str, group: Group, give: Give, threshold: int | None
    ) -> None:
        bob = "user:4711"
        give(alice)
        give(alice, obj=group)
        other = Group.objects.create(name="others")
        give(alice, obj=other)
        give(alice, denies=True)
        give(alice, "reports.read")
        give(bob)
        connection.close()
        connection.ensure_connection()
        if connection.vendor == "postgresql":
            connection.connection.prepare_threshold = threshold
        now = clock.now()
        assert revoke(principal=alice, permission=MAKE, obj=group, now=now)
        assert not revoke(principal=alice, permission=MAKE, obj=group, now=clock.now())
        assert revoke(principal=alice, permission=MAKE, denies=True, now=now)
        assert revoke(principal=bob, permission=MAKE, now=now)
        assert not revoke(principal="user:4712", permission=MAKE, now=now)
        left = Grant.objects.not_revoked().values_list("principal", "permission", "object_id", "denies")
        assert set(left) == {
            (alice, MAKE, "", False),
            (alice, MAKE, str(other.pk), False),
            (alice, "reports.read", "", False),
        }
        assert set(Grant.objects.exclude(revoked_at=None).values_list("revoked_at", flat=True)) == {now}
        connection.close()

    @pytest.mark.parametrize("threshold", [5, None])
    def test_one_turn_that_joined_a_transaction_goes_with_it(
        self, alice: str, give: Give, threshold: int | None
    ) -> None:
        """Also where the revocation is the first statement of the transaction, and could have committed."""
        give(alice)
        connection.close()
        connection.ensure_connection()
        if connection.vendor == "postgresql":
            connection.connection.prepare_threshold = threshold
        with transaction.atomic():
            assert revoke(principal=alice, permission=MAKE, now=clock.now())
            transaction.set_rollback(True)
        with authorize(alice, MAKE, clock=clock.now):
            pass
        connection.close()


class TestDeadlock:
    def test_deadlock_is_told_from_a_wait_that_was_too_long(self) -> None:
        class Cause(Exception):
            sqlstate = "40P01"

        error = OperationalError()
        error.__cause__ = Cause()
        assert database.is_deadlock(error)
        error.__cause__ = Exception()
        assert not database.is_deadlock(error)
        assert not database.is_deadlock(None)

    def test_deadlock_is_begun_once_more_and_no_more(self) -> None:
        tries = []

        class Cause(Exception):
            sqlstate = "40P01"

        def first() -> None:
            tries.append(1)
            error = OperationalError()
            error.__cause__ = Cause()
            raise Busy from error

        with pytest.raises(Busy), database.outermost_transaction_from("it", first):
            pass
        assert len(tries) == 2
        with pytest.raises(Busy), transaction.atomic(), database.outermost_transaction_from("it", first):
            pass  # the earlier statements of that transaction cannot be repeated
        assert len(tries) == 3


class TestChecks:
    def test_checks_e604_an_advisory_gate_without_advisory_locks(self, settings: Any) -> None:
        for kind, wrong in (("auto", False), ("row", False), ("advisory", connection.vendor == "sqlite")):
            settings.SECURECORE = settings.SECURECORE | {"GATE": kind}
            assert [problem.id for problem in e604_gate()] == ["securecore.E604"] * wrong

    def test_checks_e605_a_mirror(self, monkeypatch: Any) -> None:
        assert e605_replica() == []
        monkeypatch.setattr("securecore.checks.grants._database", lambda: {"TEST": {"MIRROR": "primary"}})
        assert [problem.id for problem in e605_replica()] == ["securecore.E605"]


def test_a_change_of_everybody_takes_no_more_locks_than_there_are_numbers() -> None:
    """Otherwise it would fill PostgreSQL's lock table, for every client."""
    if connection.vendor != "postgresql":
        return
    names = [f"user:{number}" for number in range(20_000)]
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(lock_sql("SELECT unnest(%s::text[]) AS name", "pg_advisory_xact_lock"), [names])
        cursor.execute("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND pid = pg_backend_pid()")
        assert 1_000 < cursor.fetchone()[0] <= 1_024
