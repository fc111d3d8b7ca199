"""PostgreSQL plans the statement in a function once for each connection, with Django's default settings."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.db import connection

from securecore import clock
from securecore.database import callable_functions
from securecore.errors import PermissionDenied
from securecore.grants import authorize
from securecore.replay import store
from securecore.testing import MutualTLSClient
from tests.database.conftest import GoTo
from tests.support.functions import without_functions

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.urls("tests.caller.urls"),
    pytest.mark.skipif(connection.vendor != "postgresql", reason="only PostgreSQL has PL/pgSQL"),
]
REQUESTS = 50


@pytest.fixture(autouse=True)
def statistics(go_to: GoTo) -> Iterator[None]:
    with go_to("postgres"):
        with connection.cursor() as cursor:
            cursor.execute("CREATE EXTENSION IF NOT EXISTS pg_stat_statements")
        assert connection.get_connection_params()["prepare_threshold"] is None, "Django prepares no statement"
        yield


def forget() -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_stat_statements_reset()")


def counted(table: str, *, in_function: bool) -> tuple[int, int]:
    """Return how often PostgreSQL planned and ran the statement about ``table``."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT sum(plans), sum(calls) FROM pg_stat_statements "
            "WHERE toplevel <> %s AND strpos(query, %s) > 0 AND query !~ 'pg_stat_statements'",
            [in_function, table],
        )
        plans, calls = cursor.fetchone()
    return int(plans or 0), int(calls or 0)


def send(client: MutualTLSClient, number: int = REQUESTS) -> None:
    for _ in range(number):
        assert client.get("/certificate").json()["username"] == "alice"


def check(number: int = REQUESTS) -> None:
    for _ in range(number):
        with pytest.raises(PermissionDenied), authorize("user:4711", "things.make", clock=clock.now):
            raise AssertionError("nobody has granted this permission")


def claim(number: int = REQUESTS) -> None:
    for _ in range(number):
        assert store.claim(uuid.uuid4(), made_at=clock.now(), now=clock.now(), kind="a nonce")


#: A work that runs one statement of securecore, and a text of this statement.
WORKS: dict[str, tuple[Callable[[MutualTLSClient], None], str]] = {
    "request": (send, ") request LEFT JOIN securecore_certificate c"),
    "check": (lambda _: check(), "securecore_grant g"),
    "claim": (lambda _: claim(), 'INSERT INTO "securecore_seen_nonce"'),
}


@pytest.mark.parametrize(("work", "statement"), WORKS.values(), ids=WORKS)
def test_fifty_calls_of_a_function_plan_its_statement_once(mtls_client: Any, work: Any, statement: str) -> None:
    client = mtls_client("alice")
    connection.close()
    callable_functions.look(connection)
    forget()
    work(client)
    plans, calls = counted(statement, in_function=True)
    # An ANALYZE of autovacuum makes the server plan once more. A long run met one.
    assert (plans in range(1, 4), calls) == (True, REQUESTS)
    connection.close()
    work(client)
    again, calls = counted(statement, in_function=True)
    assert (again - plans in range(1, 4), calls) == (True, 2 * REQUESTS), "each connection has a plan of its own"


@pytest.mark.parametrize(("work", "statement"), WORKS.values(), ids=WORKS)
def test_fifty_plain_statements_are_planned_fifty_times(mtls_client: Any, work: Any, statement: str) -> None:
    """Otherwise the counts of the other test would prove nothing."""
    client = mtls_client("alice")
    with without_functions():
        forget()
        work(client)
    assert counted(statement, in_function=False) == (REQUESTS, REQUESTS)
