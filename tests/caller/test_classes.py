"""REST framework's authentication classes, of securecore and of other packages, in each order."""

from __future__ import annotations

import base64
from typing import Any

import pytest
from django.test import override_settings
from django.test.client import ClientHandler

from securecore import clock, tokens
from securecore.caller.credential_table import BEARER, OTHER, SESSION
from securecore.conf import django_settings
from securecore.errors import Misuse
from securecore.events import CredentialsConflicting
from securecore.http.authentication import TokenAuthentication
from securecore.sessions import Session
from securecore.tokens import Client
from tests.caller.stage import KEY, Stage, Token, answer
from tests.events.recorder import of_kind, recorded

pytestmark = pytest.mark.urls("tests.caller.credential_urls")


@pytest.fixture
def foreign(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> Stage:
    """djangorestframework-simplejwt itself, with the same key."""
    from rest_framework_simplejwt.state import token_backend

    monkeypatch.setattr(token_backend, "signing_key", KEY)
    monkeypatch.setattr(token_backend, "prepared_signing_key", KEY, raising=False)
    return stage


class TestHeaderThatNobodyTakes:
    @pytest.mark.parametrize("view", ["certificate", "session"])
    @pytest.mark.parametrize("token", [Token(), Token("dpop"), Token("simplejwt"), Token(state="forged")], ids=repr)
    def test_header_that_nobody_takes_is_refused_though_the_caller_has_another_credential(
        self, stage: Stage, view: str, token: Token
    ) -> None:
        client = stage.client("alice", "good")
        for path in (f"/who/{view}", f"/public/{view}"):
            response = stage.get(client, path, token)
            assert (response.status_code, answer(response)) == (401, "invalid-token")
            assert response["WWW-Authenticate"].endswith('error="invalid_token"')

    def test_header_that_nobody_takes_is_refused_in_a_view_for_anybody_too(self, stage: Stage) -> None:
        assert answer(stage.get(stage.client("alice"), "/public/bearer", Token("dpop"))) == "invalid-token"
        assert answer(stage.get(stage.client("alice"), "/public/bearer")) == ""

    @pytest.mark.parametrize("scheme", ["Basic", "Token", "Negotiate"])
    def test_header_that_nobody_takes_is_no_credential_with_a_scheme_that_is_not_ours(
        self, stage: Stage, scheme: str
    ) -> None:
        """A proxy in front of a staging service demands a password, and forwards it."""
        client = stage.client("alice", "good")
        for path in ("/who/certificate", "/who/session", "/who/tokens-first", "/plain"):
            response = client.get(path, HTTP_AUTHORIZATION=f"{scheme} YWxpY2U6c2VjcmV0")
            assert answer(response) == "alice"


class TestClassOfAnotherPackage:
    def test_class_of_another_package_takes_the_header_wherever_it_stands(self, foreign: Stage) -> None:
        for view in ("foreign", "foreign-and-ours", "foreign-first"):
            path = f"/who/{view}"
            client = foreign.client("alice")
            response = foreign.get(client, path, Token("simplejwt"))
            assert answer(response) == "alice"
            assert foreign.get(client, path, Token("simplejwt", "expired")).status_code == 401
            assert answer(foreign.get(client, path)) == "alice"

    def test_class_of_another_package_of_somebody_else_beside_a_certificate_is_refused(self, foreign: Stage) -> None:
        for path in ("/public/foreign", "/who/foreign", "/who/foreign-and-ours", "/who/foreign-first"):
            assert answer(foreign.get(foreign.client("bob"), path, Token("simplejwt"))) == "credentials-conflict"
            assert answer(foreign.get(foreign.client("nobody"), path, Token("simplejwt"))) == "alice"

    def test_class_of_another_package_leaves_our_tokens_to_our_class(self, foreign: Stage) -> None:
        client = foreign.client("alice")
        assert answer(foreign.get(client, "/who/foreign-and-ours", Token())) == "alice"
        assert answer(foreign.get(client, "/who/foreign-and-ours", Token(state="revoked"))) == "invalid-token"

    def test_class_of_another_package_with_a_password_is_asked_before_the_certificate(self, foreign: Stage) -> None:
        """HTTP Basic, in a view that takes it."""
        alice = foreign.users["alice"]
        alice.set_password("secret")
        alice.save()

        def with_password(certificate: str, password: str) -> str:
            sent = base64.b64encode(f"alice:{password}".encode()).decode()
            response = foreign.client(certificate).get("/who/foreign", HTTP_AUTHORIZATION=f"Basic {sent}")
            return answer(response) if response.status_code != 401 else response.json()["code"]

        assert with_password("alice", "secret") == "alice"
        assert with_password("bob", "secret") == "credentials-conflict"
        assert with_password("alice", "wrong") == "authentication-failed"


class TestSession:
    def test_session_of_another_user_than_the_certificate_s_refuses_a_view_without_sessions(self, stage: Stage) -> None:
        """The session was opened under this certificate, so its user is the caller. This view cannot know that user."""
        client = stage.client("bob", "good")
        assert answer(stage.get(client, "/who/certificate")) == "credentials-conflict"
        assert answer(stage.get(client, "/who/session")) == "alice"
        assert answer(stage.get(client, "/who/tokens-last")) == "alice"
        assert answer(stage.get(stage.client("nobody", "good"), "/who/tokens-last")) == "alice"

    def test_session_of_the_same_user_leaves_unsafe_requests_to_the_certificate(self, stage: Stage) -> None:
        """Without a CSRF token, as clients with a certificate and a cookie have always sent requests."""
        client = stage.client("alice", "good", enforce_csrf_checks=True)
        assert answer(client.post("/who/tokens-last")) == "alice"
        other = stage.client("bob", "good", enforce_csrf_checks=True)
        assert other.post("/who/tokens-last").status_code == 403

    def test_session_that_is_not_good_is_nobody_s(self, stage: Stage) -> None:
        for session in ("stolen", "expired"):
            assert answer(
                stage.get(stage.client("bob", session), "/who/tokens-last", Token("dpop", certificate="bob"))
            ) == ("alice")
            assert answer(stage.get(stage.client("bob", session), "/who/tokens-last")) == "bob"
        assert answer(stage.get(stage.client("bob", "stolen"), "/who/session")) == "session-refused"

    def test_session_beside_a_token_is_not_used(self, stage: Stage) -> None:
        """A request that a token authenticates does not extend the session."""
        client, token = stage.client("alice", "good"), Token()
        headers = stage.headers(token, "/who/tokens-last")
        long_ago = clock.now().replace(year=2020)
        Session.objects.update(last_seen_at=long_ago)
        for path in ("/who/tokens-last", "/granted"):
            assert answer(client.get(path, **headers)) in ("alice", "permission-denied")
        assert Session.objects.get().last_seen_at == long_ago
        assert answer(client.get("/plain")) == "alice"
        assert Session.objects.get().last_seen_at != long_ago

    def test_session_of_django_s_own_engine_is_compared_too(self, stage: Stage) -> None:
        """Such a session has no binding, so its user must be the certificate's user."""
        ours, theirs = (
            "securecore.http.middleware.SessionMiddleware",
            "django.contrib.sessions.middleware.SessionMiddleware",
        )
        settings: dict[str, Any] = {
            "SESSION_ENGINE": "django.contrib.sessions.backends.signed_cookies",
            "MIDDLEWARE": [theirs if each == ours else each for each in django_settings.MIDDLEWARE],
        }
        with override_settings(**settings):
            client = stage.client("alice", "good")
            assert answer(stage.get(client, "/plain")) == "alice"
            assert answer(stage.get(client, "/who/tokens-last", Token())) == "alice"
            bob = stage.client("bob", "good")
            assert answer(stage.get(bob, "/plain")) == "credentials-conflict"
            assert answer(stage.get(bob, "/who/certificate")) == "credentials-conflict"
            assert answer(stage.get(stage.client("bob", "bob"), "/who/tokens-last", Token("dpop"))) == (
                "credentials-conflict"
            )


def register_payments(stage: Stage, *, user: str, certificate_name: str) -> None:
    Client.objects.create(
        client_id="payments", user=stage.users[user], certificate_name=certificate_name, created_at=clock.now()
    )


class TestClient:
    """A backend presents the DPoP tokens of its users under its own certificate."""

    @pytest.mark.parametrize("name", ["", "subject_dn:CN=bob"])
    def test_client_may_present_the_tokens_of_its_users(self, stage: Stage, name: str) -> None:
        register_payments(stage, user="bob", certificate_name=name)
        token = Token("dpop", certificate="carol")
        assert answer(stage.get(stage.client("bob"), "/who/tokens-last", token)) == "alice"
        other = Token("dpop", certificate="carol", client_id="another")
        assert answer(stage.get(stage.client("bob"), "/who/tokens-last", other)) == "credentials-conflict"

    @pytest.mark.parametrize("name", ["", "subject_dn:CN=carol"])
    def test_client_of_another_certificate_does_not_help(self, stage: Stage, name: str) -> None:
        register_payments(stage, user="carol", certificate_name=name)
        token = Token("dpop", certificate="carol")
        assert answer(stage.get(stage.client("bob"), "/who/tokens-last", token)) == "credentials-conflict"


class TestRefusal:
    @pytest.mark.parametrize(
        ("certificate", "session", "token", "pair"),
        [
            ("bob", "", Token("simplejwt"), (OTHER, "certificate")),
            ("alice", "bob", Token(), (BEARER, SESSION)),
        ],
    )
    def test_refusal_tells_operators_what_it_keeps_from_callers(
        self, stage: Stage, certificate: str, session: str, token: Token, pair: tuple[str, str]
    ) -> None:
        with recorded() as events:
            response = stage.get(stage.client(certificate, session), "/who/tokens-last", token)
        assert response.status_code == 401
        assert response["WWW-Authenticate"] == 'Bearer realm="api", error="invalid_token"'
        assert response.json() == {
            "type": "urn:securecore:problem:credentials-conflict",
            "title": "The credentials of this request do not belong together.",
            "status": 401,
            "code": "credentials-conflict",
            "request_id": response.json()["request_id"],
        }
        (event,) = of_kind(events, CredentialsConflicting)
        assert event.credentials == pair
        assert event.token_user == f"user:{stage.users['alice'].pk}"
        assert event.session_user == (f"user:{stage.users['bob'].pk}" if session else None)
        assert event.thumbprint == stage.thumbprint(certificate)

    def test_refusal_in_a_middleware_is_no_error_of_the_service(self, stage: Stage, settings: Any) -> None:
        client = stage.client("alice", "good", raise_request_exception=False)
        client.handler = ClientHandler()
        settings.MIDDLEWARE = [
            *settings.MIDDLEWARE[:-1],
            "django.contrib.auth.middleware.LoginRequiredMiddleware",
            settings.MIDDLEWARE[-1],
        ]
        response = stage.get(client, "/plain", Token(state="revoked"))
        assert (response.status_code, answer(response)) == (401, "invalid-token")
        assert response["WWW-Authenticate"] == 'Bearer realm="api", error="invalid_token"'


def test_what_needs_no_caller_is_served_whatever_the_header_says(stage: Stage) -> None:
    """A client that sends its expired token with every request must be able to request the next one."""
    client = stage.client("alice")
    for state in ("expired", "revoked", "forged"):
        headers = stage.headers(Token(state=state), "/oauth/token", "POST")
        form = "grant_type=urn:securecore:grant-type:certificate"
        response = client.post("/oauth/token", form, content_type="application/x-www-form-urlencoded", **headers)
        assert response.status_code == 200
        assert client.post("/auth/login", **headers).status_code == 200
        assert client.get("/oauth/jwks", **headers).status_code == 200
    assert tokens.verify(response.json()["access_token"], now=clock.now()).subject == str(stage.users["alice"].pk)


def test_the_base_class_in_a_view_names_the_classes_to_write() -> None:
    """Its name is that of REST framework's own class."""
    with pytest.raises(Misuse, match="AccessTokenAuthentication"):
        TokenAuthentication()  # type: ignore[abstract]  # as REST framework does with a class of a view
