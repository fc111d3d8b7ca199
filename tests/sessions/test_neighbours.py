"""Code that does not know securecore: django-allauth, REST framework's sessions, Django's admin, a live server."""

from __future__ import annotations

import http.cookiejar
import urllib.parse
import urllib.request
from collections.abc import Callable
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.urls import include, path

from securecore.sessions import Session
from securecore.testing import MutualTLSClient
from tests.sessions.test_endpoints import COOKIE, log_in, put, user_of

urlpatterns = [
    path("accounts/", include("allauth.urls")),
    path("", include("tests.sessions.urls")),
    path("", include("tests.urls")),
]

pytestmark = [pytest.mark.django_db, pytest.mark.urls(__name__)]

Clients = Callable[..., MutualTLSClient]


@pytest.fixture
def dave(db: None) -> User:
    return User.objects.create_user("dave", password="a long secret", is_staff=True, is_superuser=True)


class TestAllauth:
    def log_in(self, client: Client) -> Any:
        return client.post(
            "/accounts/login/", {"login": "dave", "password": "a long secret"}, HTTP_X_REAL_IP="192.0.2.7"
        )

    @pytest.mark.parametrize("name", ["erin", None])
    def test_allauth_logs_in_with_a_new_bound_id(self, dave: User, mtls_client: Clients, name: str | None) -> None:
        client = mtls_client(name)
        before = put(client, "cart").cookies[COOKIE].value
        answer = self.log_in(client)
        assert answer.status_code == 302
        row = Session.objects.get(user=dave)
        assert client.cookies[COOKIE].value != before
        assert (row.authenticated_at is not None, bool(row.binding)) == (True, name is not None)
        assert client.get("/session").json() == {"value": "cart", "user": "dave"}

    def test_allauth_logs_out(self, dave: User, mtls_client: Clients) -> None:
        client = mtls_client(None)
        self.log_in(client)
        client.post("/accounts/logout/")
        assert user_of(client) == ""
        assert not Session.objects.filter(user=dave).exists()

    def test_allauth_changes_the_password_and_the_id(self, dave: User, mtls_client: Clients) -> None:
        client = mtls_client(None)
        self.log_in(client)
        before = client.cookies[COOKIE].value
        new = {"oldpassword": "a long secret", "password1": "another long one", "password2": "another long one"}
        assert client.post("/accounts/password/change/", new, HTTP_X_REAL_IP="192.0.2.7").status_code == 302
        assert client.cookies[COOKIE].value != before
        assert user_of(client) == "dave"


class TestAdmin:
    def test_admin_logs_in_with_a_new_id(self, dave: User, mtls_client: Clients) -> None:
        client = mtls_client("erin")
        before = put(client, "x").cookies[COOKIE].value
        answer = client.post("/admin/login/?next=/admin/", {"username": "dave", "password": "a long secret"})
        assert (answer.status_code, answer["Location"]) == (302, "/admin/")
        assert client.cookies[COOKIE].value != before
        assert client.get("/admin/").status_code == 200
        thief = mtls_client("mallory")
        thief.cookies[COOKIE] = client.cookies[COOKIE].value
        assert thief.get("/admin/").status_code == 302


class TestRestFramework:
    def test_rest_framework_knows_the_session_and_demands_a_csrf_token(self, mtls_client: Clients) -> None:
        client = mtls_client("alice", enforce_csrf_checks=True)
        log_in(client)
        assert client.get("/by-their-session").json() == "alice"
        refused = client.post("/by-their-session")
        assert (refused.status_code, refused.json()["code"]) == (403, "csrf-failed")
        token = client.cookies["csrftoken"].value
        headers = {"X-CSRFToken": token, "Referer": "https://testserver/"}
        answer = client.post("/by-their-session", {}, "application/json", headers=headers)
        assert answer.json() == "alice"


@pytest.mark.django_db(transaction=True)
class TestLiveServer:
    @pytest.fixture(autouse=True)
    def _plain_http(self, settings: Any) -> None:
        settings.SESSION_COOKIE_NAME = "sessionid"
        settings.SESSION_COOKIE_SECURE = settings.CSRF_COOKIE_SECURE = False

    def test_live_server_keeps_a_session(self, live_server: Any, dave: User) -> None:
        jar = http.cookiejar.CookieJar()
        browser = urllib.request.build_opener(urllib.request.HTTPCookieProcessor(jar), urllib.request.ProxyHandler({}))
        form = browser.open(f"{live_server.url}/admin/login/")
        assert form.status == 200
        token = next(cookie.value for cookie in jar if cookie.name == "csrftoken")
        fields = {"username": "dave", "password": "a long secret", "csrfmiddlewaretoken": token, "next": "/session"}
        browser.open(f"{live_server.url}/admin/login/", urllib.parse.urlencode(fields).encode())
        assert b'"dave"' in browser.open(f"{live_server.url}/session").read()

    def test_live_server_takes_a_forced_login_of_the_test_client(self, live_server: Any, dave: User) -> None:
        client = Client()
        client.force_login(dave)
        request = urllib.request.Request(f"{live_server.url}/session")
        request.add_header("Cookie", f"sessionid={client.cookies['sessionid'].value}")
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        assert b'"dave"' in opener.open(request).read()
