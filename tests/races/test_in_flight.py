"""A login or a token request in flight, and the revocation of the user, the client or the certificate behind it."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from multiprocessing import Event
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import RequestFactory

from securecore import clock, tokens
from securecore.errors import CertificateRevoked, CredentialsRefused
from securecore.grants import lockouts
from securecore.http.oauth.token import TokenView
from securecore.http.sessions import login
from securecore.identity import parse_pem
from securecore.models import Client, RefreshFamily, Session
from securecore.revocation import deactivate_user, disable_client, end_sessions, revoke_certificate, revoke_user_tokens
from securecore.sessions import SessionStore
from tests.races.test_authorization import Held, Thread, _gate, wait_until_blocked
from tests.tokens.calls import CERTIFICATE_GRANT, ask, given, works

__all__ = ["_gate"]

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.urls("tests.tokens.urls")]


def restore() -> None:
    """Reactivate the user, enable the client, and make the certificate good again. The ended sessions and tokens stay
    ended.
    """
    User.objects.update(is_active=True)
    Client.objects.update(disabled_at=None)
    User.objects.get(username="alice").certificates.update(revoked_at=None)


class TestLogin:
    ENDS: dict[str, Callable[[User], Any]] = {  # noqa: RUF012
        "its user": deactivate_user,
        "its certificate": lambda user: revoke_certificate(thumbprint=user.certificates.get().thumbprint),
    }

    @pytest.fixture
    def request_of(self, certificate_for: Any) -> Callable[[], Any]:
        def request() -> Any:
            request: Any = RequestFactory().post("/auth/login")
            request.client_certificate = parse_pem(certificate_for("alice").pem)
            request.session = SessionStore(None, f"x5t#S256:{request.client_certificate.thumbprint}")
            return request

        return request

    def test_login_that_came_first_is_ended(self, enrolled: Any, request_of: Any) -> None:
        user = enrolled("alice")
        ends = self.ENDS | {"everybody": lambda user: end_sessions(everybody=True, reason="test")}
        for way, end in ends.items():
            signing_in = Held(lambda: login.login(request_of(), user, "django.contrib.auth.backends.ModelBackend"))
            ending = Thread(lambda end=end: end(user))  # type: ignore[misc]
            wait_until_blocked(1, way, ending)
            signing_in.let_go()
            ending.result()
            restore()
            assert not Session.objects.exists(), way

    def test_login_that_was_authenticated_before_it_opens_nothing(self, enrolled: Any, request_of: Any) -> None:
        for way, end in self.ENDS.items():
            user = enrolled("alice")
            end(User.objects.get(pk=user.pk))
            with pytest.raises((CredentialsRefused, CertificateRevoked)):
                login.login(request_of(), user, "django.contrib.auth.backends.ModelBackend")
            restore()
            assert not Session.objects.exclude(user=None).exists(), way


class TestTokenRequest:
    ENDS: dict[str, Callable[[User], Any]] = {  # noqa: RUF012
        "its user": deactivate_user,
        "its certificate": lambda user: revoke_certificate(thumbprint=user.certificates.get().thumbprint),
        "its client": lambda user: disable_client("alice"),
        "its user's tokens": revoke_user_tokens,
    }

    @pytest.fixture
    def browser(self, mtls_client: Any, enrolled: Any) -> Any:
        Client.objects.create(client_id="alice", user=enrolled("alice"), created_at=clock.now())
        return mtls_client("alice")

    @pytest.fixture
    def asks(self, browser: Any) -> dict[str, Callable[[], Any]]:
        def refresh() -> Any:
            held = given(browser)["refresh_token"]
            return lambda: ask(browser, "refresh_token", refresh_token=held)

        return {
            CERTIFICATE_GRANT: lambda: lambda: ask(browser, CERTIFICATE_GRANT),
            "client_credentials": lambda: lambda: ask(browser, "client_credentials"),
            "refresh_token": refresh,
        }

    def test_token_request_that_came_first_is_ended(self, browser: Any, asks: Any, monkeypatch: Any) -> None:
        for way, end in self.ENDS.items():
            for grant_type, prepare in asks.items():
                name, request = f"{grant_type}, {way}", prepare()
                issued, go = Event(), Event()
                with monkeypatch.context() as patched:
                    patched.setattr(tokens, "issue", stopping(tokens.issue, issued, go))
                    asking = Thread(request)
                    assert issued.wait(30), name
                ending = Thread(lambda end=end: end(User.objects.get()))  # type: ignore[misc]
                try:
                    wait_until_blocked(1, name, ending)
                finally:
                    go.set()
                answer = asking.result()
                assert answer.status_code == 200, name
                ending.result()
                restore()
                # The row of a certificate is the revocation of its access tokens. Setting it back makes the tokens good
                # again.
                if way != "its certificate":
                    assert not works(browser, answer.json()["access_token"]), name
                assert not RefreshFamily.objects.filter(revoked_at=None).exists(), name

    def test_token_request_that_was_authenticated_before_it_gets_nothing(
        self, browser: Any, asks: Any, monkeypatch: Any
    ) -> None:
        for way, end in self.ENDS.items():
            for grant_type, prepare in asks.items():
                name, request = f"{grant_type}, {way}", prepare()
                there, go = Event(), Event()
                with monkeypatch.context() as patched:
                    patched.setattr(
                        TokenView, "authenticated_client", stopping(TokenView.authenticated_client, there, go)
                    )
                    asking = Thread(request)
                    assert there.wait(30), name
                end(User.objects.get())
                go.set()
                answer = asking.result()
                restore()
                if way == "its user's tokens" and grant_type != "refresh_token":
                    assert answer.status_code == 200, name  # the user may get new tokens
                    RefreshFamily.objects.update(revoked_at=clock.now())
                    continue
                assert answer.status_code == 400, name
                assert not RefreshFamily.objects.filter(revoked_at=None).exists(), name

    def test_token_request_of_a_client_that_is_locked_out_meanwhile(
        self, browser: Any, asks: Any, monkeypatch: Any
    ) -> None:
        """The client keeps its refresh token: ``invalid_grant`` would tell the client to drop it."""
        there, go, request = Event(), Event(), asks["refresh_token"]()
        with monkeypatch.context() as patched:
            patched.setattr(TokenView, "authenticated_client", stopping(TokenView.authenticated_client, there, go))
            asking = Thread(request)
            assert there.wait(30)
        lockouts.lock_out(subject="service:alice", lasts=dt.timedelta(hours=1), reason="a race")
        go.set()
        answer = asking.result()
        assert (answer.status_code, answer.json()["code"]) == (403, "locked-out")
        lockouts.lift(subject="service:alice")
        assert request().status_code == 200


def stopping(function: Any, done: Any, go: Any) -> Any:
    """Return the function, extended to stop after its work."""

    def stopped(*args: Any, **kwargs: Any) -> Any:
        result = function(*args, **kwargs)
        done.set()
        assert go.wait(30)
        return result

    return stopped
