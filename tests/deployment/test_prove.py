"""``manage.py securecore_prove`` on right deployments, and on wrong ones with the real PostgreSQL and PgBouncer."""

from __future__ import annotations

import datetime as dt
import os
import re
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import psycopg
import pytest
from django.core.management import CommandError, call_command
from django.db import connections

from demo_project.children import Children
from securecore import clock
from securecore.deployment.edge import trials
from securecore.deployment.prove import EVERY_TRIAL, RUNNER
from securecore.last_runs import last_runs
from securecore.purge import purge
from securecore.replay import store
from tests.deployment.conftest import Report, Traces, database, prove
from tests.support.postgres import Server
from tests.support.tree import ROOT
from tools.chaos.pgbouncer import binary, pgbouncer

Connection = psycopg.Connection[Any]

ON_SQLITE = {"P201", "P301", "P302", "P303", "P305", "P401", "P402", "P403", "P404", "P405", "P406", "P503"}
ON_POSTGRESQL = ON_SQLITE - {"P503"} | {"P101", "P102", "P103", "P202", "P203", "P204", "P304", "P501", "P502"}


@contextmanager
def changed(connection: Connection, change: Sequence[str], back: Sequence[str]) -> Iterator[None]:
    for statement in change:
        connection.execute(statement)
    try:
        yield
    finally:
        for statement in back:
            connection.execute(statement)


def wait_for(connection: Connection, query: str) -> None:
    deadline = time.monotonic() + 60
    while not connection.execute(query).fetchall():
        assert time.monotonic() < deadline, query
        time.sleep(0.02)


@contextmanager
def standby(postgres: Server, connection: Connection, folder: Path) -> Iterator[None]:
    """Stream the log of the server to ``folder``, as a standby does."""
    command = [str(postgres.binaries / "pg_receivewal"), "-D", str(folder), "-d", postgres.url, "--synchronous"]
    with subprocess.Popen(command, stderr=subprocess.DEVNULL) as receiving:
        try:
            wait_for(connection, "SELECT 1 FROM pg_stat_replication WHERE state = 'streaming'")
            yield
        finally:
            receiving.terminate()


class TestRight:
    def test_right_deployment_keeps_every_promise(self, primary: Connection, has_traces: Traces) -> None:
        """Two commands at once disturb neither each other nor, thus, live traffic."""

        def proved(_: int) -> Report:
            try:
                return prove()
            finally:
                connections.close_all()  # those of this thread

        with ThreadPoolExecutor(2) as pool:
            reports = list(pool.map(proved, range(2)))
        for report in reports:
            assert (report.code, report.ids("kept")) == (0, ON_POSTGRESQL), report
            assert report.ids("not provable") == {"P701"}
        assert not has_traces()

    def test_synchronous_standby_keeps_a_commit_and_another_may_lose_it(
        self, postgres: Server, primary: Connection, tmp_path: Path
    ) -> None:
        with standby(postgres, primary, tmp_path):
            report = prove("P203")
            assert (report.code, report.outcomes["P203"]) == (0, "not provable")
            assert report.details["P203"].startswith("standbys: 1, synchronous: 0")
            primary.execute("ALTER SYSTEM SET synchronous_standby_names = '*'")
            primary.execute("SELECT pg_reload_conf()")
            try:
                wait_for(primary, "SELECT 1 FROM pg_stat_replication WHERE sync_state = 'sync'")
                assert prove("P203").outcomes["P203"] == "kept"
                with changed(primary, *database_setting("synchronous_commit", "local")):
                    assert prove("P201").outcomes["P201"] == "broken"
            finally:
                primary.execute("ALTER SYSTEM RESET synchronous_standby_names")
                primary.execute("SELECT pg_reload_conf()")

    def test_an_asynchronous_standby_beside_a_synchronous_one_may_lose_a_commit(
        self, postgres: Server, primary: Connection, tmp_path: Path
    ) -> None:
        """Nobody but the operators knows which of the two is promoted."""
        names = ["ALTER SYSTEM SET synchronous_standby_names = 'pg_receivewal'", "SELECT pg_reload_conf()"]
        back = ["ALTER SYSTEM RESET synchronous_standby_names", "SELECT pg_reload_conf()"]
        with ExitStack() as stack:
            for name in ("first", "second"):
                (tmp_path / name).mkdir()
                stack.enter_context(standby(postgres, primary, tmp_path / name))
            wait_for(primary, "SELECT 1 FROM pg_stat_replication HAVING count(*) = 2")
            stack.enter_context(changed(primary, names, back))
            wait_for(primary, "SELECT 1 FROM pg_stat_replication WHERE sync_state = 'potential'")
            report = prove("P203")
        assert (report.code, report.outcomes["P203"]) == (0, "not provable")
        assert "standbys: 2, synchronous: 1" in report.details["P203"]

    def test_standby_that_is_away_may_lose_a_commit(self, primary: Connection) -> None:
        slot = ["SELECT pg_create_physical_replication_slot('away')"], ["SELECT pg_drop_replication_slot('away')"]
        with changed(primary, *slot):
            report = prove("P203")
        assert (report.code, report.outcomes["P203"]) == (0, "not provable")
        assert "away: 1" in report.details["P203"]

    def test_right_deployment_on_sqlite(self, sqlite_file: Path) -> None:
        with database(f"sqlite:///{sqlite_file}", transaction_mode="IMMEDIATE"):
            report = prove()
        assert (report.code, report.ids("kept")) == (0, ON_SQLITE), report

    def test_verdicts_are_stored_and_a_later_run_replaces_its_own(self, primary: Connection) -> None:
        """A run of some trials, for example after a repair, leaves the verdicts of the others."""
        primary.execute("DELETE FROM securecore_last_run")
        with changed(primary, *database_setting("synchronous_commit", "off")):
            prove("P201", "P301")
        assert {name: run.outcome for name, run in last_runs().items()} == {"P201": "broken", "P301": "kept"}
        assert "synchronous_commit=off" in last_runs()["P201"].detail
        before = last_runs()["P301"].at
        prove("P201")
        assert {name: run.outcome for name, run in last_runs().items()} == {"P201": "kept", "P301": "kept"}
        assert last_runs()["P301"].at == before

    def test_table_names_the_broken_promises(self, primary: Connection, capsys: Any) -> None:
        with changed(primary, *database_setting("synchronous_commit", "off")), pytest.raises(SystemExit) as exit:
            call_command("securecore_prove", "P201", "P301")
        assert exit.value.code == 1
        printed = capsys.readouterr().out
        assert re.search(r"^P201  broken .*synchronous_commit=off", printed, re.M)
        assert re.search(r"^P301  kept ", printed, re.M)
        assert "Broken: P201. docs/prove.md" in printed


