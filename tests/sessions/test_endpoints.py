"""Log in, log out, list and end sessions, as requests through the middleware."""

from __future__ import annotations

import datetime as dt
import json
import uuid
from collections.abc import Callable
from typing import Any

import pytest
from django.contrib.auth.models import User

from securecore.events import SessionBindingMismatch
from securecore.identity import Certificate, enroll, parse_pem
from securecore.revocation import revoke_certificate
from securecore.sessions import Session
from securecore.sessions.models import GRACE
from securecore.testing import Authority, Issued, MutualTLSClient
from tests.events.recorder import of_kind, recorded
from tests.sessions.test_store import PLANTED

pytestmark = [pytest.mark.django_db, pytest.mark.urls("tests.http.urls")]

COOKIE = "__Host-sessionid"
FIELDS = {"id", "current", "device", "address", "certificate", "created_at", "last_seen_at", "expires_at"}
Clients = Callable[..., MutualTLSClient]


def log_in(client: MutualTLSClient) -> str:
    """Return the id of the client's session after a login."""
    answer = client.post("/auth/login")
    assert answer.status_code == 200
    return str(answer.cookies[COOKIE].value)


def user_of(client: MutualTLSClient) -> str:
    """Return the user of the session that the client's cookie opens."""
    return str(client.get("/session").json()["user"])


def cookie(value: str) -> str:
    """Return the Cookie header with this id as a WSGI server hands it over: each byte is one character."""
    return f"{COOKIE}={value}".encode("utf-8", "surrogatepass").decode("latin-1")


def put(client: MutualTLSClient, value: str) -> Any:
    return client.post("/session", {"value": value})


class TestLogin:
    def test_login_opens_a_session_for_the_certificate_s_user(self, mtls_client: Clients) -> None:
        client = mtls_client("alice")
        assert user_of(client) == ""
        answer = client.post("/auth/login")
        assert (answer.status_code, answer.json()) == (200, {"user": "alice"})
        assert user_of(client) == "alice"
        row = Session.objects.get()
        assert (row.user, row.binding.partition(":")[0]) == (User.objects.get(), "x5t#S256")

    def test_login_sets_a_cookie_that_only_this_host_gets_over_tls(self, mtls_client: Clients) -> None:
        cookie = mtls_client("alice").post("/auth/login").cookies[COOKIE]
        assert cookie["secure"]
        assert cookie["httponly"]
        assert (cookie["samesite"], cookie["path"], cookie["domain"]) == ("Lax", "/", "")

    def test_login_sets_a_cookie_that_goes_with_its_session(self, mtls_client: Clients, settings: Any) -> None:
        """Django's SESSION_COOKIE_AGE is two weeks by default, and a session ends after a day."""
        assert mtls_client("alice").post("/auth/login").cookies[COOKIE]["max-age"] == 86_400
        settings.SESSION_COOKIE_AGE = 600
        assert mtls_client("alice").post("/auth/login").cookies[COOKIE]["max-age"] == 600

    def test_login_is_not_cached(self, mtls_client: Clients) -> None:
        answer = mtls_client("alice").post("/auth/login")
        assert "no-store" in answer["Cache-Control"]
        assert "Cookie" in answer["Vary"]

    @pytest.mark.parametrize("planted", PLANTED)
    def test_login_does_not_adopt_a_planted_id(self, mtls_client: Clients, planted: str) -> None:
        answer = mtls_client("alice").post("/auth/login", HTTP_COOKIE=cookie(planted))
        assert answer.cookies[COOKIE].value != planted
        assert Session.objects.count() == 1
        assert mtls_client("alice").get("/session", HTTP_COOKIE=cookie(planted)).json()["user"] == ""

    def test_login_changes_the_id_of_an_anonymous_session(self, mtls_client: Clients) -> None:
        client = mtls_client("alice")
        before = put(client, "cart").cookies[COOKIE].value
        after = log_in(client)
        assert after != before
        assert client.get("/session").json() == {"value": "cart", "user": "alice"}
        client.cookies[COOKIE] = before
        assert user_of(client) == ""

    def test_login_gives_a_new_id_to_the_same_user_again(self, mtls_client: Clients, now: dt.datetime) -> None:
        client = mtls_client("alice")
        ids = [log_in(client) for _ in range(3)]
        assert len(set(ids)) == 3
        assert Session.objects.count() == 1
        Session.objects.update(rotated_at=now - GRACE)
        for dead in ids[:-1]:
            client.cookies[COOKIE] = dead
            assert user_of(client) == ""

    def test_login_of_another_user_keeps_nothing_of_the_first(
        self, mtls_client: Clients, users: dict[str, User]
    ) -> None:
        client = mtls_client("alice")
        before = log_in(client)
        put(client, "of Alice")
        # Inserted directly, since enroll() refuses such a row.
        Certificate.objects.filter(user=users["alice"]).update(user=users["bob"])
        after = log_in(client)
        assert after != before
        assert client.get("/session").json() == {"value": None, "user": "bob"}
        client.cookies[COOKIE] = before
        assert user_of(client) == ""
        assert Session.objects.count() == 1

    def test_login_restarts_the_absolute_timeout(self, mtls_client: Clients, now: dt.datetime) -> None:
        client = mtls_client("alice")
        log_in(client)
        soon = now + dt.timedelta(minutes=5)
        Session.objects.update(expires_at=soon, ends_at=soon)
        log_in(client)
        row = Session.objects.get()
        assert row.ends_at >= now + dt.timedelta(days=1)
        assert row.expires_at >= now + dt.timedelta(hours=1)

    def test_login_after_the_session_was_ended_opens_another(self, mtls_client: Clients) -> None:
        client = mtls_client("alice")
        log_in(client)
        Session.objects.all().delete()
        log_in(client)
        assert user_of(client) == "alice"

    def test_login_needs_a_certificate(self, mtls_client: Clients) -> None:
        answer = mtls_client(None).post("/auth/login")
        assert (answer.status_code, answer.json()["code"]) == (403, "certificate-required")
        assert COOKIE not in answer.cookies

    def test_login_needs_an_enrolled_certificate(self, ca: Authority) -> None:
        answer = MutualTLSClient(ca.issue("alice")).post("/auth/login")
        assert (answer.status_code, answer.json()["code"]) == (403, "certificate-unknown")
        assert Session.objects.count() == 0

    @pytest.mark.parametrize("name", ["username", "user", "password"])
    def test_login_takes_no_name(self, mtls_client: Clients, users: dict[str, User], name: str) -> None:
        client = mtls_client("alice")
        body = json.dumps({name: "bob"})
        answer = client.post(f"/auth/login?{name}=bob", body, content_type="application/json")
        assert answer.json() == {"user": "alice"}

    def test_login_is_not_a_get(self, mtls_client: Clients) -> None:
        assert mtls_client("alice").get("/auth/login").status_code == 405
        assert Session.objects.count() == 0


