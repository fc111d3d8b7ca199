"""A real hot standby. Its data is old, and no other server sees its locks."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

import dj_database_url
import psycopg
import pytest
from django.contrib.auth.models import User
from django.core.management import call_command
from django.db import InternalError, connection, transaction

from securecore import clock
from securecore.checks.grants import e607_standby
from securecore.errors import DatabaseUnavailable, Misuse
from securecore.grants import authorize, decide, grant, late_gate, principal_of
from securecore.http.problems import is_database_away
from securecore.identity import enroll, parse_pem
from securecore.revocation import revoke_grant
from securecore.testing import Issued, MutualTLSClient
from tests.support.postgres import Server, server

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.skipif(connection.vendor != "postgresql", reason="SQLite has no replicas"),
]
MAKE = "things.make"


@pytest.fixture(scope="module")
def replica(
    django_db_setup: None, django_db_blocker: Any, certificate_for: Callable[[str], Issued]
) -> Iterator[Server]:
    """A hot standby. Alice has the permission there."""
    with server() as postgres, pytest.MonkeyPatch.context() as changed, django_db_blocker.unblock():
        where: dict[str, Any] = dict(dj_database_url.parse(postgres.url))
        _go_to(where, changed)
        call_command("migrate", verbosity=0)
        alice = User.objects.create_user("alice")
        enroll(certificate=parse_pem(certificate_for("alice").pem), user=alice, now=clock.now())
        grant(principal=principal_of(alice), permission=MAKE, now=clock.now())
        connection.close()
        changed.undo()
        postgres.become_standby()
        yield postgres


@pytest.fixture(scope="module")
def standby(replica: Server) -> dict[str, Any]:
    """The ``DATABASES`` entry of the standby."""
    return dict(dj_database_url.parse(replica.url))


def _go_to(where: dict[str, Any], changed: pytest.MonkeyPatch) -> None:
    connection.close()
    for name in ("HOST", "PORT", "NAME", "USER", "PASSWORD"):
        changed.setitem(connection.settings_dict, name, where[name])


@pytest.fixture(params=["advisory", "row"])
def _gate(request: pytest.FixtureRequest, settings: Any) -> None:
    settings.SECURECORE = settings.SECURECORE | {"GATE": request.param}


@pytest.fixture(params=[5, None], ids=["prepared", "unprepared"])
def alice(request: pytest.FixtureRequest, standby: dict[str, Any], db: None, _gate: None) -> Iterator[str]:
    with pytest.MonkeyPatch.context() as changed:
        _go_to(standby, changed)
        changed.setitem(connection.settings_dict["OPTIONS"], "prepare_threshold", request.param)
        yield principal_of(User.objects.get(username="alice"))
        connection.close()


@contextmanager
def unavailable() -> Iterator[None]:
    """Expect a refusal with 503; its cause says in the event that the server is a replica."""
    with pytest.raises(DatabaseUnavailable) as caught:
        yield
    assert isinstance(caught.value.__cause__, Misuse)
    assert "replica" in str(caught.value.__cause__)


def test_decides_nothing(alice: str) -> None:
    for _ in range(2):
        with unavailable(), authorize(alice, MAKE, clock=clock.now):
            pytest.fail("an effect under a permission from the past")


def test_decides_nothing_in_a_transaction_that_has_begun(alice: str) -> None:
    with unavailable(), transaction.atomic():
        assert User.objects.exists()
        decide(alice, MAKE, clock=clock.now)


def test_decides_nothing_late(alice: str) -> None:
    with unavailable(), late_gate(alice, clock=clock.now) as late:
        late.require(MAKE)


def test_takes_nothing_away(alice: str) -> None:
    with unavailable():
        revoke_grant(principal=alice, permission=MAKE)


@pytest.mark.urls("tests.support.views")
@pytest.mark.parametrize(("path", "headers"), [("/fresh", "nonce"), ("/idempotent", "key"), ("/auth/login", "")])
def test_answers_503_to_each_request_that_writes(
    alice: str, certificate_for: Callable[[str], Issued], path: str, headers: str
) -> None:
    """A standby that is being promoted accepts connections before it accepts writes."""
    given = {
        "nonce": {"X-Request-Timestamp": str(int(clock.now().timestamp())), "X-Request-Nonce": "n" * 22},
        "key": {"Idempotency-Key": "k" * 22},
        "": {},
    }[headers]
    answer = MutualTLSClient(certificate_for("alice")).post(path, headers=given)
    assert (answer.status_code, answer["Retry-After"]) == (503, "1"), answer.content
    assert answer.json()["code"] == "database-unavailable"
    assert connection.connection is None, "the next request connects anew, perhaps to a primary"


@pytest.fixture
def promoted(replica: Server, alice: str) -> Iterator[Callable[[], None]]:
    """A function that promotes the standby; behind the test the server is a standby again."""

    def promote() -> None:
        with psycopg.connect(replica.url, autocommit=True) as administrator:
            assert administrator.execute("SELECT pg_promote()").fetchall() == [(True,)]

    yield promote
    connection.close()
    replica.become_standby()


def test_answers_503_where_the_transaction_began_before_the_promotion(alice: str, promoted: Callable[[], None]) -> None:
    """Such a transaction stays read-only, and PostgreSQL already says that the server is a primary."""
    with pytest.raises(InternalError) as caught, transaction.atomic():
        assert User.objects.exists()
        promoted()
        assert User.objects.exists()
        User.objects.create(username="bob")
    assert is_database_away(caught.value)


def test_calls_no_check_a_mistake_that_began_before_the_promotion(alice: str, promoted: Callable[[], None]) -> None:
    """The row gate writes its row, which is refused. The advisory gate decides: the server is the primary now."""
    with suppress(DatabaseUnavailable), transaction.atomic():
        assert User.objects.exists()
        promoted()
        assert User.objects.exists()
        decide(alice, MAKE, clock=clock.now)


def test_read_only_transaction_on_a_primary_is_a_mistake_of_the_program(db: None, settings: Any) -> None:
    settings.SECURECORE = settings.SECURECORE | {"GATE": "row"}
    with pytest.raises(Misuse, match="read-only"), transaction.atomic():
        with connection.cursor() as cursor:
            cursor.execute("SET TRANSACTION READ ONLY")
        decide("user:1", MAKE, clock=clock.now)


def test_is_found_by_a_system_check(alice: str) -> None:
    assert [problem.id for problem in e607_standby(databases=["default"])] == ["securecore.E607"]
    assert e607_standby(databases=None) == []


def test_is_not_the_database_of_everybody_else() -> None:
    assert e607_standby(databases=["default"]) == []
