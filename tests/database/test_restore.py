"""A database that was dumped and restored: its functions and triggers work, and no ``migrate`` runs there."""

from __future__ import annotations

import subprocess
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import IntegrityError, connection
from django.test.utils import CaptureQueriesContext

from securecore import clock
from securecore.checks.access import w706_functions
from securecore.checks.grants import w606_triggers
from securecore.grants import Gate, authorize, callers, grant, lockouts, principal_of
from securecore.grants.principals import Target
from securecore.models import RefreshFamily, Session, TokenEpoch
from securecore.replay import store
from securecore.revocation import revoke_client_tokens, revoke_grant, revoke_user_tokens
from securecore.testing import MutualTLSClient
from securecore.tokens import Client, clients
from tests.database.conftest import GoTo
from tests.management.commands import printed
from tests.support.postgres import Server
from tests.tokens.calls import given, works

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.urls("tests.tokens.urls"),
    pytest.mark.skipif(connection.vendor != "postgresql", reason="only PostgreSQL has pg_dump"),
]
MAKE = "things.make"


@pytest.fixture
def tool(own_server: Server) -> Callable[..., str]:
    """``tool("pg_dump", ...)`` runs a program of PostgreSQL, and returns its errors."""
    if not (own_server.binaries / "pg_dump").exists():
        pytest.skip("this PostgreSQL has no pg_dump")

    def run(program: str, *arguments: str | Path) -> str:
        command = [str(own_server.binaries / program), *map(str, arguments)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert bool(done.returncode) is bool(done.stderr), done.stderr
        return done.stderr

    return run


@pytest.fixture
def address(own_server: Server) -> Callable[[str], str]:
    """``address("restored")`` is the address of this database of the server."""
    return lambda name: own_server.url.removesuffix("postgres") + name


@pytest.fixture
def empty(tool: Any, address: Any) -> Iterator[str]:
    """The name of a new database without any table."""
    name = "restored"
    assert not tool("createdb", "--template=template0", f"--maintenance-db={address('postgres')}", name)
    yield name
    assert not tool("dropdb", "--force", f"--maintenance-db={address('postgres')}", name)


@pytest.fixture
def archive(go_to: GoTo, mtls_client: Any, tool: Any, address: Any, tmp_path: Path) -> Path:
    """A dump of a database with a row of each kind that decides, made after a revocation of Alice's tokens."""
    with go_to("postgres"):
        browser, user = mtls_client("alice"), User.objects.get(username="alice")
        grant(principal=principal_of(user), permission=MAKE, now=clock.now())
        if not Client.objects.exists():
            clients.register(client_id="payments", user=user, now=clock.now())
        revoke_user_tokens(user)
        revoke_client_tokens("payments")
        given(browser, client_id="payments")
        browser.post("/auth/login")
    path = tmp_path / "archive"
    assert not tool("pg_dump", "--format=custom", f"--file={path}", address("postgres"))
    return path


def by_archive(tool: Any, archive: Path, target: str) -> None:
    assert not tool("pg_restore", "--exit-on-error", f"--dbname={target}", archive)


def by_sql(tool: Any, archive: Path, target: str) -> None:
    script = archive.with_suffix(".sql")
    assert not tool("pg_restore", f"--file={script}", archive)
    assert not tool("psql", "--quiet", "--no-psqlrc", "--set=ON_ERROR_STOP=1", f"--file={script}", target)


def schema_then_data(tool: Any, archive: Path, target: str) -> None:
    """As docs/grants.md says."""
    for which in (["--schema-only"], ["--data-only", "--disable-triggers"]):
        assert not tool("pg_restore", *which, "--exit-on-error", f"--dbname={target}", archive)


def rows() -> dict[str, list[str]]:
    """Return the rows of each table, as JSON."""
    with connection.cursor() as cursor:
        found = {}
        for table in connection.introspection.table_names():
            cursor.execute(f'SELECT to_jsonb(t)::text FROM "{table}" t ORDER BY 1')
            found[table] = [row for (row,) in cursor.fetchall()]
    return found


def call_functions(browser: MutualTLSClient) -> str:
    """Send a request, check a permission and claim a nonce; return the statements."""
    with CaptureQueriesContext(connection) as captured:
        token = given(browser, client_id="payments")["access_token"]
        assert works(browser, token)
        with authorize(principal_of(User.objects.get(username="alice")), MAKE, clock=clock.now):
            pass
        assert store.claim(uuid.uuid4(), made_at=clock.now(), now=clock.now(), kind="a nonce")
    return " ".join(query["sql"] for query in captured.captured_queries)


def fire_triggers(browser: MutualTLSClient) -> None:
    """Change rows without securecore, and see sessions, tokens and grants end."""
    token, user = given(browser, client_id="payments")["access_token"], User.objects.get(username="alice")
    gate = Gate.objects.get(principal=principal_of(user))
    Client.objects.update(disabled_at=clock.now())
    Client.objects.update(disabled_at=None)
    assert not works(browser, token)
    assert not RefreshFamily.objects.filter(revoked_at=None).exists()
    assert Session.objects.for_user(user.pk).exists()
    User.objects.filter(pk=user.pk).update(is_active=False)
    assert not Session.objects.for_user(user.pk).exists()
    assert Gate.objects.get(pk=gate.pk).epoch > gate.epoch
    with pytest.raises(IntegrityError, match="only grows"):
        TokenEpoch.objects.update(epoch=0)


@pytest.mark.parametrize("restore", [by_archive, by_sql, schema_then_data])
def test_a_restored_database_needs_no_migrate(
    go_to: GoTo, archive: Path, empty: str, tool: Any, address: Any, mtls_client: Any, restore: Any
) -> None:
    with go_to("postgres"):
        original = rows()
    restore(tool, archive, address(empty))
    with go_to(empty):
        assert rows() == original
        assert w706_functions(databases=["default"]) == []
        assert w606_triggers(databases=["default"]) == []
        sent = call_functions(mtls_client("alice"))
        for function in ("request_c", "gate_check", "claim_seennonce"):
            assert f"SELECT * FROM securecore_{function}" in sent
        fire_triggers(mtls_client("alice"))


def test_data_that_fires_the_triggers_loses_revocations(
    go_to: GoTo, archive: Path, empty: str, tool: Any, address: Any
) -> None:
    """Why docs/grants.md demands ``--disable-triggers``: the trigger of a client's row inserts the client's epoch."""
    assert not tool("pg_restore", "--schema-only", "--exit-on-error", f"--dbname={address(empty)}", archive)
    errors = tool("pg_restore", "--data-only", f"--dbname={address(empty)}", archive)
    assert 'COPY failed for table "securecore_token_epoch"' in errors
    with go_to("postgres"):
        user = TokenEpoch.objects.get(subject=f"user:{User.objects.get().pk}")
    with go_to(empty):
        assert not TokenEpoch.objects.filter(subject=user.subject).exists()


@pytest.fixture
def restored(go_to: GoTo, archive: Path, empty: str, tool: Any, address: Any, mtls_client: Any) -> str:
    """A restored database. After its dump Alice got a token of a newer epoch, which is the one that this returns."""
    with go_to("postgres"):
        revoke_user_tokens(User.objects.get(username="alice"))
        # A token without a family: the family of another one would be missing in the dump, which refuses that token.
        token: str = given(mtls_client("alice"), "client_credentials", client_id="payments")["access_token"]
    by_archive(tool, archive, address(empty))
    return token


def test_a_restore_alone_lets_epochs_run_backwards(go_to: GoTo, restored: str, empty: str, mtls_client: Any) -> None:
    """The token of after the dump names the epoch that the next revocation counts up to, so it survives."""
    with go_to(empty):
        alice = mtls_client("alice")
        assert Session.objects.exists(), "the dump's sessions are back"
        assert works(alice, restored)
        revoke_user_tokens(User.objects.get(username="alice"))
        assert works(alice, restored), "a revoked token"


def test_restored_backup_ends_everything_and_no_later_revocation_misses_a_token(
    go_to: GoTo, restored: str, empty: str, mtls_client: Any, tmp_path: Path
) -> None:
    with go_to("postgres"):
        export = tmp_path / "audit.jsonl"
        revoke_grant(principal=principal_of(User.objects.get(username="alice")), permission=MAKE)
        export.write_text(printed("securecore_audit", "export"))
    with go_to(empty):
        alice, user = mtls_client("alice"), User.objects.get(username="alice")
        assert callers.reason_for(principal_of(user), MAKE, Target(), now=clock.now()).decision
        printed("securecore_incident", "restored-backup", "--yes", "--audit", str(export))
        assert alice.get("/both").json()["code"] == "locked-out"
        lockouts.lift(subject="everyone")
        assert not works(alice, restored)
        assert not Session.objects.exists()
        assert not RefreshFamily.objects.filter(revoked_at=None).exists()
        assert not callers.reason_for(principal_of(user), MAKE, Target(), now=clock.now()).decision
        refused_until = TokenEpoch.objects.get(subject="everyone").not_before
        assert refused_until is not None
        wait_for(lambda: clock.now().replace(microsecond=0) > refused_until)  # a token names the second of its issue
        token = given(alice, client_id="payments")["access_token"]
        assert works(alice, token)
        revoke_user_tokens(user)
        assert not works(alice, token)


def wait_for(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)
