"""The plans that run the one query on a connection: the errors, and the cases in which Django's cursor runs it."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest
from django.db import (
    DataError,
    IntegrityError,
    OperationalError,
    ProgrammingError,
    connection,
    connections,
    transaction,
)
from django.db.transaction import TransactionManagementError
from psycopg.generators import send

from securecore.database import plans
from securecore.database.statements import BoundStatement, Statement, run_in_pipeline

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.skipif(connection.vendor != "postgresql", reason="only PostgreSQL prepares"),
]

ADD = Statement("SELECT %(a)s + 1")


@pytest.fixture
def raw() -> Iterator[Any]:
    """The psycopg connection, which may prepare."""
    connection.close()
    connection.ensure_connection()
    connection.connection.prepare_threshold = 5
    yield connection.connection
    connection.close()


@pytest.fixture
def runs(monkeypatch: pytest.MonkeyPatch) -> list[bytes]:
    """The list of queries that a plan ran."""
    made: list[bytes] = []
    run = plans.Plans.rows

    def noted(self: Any, bound: Any, *new: Any) -> Any:
        made.append(bound.query)
        return run(self, bound, *new)

    monkeypatch.setattr(plans.Plans, "rows", noted)
    return made


def names(raw: Any) -> list[str]:
    rows = raw.execute("SELECT name FROM pg_prepared_statements WHERE name LIKE 'securecore%'").fetchall()
    return [name for (name,) in rows]


class TestPlans:
    def test_are_made_once_for_each_type_of_parameters(self, raw: Any) -> None:
        """psycopg sends a small number as smallint, which has no room for a large one."""
        for a in (1, 2, 100_000, 2**40, 3):
            assert ADD.rows(connection, {"a": a}) == [(a + 1,)]
        assert len(names(raw)) == 3

    def test_read_values_as_django_s_cursor_does(self, raw: Any, runs: list[bytes]) -> None:
        statement = Statement("SELECT now(), 1.5, CAST('[1]' AS jsonb), NULL, true, CAST(%(a)s AS text)")
        first, second = (statement.rows(connection, {"a": "x"}) for _ in range(2))
        raw.prepare_threshold = None
        (unprepared,) = statement.rows(connection, {"a": "x"})
        assert len(runs) == 2
        assert first[0][1:] == second[0][1:] == unprepared[1:]
        assert first[0][0].utcoffset() == unprepared[0].utcoffset()

    def test_are_bounded(self, raw: Any, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(plans, "_MOST", 3)
        for number in range(9):
            assert Statement(f"SELECT {number}").rows(connection, {}) == [(number,)]
        assert len(names(raw)) == 3

    def test_are_of_their_query_by_name(self, raw: Any) -> None:
        """A plan's name depends on its query. So behind a pooler, by mistake, another client's plan never runs for this
        query.
        """
        Statement("SELECT 1").rows(connection, {})
        Statement("SELECT 2").rows(connection, {})
        first, second = (name.split("_")[1] for name in names(raw))
        assert first != second

    def test_that_are_gone_are_made_again(self, raw: Any, runs: list[bytes]) -> None:
        ADD.rows(connection, {"a": 1})
        raw.execute("DEALLOCATE ALL")
        for a in (2, 3):
            assert ADD.rows(connection, {"a": a}) == [(a + 1,)]
        assert len(runs) == 3
        assert len(names(raw)) == 1

    def test_that_psycopg_deallocates_break_no_transaction(self, raw: Any) -> None:
        """After a rollback psycopg deallocates all its prepared statements, and the plans, in the middle of the next
        transaction.
        """
        for _ in range(3):
            ADD.rows(connection, {"a": 1})
            with transaction.atomic():
                ADD.rows(connection, {"a": 1})
                transaction.set_rollback(True)
            with transaction.atomic():
                connection.cursor().execute("SELECT 1")
                assert ADD.rows(connection, {"a": 1}) == ADD.rows(connection, {"a": 1}) == [(2,)]
        assert ADD.rows(connection, {"a": 1}) == [(2,)]

    def test_go_and_come_back_with_their_connection(self, raw: Any) -> None:
        """With Django's pool ("pool" in OPTIONS) each request gets another connection, and in time
        the first one again.
        """
        database: Any = connections["default"]
        with psycopg.connect(raw.info.dsn, autocommit=True, prepare_threshold=5) as other:
            try:
                for each in (raw, other, raw, other):
                    database.connection = each
                    assert ADD.rows(database, {"a": 1}) == [(2,)]
            finally:
                database.connection = raw
            assert (len(names(raw)), len(names(other))) == (1, 1)

    def test_follow_a_migration(self, raw: Any) -> None:
        statement = Statement("SELECT * FROM changing")
        with connection.cursor() as cursor:
            cursor.execute("CREATE TABLE changing AS SELECT 7 AS name")
        try:
            assert statement.rows(connection, {}) == [(7,)]
            raw.execute("ALTER TABLE changing ALTER COLUMN name TYPE text")
            assert statement.rows(connection, {}) == [("7",)]
            raw.execute("ALTER TABLE changing ADD COLUMN more integer")
            assert statement.rows(connection, {}) == [("7", None)]
            assert statement.rows(connection, {}) == [("7", None)]
        finally:
            raw.execute("DROP TABLE changing")


class TestAnswers:
    """A repeated result is parsed again only if a byte differs."""

    @pytest.fixture
    def told(self, raw: Any) -> Iterator[Any]:
        """A query on a table of two columns, and a function that changes the row."""
        raw.execute("CREATE TABLE told (number integer, name text)")

        def tell(*rows: tuple[Any, Any]) -> None:
            raw.execute("DELETE FROM told")
            for row in rows:
                raw.execute("INSERT INTO told VALUES (%s, %s)", row)

        yield tell
        raw.execute("DROP TABLE told")

    @pytest.fixture
    def bound(self) -> BoundStatement:
        statement = Statement(
            "SELECT number, name FROM told WHERE name IS NULL OR name <> %(other)s || %(now)s ORDER BY number",
            new=["now", "unused"],
        )
        return statement.bind({"other": "x"})

    def test_that_are_the_same_are_read_once(self, told: Any, bound: BoundStatement) -> None:
        told((1, "a"), (2, "b"))
        first = bound.with_new({"now": "1"}).rows(connection)
        assert first == [(1, "a"), (2, "b")]
        assert bound.with_new({"now": "2"}).rows(connection) is first

    @pytest.mark.parametrize(
        "rows",
        [
            [(1, "a"), (2, "c")],
            [(1, "a"), (3, "b")],
            [(1, "a")],
            [(1, "a"), (2, "b"), (3, "")],
            [(1, "a"), (2, None)],
            [(1, None), (2, "b")],
            [(None, "b"), (1, "a")],
            [],
        ],
    )
    def test_that_differ_are_read(self, told: Any, bound: BoundStatement, rows: list[Any]) -> None:
        """Forwards and back, so that each value is both the known one and the new one."""
        before: list[Any] = [(1, "a"), (2, "b")]
        for each in (before, rows, before):
            told(*each)
            for now in ("1", "2"):
                found = bound.with_new({"now": now}).rows(connection)
                assert sorted(found, key=repr) == sorted(each, key=repr)

    def test_depend_on_what_is_asked_now(self, told: Any, bound: BoundStatement) -> None:
        told((1, "x1"), (2, "x2"))
        for now, number in (("1", 2), ("2", 1), ("1", 2)):
            assert [row[0] for row in bound.with_new({"now": now}).rows(connection)] == [number]

    def test_of_another_type_are_read_though_their_bytes_are_the_same(self, raw: Any, told: Any) -> None:
        """After a migration. The plan of this connection fails once; a new connection's plan never fails."""
        told((7, "7"))
        bound = Statement("SELECT number FROM told").bind({})
        assert bound.rows(connection) == [(7,)]
        raw.execute("ALTER TABLE told ALTER COLUMN number TYPE text")
        raw.execute("DEALLOCATE ALL")
        assert bound.rows(connection) == [("7",)]
        assert bound.rows(connection) == [("7",)]

    def test_are_waited_for_whatever_happens_meanwhile(self, raw: Any) -> None:
        bound, done = ADD.bind({"a": 1}), []

        def fail() -> None:
            done.append("failed")
            raise ZeroDivisionError

        for _ in range(2):
            assert bound.rows(connection, lambda: done.append("done")) == [(2,)]
            with pytest.raises(ZeroDivisionError):
                bound.rows(connection, fail)
        assert ADD.rows(connection, {"a": 2}) == [(3,)]
        assert done == ["done", "failed", "done", "failed"]

    def test_of_a_bound_of_two_threads_are_each_one_s_own(self, told: Any, bound: BoundStatement) -> None:
        told((1, "x1"), (2, "x2"))
        failed: list[Any] = []

        def ask(now: str, expected: int) -> None:
            connection.ensure_connection()
            connection.connection.prepare_threshold = 5
            try:
                for _ in range(200):
                    found = bound.with_new({"now": now}).rows(connection)
                    if [row[0] for row in found] != [expected]:
                        failed.append(found)
            finally:
                connection.close()

        threads = [threading.Thread(target=ask, args=each) for each in (("1", 2), ("2", 1))]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert failed == []


