"""Server-side functions: installed by migrate, called by the application's role, replaced by a plain statement."""

from __future__ import annotations

import datetime as dt
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import connection, connections, transaction
from django.test.utils import CaptureQueriesContext

from securecore import server_functions
from securecore.checks.access import w706_functions
from securecore.database import callable_functions, function_installation
from securecore.database.functions import Function
from securecore.errors import Busy
from securecore.grants import triggers
from securecore.testing import FakeClock

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.skipif(connection.vendor != "postgresql", reason="only PostgreSQL has PL/pgSQL"),
]

ADD = Function("test_add", "SELECT CAST(%(a)s AS integer) + 1, '100%%', %(at)s", {"a": "integer", "at": "timestamptz"})
AT = dt.datetime(2026, 1, 2, tzinfo=dt.UTC)


@pytest.fixture(autouse=True)
def clean() -> Iterator[None]:
    yield
    connection.close()
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT oid::regprocedure::text FROM pg_proc WHERE proname LIKE %s", [f"{callable_functions.PREFIX}test%"]
        )
        for (call,) in cursor.fetchall():
            cursor.execute(f"DROP FUNCTION {call}")
    server_functions.after_migrate(using="default")
    callable_functions.look(connection)  # a test may have let this process run the plain statements for a minute


def statements(function: Function) -> list[str]:
    with CaptureQueriesContext(
        connection,
    ) as captured:
        assert function.rows(connection, {"a": 1, "at": AT}) == [(2, "100%", AT)]
    return [query["sql"] for query in captured.captured_queries]


def comment(name: str) -> str | None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT obj_description(oid, 'pg_proc') FROM pg_proc WHERE proname = %s", [name])
        ((text,),) = cursor.fetchall()
    return None if text is None else str(text)


def exists(name: str) -> bool:
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM pg_proc WHERE proname = %s", [name])
        return bool(cursor.fetchone() == (1,))


def test_an_installed_function_is_called_by_one_statement() -> None:
    function_installation.install([ADD], connection)
    (sql,) = statements(ADD)
    assert ADD.name in sql


def test_a_missing_function_is_the_plain_statement() -> None:
    function_installation.missing([ADD], connection)
    (sql,) = statements(ADD)
    assert ADD.name not in sql
    assert function_installation.missing([ADD], connection) == [ADD.name]


def test_a_function_that_vanished_is_the_plain_statement() -> None:
    function_installation.install([ADD], connection)
    with connection.cursor() as cursor:
        cursor.execute(f"DROP FUNCTION {ADD.name}")
    assert len(statements(ADD)) == 2, "the call that failed, and the plain statement"
    assert len(statements(ADD)) == 1


def test_a_function_that_vanished_ends_a_transaction_with_503() -> None:
    function_installation.install([ADD], connection)
    with connection.cursor() as cursor:
        cursor.execute(f"DROP FUNCTION {ADD.name}")
    with pytest.raises(Busy), transaction.atomic():
        ADD.rows(connection, {"a": 1, "at": AT})
    with transaction.atomic():
        assert len(statements(ADD)) == 1


def test_a_function_that_vanished_ends_a_transaction_without_atomic_with_503() -> None:
    function_installation.install([ADD], connection)
    with connection.cursor() as cursor:
        cursor.execute(f"DROP FUNCTION {ADD.name}")
    connection.set_autocommit(False)
    try:
        with pytest.raises(Busy):
            ADD.rows(connection, {"a": 1, "at": AT})
        connection.rollback()
        assert len(statements(ADD)) == 1
    finally:
        connection.rollback()
        connection.set_autocommit(True)