def database_setting(name: str, value: str) -> tuple[list[str], list[str]]:
    return [f"ALTER DATABASE postgres SET {name} = {value}"], [f"ALTER DATABASE postgres RESET {name}"]


#: Wrong deployments: the statements that make one, those that mend it, and the promises that it breaks.
WRONG = {
    "commits that do not wait": (*database_setting("synchronous_commit", "off"), {"P201"}),
    "an unlogged table": (
        ["ALTER TABLE securecore_seen_nonce SET UNLOGGED"],
        ["ALTER TABLE securecore_seen_nonce SET LOGGED"],
        {"P202"},
    ),
    "connections that only read": (*database_setting("default_transaction_read_only", "on"), {"P102"}),
    "a migration that did not run": (
        ["UPDATE django_migrations SET name = 'x' || name WHERE app = 'securecore' AND name LIKE '0010%'"],
        ["UPDATE django_migrations SET name = substr(name, 2) WHERE app = 'securecore' AND name LIKE 'x0010%'"],
        {"P301"},
    ),
    "a disabled trigger": (
        ["ALTER TABLE securecore_grant DISABLE TRIGGER securecore_grant_given"],
        ["ALTER TABLE securecore_grant ENABLE TRIGGER securecore_grant_given"],
        {"P302", "P303"},
    ),
    "no trigger fires": (*database_setting("session_replication_role", "replica"), {"P303"}),
    "snapshots from before the wait": (
        *database_setting("default_transaction_isolation", "'repeatable read'"),
        {"P501", "P502"},
    ),
    # An engine may run READ COMMITTED as a snapshot, and name it READ COMMITTED all the same.
    "snapshots under another name": (
        [
            "CREATE SCHEMA engine",
            "CREATE FUNCTION engine.current_setting(text) RETURNS text LANGUAGE sql STABLE AS $$ SELECT CASE $1 "
            "WHEN 'transaction_isolation' THEN 'read committed' ELSE pg_catalog.current_setting($1) END $$",
            "ALTER DATABASE postgres SET search_path = engine, pg_catalog, public",
            "ALTER DATABASE postgres SET default_transaction_isolation = 'repeatable read'",
        ],
        [
            "ALTER DATABASE postgres RESET search_path",
            "ALTER DATABASE postgres RESET default_transaction_isolation",
            "DROP SCHEMA engine CASCADE",
        ],
        {"P501"},
    ),
    # An engine may accept advisory locks and ignore them. The schema stands before pg_catalog.
    "advisory locks that lock nothing": (
        [
            "CREATE SCHEMA engine",
            "CREATE FUNCTION engine.pg_advisory_xact_lock(int, int) RETURNS void LANGUAGE sql AS ''",
            "CREATE FUNCTION engine.pg_advisory_xact_lock_shared(int, int) RETURNS void LANGUAGE sql AS ''",
            "ALTER DATABASE postgres SET search_path = engine, pg_catalog, public",
        ],
        ["ALTER DATABASE postgres RESET search_path", "DROP SCHEMA engine CASCADE"],
        {"P501"},
    ),
    # An engine that spreads rows may store every copy of a key: here each row gets a key of its own.
    "a unique index that is none": (
        [
            "CREATE FUNCTION other_key() RETURNS trigger LANGUAGE plpgsql AS "
            "'BEGIN NEW.id = gen_random_uuid(); RETURN NEW; END'",
            "CREATE TRIGGER other_key BEFORE INSERT ON securecore_seen_nonce FOR EACH ROW EXECUTE FUNCTION other_key()",
            "ALTER TABLE securecore_refresh_token DROP CONSTRAINT securecore_refresh_token_parent_key",
        ],
        [
            "DROP FUNCTION other_key CASCADE",
            "DELETE FROM securecore_seen_nonce",
            "ALTER TABLE securecore_refresh_token ADD UNIQUE (parent)",
        ],
        {"P401", "P406"},
    ),
}