class TestLogout:
    def test_logout_ends_the_session_and_takes_the_cookie(self, mtls_client: Clients) -> None:
        client = mtls_client("alice")
        key = log_in(client)
        answer = client.post("/auth/logout")
        assert answer.status_code == 204
        cookie = answer.cookies[COOKIE]
        assert (cookie.value, cookie["max-age"], cookie["secure"], cookie["path"]) == ("", 0, True, "/")
        assert Session.objects.count() == 0
        client.cookies[COOKIE] = key
        assert user_of(client) == ""

    def test_logout_ends_this_session_only(self, mtls_client: Clients) -> None:
        here, there = mtls_client("alice"), mtls_client("alice")
        log_in(here)
        log_in(there)
        here.post("/auth/logout")
        assert (user_of(here), user_of(there)) == ("", "alice")

    def test_logout_without_a_session_is_fine(self, mtls_client: Clients) -> None:
        assert mtls_client("alice").post("/auth/logout").status_code == 204

    def test_logout_then_login_gives_a_new_id(self, mtls_client: Clients) -> None:
        client = mtls_client("alice")
        before = log_in(client)
        client.post("/auth/logout")
        assert log_in(client) != before

    def test_logout_needs_a_certificate(self, mtls_client: Clients) -> None:
        assert mtls_client(None).post("/auth/logout").json()["code"] == "certificate-required"