def test_a_function_that_is_created_anew_answers_every_call() -> None:
    """Between the analysis of a call and its run PostgreSQL reports "cache lookup failed" (XX000)."""
    function_installation.install([ADD], connection)
    errors: list[Exception] = []
    is_over = threading.Event()

    def call() -> None:
        while not is_over.is_set():
            try:
                assert ADD.rows(connections["default"], {"a": 1, "at": AT}) == [(2, "100%", AT)]
                callable_functions.look(connections["default"])
            except Exception as error:
                errors.append(error)
        connections["default"].close()

    callers = [threading.Thread(target=call) for _ in range(3)]
    for caller in callers:
        caller.start()
    try:
        for _ in range(500):
            with transaction.atomic(), connection.cursor() as cursor:
                cursor.execute(f"DROP FUNCTION {ADD.name}")
                cursor.execute(ADD.definition(ADD.column_types(connection)))
    finally:
        is_over.set()
        for caller in callers:
            caller.join()
    assert errors == []


def test_a_function_that_the_role_must_not_call_is_the_plain_statement() -> None:
    function_installation.install([ADD], connection)
    with connection.cursor() as cursor:
        cursor.execute(f"REVOKE EXECUTE ON FUNCTION {ADD.name} FROM PUBLIC; DROP ROLE IF EXISTS sc_application")
        cursor.execute("CREATE ROLE sc_application; SET ROLE sc_application")
        try:
            function_installation.missing([], connection)
            assert ADD.name not in statements(ADD)[0]
        finally:
            cursor.execute("RESET ROLE; DROP ROLE sc_application")


def test_a_function_of_another_parameter_type_is_never_called() -> None:
    """Any role that may create objects in the schema could run its code with the rights of the service."""
    function_installation.install([ADD], connection)
    with connection.cursor() as cursor:
        for sql_type in ("text", "varchar", "anyarray"):
            cursor.execute(f"CREATE FUNCTION {ADD.name}({sql_type}) RETURNS integer LANGUAGE sql AS 'SELECT 0'")
    assert len(statements(ADD)) == 1


def test_an_error_of_the_statement_is_raised_as_it_is() -> None:
    function = Function("test_error", "SELECT 1 / CAST(%(a)s AS integer)", {"a": "integer"})
    function_installation.install([function], connection)
    from django.db import DataError

    with pytest.raises(DataError, match="division by zero"):
        function.rows(connection, {"a": 0})


@pytest.mark.parametrize(
    ("column", "key_type", "value"),
    [
        ("CAST('abc' AS character(5))", "integer", 1),
        ("CAST('101' AS bit(3))", "integer", 1),
        ("CAST('{ab}' AS character(2)[])", "integer", 1),
        ("1", "smallint", 1),
        ("1", "character(5)", "abc"),
        ("1", "bigint", 2**62),
    ],
)
def test_every_type_is_as_in_the_plain_statement(column: str, key_type: str, value: object) -> None:
    """A small number is an integer for PostgreSQL, and CAST(... AS character) cuts to one character."""
    function = Function("test_types", f"SELECT {column}, CAST(%(a)s AS {key_type})", {"a": key_type})
    function_installation.missing([function], connection)
    plain = function.rows(connection, {"a": value})
    function_installation.install([function], connection)
    with transaction.atomic(), CaptureQueriesContext(connection) as captured:
        assert function.rows(connection, {"a": value}) == plain
    assert function.name in captured.captured_queries[0]["sql"]


@pytest.mark.parametrize(
    "text", ["", " ", "NULL", 'a "quoted" word', "a\\b\\", "{a,b}", ",", "'", "%s", "\n", "Zoë \U0001f512"]
)
@pytest.mark.parametrize("sql_type", ["text", "text[]"])
def test_every_text_is_as_in_the_plain_statement(text: str, sql_type: str) -> None:
    function = Function("test_texts", f"SELECT CAST(%(a)s AS {sql_type}), %(b)s", {"a": sql_type, "b": "text"})
    value = [text, text] if sql_type == "text[]" else text
    function_installation.install([function], connection)
    with CaptureQueriesContext(connection) as captured:
        assert function.rows(connection, {"a": value, "b": None}) == [(value, None)]
    (query,) = captured.captured_queries
    assert function.name in query["sql"]


