"""The token endpoint and the revocation endpoint, with every error of RFC 6749 and RFC 7009."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Callable
from typing import Any

import jwt
import pytest
from django.contrib.auth.models import User
from django.db import connection

from securecore import tokens
from securecore.events import TokenRevoked
from securecore.identity import parse_pem
from securecore.revocation import revoke_certificate
from securecore.tokens import RevokedToken
from tests.authority import Authority, Issued, MutualTLSClient
from tests.events.recorder import of_kind, recorded
from tests.tokens.forge import ABSENT, claims, header, sign

pytestmark = [pytest.mark.django_db, pytest.mark.urls("tests.http.urls")]

Clients = Callable[..., MutualTLSClient]
FORM = "application/x-www-form-urlencoded"
CLIENT_CREDENTIALS = "grant_type=client_credentials&client_id=alice"
CERTIFICATE = "grant_type=urn:securecore:grant-type:certificate"


@pytest.fixture
def client(mtls_client: Clients) -> MutualTLSClient:
    return mtls_client("alice")


def post(client: MutualTLSClient, body: str, path: str = "/oauth/token", content_type: str = FORM) -> Any:
    # Not client.post(): it would encode the body in the charset, and forget the type of an empty one.
    return client.generic("POST", path, body.encode(), content_type=content_type, CONTENT_TYPE=content_type)


def token_of(client: MutualTLSClient, body: str = CERTIFICATE) -> str:
    answer = post(client, body)
    assert answer.status_code == 200
    return str(answer.json()["access_token"])


def works(client: MutualTLSClient, token: str) -> bool:
    return bool(client.get("/token-only", HTTP_AUTHORIZATION=f"Bearer {token}").status_code == 200)


def error_of(answer: Any) -> tuple[int, str]:
    """Status and error of RFC 6749 section 5.2, well formed in every respect."""
    assert answer["Cache-Control"] == "no-store"
    assert answer["Content-Type"] == "application/json"
    assert list(answer.json()) == ["error"]
    return answer.status_code, answer.json()["error"]


class TestToken:
    @pytest.mark.parametrize("body", [CLIENT_CREDENTIALS, CERTIFICATE, CERTIFICATE + "&client_id=alice&scope=&extra=1"])
    def test_is_given_to_the_holder_of_the_certificate(
        self, client: MutualTLSClient, certificate_for: Callable[[str], Issued], body: str
    ) -> None:
        answer = post(client, body)
        said = answer.json()
        assert answer.status_code == 200
        assert answer["Cache-Control"] == "no-store"
        assert set(said) == {"access_token", "token_type", "expires_in"}
        assert said["token_type"] == "Bearer"
        assert 295 <= said["expires_in"] <= 300
        token = jwt.decode(said["access_token"], options={"verify_signature": False})
        assert token["sub"] == str(User.objects.get(username="alice").pk)
        assert token["client_id"] == "alice"
        assert token["cnf"] == {"x5t#S256": parse_pem(certificate_for("alice").pem).thumbprint}
        assert works(client, said["access_token"])

    def test_is_another_each_time(self, client: MutualTLSClient) -> None:
        assert token_of(client) != token_of(client)

    @pytest.mark.parametrize(
        ("body", "error"),
        [
            ("", (400, "invalid_request")),
            ("=", (400, "invalid_request")),
            ("grant_type", (400, "invalid_request")),
            ("grant_type=", (400, "invalid_request")),
            ("GRANT_TYPE=client_credentials", (400, "invalid_request")),
            (f"{CLIENT_CREDENTIALS}&grant_type=client_credentials", (400, "invalid_request")),
            (f"{CERTIFICATE}&{CLIENT_CREDENTIALS}", (400, "invalid_request")),
            ("grant_type=client_credentials", (400, "invalid_request")),
            ("grant_type=client_credentials&client_id=", (400, "invalid_request")),
            (f"{CLIENT_CREDENTIALS}&client_id=alice", (400, "invalid_request")),
            (f"{CLIENT_CREDENTIALS}&client_id=bob", (400, "invalid_request")),
            ("grant_type=client_credentials&client_id=bob", (401, "invalid_client")),
            ("grant_type=client_credentials&client_id=Alice", (401, "invalid_client")),
            ("grant_type=client_credentials&client_id=alice%00", (401, "invalid_client")),
            ("grant_type=client_credentials&client_id=%FF", (401, "invalid_client")),
            (f"{CERTIFICATE}&client_id=bob", (401, "invalid_client")),
            (f"{CERTIFICATE}&client_id=alice&client_id=alice", (400, "invalid_request")),
            ("grant_type=password&username=alice&password=x", (400, "unsupported_grant_type")),
            ("grant_type=authorization_code&code=x", (400, "unsupported_grant_type")),
            ("grant_type=refresh_token&refresh_token=x", (400, "unsupported_grant_type")),
            ("grant_type=implicit", (400, "unsupported_grant_type")),
            ("grant_type=CLIENT_CREDENTIALS&client_id=alice", (400, "unsupported_grant_type")),
            ("grant_type=%00", (400, "unsupported_grant_type")),
            ("grant_type=%ED%A0%80", (400, "unsupported_grant_type")),
        ],
    )
    def test_is_refused_as_rfc_6749_has_it(self, client: MutualTLSClient, body: str, error: tuple[int, str]) -> None:
        assert error_of(post(client, body)) == error

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
            f"{FORM}; charset=hex",
            f"{FORM}; charset=undefined",
            f"{FORM}; charset=idna",
            f"{FORM}; charset=nothing",
        ],
    )
    @pytest.mark.parametrize("body", ["", json.dumps({"grant_type": "client_credentials", "client_id": "alice"})])
    @pytest.mark.parametrize("path", ["/oauth/token", "/oauth/revoke"])
    def test_is_asked_for_in_a_form(self, client: MutualTLSClient, path: str, body: str, content_type: str) -> None:
        assert error_of(post(client, body, path, content_type)) == (400, "invalid_request")

    @pytest.mark.parametrize("encoding", ["hex", "utf-16", "undefined"])
    def test_is_never_a_500_for_an_encoding(self, client: MutualTLSClient, encoding: str) -> None:
        answer = post(client, CERTIFICATE, content_type=f"{FORM}; charset={encoding}")
        assert answer.status_code in (200, 400)

    def test_takes_no_parameter_from_the_url(self, client: MutualTLSClient) -> None:
        assert error_of(client.post(f"/oauth/token?{CERTIFICATE}", "", content_type=FORM)) == (400, "invalid_request")
        answer = post(client, "grant_type=client_credentials", path="/oauth/token?client_id=alice")
        assert error_of(answer) == (400, "invalid_request")

    @pytest.mark.parametrize("body", [CLIENT_CREDENTIALS, CERTIFICATE])
    @pytest.mark.parametrize("who", ["nobody", "unknown", "deactivated"])
    def test_needs_a_certificate_of_an_active_user(
        self, mtls_client: Clients, ca: Authority, who: str, body: str
    ) -> None:
        client = mtls_client("alice" if who == "deactivated" else None)
        if who == "unknown":
            client = MutualTLSClient(ca.issue("alice"))
        User.objects.update(is_active=False)
        assert error_of(post(client, body)) == (401, "invalid_client")

    def test_needs_a_certificate_that_was_not_revoked(
        self, client: MutualTLSClient, certificate_for: Callable[[str], Issued]
    ) -> None:
        revoke_certificate(thumbprint=parse_pem(certificate_for("alice").pem).thumbprint)
        assert post(client, CERTIFICATE).json()["code"] == "certificate-revoked"

    @pytest.mark.parametrize("method", ["get", "put", "delete", "patch"])
    @pytest.mark.parametrize("path", ["/oauth/token", "/oauth/revoke"])
    def test_is_a_post(self, client: MutualTLSClient, method: str, path: str) -> None:
        assert getattr(client, method)(path).status_code == 405

    def test_is_not_asked_for_by_another_site(self, client: MutualTLSClient) -> None:
        answer = client.post("/oauth/token", CERTIFICATE, content_type=FORM, HTTP_ORIGIN="https://evil.example")
        assert answer.json()["code"] == "cross-site"


class TestRevoke:
    def test_is_in_effect_at_once(self, client: MutualTLSClient) -> None:
        token, other = token_of(client), token_of(client)
        with recorded() as events:
            answer = post(client, f"token={token}", "/oauth/revoke")
        assert (answer.status_code, answer.content, answer["Cache-Control"]) == (200, b"", "no-store")
        assert (works(client, token), works(client, other)) == (False, True)
        jti = jwt.decode(token, options={"verify_signature": False})["jti"]
        assert of_kind(events, TokenRevoked) == [TokenRevoked(jti=jti)]

    def test_twice_is_answered_alike(self, client: MutualTLSClient) -> None:
        token = token_of(client)
        with recorded() as events:
            answers = [post(client, f"token={token}", "/oauth/revoke") for _ in range(2)]
        assert [answer.status_code for answer in answers] == [200, 200]
        assert len(of_kind(events, TokenRevoked)) == 1
        assert RevokedToken.objects.count() == 1

    @pytest.mark.parametrize("hint", ["access_token", "refresh_token", "anything", ""])
    def test_takes_a_hint_for_no_more_than_that(self, client: MutualTLSClient, hint: str) -> None:
        token = token_of(client)
        assert post(client, f"token={token}&token_type_hint={hint}", "/oauth/revoke").status_code == 200
        assert not works(client, token)

    def test_of_somebody_else_s_token_does_nothing_and_does_not_say_so(self, mtls_client: Clients) -> None:
        alice, bob = mtls_client("alice"), mtls_client("bob")
        token = token_of(alice)
        answers = [post(bob, f"token={each}", "/oauth/revoke") for each in (token, token_of(bob), "nonsense")]
        assert len({(answer.status_code, answer.content) for answer in answers}) == 1
        assert works(alice, token)

    @pytest.mark.parametrize(
        "token", ["nonsense", "a.b.c", "%00", "%FF", "+", "eyJ", "x" * 100_000, "%ED%A0%80", "token%3Dtoken"]
    )
    def test_of_nonsense_is_fine(self, client: MutualTLSClient, token: str) -> None:
        assert post(client, f"token={token}", "/oauth/revoke").status_code == 200
        assert RevokedToken.objects.count() == 0

    @pytest.mark.parametrize(
        "changed", [{"exp": 1}, {"iss": "https://other"}, {"aud": "https://other"}, {"jti": ABSENT}]
    )
    def test_of_a_token_that_is_not_accepted_anyway_is_fine(
        self, client: MutualTLSClient, now: dt.datetime, changed: dict[str, Any]
    ) -> None:
        token = sign(header(), claims(now, **changed))
        assert post(client, f"token={token}", "/oauth/revoke").status_code == 200
        assert RevokedToken.objects.count() == 0

    @pytest.mark.parametrize(
        "body", ["", "token", "token=", "Token=x", "access_token=x", "token=x&token=x", "token=x&token="]
    )
    def test_needs_one_token(self, client: MutualTLSClient, body: str) -> None:
        assert error_of(post(client, body, "/oauth/revoke")) == (400, "invalid_request")

    @pytest.mark.parametrize("body", ["token=x", ""])
    def test_needs_a_certificate(self, mtls_client: Clients, body: str) -> None:
        assert error_of(post(mtls_client(None), body, "/oauth/revoke")) == (401, "invalid_client")

    def test_survives_atomic_requests(self, client: MutualTLSClient, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setitem(connection.settings_dict, "ATOMIC_REQUESTS", True)
        token = token_of(client)
        assert post(client, f"token={token}", "/oauth/revoke").status_code == 200
        assert not works(client, token)

    def test_of_a_spelling_is_of_the_token(self, client: MutualTLSClient) -> None:
        token = token_of(client)
        assert post(client, f"token={token}%3D%3D", "/oauth/revoke").status_code == 200
        assert works(client, token + "==") == works(client, token)

    def test_keeps_the_name_only_as_a_digest(self, client: MutualTLSClient, now: dt.datetime) -> None:
        token = token_of(client)
        said = tokens.verify(token, now=now)
        post(client, f"token={token}", "/oauth/revoke")
        row = RevokedToken.objects.get()
        assert row.pk == tokens.revocation_id(issuer=said.issuer, jti=said.jti)
        assert said.jti not in repr(RevokedToken.objects.values().get())
        assert row.expires_at == said.expires_at + dt.timedelta(seconds=10)
