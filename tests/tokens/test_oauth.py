"""The token endpoint: its grants, and every error of RFC 6749 section 5.2."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Callable

import pytest
from django.contrib.auth.models import User

from securecore.events import RequestRefused
from securecore.identity import parse_pem
from securecore.revocation import revoke_certificate
from securecore.testing import Authority, Issued, MutualTLSClient
from securecore.tokens import RefreshFamily, RefreshToken
from tests.events.recorder import of_kind, recorded
from tests.tokens.calls import FORM, ask, error_of, given, post, said, works

pytestmark = [pytest.mark.django_db, pytest.mark.urls("tests.tokens.urls")]

Clients = Callable[..., MutualTLSClient]
CLIENT_CREDENTIALS = "grant_type=client_credentials&client_id=alice"
CERTIFICATE = "grant_type=urn:securecore:grant-type:certificate"
REFRESH = "grant_type=refresh_token"
ENDPOINTS = ["/oauth/token", "/oauth/revoke", "/oauth/introspect"]


class TestGrant:
    @pytest.mark.parametrize(
        "body",
        [
            CLIENT_CREDENTIALS,
            "grant_type=client_credentials",
            CERTIFICATE,
            CERTIFICATE + "&client_id=alice&scope=&extra=1",
        ],
    )
    def test_grant_gives_a_token_to_the_holder_of_the_certificate(
        self, client: MutualTLSClient, thumbprint: str, body: str
    ) -> None:
        answer = post(client, body)
        assert answer.status_code == 200
        assert (answer["Cache-Control"], answer["Content-Type"]) == ("no-store", "application/json")
        body_said = answer.json()
        assert body_said["token_type"] == "Bearer"
        assert body_said["expires_in"] == 300
        token = said(body_said["access_token"])
        assert token["sub"] == str(User.objects.get(username="alice").pk)
        assert token["client_id"] == "alice"
        assert token["cnf"] == {"x5t#S256": thumbprint}
        assert works(client, body_said["access_token"])

    def test_grant_of_a_certificate_gives_a_refresh_token_too(self, client: MutualTLSClient) -> None:
        answer = given(client)
        assert answer.keys() == {"access_token", "token_type", "expires_in", "refresh_token"}
        assert len(answer["refresh_token"]) == 43
        assert said(answer["access_token"])["family"] == RefreshFamily.objects.get().pk.hex

    def test_grant_of_client_credentials_gives_none(self, client: MutualTLSClient) -> None:
        """RFC 6749 section 4.4.3."""
        assert given(client, "client_credentials").keys() == {"access_token", "token_type", "expires_in"}
        assert not RefreshToken.objects.exists()

    def test_grant_is_another_each_time(self, client: MutualTLSClient) -> None:
        first, second = given(client), given(client)
        assert first["access_token"] != second["access_token"]
        assert first["refresh_token"] != second["refresh_token"]

    def test_grant_of_a_user_who_is_deactivated_meanwhile_is_refused(self, client: MutualTLSClient) -> None:
        token = given(client)["refresh_token"]
        User.objects.update(is_active=False)
        assert error_of(ask(client, "refresh_token", refresh_token=token)) == (401, "invalid_client")


class TestSecondAuthentication:
    """RFC 6749 sections 2.3 and 5.2: a client that authenticates in two ways is refused, since the
    two could disagree.
    """

    @pytest.mark.parametrize("endpoint", ENDPOINTS)
    @pytest.mark.parametrize(
        "more",
        [
            "client_secret=x",
            "client_assertion=x&client_assertion_type=urn%3Aietf%3Aparams%3Aoauth%3Aclient-assertion-type%3Ajwt-bearer",
            "client_assertion_type=x",
        ],
    )
    def test_second_authentication_in_the_body_is_refused(
        self, client: MutualTLSClient, endpoint: str, more: str
    ) -> None:
        answer = post(client, f"{CLIENT_CREDENTIALS}&token=x&{more}", endpoint)
        assert error_of(answer) == (400, "invalid_request")

    @pytest.mark.parametrize("endpoint", ENDPOINTS)
    @pytest.mark.parametrize("scheme", ["Basic", "basic", "BASIC"])
    def test_second_authentication_in_a_header_is_refused(
        self, client: MutualTLSClient, endpoint: str, scheme: str
    ) -> None:
        """The header names payments, the certificate alice: the response would be about the wrong one of the two."""
        header = f"{scheme} cGF5bWVudHM6c2VjcmV0"
        answer = post(client, "grant_type=client_credentials&token=x", endpoint, HTTP_AUTHORIZATION=header)
        assert error_of(answer) == (400, "invalid_request")

    def test_second_authentication_is_no_empty_parameter(self, client: MutualTLSClient) -> None:
        """RFC 6749 section 3.2: a parameter without a value counts as omitted."""
        assert post(client, f"{CLIENT_CREDENTIALS}&client_secret=").status_code == 200


class TestError:
    @pytest.mark.parametrize(
        ("body", "error"),
        [
            ("", (400, "invalid_request")),
            ("=", (400, "invalid_request")),
            ("grant_type", (400, "invalid_request")),
            ("grant_type=", (400, "invalid_request")),
            ("GRANT_TYPE=client_credentials", (400, "invalid_request")),
            ("grant_type=&grant_type=client_credentials", (400, "invalid_request")),
            (f"{CLIENT_CREDENTIALS}&grant_type=client_credentials", (400, "invalid_request")),
            (f"{CERTIFICATE}&{CLIENT_CREDENTIALS}", (400, "invalid_request")),
            (f"{CLIENT_CREDENTIALS}&client_id=alice", (400, "invalid_request")),
            (f"{CLIENT_CREDENTIALS}&client_id=bob", (400, "invalid_request")),
            (f"{CLIENT_CREDENTIALS}&client_id=", (400, "invalid_request")),
            (f"{CLIENT_CREDENTIALS}&scope=&scope=", (400, "invalid_request")),
            (f"{CLIENT_CREDENTIALS}&refresh_token=x&refresh_token=x", (400, "invalid_request")),
            (f"{REFRESH}&refresh_token=x&scope=a&scope=a", (400, "invalid_request")),
            (f"{CERTIFICATE}&client_id=alice&client_id=alice", (400, "invalid_request")),
            ("grant_type=client_credentials&client_id=alice%00", (400, "invalid_request")),
            ("grant_type=%00", (400, "invalid_request")),
            (f"{REFRESH}", (400, "invalid_request")),
            (f"{REFRESH}&refresh_token=", (400, "invalid_request")),
            (f"{REFRESH}&refresh_token=x&refresh_token=x", (400, "invalid_request")),
            (f"{REFRESH}&refresh_token=x%00", (400, "invalid_request")),
            (f"{REFRESH}&refresh_token=x", (400, "invalid_grant")),
            (f"{REFRESH}&refresh_token=%ED%A0%80", (400, "invalid_grant")),
            (f"{REFRESH}&refresh_token=" + "x" * 100_000, (400, "invalid_grant")),
            (f"{CERTIFICATE}&scope=anything", (400, "invalid_scope")),
            (f"{CLIENT_CREDENTIALS}&scope=anything", (400, "invalid_scope")),
            ("grant_type=client_credentials&client_id=bob", (401, "invalid_client")),
            ("grant_type=client_credentials&client_id=Alice", (401, "invalid_client")),
            ("grant_type=client_credentials&client_id=%FF", (401, "invalid_client")),
            (f"{CERTIFICATE}&client_id=bob", (401, "invalid_client")),
            (f"{REFRESH}&refresh_token=x&client_id=bob", (401, "invalid_client")),
            ("grant_type=password&username=alice&password=x", (400, "unsupported_grant_type")),
            ("grant_type=authorization_code&code=x", (400, "unsupported_grant_type")),
            ("grant_type=implicit", (400, "unsupported_grant_type")),
            ("grant_type=CLIENT_CREDENTIALS&client_id=alice", (400, "unsupported_grant_type")),
            ("grant_type=client_credentials%20", (400, "unsupported_grant_type")),
            ("grant_type=%ED%A0%80", (400, "unsupported_grant_type")),
            ("&".join(f"a{number}=1" for number in range(2_000)), (400, "invalid_request")),
        ],
        ids=lambda value: str(value)[:60],
    )
    def test_error_is_one_of_rfc_6749(self, client: MutualTLSClient, body: str, error: tuple[int, str]) -> None:
        with recorded() as events:
            assert error_of(post(client, body)) == error
        assert [event.code for event in of_kind(events, RequestRefused)] == [error[1]]

    @pytest.mark.parametrize(
        "content_type",
        [
            "application/json",
            "multipart/form-data",
            "multipart/form-data; boundary=x",
            "text/plain",
            "garbage",
            "",
            f"{FORM}; charset=utf-16",
            f"{FORM}; charset=nothing",
        ],
    )
    @pytest.mark.parametrize("body", ["", json.dumps({"grant_type": "client_credentials", "client_id": "alice"})])
    @pytest.mark.parametrize("path", ENDPOINTS)
    def test_error_of_what_is_no_form(self, client: MutualTLSClient, path: str, body: str, content_type: str) -> None:
        assert error_of(post(client, body, path, content_type)) == (400, "invalid_request")

    @pytest.mark.parametrize(
        ("body", "content_type", "described"),
        [
            (json.dumps({"grant_type": "client_credentials"}), "application/json", "application/x-www-form-urlencoded"),
            ("client_id=alice", FORM, "grant_type"),
            ("grant_type=password", FORM, "client_credentials"),
            ("grant_type=client_credentials&scope=a&scope=b", FORM, "scope"),
            ("grant_type=client_credentials&client_secret=x", FORM, "certificate"),
        ],
    )
    def test_error_tells_the_developer_of_a_client_the_way_out(
        self, client: MutualTLSClient, body: str, content_type: str, described: str
    ) -> None:
        assert described in post(client, body, content_type=content_type).json()["error_description"]

    @pytest.mark.parametrize("encoding", ["hex", "utf-16", "undefined"])
    def test_error_is_never_a_500_for_an_encoding(self, client: MutualTLSClient, encoding: str) -> None:
        answer = post(client, CERTIFICATE, content_type=f"{FORM}; charset={encoding}")
        assert answer.status_code in (200, 400)

    @pytest.mark.parametrize("encoding", ["hex", "undefined", "idna", "punycode"])
    @pytest.mark.parametrize("path", ENDPOINTS)
    def test_error_of_what_is_no_text_is_the_middleware_s(
        self, client: MutualTLSClient, path: str, encoding: str
    ) -> None:
        answer = post(client, CERTIFICATE, path, f"{FORM}; charset={encoding}")
        assert (answer.status_code, answer.json()["code"]) == (400, "charset-refused")

    def test_error_of_parameters_in_the_url(self, client: MutualTLSClient) -> None:
        assert error_of(post(client, "", f"/oauth/token?{CERTIFICATE}")) == (400, "invalid_request")
        answer = post(client, "grant_type=client_credentials", "/oauth/token?client_id=bob&scope=x")
        assert said(answer.json()["access_token"])["client_id"] == "alice"
        assert post(client, REFRESH, "/oauth/token?refresh_token=x").json()["code"] == "token-in-url"
        assert error_of(post(client, "", "/oauth/revoke?token=x")) == (400, "invalid_request")

    def test_error_of_a_session_or_a_token_instead_of_a_certificate(
        self, client: MutualTLSClient, mtls_client: Clients
    ) -> None:
        token = given(client)["access_token"]
        answer = post(mtls_client(None), CERTIFICATE, HTTP_AUTHORIZATION=f"Bearer {token}")
        assert error_of(answer) == (401, "invalid_client")

    @pytest.mark.parametrize("body", [CLIENT_CREDENTIALS, CERTIFICATE, f"{REFRESH}&refresh_token=x"])
    @pytest.mark.parametrize("caller", ["nobody", "unknown", "deactivated"])
    def test_error_of_a_caller_that_is_no_client(
        self, mtls_client: Clients, ca: Authority, caller: str, body: str
    ) -> None:
        client = mtls_client("alice" if caller == "deactivated" else None)
        if caller == "unknown":
            client = MutualTLSClient(ca.issue("alice"))
        User.objects.update(is_active=False)
        assert error_of(post(client, body)) == (401, "invalid_client")

    def test_error_of_a_revoked_certificate(
        self, client: MutualTLSClient, certificate_for: Callable[[str], Issued]
    ) -> None:
        revoke_certificate(thumbprint=parse_pem(certificate_for("alice").pem).thumbprint)
        assert post(client, CERTIFICATE).json()["code"] == "certificate-revoked"

    @pytest.mark.parametrize("method", ["get", "put", "delete", "patch"])
    @pytest.mark.parametrize("path", ENDPOINTS)
    def test_error_of_another_method(self, client: MutualTLSClient, method: str, path: str) -> None:
        answer = getattr(client, method)(path)
        assert (answer.status_code, answer["Cache-Control"]) == (405, "no-store")

    def test_error_of_another_site(self, client: MutualTLSClient) -> None:
        answer = post(client, CERTIFICATE, HTTP_ORIGIN="https://evil.example")
        assert answer.json()["code"] == "cross-site"


def test_no_answer_but_the_first_holds_the_secret(client: MutualTLSClient, now: dt.datetime) -> None:
    answer = given(client)
    with recorded() as events:
        again = given(client, "refresh_token", refresh_token=answer["refresh_token"])
        post(client, f"token={again['refresh_token']}", "/oauth/revoke")
        ask(client, "refresh_token", refresh_token=again["refresh_token"])
    stored = str(list(RefreshToken.objects.values())) + str(list(RefreshFamily.objects.values()))
    for secret in (answer["refresh_token"], again["refresh_token"], again["access_token"]):
        assert secret not in stored
        assert secret not in repr(events)