@pytest.mark.parametrize(
    "sql_type", ["varchar(4)", "character varying(4)", "char(4)", "character (4)", "numeric(3, 1)", "decimal(3)"]
)
def test_a_value_longer_than_its_column_equals_no_row(sql_type: str) -> None:
    """A key of the user model may be a short text, and anybody may ask for the permission of a longer name."""
    value = "12345" if sql_type[0] in "nd" else "long text"
    function = Function.of("test_long", f"SELECT %(a)s = CAST('1' AS {sql_type})", {"a": sql_type})
    function_installation.install([function], connection)
    with CaptureQueriesContext(connection) as captured:
        assert function.rows(connection, {"a": value}) == [(False,)]
    (query,) = captured.captured_queries
    assert function.name in query["sql"]


def test_null_is_null_where_arrays_have_no_nulls() -> None:
    """With this setting of a role each token of a family was refused: its stored key was "NULL", and not null."""
    function = Function("test_null", "SELECT %(a)s IS NULL", {"a": "text"})
    function_installation.install([function], connection)
    with connection.cursor() as cursor:
        cursor.execute("SET array_nulls = off")
        try:
            assert function_installation.missing([function], connection) == [function.name]
            assert function.rows(connection, {"a": None}) == [(True,)]
        finally:
            cursor.execute("RESET array_nulls")


def test_a_parameter_without_a_text_form_needs_the_plain_statement() -> None:
    """A project's user may have a key of a type that only its own adapter can write."""
    function = Function("test_key", "SELECT CAST(%(a)s AS bytea)", {"a": "bytea"})
    function_installation.install([function], connection)
    with CaptureQueriesContext(connection) as captured:
        assert [bytes(value) for ((value,),) in [function.rows(connection, {"a": bytearray(b"key")})]] == [b"key"]
    assert function.name not in captured.captured_queries[0]["sql"]


def test_a_text_that_differs_has_another_name() -> None:
    other = Function(ADD.job, ADD.query + " ", ADD.parameters)
    assert other.name != ADD.name
    function_installation.install([ADD, other], connection)
    assert function_installation.missing([ADD, other], connection) == []


def test_migrate_keeps_a_function_that_an_older_version_may_still_call(fake_clock: FakeClock) -> None:
    function_installation.install([ADD], connection)
    function_installation.install([], connection)
    assert str(comment(ADD.name)).startswith("securecore: unused since ")
    function_installation.install([], connection)
    assert exists(ADD.name)
    fake_clock.advance(days=function_installation.KEPT, hours=1)
    function_installation.install([], connection)
    assert not exists(ADD.name)


def test_a_function_that_is_wanted_again_is_kept() -> None:
    function_installation.install([ADD], connection)
    function_installation.install([], connection)
    function_installation.install([ADD], connection)
    assert comment(ADD.name) is None


def test_migrate_leaves_functions_of_the_project_alone() -> None:
    with connection.cursor() as cursor:
        cursor.execute("CREATE OR REPLACE FUNCTION other_test() RETURNS int LANGUAGE sql AS 'SELECT 1'")
        function_installation.install([], connection)
        assert exists("other_test")
        assert comment("other_test") is None
        cursor.execute("DROP FUNCTION other_test()")


def test_the_second_statement_sees_a_commit_that_the_first_waited_for() -> None:
    """One plain statement that locks and reads returns the row from before the wait."""
    with connection.cursor() as cursor:
        cursor.execute("CREATE TABLE sc_seen (n integer); INSERT INTO sc_seen VALUES (1)")
    read = Function(
        "test_read",
        "SELECT n FROM sc_seen WHERE n > %(least)s",
        {"least": "integer"},
        ("SELECT pg_advisory_xact_lock_shared(77)",),
    )
    function_installation.install([read], connection)
    found: list[object] = []

    def check() -> None:
        with transaction.atomic():
            found.extend(read.rows(connections["default"], {"least": 0}))
        connections["default"].close()

    try:
        thread = threading.Thread(target=check)
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_xact_lock(77)")
            thread.start()
            wait_until_blocked(cursor)
            cursor.execute("UPDATE sc_seen SET n = 2")
        thread.join()
        assert found == [(2,)]
    finally:
        with connection.cursor() as cursor:
            cursor.execute("DROP TABLE sc_seen")


