"""If the database is unavailable, the response is 503 with Retry-After, and never "allowed"."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from django.db import InterfaceError, OperationalError, connection

from securecore.events import DatabaseAway
from securecore.testing import MutualTLSClient
from tests.events.recorder import of_kind, recorded

pytestmark = [pytest.mark.django_db, pytest.mark.urls("tests.http.urls")]

Clients = Callable[..., MutualTLSClient]
GONE = [OperationalError("server closed the connection unexpectedly"), InterfaceError("connection already closed")]
FORM = "application/x-www-form-urlencoded"


@contextmanager
def away(error: Exception, *, after: int = 0) -> Iterator[None]:
    """Let the database run `after` more statements, then none."""
    left = after

    def fail(execute: Any, sql: str, *arguments: Any) -> Any:
        nonlocal left
        if left:
            left -= 1
            return execute(sql, *arguments)
        raise error

    with connection.execute_wrapper(fail):
        yield


@pytest.fixture
def client(mtls_client: Clients) -> MutualTLSClient:
    client = mtls_client("alice")
    client.post("/auth/login")
    return client


def is_503(answer: Any) -> bool:
    return bool(
        answer.status_code == 503
        and answer["Retry-After"] == "1"
        and answer["Content-Type"] == "application/problem+json"
        and answer.json()["code"] == "database-unavailable"
    )


class TestAway:
    @pytest.mark.parametrize("error", GONE, ids=lambda error: type(error).__name__)
    @pytest.mark.parametrize("after", [0, 1, 2])
    @pytest.mark.parametrize(
        ("method", "path"),
        [
            ("GET", "/session"),
            ("POST", "/auth/login"),
            ("POST", "/auth/logout"),
            ("DELETE", "/auth/sessions/00000000-0000-0000-0000-000000000000"),
        ],
    )
    def test_away_is_503_at_every_statement(
        self, client: MutualTLSClient, method: str, path: str, after: int, error: Exception
    ) -> None:
        with away(error, after=after), recorded() as events:
            answer = client.generic(method, path)
        assert is_503(answer) or after >= (1 if path == "/session" else 2)
        assert bool(of_kind(events, DatabaseAway)) == (answer.status_code == 503)

    @pytest.mark.parametrize(
        ("path", "after"),
        [("/users", 0), ("/users", 1), ("/auth/sessions", 0), ("/auth/sessions", 1), ("/token-only", 0)],
    )
    def test_away_is_503_for_reads(self, client: MutualTLSClient, path: str, after: int) -> None:
        token = client.post(
            "/oauth/token", "grant_type=urn:securecore:grant-type:certificate", content_type=FORM
        ).json()
        with away(GONE[0], after=after):
            sent: dict[str, Any] = (
                {"HTTP_AUTHORIZATION": f"Bearer {token['access_token']}"} if path == "/token-only" else {}
            )
            assert is_503(client.get(path, **sent))

    @pytest.mark.django_db(transaction=True)
    def test_away_is_503_when_a_session_is_saved(self, client: MutualTLSClient) -> None:
        with away(GONE[0], after=1):  # certificate, session and user; then the write of the session
            answer = client.post("/session", {"value": "x"})
        assert is_503(answer)
        assert client.get("/session").json() == {"value": None, "user": "alice"}

    @pytest.mark.parametrize("after", [0, 1])
    def test_away_is_503_for_a_revocation_which_did_not_happen(self, client: MutualTLSClient, after: int) -> None:
        answer = client.post("/oauth/token", "grant_type=urn:securecore:grant-type:certificate", content_type=FORM)
        token = answer.json()["access_token"]
        with away(GONE[0], after=after):
            assert is_503(client.post("/oauth/revoke", f"token={token}", content_type=FORM))
        assert client.get("/token-only", HTTP_AUTHORIZATION=f"Bearer {token}").status_code == 200

    def test_away_is_not_noticed_by_who_needs_nothing(self, mtls_client: Clients) -> None:
        with away(GONE[0]):
            assert mtls_client(None).get("/seen").status_code == 200

    def test_away_is_over_when_it_is_back(self, client: MutualTLSClient) -> None:
        with away(GONE[0]):
            assert is_503(client.get("/session"))
        assert client.get("/session").json()["user"] == "alice"

    def test_away_is_503_when_a_middleware_asks(self, client: MutualTLSClient, settings: Any) -> None:
        settings.MIDDLEWARE = [*settings.MIDDLEWARE[:-1], "tests.http.urls.Asking", settings.MIDDLEWARE[-1]]
        client.handler.load_middleware()
        client.raise_request_exception = False
        with away(GONE[0], after=1):
            assert is_503(client.get("/seen"))

    def test_away_is_503_when_csrf_tokens_live_in_the_session(self, client: MutualTLSClient, settings: Any) -> None:
        settings.CSRF_USE_SESSIONS = True
        client.raise_request_exception = False
        with away(GONE[0], after=1):
            assert is_503(client.get("/users"))
