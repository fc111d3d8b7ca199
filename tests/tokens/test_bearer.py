"""Access tokens on requests: in the Authorization header, under the certificate to which they were issued."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client

from securecore import tokens
from securecore.events import RequestRefused
from securecore.identity import parse_pem
from securecore.revocation import revoke_certificate, revoke_token
from securecore.testing import Authority, Issued, MutualTLSClient
from securecore.tokens import AccessToken, RevokedToken
from tests.events.recorder import of_kind, recorded
from tests.tokens.forge import claims, header, sign

pytestmark = [pytest.mark.django_db, pytest.mark.urls("tests.http.urls")]

Clients = Callable[..., MutualTLSClient]


@pytest.fixture
def client(mtls_client: Clients) -> MutualTLSClient:
    return mtls_client("alice")


@pytest.fixture
def thumbprint(certificate_for: Callable[[str], Issued]) -> str:
    return parse_pem(certificate_for("alice").pem).thumbprint


@pytest.fixture
def issued(client: MutualTLSClient, thumbprint: str, now: dt.datetime) -> tuple[str, AccessToken]:
    alice = User.objects.get(username="alice")
    return tokens.issue(subject=str(alice.pk), client_id="alice", binding=f"x5t#S256:{thumbprint}", now=now)


@pytest.fixture
def token(issued: tuple[str, AccessToken]) -> str:
    return issued[0]


def get(client: Client, token: str, *, scheme: str = "Bearer", path: str = "/token-only") -> Any:
    return client.get(path, HTTP_AUTHORIZATION=f"{scheme} {token}")


def is_refused(answer: Any) -> bool:
    """Return whether the response is the one refusal of all bad tokens; every other status but 200 is an error."""
    if answer.status_code == 200:
        return False
    assert answer.status_code == 401
    assert answer["WWW-Authenticate"] == 'Bearer realm="api", error="invalid_token"'
    assert answer["Content-Type"] == "application/problem+json"
    assert answer.json() == {
        "type": "urn:securecore:problem:invalid-token",
        "title": "The access token is not accepted.",
        "status": 401,
        "code": "invalid-token",
        "request_id": answer.json()["request_id"],
    }
    return True


def revoked(token: AccessToken) -> bool:
    return revoke_token(issuer=token.issuer, jti=token.jti, expires_at=token.expires_at)


class TestToken:
    @pytest.mark.parametrize("scheme", ["Bearer", "bearer", "BEARER", "Bearer  "])
    def test_token_is_accepted_under_its_certificate(self, client: MutualTLSClient, token: str, scheme: str) -> None:
        answer = get(client, token, scheme=scheme)
        assert (answer.status_code, answer.json()) == (200, {"user": "alice", "auth": "AccessToken"})

    def test_token_goes_before_the_certificate(self, client: MutualTLSClient, token: str) -> None:
        assert get(client, token, path="/protected").json()["auth"] == "AccessToken"
        assert client.get("/protected").json()["auth"] == "ClientCertificate"

    def test_token_that_is_bad_is_not_replaced_by_the_certificate(self, client: MutualTLSClient, token: str) -> None:
        assert is_refused(get(client, token[:-8] + "AAAAAAAA", path="/protected"))

    @pytest.mark.parametrize("scheme", ["", "Basic", "Token", "Bear", "Bearerx"])
    def test_token_of_another_scheme_is_none(self, client: MutualTLSClient, token: str, scheme: str) -> None:
        answer = get(client, token, scheme=scheme)
        assert (answer.status_code, answer.json()["code"]) == (401, "authentication-required")
        assert answer["WWW-Authenticate"] == 'Bearer realm="api"'

    @pytest.mark.parametrize("scheme", ["DPoP", "dpop", "Bearer:", "Bearer,", "Bearer\t"])
    def test_token_of_a_scheme_that_no_class_takes_is_refused(
        self, client: MutualTLSClient, token: str, scheme: str
    ) -> None:
        """The certificate does not authenticate the request in place of the token."""
        for path in ("/token-only", "/protected"):
            answer = get(client, token, scheme=scheme, path=path)
            assert (answer.status_code, answer.json()["code"]) == (401, "invalid-token")
            assert answer["WWW-Authenticate"].endswith('error="invalid_token"')

    @pytest.mark.parametrize("value", ["Bearer", "Bearer ", "Bearer  ", "bearer \t"])
    def test_token_that_is_empty_is_refused(self, client: MutualTLSClient, value: str) -> None:
        assert is_refused(client.get("/token-only", HTTP_AUTHORIZATION=value))

    @pytest.mark.parametrize("second", ["same", "other"])
    def test_token_that_is_doubled_is_refused(self, client: MutualTLSClient, token: str, second: str) -> None:
        assert is_refused(get(client, f"{token},Bearer {token if second == 'same' else 'x'}"))
        assert is_refused(get(client, f"{token} {token}"))

    def test_token_costs_one_statement(
        self, client: MutualTLSClient, token: str, django_assert_num_queries: Any
    ) -> None:
        with django_assert_num_queries(1):  # the certificate, the token, its revocation and its user
            get(client, token)

    @pytest.mark.parametrize("place", ["body", "cookie", "header"])
    def test_token_elsewhere_is_none(self, client: MutualTLSClient, token: str, place: str) -> None:
        if place == "body":
            answer = client.post("/token-only", {"access_token": token})
        elif place == "cookie":
            answer = client.get("/token-only", HTTP_COOKIE=f"access_token={token}; Authorization=Bearer {token}")
        else:
            answer = client.get("/token-only", HTTP_X_ACCESS_TOKEN=token, HTTP_X_AUTHORIZATION=f"Bearer {token}")
        assert answer.status_code == 401


class TestForeignToken:
    """A token of another package, for example of before a move: the operator learns the reason, the caller does not."""

    @pytest.mark.parametrize("value", ["eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.e30.c2ln", "opaque-token"])
    def test_reason_is_in_the_event_alone(self, client: MutualTLSClient, value: str) -> None:
        with recorded() as events:
            assert is_refused(get(client, value))
        [refused] = of_kind(events, RequestRefused)
        assert "did not issue this token" in refused.reason


class TestBinding:
    def test_binding_to_another_certificate_is_refused(self, mtls_client: Clients, token: str) -> None:
        assert is_refused(get(mtls_client("bob"), token))

    def test_binding_is_refused_without_a_certificate(self, mtls_client: Clients, token: str) -> None:
        assert is_refused(get(mtls_client(None), token))

    def test_binding_is_to_the_certificate_and_not_to_its_user(
        self, ca: Authority, client: MutualTLSClient, token: str
    ) -> None:
        assert is_refused(get(MutualTLSClient(ca.issue("alice")), token))

    def test_binding_is_refused_where_nobody_vouches_for_the_certificate(
        self, certificate_for: Callable[[str], Issued], token: str
    ) -> None:
        assert is_refused(get(MutualTLSClient(certificate_for("alice"), REMOTE_ADDR="203.0.113.9"), token))

    @pytest.mark.parametrize("cut", [slice(-1), slice(1, None), slice(0)])
    def test_binding_is_to_the_whole_thumbprint(
        self, client: MutualTLSClient, thumbprint: str, now: dt.datetime, cut: slice
    ) -> None:
        alice = User.objects.get(username="alice")
        good = claims(now, sub=str(alice.pk), cnf={"x5t#S256": thumbprint})
        assert not is_refused(get(client, sign(header(), good)))
        assert is_refused(get(client, sign(header(), good | {"cnf": {"x5t#S256": thumbprint[cut]}})))

    def test_binding_ends_with_the_certificate(self, client: MutualTLSClient, token: str, thumbprint: str) -> None:
        revoke_certificate(thumbprint=thumbprint)
        assert get(client, token).json()["code"] == "certificate-revoked"


class TestSubject:
    @pytest.mark.parametrize(
        "subject", ["0", "-1", "9" * 30, "nobody", "alice", "1.0", " ", "\0", "1\0", "' OR 1=1 --", "\ud800", "\u2603"]
    )
    def test_subject_that_is_nobody_is_refused(
        self, client: MutualTLSClient, thumbprint: str, now: dt.datetime, subject: str
    ) -> None:
        bound = {"x5t#S256": thumbprint}
        assert is_refused(get(client, sign(header(), claims(now, sub=subject, cnf=bound))))

    @pytest.mark.parametrize("value", ["\0", "\ud800", "\u2603", "' OR 1=1 --", "x" * 3_000])
    @pytest.mark.parametrize("name", ["jti", "client_id"])
    def test_subject_may_have_the_strangest_names(
        self, client: MutualTLSClient, thumbprint: str, now: dt.datetime, name: str, value: str
    ) -> None:
        alice = str(User.objects.get(username="alice").pk)
        said = claims(now, sub=alice, cnf={"x5t#S256": thumbprint}, **{name: value})
        # No client has a name that the database cannot store.
        impossible = name == "client_id" and value in ("\0", "\ud800")
        refused = is_refused(get(client, sign(header(), said)))
        assert impossible or not refused

    @pytest.mark.parametrize("bound_to", ["\0", "\ud800", "\u2603", "' OR 1=1 --", "x" * 3_000])
    def test_subject_may_not_be_bound_to_the_strangest_thing(
        self, client: MutualTLSClient, now: dt.datetime, bound_to: str
    ) -> None:
        alice = str(User.objects.get(username="alice").pk)
        assert is_refused(get(client, sign(header(), claims(now, sub=alice, cnf={"x5t#S256": bound_to}))))

    @pytest.mark.parametrize("end", ["deactivated", "deleted"])
    def test_subject_that_is_gone_is_refused(self, client: MutualTLSClient, token: str, end: str) -> None:
        alice = User.objects.get(username="alice")
        if end == "deleted":
            alice.delete()
        else:
            User.objects.update(is_active=False)
        assert is_refused(get(client, token))

    def test_subject_that_was_gone_when_it_was_issued_is_refused(
        self, client: MutualTLSClient, thumbprint: str, now: dt.datetime
    ) -> None:
        """The revocation of the user's tokens ran before the token was issued. Only the inactive user shows it."""
        alice = User.objects.get(username="alice")
        User.objects.update(is_active=False)
        binding = f"x5t#S256:{thumbprint}"
        token, _ = tokens.issue(subject=str(alice.pk), client_id="alice", binding=binding, now=now)
        assert is_refused(get(client, token))