def wait_until_blocked(cursor: object) -> None:
    import time

    for _ in range(500):
        cursor.execute("SELECT count(*) FROM pg_locks WHERE NOT granted")  # type: ignore[attr-defined]
        if cursor.fetchone() != (0,):  # type: ignore[attr-defined]
            return
        time.sleep(0.01)
    raise AssertionError("The check never waited for the lock.")


def test_a_missing_function_is_reported() -> None:
    assert w706_functions(databases=["default"]) == []
    with connection.cursor() as cursor:
        first = server_functions.every_function()[0].name
        cursor.execute(f"DROP FUNCTION {first}")
    try:
        (problem,) = w706_functions(databases=["default"])
        assert problem.id == "securecore.W706"
        assert first in problem.msg
        assert w706_functions(databases=[]) == []
    finally:
        server_functions.after_migrate(using="default")
    assert server_functions.missing() == []


def test_no_function_is_missing_before_the_first_migrate() -> None:
    """The first ``migrate`` of a database runs this check, and then creates the tables and the functions."""
    with transaction.atomic():
        with connection.cursor() as cursor:
            cursor.execute("CREATE SCHEMA still_empty")
            cursor.execute("SET LOCAL search_path TO still_empty")
        assert server_functions.missing()
        assert w706_functions(databases=["default"]) == []
        transaction.set_rollback(True)


@pytest.mark.parametrize("things", ["functions", "triggers"])
def test_migrate_names_the_right_that_its_role_lacks(things: str) -> None:
    """The role of the service has no CREATE on the schema (PostgreSQL 15 and later), and owns nothing."""
    drop_every_function()
    if things == "triggers":
        server_functions.after_migrate(using="default")
        triggers.remove()
    with connection.cursor() as cursor:
        cursor.execute("DROP ROLE IF EXISTS sc_service; CREATE ROLE sc_service")
        cursor.execute("GRANT ALL ON ALL TABLES IN SCHEMA public TO sc_service")
        cursor.execute("GRANT ALL ON ALL SEQUENCES IN SCHEMA public TO sc_service; SET ROLE sc_service")
        try:
            with pytest.raises(CommandError, match=f"'sc_service' must not create the {things} .* as the owner"):
                call_command("migrate", verbosity=0)
        finally:
            cursor.execute("RESET ROLE; DROP OWNED BY sc_service; DROP ROLE sc_service")
            triggers.install()


def test_migrate_leaves_no_function_without_tables(monkeypatch: pytest.MonkeyPatch) -> None:
    """After ``migrate securecore zero`` there is nothing to select from."""
    nowhere = Function.of("test_nowhere", "SELECT 1 FROM nowhere", {})
    monkeypatch.setattr(server_functions, "every_function", lambda: [nowhere])
    server_functions.after_migrate(using="default")
    assert not exists(nowhere.name)
    monkeypatch.undo()
    server_functions.after_migrate(using="default")
    assert server_functions.missing() == []


def test_migrate_leaves_no_function_for_a_user_of_other_columns() -> None:
    """``migrate APP`` ends while the migration of the user model has not run."""
    drop_every_function()
    with connection.cursor() as cursor:
        cursor.execute("ALTER TABLE auth_user RENAME COLUMN last_name TO renamed")
        try:
            server_functions.after_migrate(using="default")
            assert server_functions.missing() != []
        finally:
            cursor.execute("ALTER TABLE auth_user RENAME COLUMN renamed TO last_name")
    server_functions.after_migrate(using="default")
    assert server_functions.missing() == []


