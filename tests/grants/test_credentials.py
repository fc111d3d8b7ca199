"""The credential that authenticated a request, on every database. tests/races has the waits of revocations."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from typing import Any

import pytest
from django.contrib.auth.models import AnonymousUser, User
from django.http import HttpRequest

from securecore import clock, grants, tokens
from securecore.caller import PresentedCredentials
from securecore.errors import Misuse, PermissionDenied
from securecore.http.authorization.caller import caller_of
from securecore.models import Client, Session
from securecore.revocation import (
    deactivate_user,
    disable_client,
    end_sessions,
    revoke_all_grants,
    revoke_certificate,
    revoke_client_tokens,
    revoke_token,
    revoke_user_tokens,
)
from securecore.sessions import SessionStore
from tests.grants.conftest import MAKE

pytestmark = pytest.mark.django_db(transaction=True)

BINDING = "x5t#S256:" + "a" * 43


@pytest.fixture
def token(user: User) -> tokens.AccessToken:
    return tokens.issue(subject=str(user.pk), client_id="c", binding=BINDING, now=clock.now())[1]


def is_allowed(request: Any) -> bool:
    try:
        caller = caller_of(request)
        with grants.authorize(caller.principals, MAKE, conditions=caller.conditions, clock=clock.now):
            return True
    except PermissionDenied:
        return False


def request_of(user: User, session: SessionStore | None = None, **more: Any) -> Any:
    request = HttpRequest()
    request.user = user
    credentials = PresentedCredentials(clock.now(), token=more.get("auth"))
    vars(request).update(session=session or SessionStore(), client_certificate=None, credentials=credentials, **more)
    return request


def logged_in(user: User) -> SessionStore:
    session = SessionStore()
    session["_auth_user_id"] = str(user.pk)
    session.create()
    session.save()
    return session


def test_a_token_that_was_revoked_allows_nothing(
    user: User, alice: str, give: Callable[..., bool], token: tokens.AccessToken
) -> None:
    give(alice)
    assert is_allowed(request_of(user, auth=token))
    revoke_token(issuer=token.issuer, jti=token.jti, expires_at=token.expires_at, subject=token.subject)
    assert not is_allowed(request_of(user, auth=token))


def test_a_session_that_ended_allows_nothing(user: User, alice: str, give: Callable[..., bool]) -> None:
    give(alice)
    session = logged_in(user)
    assert is_allowed(request_of(user, session))
    end_sessions(user=user, reason="test")
    assert not is_allowed(request_of(user, session))


def test_a_session_that_was_only_presented_is_not_asked(
    user: User, alice: str, give: Callable[..., bool], token: tokens.AccessToken
) -> None:
    give(alice)
    session = logged_in(user)
    end_sessions(user=user, reason="test")
    assert is_allowed(request_of(user, session, auth=token))


class TestNobodyInParticular:
    """An empty name would match every row without a name."""

    @pytest.mark.parametrize("more", [{}, {"user": None, "thumbprint": ""}, {"everybody": True, "thumbprint": "t"}])
    def test_nobody_in_particular_has_no_sessions_to_end(self, user: User, more: Any) -> None:
        logged_in(user)
        with pytest.raises(Misuse, match="everybody=True"):
            end_sessions(reason="test", **more)
        assert Session.objects.count() == 1

    @pytest.mark.parametrize(
        "revoke",
        [
            lambda: revoke_certificate(thumbprint=""),
            lambda: end_sessions(user=AnonymousUser(), reason="test"),
            lambda: end_sessions(user=User(), reason="test"),
            lambda: deactivate_user(AnonymousUser()),
            lambda: revoke_user_tokens(AnonymousUser()),
            lambda: revoke_client_tokens(""),
            lambda: revoke_token(issuer="i", jti="", expires_at=clock.now()),
            lambda: revoke_all_grants(principal=""),
            lambda: revoke_all_grants(principal="user:"),
            lambda: Session.objects.of_certificate(""),
        ],
    )
    def test_nobody_in_particular_loses_nothing(self, user: User, revoke: Callable[[], Any]) -> None:
        logged_in(user)
        anonymous = SessionStore()
        anonymous["seen"] = 1
        anonymous.save()
        with pytest.raises(Misuse):
            revoke()
        assert Session.objects.count() == 2

    def test_nobody_in_particular_of_everybody_has_to_be_said(self, user: User) -> None:
        logged_in(user)
        assert end_sessions(everybody=True, reason="test") == 1


def test_a_client_that_is_not_registered_cannot_be_disabled(user: User, now: dt.datetime) -> None:
    """No check would refuse the client's next request. A revocation that did not happen raises."""
    Client.objects.create(client_id="payments", user=user, created_at=now)
    with pytest.raises(Misuse, match=r"revoke_client_tokens\(\)"):
        disable_client("payment")
    assert not tokens.TokenEpoch.objects.filter(subject="client:payment").exists()
    assert Client.objects.get().disabled_at is None
