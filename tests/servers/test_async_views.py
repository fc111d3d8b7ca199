"""``async def`` views under every decorator, under ASGI and under WSGI: the effect, the check and the key are one
transaction."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import connection

from securecore import clock
from securecore.errors import Misuse
from securecore.grants import grant, principal_of, revoke
from securecore.idempotency.models import IdempotencyRecord
from securecore.testing import MutualTLSClient
from tests.servers import async_urls
from tests.servers.async_urls import MAKE
from tests.support.asgi import ASGIClient
from tests.support.views import effects

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.urls("tests.servers.async_urls")]

#: Views that demand the permission.
GUARDED = ["required", "late", "both", "every", "required-handler", "decorated-dispatch", "own-dispatch"]
#: Views that claim an idempotency key.
KEYED = ["keyed", "both", "every", "keyed-class"]
VIEWS = sorted({*GUARDED, *KEYED})


@pytest.fixture
def user(enrolled: Any) -> User:
    user: User = enrolled("alice")
    grant(principal=principal_of(user), permission=MAKE, now=clock.now())
    return user


@pytest.fixture(params=["asgi", "wsgi"])
def post(request: Any, user: User, certificate_for: Any) -> Any:
    """`post("both")` posts as alice, fresh and under a new key, unless ``key`` names one."""
    issued = certificate_for("alice")
    by_wsgi, by_asgi = MutualTLSClient(issued, raise_request_exception=False), ASGIClient(issued)

    def post(path: str, key: str | None = None) -> Any:
        headers = {
            "Idempotency-Key": key or secrets.token_hex(8),
            "X-Request-Nonce": secrets.token_urlsafe(16),
            "X-Request-Timestamp": str(int(clock.now().timestamp())),
        }
        if request.param == "wsgi":
            response: Any = by_wsgi.post(f"/{path}", headers=headers)
            response.status = response.status_code
            return response
        return by_asgi.request("POST", f"/{path}", headers=headers)

    return post


@pytest.fixture
def atomic_requests() -> Iterator[None]:
    connection.settings_dict["ATOMIC_REQUESTS"] = True
    yield
    connection.settings_dict["ATOMIC_REQUESTS"] = False


class TestOneTransaction:
    def test_one_transaction_holds_the_effect(self, post: Any) -> None:
        for count, view in enumerate(VIEWS, 1):
            response = post(view)
            assert (response.status, response.json()["is_atomic"], effects()) == (201, True, count), view

    @pytest.mark.parametrize(
        ("outcome", "status"), [("outcome=broken", 500), ("outcome=refused", 422), ("status=400", 400)]
    )
    def test_one_transaction_is_rolled_back_after_an_error(self, post: Any, outcome: str, status: int) -> None:
        for view in VIEWS:
            assert (post(f"{view}?{outcome}").status, effects()) == (status, 0), view

    def test_one_transaction_begins_behind_the_nonce_under_atomic_requests(
        self, post: Any, atomic_requests: None
    ) -> None:
        assert post("once").json()["is_atomic"] is True
        assert (post("once?outcome=broken").status, effects()) == (500, 1)

    def test_one_transaction_is_rolled_back_when_the_client_hangs_up(self, user: User, certificate_for: Any) -> None:
        client = ASGIClient(certificate_for("alice"))
        for view in ("required", "both", "keyed"):
            async_urls.is_waiting.clear()
            client.hang_up(f"/{view}?outcome=wait", after=async_urls.is_waiting, idempotency_key=secrets.token_hex(8))
            assert (effects(), IdempotencyRecord.objects.count()) == (0, 0), view


class TestChecks:
    def test_checks_refuse_after_a_revocation(self, post: Any, user: User) -> None:
        revoke(principal=principal_of(user), permission=MAKE, now=clock.now())
        for view in GUARDED:
            assert (post(view).status, effects()) == (403, 0), view

    def test_checks_replay_a_key_and_pass_again(self, post: Any, user: User) -> None:
        for count, view in enumerate([*KEYED, "leased"], 1):
            first, second = post(view, "one"), post(view, "one")
            assert (first.json(), second.headers.get("idempotency-replayed")) == (second.json(), "true"), view
            assert effects() == count, view
        revoke(principal=principal_of(user), permission=MAKE, now=clock.now())
        for view in KEYED:
            assert post(view, "one").status == (403 if view in GUARDED else 201), view

    def test_checks_refuse_a_session_that_did_not_just_log_in(self, post: Any) -> None:
        assert (post("recent").status, effects()) == (401, 0)

    def test_checks_accept_a_nonce_once(self, user: User, certificate_for: Any) -> None:
        client, timestamp = ASGIClient(certificate_for("alice")), str(int(clock.now().timestamp()))
        for count, view in enumerate(("once", "decorated-dispatch", "every"), 1):
            nonce = secrets.token_urlsafe(16)
            answers = [
                client.post(
                    f"/{view}", x_request_nonce=nonce, x_request_timestamp=timestamp, idempotency_key=key
                ).status
                for key in ("one", "two")
            ]
            assert (answers, effects()) == ([201, 409], count), view

    def test_checks_of_the_middleware_for_every_view(self, post: Any, settings: Any) -> None:
        settings.MIDDLEWARE = [*settings.MIDDLEWARE, "securecore.http.idempotency.middleware.IdempotencyMiddleware"]
        assert [post("handler", "one").status for _ in range(2)] == [201, 201]
        assert [post("exempt", "one").status for _ in range(2)] == [201, 201]
        assert effects() == 3


class TestMisuse:
    def test_misuse_of_the_gate_on_the_event_loop_is_told(self, post: Any, caplog: Any) -> None:
        assert (post("by-hand").status, effects()) == (500, 0)
        assert any(isinstance(record.exc_info[1], Misuse) for record in caplog.records if record.exc_info)
        assert "sync_to_async" in caplog.text

    def test_misuse_has_a_way_out(self, post: Any) -> None:
        assert (post("by-hand-on-a-thread").status, effects()) == (201, 1)

    def test_misuse_of_a_handler_that_rest_framework_does_not_await_is_told(self, post: Any, caplog: Any) -> None:
        assert (post("rest-function").status, effects()) == (500, 0)
        assert "without await: write def" in caplog.text


class TestPassedThrough:
    def test_passed_through_views_run(self, post: Any, certificate_for: Any) -> None:
        assert (post("exempt").status, effects()) == (201, 1)
        assert ASGIClient(certificate_for("alice")).get("/public").headers["cache-control"] == "public, max-age=60"


class TestSession:
    def test_session_is_bound_and_ends_by_django_s_async_functions(self, user: User, certificate_for: Any) -> None:
        client, thief = ASGIClient(certificate_for("alice")), ASGIClient(certificate_for("mallory"))
        cookie = client.post("/log-in").headers["set-cookie"].partition(";")[0]
        assert client.get("/me", cookie=cookie).json() == {"user": "alice", "before": "kept"}
        assert thief.get("/me", cookie=cookie).json()["user"] == ""
        client.post("/log-out", cookie=cookie)
        assert client.get("/me", cookie=cookie).json() == {"user": "", "before": None}