@pytest.mark.parametrize("column", ["given_least", "given", "result_0", "column_0"])
def test_a_column_may_be_named_like_a_variable(column: str) -> None:
    function = Function.of(
        "test_named",
        f'SELECT sc_named."{column}" FROM sc_named WHERE sc_named."{column}" > %(least)s',
        {"least": "integer"},
    )
    with connection.cursor() as cursor:
        cursor.execute(f'CREATE TABLE sc_named ("{column}" integer); INSERT INTO sc_named VALUES (1), (2)')
        try:
            function_installation.install([function], connection)
            assert function.rows(connection, {"least": 1}) == [(2,)]
        finally:
            cursor.execute("DROP TABLE sc_named")


def test_migrate_replaces_a_function_of_other_types() -> None:
    """``migrate APP`` created it from the tables of before the migration that the models know already."""
    function = Function("test_wide", "SELECT n FROM sc_wide WHERE n > %(least)s", {"least": "integer"})
    with connection.cursor() as cursor:
        cursor.execute("CREATE TABLE sc_wide (n integer); INSERT INTO sc_wide VALUES (1)")
        try:
            function_installation.install([function], connection)
            assert function.rows(connection, {"least": 0}) == [(1,)]
            cursor.execute("ALTER TABLE sc_wide ALTER COLUMN n TYPE bigint; UPDATE sc_wide SET n = 5000000000")
            function_installation.install([function], connection)
            with CaptureQueriesContext(connection) as captured:
                assert function.rows(connection, {"least": 0}) == [(5_000_000_000,)]
            assert len(captured) == 1, "the plain statement did not run"
        finally:
            cursor.execute("DROP TABLE sc_wide")


@pytest.mark.parametrize(
    ("before", "after", "value"),
    [
        ("integer", "bigint", 5_000_000_000),
        ("boolean", "timestamptz", AT),
        ("boolean", "text", "admin"),
        ("date", "text", "soon"),
        ("date", "text", "2026-02-30"),
    ],
)
def test_a_value_that_the_old_type_has_not_is_the_plain_statement(before: str, after: str, value: Any) -> None:
    """A migration of the user table ran, and the version of before it still serves."""
    function = Function("test_old", "SELECT n FROM sc_old WHERE %(a)s = 'a'", {"a": "text"})
    with connection.cursor() as cursor:
        cursor.execute(f"CREATE TABLE sc_old (n {before})")
        try:
            function_installation.install([function], connection)
            cursor.execute(f"ALTER TABLE sc_old DROP n, ADD n {after}")
            cursor.execute("INSERT INTO sc_old VALUES (%s)", [value])
            assert function.rows(connection, {"a": "a"}) == [(value,)]
            callable_functions.look(connection)
            with pytest.raises(Busy), transaction.atomic():
                function.rows(connection, {"a": "a"})
            assert function.rows(connection, {"a": "a"}) == [(value,)]
        finally:
            cursor.execute("DROP TABLE sc_old")


@pytest.mark.parametrize("install", [lambda: server_functions.after_migrate(using="default"), triggers.install])
def test_two_migrate_at_once_create_once(install: Callable[[], None]) -> None:
    drop_every_function()
    triggers.remove()
    errors: list[Exception] = []
    both = threading.Barrier(2)

    def migrate() -> None:
        connections["default"].ensure_connection()
        both.wait()
        try:
            install()
        except Exception as error:
            errors.append(error)
        finally:
            connections["default"].close()

    threads = [threading.Thread(target=migrate) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    triggers.install()
    assert errors == []


def drop_every_function() -> None:
    with connection.cursor() as cursor:
        for function in server_functions.every_function():
            cursor.execute(f"DROP FUNCTION IF EXISTS {function.name}")