class TestPipeline:
    """Statements that begin a transaction, in one round trip."""

    STATE = Statement("SELECT %(a)s + 1, pg_current_xact_id() IS NOT NULL")

    def test_are_run_in_it_one_after_the_other(self, raw: Any) -> None:
        for _ in range(2):
            with transaction.atomic():
                assert run_in_pipeline(connection, [self.STATE.bind({"a": 1}), ADD.bind({"a": 2})]) == [
                    [(2, True)],
                    [(3,)],
                ]
                assert raw.info.transaction_status.name == "INTRANS"
                with connection.cursor() as cursor:
                    cursor.execute("SET LOCAL application_name = 'inside'")
                transaction.set_rollback(True)
            assert Statement("SELECT current_setting('application_name')").rows(connection, {}) != [("inside",)]

    def test_each_sees_what_was_committed_while_the_one_before_it_waited(self, raw: Any) -> None:
        """The permission is read after the gate was taken, in one round trip or in two."""
        raw.execute("CREATE TABLE seen (number integer)")
        wait = Statement("SELECT pg_advisory_xact_lock(4711) IS NULL, (SELECT count(*) FROM seen)")
        look = Statement("SELECT count(*) FROM seen")
        try:
            with psycopg.connect(raw.info.dsn) as other:
                other.execute("SELECT pg_advisory_xact_lock(4711)")
                other.execute("INSERT INTO seen VALUES (1)")
                committing = threading.Thread(target=_commit_when_somebody_waits, args=(other, raw.info.backend_pid))
                committing.start()
                with transaction.atomic():
                    waited, looked = run_in_pipeline(connection, [wait.bind({}), look.bind({})]) or ([], [])
                committing.join()
            assert (waited[0][1], looked) == (0, [(1,)])
        finally:
            raw.execute("DROP TABLE seen")

    def test_are_left_to_others_where_it_has_begun_or_is_no_plain_one(self, raw: Any) -> None:
        assert run_in_pipeline(connection, [ADD.bind({"a": 1})]) is None  # autocommit
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute("SELECT 1")
            assert run_in_pipeline(connection, [ADD.bind({"a": 1})]) is None
        raw.isolation_level = psycopg.IsolationLevel.SERIALIZABLE
        with transaction.atomic():
            assert run_in_pipeline(connection, [ADD.bind({"a": 1})]) is None
        raw.isolation_level = None
        raw.prepare_threshold = None
        with transaction.atomic():
            assert run_in_pipeline(connection, [ADD.bind({"a": 1})]) is None

    def test_whose_plan_is_gone_have_done_nothing(self, raw: Any) -> None:
        for is_gone in (True, False, True):
            with transaction.atomic():
                run_in_pipeline(connection, [ADD.bind({"a": 1}), self.STATE.bind({"a": 1})])
            for name in names(raw) if is_gone else ():
                raw.pgconn.exec_(f"DEALLOCATE {name}".encode())
            with transaction.atomic():
                found = run_in_pipeline(connection, [ADD.bind({"a": 1}), self.STATE.bind({"a": 1})])
                assert (found is None) == is_gone
                assert raw.info.transaction_status.name == ("IDLE" if found is None else "INTRANS")
                assert ADD.rows(connection, {"a": 1}) == [(2,)]

    def test_that_are_all_of_a_transaction_commit_it(self, raw: Any) -> None:
        raw.execute("CREATE TABLE kept (number integer CHECK (number < 9))")
        keep = Statement("INSERT INTO kept VALUES (%(number)s) RETURNING number")
        try:
            with transaction.atomic():
                assert run_in_pipeline(connection, [keep.bind({"number": 1}), ADD.bind({"a": 1})], commits=True) == [
                    [(1,)],
                    [(2,)],
                ]
                assert raw.info.transaction_status.name == "IDLE"
                with psycopg.connect(raw.info.dsn) as other:
                    assert other.execute("SELECT number FROM kept").fetchall() == [(1,)]
            with pytest.raises(IntegrityError), transaction.atomic():
                run_in_pipeline(connection, [keep.bind({"number": 2}), keep.bind({"number": 9})], commits=True)
            for name in names(raw):
                raw.pgconn.exec_(f"DEALLOCATE {name}".encode())
            with transaction.atomic():
                assert run_in_pipeline(connection, [keep.bind({"number": 3}), ADD.bind({"a": 1})], commits=True) is None
            assert raw.execute("SELECT number FROM kept").fetchall() == [(1,)]
        finally:
            raw.execute("DROP TABLE kept")

    def test_whose_commit_fails_say_so(self, raw: Any) -> None:
        raw.execute("CREATE TABLE kept (number integer UNIQUE DEFERRABLE INITIALLY DEFERRED)")
        keep = Statement("INSERT INTO kept VALUES (%(number)s) RETURNING number")
        try:
            with pytest.raises(IntegrityError), transaction.atomic():
                run_in_pipeline(connection, [keep.bind({"number": 1}), keep.bind({"number": 1})], commits=True)
            assert raw.execute("SELECT number FROM kept").fetchall() == []
        finally:
            raw.execute("DROP TABLE kept")

    @pytest.mark.parametrize("commits", [True, False])
    def test_raise_when_the_transaction_could_not_begin(
        self, raw: Any, monkeypatch: pytest.MonkeyPatch, commits: bool
    ) -> None:
        """In an aborted pipeline, every later statement has a result without rows and without an error."""
        monkeypatch.setattr(plans, "_BEGIN", b"BEGIN ISOLATION LEVEL NONE")
        with pytest.raises(ProgrammingError), transaction.atomic():
            run_in_pipeline(connection, [ADD.bind({"a": 1}), ADD.bind({"a": 2})], commits=commits)
        assert ADD.rows(connection, {"a": 1}) == [(2,)]

    def test_raise_when_the_commit_was_a_rollback(self, raw: Any, monkeypatch: pytest.MonkeyPatch) -> None:
        """PostgreSQL replies ROLLBACK to the COMMIT of a failed transaction, and reports no error."""
        monkeypatch.setattr(plans, "_COMMIT", b"ROLLBACK")
        with pytest.raises(OperationalError), transaction.atomic():
            run_in_pipeline(connection, [ADD.bind({"a": 1})], commits=True)

    def test_that_were_left_half_read_are_nobody_s_answer(self, raw: Any, monkeypatch: pytest.MonkeyPatch) -> None:
        """For example a gevent timeout while results arrive. The next statement must not read the leftover results as
        its own.
        """

        def interrupted(pgconn: Any, number: int) -> Any:
            yield from send(pgconn)
            raise TimeoutError

        with monkeypatch.context() as patched, pytest.raises(TimeoutError), transaction.atomic():
            patched.setattr(plans, "_pipelined", interrupted)
            run_in_pipeline(connection, [ADD.bind({"a": 1}), ADD.bind({"a": 2})])
        assert raw.closed
        connection.close_if_unusable_or_obsolete()
        assert ADD.rows(connection, {"a": 41}) == [(42,)]

    @pytest.mark.parametrize("number", [0, 1])
    def test_one_of_which_fails_raise_what_django_raises(self, raw: Any, number: int) -> None:
        statements: list[Any] = [ADD.bind({"a": 1}), ADD.bind({"a": 2})]
        statements[number] = Statement("SELECT 1 / (%(a)s - 1)").bind({"a": 1})
        with pytest.raises(DataError, match="division by zero"), transaction.atomic():
            run_in_pipeline(connection, statements)
        assert ADD.rows(connection, {"a": 1}) == [(2,)]

    def test_on_a_connection_that_was_lost_say_so(self, raw: Any) -> None:
        with transaction.atomic():
            run_in_pipeline(connection, [ADD.bind({"a": 1})])
        _end(raw)
        with pytest.raises(OperationalError), transaction.atomic():
            run_in_pipeline(connection, [ADD.bind({"a": 1})])
        connection.close_if_unusable_or_obsolete()
        assert ADD.rows(connection, {"a": 1}) == [(2,)]


