"""A real PgBouncer in transaction mode, where each transaction may run on another connection of the server.

There a session-level lock would be shared by two clients, and a prepared statement would be sent to a connection that
never prepared it.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import pytest
from django.db import connection

from demo_project.children import Children
from securecore import clock, tokens
from securecore.digests import jwk_thumbprint
from securecore.errors import AllowanceExhausted, PermissionDenied
from securecore.grants import authorize, grant, principal_of
from securecore.revocation import revoke_grant
from tests.caller.conftest import Caller
from tests.races.conftest import Threads
from tests.replay.proofs import ES256
from tests.support.views import effects, make_effect
from tests.tokens.calls import prove
from tools.chaos.pgbouncer import binary, pgbouncer

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.urls("tests.caller.urls"),
    pytest.mark.skipif(connection.vendor != "postgresql", reason="PgBouncer stands before PostgreSQL"),
    pytest.mark.skipif(binary() is None, reason="no pgbouncer on PATH (Debian: apt install pgbouncer)"),
]

MAKE = "things.make"
CLIENTS = 8
SERVERS = 3


@pytest.fixture(scope="module")
def address(django_db_setup: None) -> Iterator[str]:
    """The address of a PgBouncer in front of the test database, with fewer server connections than clients."""
    with tempfile.TemporaryDirectory(prefix="securecore-pgbouncer-", dir="/tmp") as name:
        folder = Path(name)
        folder.chmod(0o755)  # PgBouncer gives up root, and keeps its socket in a folder below
        children = Children(folder=folder, logs=folder)
        try:
            of = connection.settings_dict
            server = f"postgresql://{of['USER']}:{of['PASSWORD']}@/{of['NAME']}?host={of['HOST']}"
            yield pgbouncer(children, folder, server + (f"&port={of['PORT']}" if of["PORT"] else ""), pool_size=SERVERS)
        finally:
            children.stop()


@pytest.fixture(autouse=True)
def _through(db: None, address: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Send every connection of this test, of each thread, through PgBouncer, unprepared as Django leaves it."""
    there = urlsplit(address)
    with monkeypatch.context() as changed:
        changed.setitem(connection.settings_dict, "HOST", unquote(there.netloc.rpartition("@")[2].rpartition(":")[0]))
        changed.setitem(connection.settings_dict, "PORT", "6432")
        changed.setitem(connection.settings_dict, "DISABLE_SERVER_SIDE_CURSORS", True)
        connection.close()
        connection.ensure_connection()
        assert connection.connection.prepare_threshold is None
        yield
    connection.close()


@pytest.fixture
def run_together() -> Iterator[Callable[..., list[Any]]]:
    with Threads() as threads:
        yield threads.run_together


def server() -> int:
    """Return the server connection that ran this statement."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_backend_pid()")
        return int(cursor.fetchone()[0])


def test_gives_each_statement_any_of_its_connections(run_together: Any) -> None:
    """Otherwise the other tests of this file would prove nothing."""
    seen = run_together(CLIENTS, lambda _: {server() for _ in range(50)})
    assert any(len(servers) > 1 for servers in seen)
    assert len(set().union(*seen)) <= SERVERS


class TestEveryAuthentication:
    @pytest.mark.parametrize("path", ["/certificate", "/token", "/session", "/django"])
    def test_every_authentication_costs_one_statement(
        self, caller: Caller, django_assert_num_queries: Any, path: str
    ) -> None:
        with django_assert_num_queries(1):
            assert caller.get(path).json()["username"] == "alice"

    def test_every_authentication_by_dpop_costs_one_and_the_claim_of_the_proof(
        self, caller: Caller, django_assert_num_queries: Any
    ) -> None:
        with django_assert_num_queries(4):  # BEGIN, the claim and COMMIT
            assert caller.get("/dpop", **dpop(caller)).json()["username"] == "alice"

    def test_every_authentication_answers_many_at_once(self, caller: Caller, run_together: Any) -> None:
        paths = ["/certificate", "/token", "/session", "/django", "/dpop"]

        def ask(_: int) -> set[str]:
            return {
                caller.get(path, **(dpop(caller) if path == "/dpop" else {})).json()["username"]
                for path in paths
                for _ in range(6)
            }

        assert run_together(CLIENTS, ask) == [{"alice"}] * CLIENTS


@pytest.mark.parametrize("kind", ["advisory", "row"])
class TestAuthorize:
    @pytest.fixture(autouse=True)
    def _gate(self, settings: Any, kind: str) -> None:
        settings.SECURECORE = settings.SECURECORE | {"GATE": kind, "LOCK_TIMEOUT": 10.0}

    def test_authorize_is_never_outrun_by_a_revocation(self, users: Any, run_together: Any, kind: str) -> None:
        alice = principal_of(users["alice"])
        for _ in range(5):
            grant(principal=alice, permission=MAKE, now=clock.now())
            before = effects()

            def work(index: int, start: int = before) -> int:
                if index == 0:
                    while effects() < start + CLIENTS:
                        pass
                    revoke_grant(principal=alice, permission=MAKE)
                    return effects()
                had = 0
                while had < 1_000:
                    try:
                        with authorize(alice, MAKE, clock=clock.now):
                            make_effect()
                    except PermissionDenied:
                        break
                    had += 1
                return had

            counted, *had = run_together(CLIENTS, work)
            assert effects() == counted == before + sum(had)
        assert held() == 0

    def test_authorize_uses_up_exactly_what_there_is(self, users: Any, run_together: Any, kind: str) -> None:
        alice = principal_of(users["alice"])
        grant(principal=alice, permission=MAKE, uses_limit=30, now=clock.now())

        def use_up(_: int) -> int:
            for count in range(1_000):
                try:
                    with authorize(alice, MAKE, clock=clock.now):
                        make_effect()
                except AllowanceExhausted:
                    return count
            raise AssertionError("there is no end to it")

        assert sum(run_together(CLIENTS, use_up)) == 30 == effects()


def held() -> int:
    """Return the number of advisory locks that a server connection kept from its last client."""
    with connection.cursor() as cursor:
        # Without other databases of this server, where other tests run.
        cursor.execute(
            "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND classid IN (1589641217, 1589641218) "
            "AND database = (SELECT oid FROM pg_database WHERE datname = current_database())"
        )
        return int(cursor.fetchone()[0])


def dpop(caller: Caller) -> dict[str, Any]:
    encoded, _ = tokens.issue(
        subject=str(caller.user.pk),
        client_id="payments",
        binding=f"jkt:{jwk_thumbprint(ES256.jwk)}",
        certificate=caller.thumbprint,
        now=clock.now(),
    )
    return {"HTTP_AUTHORIZATION": f"DPoP {encoded}", "HTTP_DPOP": prove("/dpop", token=encoded)}
