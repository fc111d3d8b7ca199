"""The revocation endpoint (RFC 7009)."""

from __future__ import annotations

import datetime as dt
import threading
from collections.abc import Callable
from typing import Any

import pytest
from django.db import OperationalError, connection, connections, transaction

from securecore import clock, tokens
from securecore.errors import InvalidToken
from securecore.events import FamilyRevoked, TokenRevoked
from securecore.testing import MutualTLSClient
from securecore.tokens import RefreshFamily, RevokedToken
from tests.events.recorder import of_kind, recorded
from tests.tokens.calls import error_of, given, post, refresh, said, works
from tests.tokens.forge import ABSENT, claims, header, sign

pytestmark = [pytest.mark.django_db, pytest.mark.urls("tests.tokens.urls")]

Clients = Callable[..., MutualTLSClient]


def revoke(client: MutualTLSClient, token: str, hint: str | None = None) -> Any:
    return post(client, f"token={token}" + (f"&token_type_hint={hint}" if hint else ""), "/oauth/revoke")


def is_done(answer: Any) -> bool:
    return (answer.status_code, answer.content, answer["Cache-Control"]) == (200, b"", "no-store")


class TestAccessToken:
    def test_access_token_is_dead_at_once_and_alone(self, client: MutualTLSClient) -> None:
        held, other = given(client), given(client)
        with recorded() as events:
            assert is_done(revoke(client, held["access_token"]))
        assert (works(client, held["access_token"]), works(client, other["access_token"])) == (False, True)
        assert of_kind(events, TokenRevoked) == [TokenRevoked(jti=said(held["access_token"])["jti"])]
        assert works(client, given(client, "refresh_token", refresh_token=held["refresh_token"])["access_token"])

    def test_access_token_twice_is_answered_alike(self, client: MutualTLSClient) -> None:
        token = given(client)["access_token"]
        with recorded() as events:
            assert [is_done(revoke(client, token)) for _ in range(2)] == [True, True]
        assert len(of_kind(events, TokenRevoked)) == 1
        assert RevokedToken.objects.count() == 1

    def test_access_token_from_the_future_is_revoked(self, client: MutualTLSClient, now: dt.datetime) -> None:
        """This host's clock is behind that of the issuer and of the hosts that will see the token."""
        soon = now + dt.timedelta(seconds=2 * clock.SKEW)
        own = said(given(client)["access_token"])
        binding = f"x5t#S256:{own['cnf']['x5t#S256']}"
        text, _ = tokens.issue(subject=own["sub"], client_id=own["client_id"], binding=binding, now=soon)
        with pytest.raises(InvalidToken):
            tokens.verify(text, now=now)
        assert is_done(revoke(client, text))
        assert RevokedToken.objects.count() == 1

    def test_access_token_has_no_other_spelling(self, client: MutualTLSClient) -> None:
        token = given(client)["access_token"]
        assert is_done(revoke(client, token + "%3D%3D"))
        assert works(client, token)
        assert not works(client, token + "==")

    def test_access_token_is_kept_only_as_a_digest_of_its_name(self, client: MutualTLSClient, now: dt.datetime) -> None:
        token = given(client)["access_token"]
        found = tokens.verify(token, now=now)
        revoke(client, token)
        row = RevokedToken.objects.get()
        assert row.pk == tokens.revocation_id(issuer=found.issuer, jti=found.jti)
        assert found.jti not in repr(RevokedToken.objects.values().get())
        assert row.expires_at == found.expires_at + dt.timedelta(seconds=10)


class TestRefreshToken:
    def test_refresh_token_takes_its_family_along(self, client: MutualTLSClient) -> None:
        """RFC 7009 section 2.1: the access tokens of the same grant too."""
        first = given(client)
        second = given(client, "refresh_token", refresh_token=first["refresh_token"])
        with recorded() as events:
            assert is_done(revoke(client, second["refresh_token"]))
        assert of_kind(events, FamilyRevoked) == [FamilyRevoked(family=str(RefreshFamily.objects.get().pk))]
        assert [works(client, each["access_token"]) for each in (first, second)] == [False, False]
        assert error_of(refresh(client, second["refresh_token"])) == (400, "invalid_grant")

    def test_refresh_token_that_was_replaced_takes_its_family_along(self, client: MutualTLSClient) -> None:
        first = given(client)
        second = given(client, "refresh_token", refresh_token=first["refresh_token"])
        assert is_done(revoke(client, first["refresh_token"]))
        assert not works(client, second["access_token"])

    def test_refresh_token_of_a_registered_client_ends_too(self, client: MutualTLSClient, register: Any) -> None:
        register()
        token = given(client, client_id="payments")["refresh_token"]
        assert is_done(revoke(client, token))  # the certificate's user is another client
        assert given(client, "refresh_token", refresh_token=token, client_id="payments")
        assert is_done(post(client, f"token={token}&client_id=payments", "/oauth/revoke"))
        assert error_of(refresh(client, token, client_id="payments")) == (400, "invalid_grant")

    def test_token_of_a_user_model_with_other_keys_ends_too(
        self, client: MutualTLSClient, register: Any, thumbprint: str
    ) -> None:
        """The subject of a token from before a change of the user model cannot be a key any more."""
        register()
        binding = f"x5t#S256:{thumbprint}"
        token, _ = tokens.issue(subject="of old", client_id="payments", binding=binding, now=clock.now())
        assert is_done(post(client, f"token={token}&client_id=payments", "/oauth/revoke"))
        assert RevokedToken.objects.count() == 1


