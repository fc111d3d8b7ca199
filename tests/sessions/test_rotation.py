"""The changes that rotate the session id, and the requests that are in flight with the old id."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from typing import Any

import pytest
from django.contrib.auth.models import Group, Permission, User
from django.db import connection, connections
from django.test.utils import CaptureQueriesContext

from securecore.grants import Grant, grant, principal_of
from securecore.revocation import revoke_grant
from securecore.sessions import Session, SessionStore
from securecore.sessions.models import GRACE
from securecore.testing import MutualTLSClient
from tests.sessions.test_endpoints import COOKIE, log_in, put, user_of

pytestmark = [pytest.mark.django_db, pytest.mark.urls("tests.sessions.urls")]

Clients = Callable[..., MutualTLSClient]


@pytest.fixture
def alice(mtls_client: Clients) -> MutualTLSClient:
    client = mtls_client("alice", raise_request_exception=False)
    log_in(client)
    put(client, "of Alice")
    return client


@pytest.fixture
def in_flight(alice: MutualTLSClient, mtls_client: Clients) -> MutualTLSClient:
    """Other requests of the same browser, sent before the id changed."""
    client = mtls_client("alice", raise_request_exception=False)
    client.cookies[COOKIE] = key_of(alice)
    return client


def key_of(client: MutualTLSClient) -> str:
    return str(client.cookies[COOKIE].value)


def changes(client: MutualTLSClient, path: str = "/session") -> bool:
    """Return whether the next request changes the id, and the one after it does not."""
    before = key_of(client)
    client.get(path)
    after = key_of(client)
    assert user_of(client) == "alice"
    assert key_of(client) == after
    return after != before


class TestPrivilegeChange:
    @pytest.fixture
    def user(self, alice: MutualTLSClient) -> User:
        return User.objects.get(username="alice")

    def test_privilege_change_of_nothing_keeps_the_id(self, alice: MutualTLSClient) -> None:
        assert not changes(alice)

    def test_privilege_change_by_a_grant(self, alice: MutualTLSClient, user: User, now: dt.datetime) -> None:
        grant(principal=principal_of(user), permission="x", now=now)
        assert changes(alice)
        revoke_grant(principal=principal_of(user), permission="x")
        assert changes(alice)

    def test_privilege_change_by_a_grant_to_somebody_else_does_not(
        self, alice: MutualTLSClient, users: dict[str, User], now: dt.datetime
    ) -> None:
        grant(principal=principal_of(users["bob"]), permission="x", now=now)
        assert not changes(alice)

    def test_privilege_change_by_a_grant_before_the_login_does_not(
        self, mtls_client: Clients, user: User, now: dt.datetime
    ) -> None:
        grant(principal=principal_of(user), permission="x", now=now)
        client = mtls_client("alice")
        log_in(client)
        assert not changes(client)

    @pytest.mark.parametrize(
        "change",
        [
            lambda user, group: user.groups.add(group),
            lambda user, group: group.user_set.add(user),
            lambda user, group: user.user_permissions.add(Permission.objects.all()[0]),
            lambda user, group: (user.groups.add(group), group.permissions.add(Permission.objects.all()[0])),
            lambda user, group: (user.groups.add(group), user.groups.clear()),
            lambda user, group: (user.groups.add(group), group.user_set.clear()),
        ],
    )
    def test_privilege_change_by_a_role(self, alice: MutualTLSClient, user: User, change: Any) -> None:
        change(user, Group.objects.create(name="tellers"))
        assert changes(alice)

    @pytest.mark.parametrize("name", ["is_staff", "is_superuser"])
    def test_privilege_change_by_a_flag(self, alice: MutualTLSClient, user: User, name: str) -> None:
        setattr(user, name, True)
        user.save()
        assert changes(alice)
        user.save()
        assert not changes(alice)

    @pytest.mark.parametrize("name", ["is_staff", "is_superuser"])
    def test_privilege_change_by_a_saved_flag_costs_one_statement(
        self, alice: MutualTLSClient, user: User, name: str, django_assert_num_queries: Any
    ) -> None:
        setattr(user, name, True)
        with django_assert_num_queries(1):
            user.save()
        assert changes(alice)

    @pytest.mark.parametrize("name", ["is_staff", "is_superuser"])
    def test_privilege_change_round_every_signal_by_a_flag(self, alice: MutualTLSClient, user: User, name: str) -> None:
        User.objects.filter(pk=user.pk).update(**{name: True})
        assert changes(alice)
        with connection.cursor() as cursor:
            cursor.execute(f"UPDATE auth_user SET {name} = %s WHERE id = %s", [False, user.pk])
        assert changes(alice)

    def test_privilege_change_round_every_signal_by_a_grant_or_a_role(
        self, alice: MutualTLSClient, user: User, now: dt.datetime
    ) -> None:
        Grant.objects.bulk_create([Grant(principal=principal_of(user), permission="x", granted_at=now)])
        assert changes(alice)
        Grant.objects.update(revoked_at=now)
        assert changes(alice)
        group = Group.objects.create(name="tellers")
        User.groups.through.objects.bulk_create([User.groups.through(user=user, group=group)])
        assert changes(alice)

    def test_privilege_change_of_the_password(self, alice: MutualTLSClient) -> None:
        before = key_of(alice)
        alice.post("/password")
        assert key_of(alice) != before
        assert user_of(alice) == "alice"

    def test_privilege_change_on_demand_and_stepping_up(self, alice: MutualTLSClient) -> None:
        assert changes(alice, "/rotate")
        assert changes(alice, "/step-up")

    def test_privilege_change_keeps_the_contents(self, alice: MutualTLSClient) -> None:
        alice.get("/rotate")
        assert alice.get("/session").json() == {"value": "of Alice", "user": "alice"}

    def test_rotation_is_a_new_row(self, alice: MutualTLSClient, user: User) -> None:
        """A distributed database spreads the rows by their primary key, and refuses its change."""
        before = Session.objects.get()
        User.objects.filter(pk=user.pk).update(is_staff=True)
        with CaptureQueriesContext(connection) as captured:
            assert changes(alice)
        texts = [query["sql"] for query in captured.captured_queries if "securecore_session" in query["sql"]]
        assert any(text.startswith("INSERT INTO") for text in texts)
        assert not any(text.startswith("UPDATE") and 'SET "id"' in text for text in texts)
        after = Session.objects.get()
        assert after.pk != before.pk
        assert after.predecessor == before.pk
        assert (after.created_at, after.ends_at, after.binding) == (before.created_at, before.ends_at, before.binding)


class TestInFlight:
    def test_in_flight_is_served(self, alice: MutualTLSClient, in_flight: MutualTLSClient) -> None:
        alice.get("/rotate")
        assert in_flight.get("/session").json() == {"value": "of Alice", "user": "alice"}

    def test_in_flight_gets_no_cookie(self, alice: MutualTLSClient, in_flight: MutualTLSClient) -> None:
        alice.get("/rotate")
        for answer in (in_flight.get("/session"), put(in_flight, "x"), in_flight.get("/rotate")):
            assert COOKIE not in answer.cookies

    def test_in_flight_writes_nothing(self, alice: MutualTLSClient, in_flight: MutualTLSClient) -> None:
        alice.get("/rotate")
        assert put(in_flight, "late").status_code == 200
        assert alice.get("/session").json() == {"value": "of Alice", "user": "alice"}
        assert Session.objects.count() == 1

    def test_in_flight_that_had_read_before_writes_nothing_either(self, alice: MutualTLSClient, settings: Any) -> None:
        settings.SESSION_SAVE_EVERY_REQUEST = True
        key = key_of(alice)
        original = SessionStore.save

        def late(store: SessionStore, must_create: bool = False) -> None:
            SessionStore.save = original  # type: ignore[method-assign]
            SessionStore(key, *store.proven).cycle_key()
            original(store, must_create)

        SessionStore.save = late  # type: ignore[assignment,method-assign]
        answer = put(alice, "late")
        assert (answer.status_code, COOKIE in answer.cookies) == (200, False)
        assert Session.objects.get(user__username="alice").predecessor is not None
        assert alice.get("/session").json()["value"] == "of Alice"

    def test_in_flight_is_too_late_after_ten_seconds(
        self, alice: MutualTLSClient, in_flight: MutualTLSClient, now: dt.datetime
    ) -> None:
        alice.get("/rotate")
        Session.objects.update(rotated_at=now - GRACE)
        assert user_of(in_flight) == ""
        assert user_of(alice) == "alice"

    @pytest.mark.parametrize("name", ["mallory", None])
    def test_in_flight_needs_the_same_certificate(
        self, alice: MutualTLSClient, mtls_client: Clients, name: str | None
    ) -> None:
        thief = mtls_client(name)
        thief.cookies[COOKIE] = key_of(alice)
        alice.get("/rotate")
        assert user_of(thief) == ""
        assert user_of(alice) == "alice"

    def test_in_flight_of_before_the_login_is_nobody_and_keeps_the_cookie(self, mtls_client: Clients) -> None:
        """An attacker planted the id before the login, so the attacker knows it. Without certificates the server cannot
        tell the two apart.
        """
        victim, attacker = mtls_client(None), mtls_client(None)
        User.objects.create_user("dave", password="secret")
        put(attacker, "planted")
        victim.cookies[COOKIE] = key_of(attacker)
        victim.post("/login/password", {"username": "dave", "password": "secret"}, "application/json")
        assert user_of(victim) == "dave"
        answer = attacker.get("/session")
        assert answer.json() == {"value": None, "user": ""}
        assert COOKIE not in answer.cookies

    def test_in_flight_may_log_in_anew(self, alice: MutualTLSClient, in_flight: MutualTLSClient) -> None:
        alice.get("/rotate")
        log_in(in_flight)
        assert (user_of(in_flight), user_of(alice)) == ("alice", "alice")
        assert key_of(in_flight) != key_of(alice)

    def test_in_flight_may_log_out(self, alice: MutualTLSClient, in_flight: MutualTLSClient) -> None:
        alice.get("/rotate")
        in_flight.post("/auth/logout")
        assert user_of(alice) == ""

    def test_in_flight_is_not_recently_authenticated(self, alice: MutualTLSClient, in_flight: MutualTLSClient) -> None:
        alice.get("/step-up")
        assert (alice.get("/recent").status_code, in_flight.get("/recent").status_code) == (200, 401)


class TestFailedRequest:
    @pytest.mark.parametrize("path", ["/rotate", "/step-up", "/password", "/log-in", "/log-in?ours"])
    @pytest.mark.parametrize("outcome", ["status=500", "status=503", "raises"])
    def test_failed_request_leaves_the_browser_with_a_living_id(
        self, alice: MutualTLSClient, path: str, outcome: str
    ) -> None:
        before = key_of(alice)
        answer = alice.post(f"{path}{'&' if '?' in path else '?'}{outcome}")
        assert answer.status_code >= 500
        assert key_of(alice) != before
        assert answer["Cache-Control"] == "private, no-store"
        assert user_of(alice) == ("alice" if path != "/password" else "")

    @pytest.mark.parametrize("outcome", ["status=500", "raises"])
    def test_failed_request_logs_out_all_the_same(self, alice: MutualTLSClient, outcome: str) -> None:
        key = key_of(alice)
        alice.post(f"/log-out?{outcome}")
        alice.cookies[COOKIE] = key
        assert user_of(alice) == ""


@pytest.mark.django_db(transaction=True)
class TestAtomicRequests:
    @pytest.fixture(autouse=True)
    def _atomic(self) -> Any:
        connections["default"].settings_dict["ATOMIC_REQUESTS"] = True
        yield
        connections["default"].settings_dict["ATOMIC_REQUESTS"] = False

    @pytest.mark.parametrize("path", ["/rotate", "/step-up", "/password", "/log-in"])
    def test_atomic_requests_rolled_back_leaves_the_old_id(self, alice: MutualTLSClient, path: str) -> None:
        before = key_of(alice)
        answer = alice.post(f"{path}?raises")
        assert (answer.status_code, COOKIE in answer.cookies) == (500, False)
        assert key_of(alice) == before
        assert alice.get("/session").json() == {"value": "of Alice", "user": "alice"}

    def test_atomic_requests_rolled_back_with_a_4xx_leaves_the_old_id(self, mtls_client: Clients) -> None:
        client = mtls_client("alice")
        before = put(client, "anonymous").cookies[COOKIE].value
        assert client.post("/invalid").status_code == 400
        assert key_of(client) == before
        assert client.get("/session").json() == {"value": "anonymous", "user": ""}
        assert COOKIE not in mtls_client("alice").post("/invalid").cookies

    def test_atomic_requests_committed_changes_the_id(self, alice: MutualTLSClient) -> None:
        assert changes(alice, "/rotate")

    def test_atomic_requests_rolled_back_logout_holds(self, alice: MutualTLSClient) -> None:
        key = key_of(alice)
        assert alice.post("/log-out?raises").status_code == 500
        assert Session.objects.count() == 0
        alice.cookies[COOKIE] = key
        assert user_of(alice) == ""


class TestAnonymousContents:
    def test_anonymous_contents_are_kept_as_in_django(self, mtls_client: Clients) -> None:
        client = mtls_client("alice")
        put(client, "cart")
        log_in(client)
        assert client.get("/session").json() == {"value": "cart", "user": "alice"}