class TestTimes:
    def test_times_end_a_token(self, client: MutualTLSClient, token: str, now: dt.datetime, monkeypatch: Any) -> None:
        for seconds, refused in ((299, False), (300, False), (308, False), (311, True), (3_600, True), (-12, True)):
            later = now + dt.timedelta(seconds=seconds)
            monkeypatch.setattr("securecore.clock.now", lambda later=later: later)
            assert is_refused(get(client, token)) is refused


class TestRevocation:
    def test_revocation_is_in_effect_at_once(self, client: MutualTLSClient, issued: tuple[str, AccessToken]) -> None:
        encoded, token = issued
        assert not is_refused(get(client, encoded))
        assert revoked(token) is True
        assert is_refused(get(client, encoded))
        assert is_refused(get(client, encoded, path="/protected"))

    def test_revocation_twice_is_no_news(self, client: MutualTLSClient, issued: tuple[str, AccessToken]) -> None:
        assert (revoked(issued[1]), revoked(issued[1])) == (True, False)
        assert RevokedToken.objects.count() == 1
        assert is_refused(get(client, issued[0]))

    def test_revocation_is_of_one_token(
        self, client: MutualTLSClient, issued: tuple[str, AccessToken], thumbprint: str
    ) -> None:
        alice = User.objects.get(username="alice")
        now = issued[1].expires_at - dt.timedelta(seconds=300)
        other, _ = tokens.issue(subject=str(alice.pk), client_id="alice", binding=f"x5t#S256:{thumbprint}", now=now)
        revoked(issued[1])
        assert is_refused(get(client, issued[0]))
        assert not is_refused(get(client, other))

    def test_revocation_is_of_the_name_and_not_of_the_text(
        self, client: MutualTLSClient, issued: tuple[str, AccessToken], thumbprint: str, now: dt.datetime
    ) -> None:
        """A revocation names the `jti`, so every other spelling or signature of the same token is revoked too."""
        encoded, token = issued
        said = claims(now, sub=token.subject, cnf={"x5t#S256": thumbprint}, jti=token.jti)
        spellings = [encoded + "=" * count for count in range(1, 4)]
        spellings += [sign(header(), said), sign(header(), said | {"more": 1})]
        accepted = [spelling for spelling in spellings if not is_refused(get(client, spelling))]
        assert len(accepted) >= 2
        revoked(token)
        assert all(is_refused(get(client, spelling)) for spelling in spellings)

    def test_revocation_keeps_no_name(self, issued: tuple[str, AccessToken]) -> None:
        revoked(issued[1])
        assert issued[1].jti not in repr(RevokedToken.objects.values().get())

    def test_revocation_is_kept_as_long_as_the_token_could_be_accepted(
        self, client: MutualTLSClient, issued: tuple[str, AccessToken], monkeypatch: Any
    ) -> None:
        encoded, token = issued
        revoked(token)
        for late in (0.0, 5.0, 9.0, 9.999, 10.0):
            later = token.expires_at + dt.timedelta(seconds=late)
            monkeypatch.setattr("securecore.clock.now", lambda later=later: later)
            assert is_refused(get(client, encoded))

    def test_revocation_does_not_reach_the_same_name_of_another_issuer(
        self, client: MutualTLSClient, issued: tuple[str, AccessToken]
    ) -> None:
        encoded, token = issued
        revoke_token(issuer="https://other", jti=token.jti, expires_at=token.expires_at)
        assert not is_refused(get(client, encoded))
