"""The helpers for the tests of projects: clients, requests, users and the clock."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import RequestFactory
from rest_framework.test import APIRequestFactory

from securecore import clock
from securecore.errors import CertificateExpired, Misuse
from securecore.http.edge.sources import SOURCES
from securecore.testing import Authority, FakeClock, MutualTLSAPIClient, MutualTLSClient, enrolled_user, identified
from tests.testing.urls import Things, page

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.urls("tests.testing.urls")]

Clients = Callable[..., Any]


@pytest.fixture
def configured(settings: Any) -> Callable[..., None]:
    """`configured(NAME=value)` changes the app's settings."""

    def configured(**changed: Any) -> None:
        settings.SECURECORE = {**settings.SECURECORE, **changed}

    return configured


class TestClient:
    @pytest.mark.parametrize("proxies", [["unix:"], ["10.0.0.0/8", "unix:"], ["10.1.2.0/24"], ["fd00::/8"]])
    @pytest.mark.parametrize("source", [name for name in SOURCES if name not in ("gunicorn", "aws-alb-passthrough")])
    def test_client_speaks_as_the_proxy_of_the_settings(
        self, mtls_client: Clients, configured: Clients, source: str, proxies: list[str]
    ) -> None:
        configured(CERTIFICATE_SOURCE=source, TRUSTED_PROXIES=proxies)
        assert mtls_client("alice").get("/things").json() == {"user": "alice"}
        assert mtls_client(None).get("/things").json()["code"] == "authentication-required"

    def test_client_speaks_to_gunicorn_itself(self, mtls_client: Clients, configured: Clients) -> None:
        configured(CERTIFICATE_SOURCE="gunicorn", TRUSTED_PROXIES=[], PROXY_SECRETS=[])
        assert mtls_client("alice").get("/things").json() == {"user": "alice"}
        assert mtls_client(None).get("/things").status_code == 401

    @pytest.mark.parametrize(
        "changed",
        [
            {"TRUSTED_PROXIES": [], "PROXY_SECRETS": []},
            {"PROXY_SIGNATURE_KEYS": [{"keyid": "edge", "public_key": "of a proxy"}]},
        ],
    )
    def test_client_that_no_proxy_could_forward_is_misuse(
        self, mtls_client: Clients, configured: Clients, changed: dict[str, Any]
    ) -> None:
        configured(**changed)
        with pytest.raises(Misuse, match="TRUSTED_PROXIES"):
            mtls_client("alice")

    def test_client_is_of_rest_framework_too(self, mtls_api_client: Clients) -> None:
        client = mtls_api_client("alice", permissions=["things.make"])
        response = client.post("/things", {"name": "x"}, format="json")
        assert (response.status_code, response.data) == (201, {"name": "x"})
        assert mtls_api_client("bob").post("/things", {}, format="json").status_code == 403

    def test_client_may_force_a_user(self, mtls_api_client: Clients, enrolled_user: Clients) -> None:
        client = mtls_api_client(None)
        client.force_authenticate(enrolled_user("bob"))
        assert client.get("/things").json() == {"user": "bob"}

    @pytest.mark.parametrize("kind", [MutualTLSClient, MutualTLSAPIClient])
    def test_client_logs_in_under_its_certificate(
        self, certificate_authority: Authority, enrolled_user: Clients, kind: Any
    ) -> None:
        alice, issued = enrolled_user("alice"), certificate_authority.certificate_for("alice")
        client = kind(issued)
        client.force_login(alice)
        assert client.get("/page").json() == {"user": "alice", "is_secure": True}
        thief = kind(certificate_authority.certificate_for("mallory"))
        thief.cookies = client.cookies
        assert thief.get("/page").json()["user"] == ""


class TestIdentified:
    def test_identified_request_reaches_a_view(self, certificate_authority: Authority, enrolled_user: Clients) -> None:
        enrolled_user("alice", permissions=["things.make"])
        issued = certificate_authority.certificate_for("alice")
        response = Things.as_view()(identified(APIRequestFactory().post("/things", {}), issued))
        assert response.status_code == 201
        request = identified(RequestFactory().get("/page"), issued)
        assert (str(request.certificate_user), request.user.is_authenticated) == ("alice", False)

    def test_identified_request_has_a_user(self, enrolled_user: Clients) -> None:
        request = identified(RequestFactory().get("/page"), user=enrolled_user("bob"))
        assert page(request).content == b'{"user": "bob", "is_secure": true}'

    def test_identified_request_is_refused_as_by_the_middleware(self, certificate_authority: Authority) -> None:
        old = certificate_authority.issue("alice", not_after=clock.now() - dt.timedelta(seconds=1))
        with pytest.raises(CertificateExpired):
            identified(RequestFactory().get("/"), old)


class TestEnrolledUser:
    def test_enrolled_user_is_made_once(self, certificate_authority: Authority) -> None:
        issued = certificate_authority.issue("zoe")
        user = enrolled_user("zoe", issued, email="zoe@example.org")
        assert (user.email, enrolled_user("zoe", issued), enrolled_user(user, issued)) == (user.email, user, user)
        assert User.objects.get().email == "zoe@example.org"


class TestFakeClock:
    def test_fake_clock_ends_a_session(self, mtls_client: Clients, fake_clock: FakeClock) -> None:
        client = mtls_client("alice")
        client.post("/auth/login")
        assert client.get("/page").json()["user"] == "alice"
        fake_clock.advance(hours=1, seconds=1)
        assert client.get("/page").json()["user"] == ""

    def test_fake_clock_begins_where_the_test_says(self) -> None:
        begin = dt.datetime(2030, 1, 1, tzinfo=dt.UTC)
        with FakeClock(begin) as fake_clock:
            assert clock.now() == begin
            assert fake_clock.advance(days=1) == clock.now() == begin + dt.timedelta(days=1)
        assert clock.now() != begin + dt.timedelta(days=1)

    def test_fake_clock_needs_a_time_zone(self) -> None:
        with pytest.raises(Misuse):
            FakeClock(dt.datetime(2030, 1, 1))  # noqa: DTZ001  # the mistake