class TestConnection:
    def test_that_was_lost_is_said_by_django_s_error_and_made_anew(self, raw: Any) -> None:
        ADD.rows(connection, {"a": 1})
        _end(raw)
        with pytest.raises(OperationalError):
            ADD.rows(connection, {"a": 1})
        connection.close_if_unusable_or_obsolete()  # as Django does between two requests
        assert ADD.rows(connection, {"a": 1}) == [(2,)]

    def test_that_was_lost_between_two_requests_is_not_noticed(self, raw: Any, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setitem(connection.settings_dict, "CONN_HEALTH_CHECKS", True)
        ADD.rows(connection, {"a": 1})
        _end(raw)
        database: Any = connection
        database.health_check_enabled, database.health_check_done = True, False
        assert ADD.rows(connection, {"a": 1}) == [(2,)]
        assert connection.connection is not raw

    def test_of_a_pooler_prepares_nothing(self, raw: Any, runs: list[bytes]) -> None:
        raw.prepare_threshold = None
        assert ADD.rows(connection, {"a": 1}) == [(2,)]
        assert (runs, names(raw)) == ([], [])


class TestTransaction:
    def test_is_begun_by_the_first_statement(self, raw: Any) -> None:
        """A read in a transaction belongs to that transaction."""
        with transaction.atomic():
            assert ADD.rows(connection, {"a": 1}) == [(2,)]
            assert raw.info.transaction_status.name == "INTRANS"
            connection.cursor().execute("SET LOCAL application_name = 'inside'")
            assert Statement("SELECT current_setting('application_name')").rows(connection, {}) == [("inside",)]
            transaction.set_rollback(True)
        assert Statement("SELECT current_setting('application_name')").rows(connection, {}) != [("inside",)]

    def test_that_is_broken_stays_so(self, raw: Any, runs: list[bytes]) -> None:
        with pytest.raises(TransactionManagementError), transaction.atomic():
            transaction.set_rollback(True)
            ADD.rows(connection, {"a": 1})
        with pytest.raises(ProgrammingError), transaction.atomic():
            connection.cursor().execute("SELECT 1")
            Statement("SELECT * FROM nowhere").rows(connection, {})
        assert ADD.rows(connection, {"a": 1}) == [(2,)]


def _end(raw: Any) -> None:
    """End the connection from the server's side."""
    with connection.copy().cursor() as cursor:
        cursor.execute("SELECT pg_terminate_backend(%s, 5000)", [raw.info.backend_pid])
        cursor.connection.close()


def _commit_when_somebody_waits(holding: Any, waiting: int) -> None:
    """Commit on ``holding``, which releases its lock, once the backend ``waiting`` waits for the lock."""
    with psycopg.connect(holding.info.dsn, autocommit=True) as watching:
        while watching.execute("SELECT pg_blocking_pids(%s)", [waiting]).fetchone() == ([],):
            time.sleep(0.005)
    holding.commit()
