"""Binding, recent authentication, limits, ending, and ids in the wrong place."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from io import StringIO
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core.management import CommandError, call_command

from securecore.events import SessionBindingMismatch, SessionEnded, SessionsEnded
from securecore.grants import triggers
from securecore.identity import enroll, parse_pem
from securecore.revocation import revoke_certificate
from securecore.sessions import Session
from securecore.testing import Authority, Issued, MutualTLSClient
from tests.events.recorder import of_kind, recorded
from tests.sessions.test_endpoints import COOKIE, log_in, put, user_of

pytestmark = [pytest.mark.django_db, pytest.mark.urls("tests.sessions.urls")]

Clients = Callable[..., MutualTLSClient]
JSON = "application/json"


@pytest.fixture
def securecore(settings: Any) -> Callable[..., None]:
    def change(**changed: Any) -> None:
        settings.SECURECORE = {**settings.SECURECORE, **changed}

    return change


@pytest.fixture
def alice(mtls_client: Clients) -> MutualTLSClient:
    client = mtls_client("alice", HTTP_USER_AGENT="Firefox\n", HTTP_X_REAL_IP="192.0.2.7")
    log_in(client)
    return client


def thumbprint(issued: Issued) -> str:
    return parse_pem(issued.pem).thumbprint


class TestBindingToTheKey:
    @pytest.fixture(autouse=True)
    def _setting(self, securecore: Any) -> None:
        securecore(SESSION_BINDING="public-key")

    @pytest.fixture
    def renewed(self, ca: Authority, certificate_for: Callable[[str], Issued], enrolled: Any) -> MutualTLSClient:
        issued = ca.issue("alice", key=certificate_for("alice").key)
        enroll(certificate=parse_pem(issued.pem), user=enrolled("alice"), now=ca.now)
        return MutualTLSClient(issued)

    def test_binding_to_the_key_survives_a_renewed_certificate(
        self, alice: MutualTLSClient, renewed: MutualTLSClient
    ) -> None:
        renewed.cookies[COOKIE] = alice.cookies[COOKIE].value
        assert user_of(renewed) == "alice"

    @pytest.mark.parametrize("name", ["mallory", None])
    def test_binding_to_the_key_refuses_another_key(
        self, alice: MutualTLSClient, mtls_client: Clients, name: str | None
    ) -> None:
        thief = mtls_client(name)
        thief.cookies[COOKIE] = alice.cookies[COOKIE].value
        assert (user_of(thief), user_of(alice)) == ("", "alice")

    def test_binding_to_the_key_keeps_sessions_from_before_the_setting_changed(
        self, alice: MutualTLSClient, renewed: MutualTLSClient, securecore: Any
    ) -> None:
        securecore(SESSION_BINDING="thumbprint")
        assert user_of(alice) == "alice"
        log_in(alice)
        renewed.cookies[COOKIE] = alice.cookies[COOKIE].value
        assert user_of(renewed) == "alice"  # rotated, and still bound to the certificate of its login

    def test_binding_to_the_key_ends_when_its_certificate_is_revoked(
        self, alice: MutualTLSClient, certificate_for: Callable[[str], Issued]
    ) -> None:
        revoke_certificate(thumbprint=thumbprint(certificate_for("alice")))
        assert Session.objects.count() == 0


class TestMismatch:
    @pytest.fixture(params=["mallory", None], ids=["another certificate", "no certificate"])
    def thief(self, mtls_client: Clients, alice: MutualTLSClient, request: pytest.FixtureRequest) -> MutualTLSClient:
        client = mtls_client(request.param)
        client.cookies[COOKIE] = alice.cookies[COOKIE].value
        return client

    @pytest.mark.parametrize("path", ["/by-session", "/by-their-session"])
    def test_mismatch_is_401_for_an_api(self, thief: MutualTLSClient, alice: MutualTLSClient, path: str) -> None:
        with recorded() as events:
            answer = thief.get(path)
        assert (answer.status_code, answer.json()["code"]) == (401, "session-refused")
        assert len(of_kind(events, SessionBindingMismatch)) == 1
        assert alice.get(path).json() == "alice"

    def test_mismatch_is_a_clean_new_session_for_a_page(self, thief: MutualTLSClient, alice: MutualTLSClient) -> None:
        assert put(thief, "x").status_code == 200
        assert thief.cookies[COOKIE].value != alice.cookies[COOKIE].value
        assert (user_of(thief), user_of(alice)) == ("", "alice")


class TestRecentAuthentication:
    @pytest.mark.parametrize("path", ["/recent", "/api/recent"])
    def test_recent_authentication_is_demanded_by_the_database(
        self, alice: MutualTLSClient, now: dt.datetime, path: str
    ) -> None:
        assert alice.get(path).status_code == 200
        Session.objects.update(authenticated_at=now - dt.timedelta(seconds=301))
        answer = alice.get(path)
        assert (answer.status_code, answer.json()["code"]) == (401, "recent-authentication-required")
        assert 'max_age="300"' in answer["WWW-Authenticate"]
        alice.get("/step-up")
        assert alice.get(path).status_code == 200

    @pytest.mark.parametrize("path", ["/recent", "/api/recent"])
    @pytest.mark.parametrize("name", ["alice", None])
    def test_recent_authentication_is_not_the_certificate_alone(
        self, mtls_client: Clients, name: str | None, path: str
    ) -> None:
        client = mtls_client(name)
        put(client, "x")
        assert client.get(path).status_code == 401

    @pytest.mark.parametrize("path", ["/recent", "/api/recent"])
    def test_recent_authentication_ends_with_the_password(
        self, alice: MutualTLSClient, enrolled: Any, path: str
    ) -> None:
        """The row still says when alice logged in, and the session logs nobody in any more."""
        assert alice.get(path).status_code == 200
        user = enrolled("alice")
        user.set_password("another")
        user.save()
        assert alice.get(path).status_code == 401

    def test_recent_authentication_is_not_renewed_by_use_or_rotation(
        self, alice: MutualTLSClient, now: dt.datetime
    ) -> None:
        Session.objects.update(authenticated_at=now - dt.timedelta(seconds=301))
        alice.get("/rotate")
        put(alice, "x")
        assert alice.get("/recent").status_code == 401


class TestLimit:
    def sessions(self, mtls_client: Clients, count: int) -> list[MutualTLSClient]:
        clients = [mtls_client("alice") for _ in range(count)]
        for client in clients:
            log_in(client)
        return clients

    def test_limit_ends_the_oldest(self, mtls_client: Clients, securecore: Any) -> None:
        securecore(SESSION_LIMIT=2)
        with recorded() as events:
            clients = self.sessions(mtls_client, 4)
        assert [user_of(client) for client in clients] == ["", "", "alice", "alice"]
        assert [event.device for event in of_kind(events, SessionEnded)] == ["", ""]

    def test_limit_counts_only_the_user_s_own_live_ones(
        self, mtls_client: Clients, securecore: Any, now: dt.datetime
    ) -> None:
        securecore(SESSION_LIMIT=1)
        bob = mtls_client("bob")
        log_in(bob)
        (first,) = self.sessions(mtls_client, 1)
        log_in(first)
        assert (user_of(bob), user_of(first)) == ("bob", "alice")


class TestOwnSessions:
    def test_own_sessions_say_where_they_were_opened(
        self, alice: MutualTLSClient, certificate_for: Callable[[str], Issued], mtls_client: Clients
    ) -> None:
        log_in(mtls_client("alice"))
        newest, mine = alice.get("/auth/sessions").json()["results"]
        assert (mine["device"], mine["address"], mine["current"]) == ("Firefox", "192.0.2.7", True)
        assert mine["certificate"] == thumbprint(certificate_for("alice"))
        assert not newest["current"]

    def test_own_sessions_can_all_be_ended_but_this_one(self, alice: MutualTLSClient, mtls_client: Clients) -> None:
        others, bob = [mtls_client("alice") for _ in range(3)], mtls_client("bob")
        for client in (*others, bob):
            log_in(client)
        assert alice.delete("/auth/sessions").json() == {"ended": 3}
        assert [user_of(client) for client in (alice, bob, *others)] == ["alice", "bob", "", "", ""]

    def test_own_sessions_can_be_ended_without_a_certificate(self, mtls_client: Clients) -> None:
        User.objects.create_user("dave", password="secret")
        dave = mtls_client(None)
        dave.post("/login/password", {"username": "dave", "password": "secret"}, JSON)
        assert len(dave.get("/auth/sessions").json()["results"]) == 1
        assert dave.post("/auth/logout").status_code == 204
        assert user_of(dave) == ""


class TestEnding:
    def test_ending_by_command(self, alice: MutualTLSClient, mtls_client: Clients, certificate_for: Any) -> None:
        bob, carol = mtls_client("bob"), mtls_client("carol")
        log_in(bob)
        log_in(carol)
        call_command("securecore_sessions", "end", "--user", "alice")
        assert [user_of(client) for client in (alice, bob, carol)] == ["", "bob", "carol"]
        call_command("securecore_sessions", "end", f"--certificate={thumbprint(certificate_for('bob'))}")
        assert [user_of(client) for client in (bob, carol)] == ["", "carol"]
        with pytest.raises(CommandError, match="confirm with --yes") as error:
            call_command("securecore_sessions", "end", "--all")
        assert error.value.returncode == 3
        assert user_of(carol) == "carol"
        call_command("securecore_sessions", "end", "--all", "--yes")
        assert user_of(carol) == ""

    def test_ending_by_command_takes_any_thumbprint(self) -> None:
        out = StringIO()
        call_command("securecore_sessions", "end", "--certificate", "-" + 42 * "v", stdout=out)
        assert out.getvalue() == "0 sessions were ended.\n"

    @pytest.mark.parametrize("given", [[], ["--user", "nobody"], ["--certificate", ""], ["--all", "--user", "alice"]])
    def test_ending_by_command_must_name_whose(self, alice: MutualTLSClient, given: list[str]) -> None:
        with pytest.raises(CommandError):
            call_command("securecore_sessions", "end", *given)
        assert user_of(alice) == "alice"

    @pytest.mark.parametrize("has_triggers", [True, False])
    def test_ending_of_a_user_who_is_deactivated(self, alice: MutualTLSClient, has_triggers: bool) -> None:
        if not has_triggers:  # a database without securecore's triggers
            triggers.remove()
        user = User.objects.get(username="alice")
        user.is_active = False
        with recorded() as events:
            user.save()
        assert Session.objects.count() == 0
        assert [event.count for event in of_kind(events, SessionsEnded)] == [1]
        with recorded() as events:
            user.save()
        assert not of_kind(events, SessionsEnded)

    def test_ending_in_the_admin(self, alice: MutualTLSClient, mtls_client: Clients, settings: Any) -> None:
        settings.ROOT_URLCONF = "tests.urls"
        root = mtls_client("root")
        User.objects.filter(username="root").update(is_staff=True, is_superuser=True)
        log_in(root)
        listed = root.get("/admin/securecore/session/")
        assert b"Firefox" in listed.content
        pk = str(Session.objects.get(user__username="alice").pk)
        order = {"action": "end_sessions", "_selected_action": [pk], "step": "confirmed"}
        with recorded() as events:
            assert root.post("/admin/securecore/session/", order).status_code == 302
        assert [event.session for event in of_kind(events, SessionEnded)] == [pk]
        assert list(Session.objects.values_list("user__username", flat=True)) == ["root"]

    def test_ending_in_the_admin_needs_the_permission(self, alice: MutualTLSClient, mtls_client: Clients) -> None:
        helper = mtls_client("helper")
        User.objects.filter(username="helper").update(is_staff=True)
        log_in(helper)
        pk = str(Session.objects.get(user__username="alice").pk)
        order = {"action": "end_sessions", "_selected_action": [pk], "step": "confirmed"}
        helper.post("/admin/securecore/session/", order)
        assert user_of(alice) == "alice"


class TestLogin:
    @pytest.fixture(autouse=True)
    def _passwords(self, users: dict[str, User]) -> None:
        for name, user in users.items():
            user.set_password(f"{name}'s password")
            user.save()

    def test_login_by_certificate_and_password(self, mtls_client: Clients) -> None:
        client = mtls_client("alice")
        for wrong in ({}, {"password": "x"}, {"password": "bob's password"}, {"password": ["alice's password"]}):
            answer = client.post("/login/both", wrong, JSON)
            assert (answer.status_code, answer.json()["code"]) == (401, "credentials-refused")
        named = {"username": "bob", "password": "bob's password"}
        assert client.post("/login/both", named, JSON).status_code == 401
        assert client.post("/login/both", {"password": "alice's password"}, JSON).json() == {"user": "alice"}
        assert user_of(client) == "alice"
        assert mtls_client(None).post("/login/both", named, JSON).json()["code"] == "certificate-required"

    def test_login_by_password_where_the_route_allows_it(self, mtls_client: Clients) -> None:
        client = mtls_client(None)
        right = {"username": "alice", "password": "alice's password"}
        for wrong in ({}, {"username": "alice"}, {**right, "password": "x"}, {**right, "username": {}}):
            assert client.post("/login/password", wrong, JSON).status_code == 401
        assert client.post("/auth/login", right, JSON).status_code == 403
        assert client.post("/login/password", right, JSON).json() == {"user": "alice"}
        assert user_of(client) == "alice"
        assert Session.objects.get().binding == ""

    def test_login_by_password_under_somebody_else_s_certificate_is_refused(self, mtls_client: Clients) -> None:
        answer = mtls_client("bob").post("/login/password", {"username": "alice", "password": "alice's password"}, JSON)
        assert answer.json()["code"] == "credentials-refused"
        assert mtls_client("bob").get("/log-in?ours").json()["code"] == "credentials-refused"

    @pytest.mark.parametrize("path", ["/log-in", "/log-in?ours"])
    def test_login_by_django_s_own_function_is_protected_too(
        self, mtls_client: Clients, securecore: Any, path: str, now: dt.datetime
    ) -> None:
        securecore(SESSION_LIMIT=1)
        other, client = mtls_client("alice"), mtls_client("alice")
        log_in(other)
        ids = [client.get(path).cookies[COOKIE].value for _ in range(3)]
        assert len(set(ids)) == 3
        row = Session.objects.get()
        assert (row.authenticated_at is not None, row.binding != "", row.certificate != "") == (True, True, True)
        assert user_of(other) == ""