class TestWrong:
    @pytest.mark.parametrize("name", WRONG)
    def test_wrong_deployment_is_named(self, primary: Connection, has_traces: Traces, name: str) -> None:
        change, back, ids = WRONG[name]
        with changed(primary, change, back):
            report = prove(*ids)
        assert (report.code, report.ids("broken")) == (1, ids), report
        if name == "advisory locks that lock nothing":
            assert "a revocation returned while a check held the gate" in report.details["P501"]
        assert prove(*ids).ids("kept") == ids
        assert not has_traces()

    def test_wrong_deployment_without_functions_and_triggers(self, primary: Connection) -> None:
        function = store.CLAIM.function.name
        drop = [f"DROP FUNCTION {function}", "DROP TRIGGER securecore_grant_given ON securecore_grant"]
        with changed(primary, drop, []):
            report = prove("P302", "P303", "P304", "P401")
        assert (report.code, report.ids("broken")) == (1, {"P302", "P303", "P304"}), report
        assert report.details["P302"].endswith(": securecore_grant_given")
        assert report.details["P304"].endswith(f" missing: {function}")
        assert report.details["P401"] == "one of 8 connections, by the plain statement"
        call_command("migrate", "securecore", database="proved_postgresql", verbosity=0)
        assert prove("P302", "P303", "P304", "P401").code == 0

    def test_gate_that_is_not_used_breaks_nothing(self, primary: Connection, settings: Any) -> None:
        change, back, _ = WRONG["advisory locks that lock nothing"]
        settings.SECURECORE = {**settings.SECURECORE, "GATE": "row"}
        with changed(primary, change, back):
            report = prove("P501", "P502")
        assert (report.code, report.outcomes) == (0, {"P501": "not used", "P502": "kept"})

    def test_hot_standby(self, postgres: Server, primary: Connection, capsys: Any) -> None:
        primary.close()
        postgres.become_standby()
        try:
            report = prove()
        finally:
            postgres.become_primary()
        assert (report.code, report.ids("kept") & {"P303", "P401", "P501", "P502"}) == (1, set()), report
        assert report.ids("broken") == {"P102"}
        assert "did not store" in capsys.readouterr().err
        assert "8 of 8 connections reached a replica" in report.details["P102"]

    @pytest.mark.parametrize("seconds", [30, 7])
    def test_clocks_that_differ(self, primary: Connection, monkeypatch: Any, seconds: int) -> None:
        """Two hosts at 7 seconds, one before the database and one behind it, differ by more than ``clock.SKEW``."""
        now = clock.now
        monkeypatch.setattr(clock, "now", lambda: now() - dt.timedelta(seconds=seconds))
        report = prove("P103")
        assert report.code == 1
        ahead = re.search(r"the database is \+([\d.]+) s", report.details["P103"])
        assert ahead
        assert float(ahead[1]) == pytest.approx(seconds, abs=1)

    def test_sqlite_without_row_locks_and_without_sync(self, sqlite_file: Path) -> None:
        with database(f"sqlite:///{sqlite_file}", init_command="PRAGMA synchronous=NORMAL"):
            report = prove("P201", "P503")
        assert (report.code, report.ids("broken")) == (1, {"P201", "P503"}), report

    def test_nginx_with_a_trap(self, primary: Connection, tmp_path: Path) -> None:
        (tmp_path / "nginx.conf").write_text("events {}\nhttp { server { listen 80; } }\n")
        report = prove("P801", "--nginx", str(tmp_path / "nginx.conf"))
        assert report.code == 1
        assert "N01 at" in report.details["P801"]