class TestStolenId:
    """Mallory has Alice's cookie, and his own certificate or none."""

    @pytest.fixture
    def alice(self, mtls_client: Clients) -> MutualTLSClient:
        client = mtls_client("alice")
        log_in(client)
        put(client, "of Alice")
        return client

    @pytest.fixture(params=["mallory", None], ids=["another certificate", "no certificate"])
    def thief(self, mtls_client: Clients, alice: MutualTLSClient, request: pytest.FixtureRequest) -> MutualTLSClient:
        client = mtls_client(request.param)
        client.cookies[COOKIE] = alice.cookies[COOKIE].value
        return client

    def test_stolen_id_opens_nothing(self, alice: MutualTLSClient, thief: MutualTLSClient) -> None:
        assert thief.get("/session").json() == {"value": None, "user": ""}
        assert alice.get("/session").json() == {"value": "of Alice", "user": "alice"}

    def test_stolen_id_is_reported(self, alice: MutualTLSClient, thief: MutualTLSClient) -> None:
        stolen = str(alice.cookies[COOKIE].value)
        with recorded() as events:
            thief.get("/session")
        (event,) = of_kind(events, SessionBindingMismatch)
        assert event.user == str(User.objects.get(username="alice").pk)
        assert event.bound_to == Session.objects.get().binding
        assert event.presented != event.bound_to
        assert stolen not in repr(events)

    def test_stolen_id_is_not_reported_by_its_owner(self, alice: MutualTLSClient) -> None:
        with recorded() as events:
            assert user_of(alice) == "alice"
        assert events == []

    @pytest.mark.parametrize("path", ["/session", "/flush", "/auth/logout", "/auth/login", "/ended-meanwhile"])
    def test_stolen_id_ends_nothing(self, alice: MutualTLSClient, thief: MutualTLSClient, path: str) -> None:
        thief.post(path, {"value": "of Mallory"})
        assert alice.get("/session").json() == {"value": "of Alice", "user": "alice"}

    def test_stolen_id_is_not_used_for_the_thief_s_own_session(
        self, alice: MutualTLSClient, thief: MutualTLSClient
    ) -> None:
        stolen = alice.cookies[COOKIE].value
        put(thief, "of Mallory")
        assert thief.cookies[COOKIE].value != stolen
        assert thief.get("/session").json()["value"] == "of Mallory"

    def test_stolen_id_is_worth_nothing_under_a_renewed_certificate(
        self, alice: MutualTLSClient, ca: Authority, now: dt.datetime
    ) -> None:
        renewed = ca.issue("alice")
        enroll(certificate=parse_pem(renewed.pem), user=User.objects.get(username="alice"), now=now)
        client = MutualTLSClient(renewed)
        client.cookies[COOKIE] = alice.cookies[COOKIE].value
        assert user_of(client) == ""

    def test_stolen_id_is_dead_once_the_certificate_is_revoked(
        self, alice: MutualTLSClient, certificate_for: Callable[[str], Issued]
    ) -> None:
        revoke_certificate(thumbprint=parse_pem(certificate_for("alice").pem).thumbprint)
        assert Session.objects.count() == 0
        assert alice.get("/session").json()["code"] == "certificate-revoked"


class TestIdElsewhere:
    """In the query, a header or the body an id is an ordinary parameter."""

    @pytest.mark.parametrize("name", [COOKIE, "sessionid", "session_key", "session", "jsessionid"])
    def test_id_elsewhere_is_never_used(self, mtls_client: Clients, name: str) -> None:
        client = mtls_client("alice")
        key = log_in(client)
        client.cookies.clear()
        header: dict[str, Any] = {"HTTP_" + name.upper().replace("-", "_"): key, "HTTP_X_SESSION_ID": key}
        assert client.get(f"/session?{name}={key}", **header).json()["user"] == ""
        assert client.post(f"/session?{name}={key}", {name: key, "value": "x"}, **header).json()["user"] == ""
        assert client.get(f"/session;{name}={key}", **header).status_code == 404


class TestHostileCookie:
    @pytest.mark.parametrize(
        "value", [*PLANTED, "a" * 5_000_000, "\x01\x02\x03\x04\x05\x06\x07\x08", '"quoted; value"']
    )
    def test_hostile_cookie_is_never_a_500(self, mtls_client: Clients, value: str) -> None:
        client = mtls_client("alice", HTTP_COOKIE=f"{cookie(value)}; {cookie(value)}; =; ;;{COOKIE}")
        for answer in (client.get("/session"), client.post("/session", {"value": "x"}), client.post("/auth/login")):
            assert answer.status_code == 200
        assert Session.objects.count() > 0

    def test_hostile_cookie_that_is_stale_does_not_lock_out(self, mtls_client: Clients, settings: Any) -> None:
        settings.SESSION_SAVE_EVERY_REQUEST = True
        client = mtls_client("alice")
        log_in(client)
        Session.objects.all().delete()
        assert [client.get("/seen").status_code for _ in range(2)] == [200, 200]
        log_in(client)
        assert user_of(client) == "alice"