class TestHint:
    @pytest.mark.parametrize("kind", ["access_token", "refresh_token"])
    @pytest.mark.parametrize("hint", ["access_token", "refresh_token", ""])
    def test_hint_is_no_more_than_that(self, client: MutualTLSClient, kind: str, hint: str) -> None:
        held = given(client)
        assert is_done(revoke(client, held[kind], hint))
        assert not works(client, held["access_token"])

    @pytest.mark.parametrize("kind", ["access_token", "refresh_token"])
    @pytest.mark.parametrize("hint", ["id_token", "ACCESS_TOKEN", "x", "urn:ietf:params:oauth:token-type:jwt"])
    def test_hint_that_is_unknown_is_ignored(self, client: MutualTLSClient, kind: str, hint: str) -> None:
        """RFC 7009 section 2.1: an invalid hint must not keep a token alive."""
        held = given(client)
        assert is_done(revoke(client, held[kind], hint))
        answer = post(client, f"token={held[kind]}", "/oauth/introspect")
        assert answer.json() == {"active": False}

    def test_hint_twice_is_refused(self, client: MutualTLSClient) -> None:
        """RFC 6749 section 3.2: a parameter is sent once, also a parameter that decides nothing."""
        token = given(client)["access_token"]
        assert error_of(revoke(client, token, "x&token_type_hint=x")) == (400, "invalid_request")
        assert works(client, token)


class TestNothing:
    def test_nothing_is_revoked_of_somebody_else_s_and_that_is_not_told(self, mtls_client: Clients) -> None:
        client, bob = mtls_client("alice"), mtls_client("bob")
        held = given(client)
        for token in (held["access_token"], held["refresh_token"], given(bob)["access_token"], "nonsense"):
            assert is_done(revoke(bob, token))
        assert works(client, held["access_token"])
        assert given(client, "refresh_token", refresh_token=held["refresh_token"])

    @pytest.mark.parametrize(
        "token", ["nonsense", "a.b.c", "%FF", "+", "eyJ", "x" * 100_000, "%ED%A0%80", "token%3Dtoken"]
    )
    def test_nothing_is_revoked_of_nonsense(self, client: MutualTLSClient, token: str) -> None:
        assert is_done(revoke(client, token))
        assert not RevokedToken.objects.exists()

    @pytest.mark.parametrize(
        "changed", [{"exp": 1}, {"iss": "https://other"}, {"aud": "https://other"}, {"jti": ABSENT}]
    )
    def test_nothing_is_revoked_of_what_is_not_accepted_anyway(
        self, client: MutualTLSClient, now: dt.datetime, changed: dict[str, Any]
    ) -> None:
        assert is_done(revoke(client, sign(header(), claims(now, **changed))))
        assert not RevokedToken.objects.exists()

    @pytest.mark.parametrize(
        "body", ["", "token", "token=", "Token=x", "access_token=x", "token=x&token=x", "token=x&token=", "token=%00"]
    )
    def test_nothing_is_revoked_without_one_token(self, client: MutualTLSClient, body: str) -> None:
        assert error_of(post(client, body, "/oauth/revoke")) == (400, "invalid_request")

    @pytest.mark.parametrize("body", ["token=x", ""])
    def test_nothing_is_revoked_without_a_certificate(self, mtls_client: Clients, body: str) -> None:
        assert error_of(post(mtls_client(None), body, "/oauth/revoke")) == (401, "invalid_client")


class TestUnavailable:
    """RFC 7009 section 2.2.1: 503 means that the token must be assumed to be alive."""

    @pytest.mark.parametrize("kind", ["access_token", "refresh_token"])
    @pytest.mark.parametrize("message", ["database is locked", "server closed the connection unexpectedly"])
    def test_unavailable_is_503_and_nothing_is_revoked(self, client: MutualTLSClient, kind: str, message: str) -> None:
        held = given(client)

        def refuse(execute: Any, sql: str, *arguments: Any) -> Any:
            if not sql.startswith(("INSERT", "UPDATE")):
                return execute(sql, *arguments)
            raise OperationalError(message)

        with connection.execute_wrapper(refuse):
            answer = revoke(client, held[kind])
        assert (answer.status_code, answer["Retry-After"]) == (503, "1")
        assert works(client, held["access_token"])
        assert is_done(revoke(client, held[kind]))
        assert not works(client, held["access_token"])

    @pytest.mark.django_db(transaction=True)
    @pytest.mark.skipif(connection.vendor != "postgresql", reason="SQLite has no row locks")
    def test_unavailable_is_503_when_a_lock_is_held_too_long(self, client: MutualTLSClient, configure: Any) -> None:
        configure(LOCK_TIMEOUT=0.2)
        token = given(client)["refresh_token"]
        held, done = threading.Event(), threading.Event()

        def hold() -> None:
            try:
                with transaction.atomic():
                    RefreshFamily.objects.select_for_update().get()
                    held.set()
                    done.wait(30)
            finally:
                connections.close_all()

        thread = threading.Thread(target=hold)
        thread.start()
        assert held.wait(30)
        watchdog = threading.Timer(10, done.set)
        watchdog.start()
        answer = revoke(client, token)
        was_still_held = not done.is_set()
        done.set()
        thread.join(30)
        watchdog.cancel()
        assert was_still_held
        assert (answer.status_code, answer["Retry-After"], answer.json()["code"]) == (503, "1", "busy")
        assert given(client, "refresh_token", refresh_token=token)


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("kind", ["access_token", "refresh_token"])
def test_revocation_is_committed_under_atomic_requests(
    client: MutualTLSClient, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    monkeypatch.setitem(connection.settings_dict, "ATOMIC_REQUESTS", True)
    held = given(client)
    assert is_done(revoke(client, held[kind]))
    assert not works(client, held["access_token"])