@pytest.mark.skipif(binary() is None, reason="pgbouncer is not installed")
class TestPooler:
    @pytest.fixture
    def pool_size(self) -> int:
        return 4

    @pytest.fixture
    def pooled(self, postgres: Server, mode: str, pool_size: int) -> Iterator[None]:
        with tempfile.TemporaryDirectory(prefix="securecore-prove-", dir="/tmp") as name:
            folder = Path(name)
            folder.chmod(0o755)  # PgBouncer runs as nobody
            children = Children(folder=folder, logs=folder)
            try:
                with database(pgbouncer(children, folder, postgres.url, pool_size=pool_size, mode=mode)):
                    yield
            finally:
                children.stop()

    @pytest.mark.parametrize("mode", ["transaction"])
    def test_transaction_mode_keeps_every_promise(self, pooled: None) -> None:
        report = prove()
        assert (report.code, report.ids("kept")) == (0, ON_POSTGRESQL), report

    @pytest.mark.parametrize(("mode", "pool_size"), [("transaction", 1)])
    def test_wait_for_the_only_connection_is_no_wait_for_a_gate(self, postgres: Server, pooled: None) -> None:
        change, back, _ = WRONG["advisory locks that lock nothing"]
        with psycopg.connect(postgres.url, autocommit=True) as breaking, changed(breaking, change, back):
            report = prove("P102", "P401", "P501")
        assert (report.code, report.outcomes) == (2, {"P102": "kept", "P401": "kept", "P501": "not tried"}), report
        assert "no second connection" in report.details["P501"]

    @pytest.mark.parametrize("mode", ["transaction"])
    def test_every_server_connection_of_a_pool_is_asked_for_its_server(self, pooled: None) -> None:
        assert "through 4 server processes" in prove("P102").details["P102"]

    @pytest.mark.parametrize("mode", ["statement"])
    def test_statement_mode_breaks_transactions(self, pooled: None, has_traces: Traces) -> None:
        report = prove()
        assert (report.code, report.ids("broken")) == (1, {"P101"}), report
        assert report.outcomes["P401"] == report.outcomes["P501"] == "not tried"
        assert not has_traces()


class TestLimits:
    def test_time_limit_ends_the_command(self, primary: Connection) -> None:
        with primary.transaction():
            primary.execute("LOCK TABLE securecore_gate IN ACCESS EXCLUSIVE MODE")
            report = prove("P303", "P501", "--seconds", "1")
        for thread in threading.enumerate():  # it would go on in the database of the next test
            if thread.name == RUNNER:
                thread.join(30)
        assert (report.code, report.ids("not tried")) == (2, {"P303", "P501"})
        assert "time limit of 1 s" in report.details["P501"]

    def test_rows_of_a_killed_command_are_purged(
        self, postgres: Server, primary: Connection, has_traces: Traces
    ) -> None:
        command = [sys.executable, "manage.py", "securecore_prove", "P501"]
        with subprocess.Popen(command, cwd=ROOT, env=os.environ | {"TEST_DATABASE_URL": postgres.url}) as killed:
            wait_for(primary, "SELECT 1 FROM securecore_gate WHERE principal LIKE '%securecore_prove%'")
            killed.kill()
        assert has_traces()
        purge(now=clock.now())
        assert not has_traces()

    def test_unreachable_database_is_not_tried(self, postgres: Server) -> None:
        with database("postgresql://nobody@127.0.0.1:1/none"):
            assert prove("P101", "P301", "P401", "P501").code == 2

    def test_unknown_id_is_an_error_before_any_trial(self, primary: Connection) -> None:
        primary.execute("DELETE FROM securecore_last_run")
        with pytest.raises(CommandError, match=r"no trial P999. It has P101, .*P201") as refused:
            call_command("securecore_prove", "p201", "P999")
        assert refused.value.returncode == 2
        assert primary.execute("SELECT count(*) FROM securecore_last_run").fetchone() == (0,), "P201 was tried"

    def test_id_may_be_written_in_small_letters(self, primary: Connection) -> None:
        assert prove("p101").ids("kept") == {"P101"}

    def test_unknown_database_is_an_error(self, settings: Any) -> None:
        settings.SECURECORE = {**settings.SECURECORE, "DATABASE": "nowhere"}
        with pytest.raises(CommandError, match="E603"):
            call_command("securecore_prove")


def test_every_trial_has_a_section_in_the_manual() -> None:
    headings = re.findall(r"^### (P\d{3})$", (ROOT / "docs" / "prove.md").read_text(), re.M)
    ids = [trial.id for trial in (*EVERY_TRIAL, *trials("nginx.conf"))]
    assert headings == ids == sorted(set(ids))