class TestEndedMeanwhile:
    def test_ended_meanwhile_is_refused_and_not_written_back(self, mtls_client: Clients) -> None:
        client = mtls_client("alice")
        log_in(client)
        assert client.get("/ended-meanwhile").status_code == 400
        assert Session.objects.count() == 0

    def test_ended_meanwhile_says_so_when_the_user_is_deleted(self, mtls_client: Clients) -> None:
        client = mtls_client("alice")
        log_in(client)
        User.objects.get(username="alice").delete()
        assert user_of(client) == ""

    def test_ended_meanwhile_says_so_when_the_user_is_deactivated(self, mtls_client: Clients) -> None:
        client = mtls_client("alice")
        log_in(client)
        User.objects.update(is_active=False)
        assert user_of(client) == ""

    @pytest.mark.parametrize("column", ["expires_at", "ends_at"])
    def test_ended_meanwhile_says_so_when_its_time_is_over(
        self, mtls_client: Clients, now: dt.datetime, column: str
    ) -> None:
        client = mtls_client("alice")
        log_in(client)
        Session.objects.update(**{"expires_at": now, column: now})
        assert user_of(client) == ""


class TestSessions:
    def test_sessions_lists_one_s_own(self, mtls_client: Clients) -> None:
        first, second, other = mtls_client("alice"), mtls_client("alice"), mtls_client("bob")
        keys = [log_in(client) for client in (first, second, other)]
        answer = first.get("/auth/sessions")
        results = answer.json()["results"]
        assert [set(each) for each in results] == [FIELDS] * 2
        rows = Session.objects.filter(user__username="alice").order_by("-created_at")
        assert [each["id"] for each in results] == [str(row.pk) for row in rows]
        assert "no-store" in answer["Cache-Control"]
        assert not [key for key in keys if key in answer.content.decode()]

    def test_sessions_lists_only_live_ones(self, mtls_client: Clients, now: dt.datetime) -> None:
        client = mtls_client("alice")
        log_in(client)
        Session.objects.update(expires_at=now)
        assert client.get("/auth/sessions").json() == {"results": []}

    def test_sessions_ends_one_s_own(self, mtls_client: Clients) -> None:
        here, there = mtls_client("alice"), mtls_client("alice")
        log_in(here)
        mine = str(Session.objects.get().pk)
        log_in(there)
        assert there.delete(f"/auth/sessions/{mine}").status_code == 204
        assert (user_of(here), user_of(there)) == ("", "alice")
        assert there.delete(f"/auth/sessions/{mine}").status_code == 404

    def test_sessions_does_not_end_somebody_else_s(self, mtls_client: Clients) -> None:
        alice, bob = mtls_client("alice"), mtls_client("bob")
        log_in(alice)
        somebody_else_s = alice.get("/auth/sessions").json()["results"][0]["id"]
        answers = [bob.delete(f"/auth/sessions/{each}") for each in (somebody_else_s, uuid.uuid4())]
        assert [(answer.status_code, answer.json()["code"]) for answer in answers] == [(404, "session-unknown")] * 2
        assert answers[0].json() | {"request_id": ""} == answers[1].json() | {"request_id": ""}
        assert user_of(alice) == "alice"

    @pytest.mark.parametrize("name", ["1", "null", "%27%20OR%201=1", "%00", "../login", "a" * 5_000])
    def test_sessions_has_no_other_names(self, mtls_client: Clients, name: str) -> None:
        client = mtls_client("alice")
        log_in(client)
        assert client.delete(f"/auth/sessions/{name}").status_code in (404, 405)
        assert Session.objects.count() == 1

    @pytest.mark.parametrize(
        ("method", "path"), [("get", "/auth/sessions"), ("delete", f"/auth/sessions/{uuid.UUID(int=1)}")]
    )
    def test_sessions_needs_a_certificate(self, mtls_client: Clients, method: str, path: str) -> None:
        answer = getattr(mtls_client(None), method)(path)
        assert (answer.status_code, answer.json()["code"]) == (403, "certificate-required")


class TestCost:
    def test_cost_of_a_request_with_a_session_is_one_statement(
        self, mtls_client: Clients, django_assert_num_queries: Any
    ) -> None:
        client = mtls_client("alice")
        log_in(client)
        with django_assert_num_queries(1):  # certificate, session, the session's user
            assert user_of(client) == "alice"

    def test_cost_of_a_request_with_a_dead_id_is_one_more(
        self, mtls_client: Clients, django_assert_num_queries: Any
    ) -> None:
        """The query for a dead id comes after the others: whether the id was replaced in the last ten seconds."""
        client = mtls_client("alice")
        client.cookies[COOKIE] = "x" * 43
        with django_assert_num_queries(2):
            client.get("/session")

    def test_cost_of_a_request_without_one_is_one_statement(
        self, mtls_client: Clients, django_assert_num_queries: Any
    ) -> None:
        client = mtls_client("alice")
        with django_assert_num_queries(1):
            client.get("/seen")
