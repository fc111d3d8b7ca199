"""Every way to revoke tokens takes effect at once, at the cost of one more condition in the one query."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import transaction

from securecore import clock, tokens
from securecore.errors import Misuse
from securecore.events import EverythingRevoked, FamilyRevoked, TokenRevoked
from securecore.grants import triggers
from securecore.revocation import (
    retire_key,
    revoke_certificate,
    revoke_client_tokens,
    revoke_family,
    revoke_token,
    revoke_tokens_before,
    revoke_user_tokens,
)
from securecore.testing import MutualTLSClient
from securecore.tokens import Client, RefreshFamily, TokenEpoch
from tests.events.recorder import of_kind, recorded
from tests.tokens.calls import ask, error_of, get, given, prove, refresh, said, works

pytestmark = [pytest.mark.django_db, pytest.mark.urls("tests.tokens.urls")]

SECOND = dt.timedelta(seconds=1)


def alice() -> User:
    return User.objects.get(username="alice")


def family() -> Any:
    return RefreshFamily.objects.get().pk


def by_jti(token: str) -> None:
    found = tokens.verify(token, now=clock.now())
    revoke_token(issuer=found.issuer, jti=found.jti, expires_at=found.expires_at)


def without_family(client: MutualTLSClient) -> str:
    """An access token without a refresh-token family, so that no family's end revokes it."""
    return str(given(client, "client_credentials")["access_token"])


WAYS: dict[str, Callable[[str], object]] = {
    "token": by_jti,
    "family": lambda token: revoke_family(family()),
    "user": lambda token: revoke_user_tokens(alice()),
    "client": lambda token: revoke_client_tokens("payments"),
    "everything": lambda token: revoke_tokens_before(clock.now()),
    "certificate": lambda token: revoke_certificate(thumbprint=said(token)["cnf"]["x5t#S256"]),
    "disabled client": lambda token: Client.objects.update(disabled_at=clock.now()),
    "deactivated user": lambda token: User.objects.update(is_active=False),
    "deleted user": lambda token: alice().delete(),
    "retired key": lambda token: retire_key(tokens.SigningKey.objects.get().pk),
}


@pytest.fixture
def issued(client: MutualTLSClient, register: Any, encryption_key: str, now: dt.datetime) -> dict[str, Any]:
    """Tokens of Alice for a registered client, signed by a stored key."""
    tokens.keys.rotate(algorithm="ES256", lead=0, now=now)
    register("payments", scope="read")
    return given(client, client_id="payments", scope="read")


class TestEffect:
    @pytest.mark.parametrize("way", WAYS)
    def test_effect_is_immediate(self, client: MutualTLSClient, issued: dict[str, Any], way: str) -> None:
        assert works(client, issued["access_token"])
        WAYS[way](issued["access_token"])
        answer = get(client, issued["access_token"])
        assert answer.status_code in (401, 403)
        assert answer.json()["code"] == ("certificate-revoked" if way == "certificate" else "invalid-token")

    @pytest.mark.parametrize("way", [way for way in WAYS if way not in ("token", "retired key")])
    def test_effect_is_on_the_refresh_token_too(
        self, client: MutualTLSClient, issued: dict[str, Any], way: str
    ) -> None:
        WAYS[way](issued["access_token"])
        assert refresh(client, issued["refresh_token"], client_id="payments").status_code in (400, 401, 403)

    def test_effect_of_a_disabled_client_needs_no_trigger(
        self, client: MutualTLSClient, issued: dict[str, Any]
    ) -> None:
        triggers.remove()
        assert works(client, issued["access_token"])
        Client.objects.update(disabled_at=clock.now())
        assert not works(client, issued["access_token"])

    def test_effect_costs_no_statement_of_its_own(
        self, client: MutualTLSClient, django_assert_num_queries: Any
    ) -> None:
        token = given(client)["access_token"]
        with django_assert_num_queries(1):
            assert works(client, token)
        revoke_user_tokens(alice())
        with django_assert_num_queries(1):
            assert not works(client, token)

    def test_effect_costs_no_more_for_a_stored_key(
        self, client: MutualTLSClient, issued: dict[str, Any], django_assert_num_queries: Any
    ) -> None:
        works(client, issued["access_token"])
        with django_assert_num_queries(1):  # once this process has read the key
            assert works(client, issued["access_token"])

    def test_effect_reaches_tokens_of_a_proof_key(self, client: MutualTLSClient) -> None:
        token = given(client, proof=prove("/oauth/token", "POST"))["access_token"]

        def accepted() -> bool:
            return works(client, token, scheme="DPoP", proof=prove("/both", token=token))

        assert accepted()
        revoke_user_tokens(alice())
        assert not accepted()


class TestAfterwards:
    @pytest.mark.parametrize("way", ["token", "family", "user", "client", "retired key"])
    def test_afterwards_new_tokens_work(self, client: MutualTLSClient, issued: dict[str, Any], way: str) -> None:
        WAYS[way](issued["access_token"])
        again = given(client, client_id="payments")
        assert works(client, again["access_token"])
        assert given(client, "refresh_token", refresh_token=again["refresh_token"], client_id="payments")

    def test_afterwards_new_tokens_work_when_the_instant_has_passed(self, client: MutualTLSClient) -> None:
        old = without_family(client)
        issued_at = dt.datetime.fromtimestamp(said(old)["iat"], dt.UTC)
        revoke_tokens_before(issued_at - SECOND)
        assert works(client, given(client)["access_token"])
        assert works(client, old)
        revoke_tokens_before(clock.now() + SECOND)
        assert not works(client, old)

    def test_afterwards_an_enabled_client_s_tokens_stay_refused(
        self, client: MutualTLSClient, issued: dict[str, Any]
    ) -> None:
        """Disabling by `update()` ends the same as `disable_client()`; the enabled client may request new tokens."""
        Client.objects.update(disabled_at=clock.now())
        assert not works(client, issued["access_token"])
        Client.objects.update(disabled_at=None)
        assert not works(client, issued["access_token"])
        assert works(client, given(client)["access_token"])


class TestReach:
    def test_reach_of_a_user_is_that_user(self, mtls_client: Any) -> None:
        held = {name: without_family(mtls_client(name)) for name in ("alice", "bob")}
        revoke_user_tokens(alice())
        assert [works(mtls_client(name), token) for name, token in held.items()] == [False, True]

    def test_reach_of_a_client_is_that_client_for_all_its_users(self, client: MutualTLSClient, register: Any) -> None:
        register("payments")
        theirs = [given(client, grant, client_id="payments")["access_token"] for grant in ("client_credentials",) * 2]
        own = given(client)["access_token"]
        revoke_client_tokens("payments")
        assert [works(client, token) for token in (*theirs, own)] == [False, False, True]

    def test_reach_of_a_family_is_that_family(self, client: MutualTLSClient) -> None:
        first = given(client)
        second = given(client, "refresh_token", refresh_token=first["refresh_token"])
        assert revoke_family(family()) is True
        other = given(client)["access_token"]
        held = (first["access_token"], second["access_token"], other)
        assert [works(client, token) for token in held] == [False, False, True]

    def test_reach_of_a_user_whose_number_begins_alike_is_none(self, client: MutualTLSClient, users: Any) -> None:
        User.objects.create(pk=alice().pk * 10 + 1, username="almost")
        token = given(client)["access_token"]
        revoke_user_tokens(User.objects.get(username="almost"))
        revoke_client_tokens("alic")
        revoke_client_tokens("alice2")
        assert works(client, token)

    def test_reach_of_a_user_named_like_a_client_is_not_the_client_s(self, client: MutualTLSClient) -> None:
        token = given(client)["access_token"]
        revoke_client_tokens(str(alice().pk))
        assert works(client, token)

    def test_reach_of_an_instant_that_is_earlier_than_another_takes_nothing_back(self, client: MutualTLSClient) -> None:
        token = without_family(client)
        revoke_tokens_before(clock.now())
        revoke_tokens_before(clock.now() - 1_000 * SECOND)
        assert not works(client, token)
        assert TokenEpoch.objects.count() == 1


class TestEpoch:
    def test_epoch_counts(self) -> None:
        user = User(pk=7)
        assert tokens.epochs.current("user:7", "client:x") == [0, 0]
        for _ in range(3):
            revoke_user_tokens(user)
        assert tokens.epochs.current("client:x", "user:7") == [0, 3]

    def test_epoch_of_a_forged_future_is_not_believed_without_our_key(self, client: MutualTLSClient) -> None:
        token = given(client)["access_token"]
        revoke_user_tokens(alice())
        head, _, signature = token.split(".")
        from tests.tokens.forge import segment

        assert not works(client, f"{head}.{segment(said(token) | {'epochs': [9, 9]})}.{signature}")


class TestMisuse:
    @pytest.mark.parametrize(
        "way", [way for way in WAYS if way not in ("disabled client", "deactivated user", "deleted user")]
    )
    def test_misuse_in_a_transaction_is_a_mistake(
        self, client: MutualTLSClient, issued: dict[str, Any], way: str
    ) -> None:
        """A rollback would undo a revocation that its caller believes to be done."""
        with pytest.raises(Misuse), transaction.atomic():
            WAYS[way](issued["access_token"])
        assert works(client, issued["access_token"])


class TestEvents:
    @pytest.mark.parametrize(
        ("way", "kind", "payload"),
        [
            ("token", TokenRevoked, None),
            ("family", FamilyRevoked, None),
            ("user", EverythingRevoked, "user:{pk}"),
            ("client", EverythingRevoked, "client:payments"),
            ("everything", EverythingRevoked, "everyone"),
        ],
    )
    def test_events_are_emitted(
        self, client: MutualTLSClient, issued: dict[str, Any], way: str, kind: Any, payload: str | None
    ) -> None:
        with recorded() as events:
            WAYS[way](issued["access_token"])
        (event,) = of_kind(events, kind)
        assert payload is None or event.subject == payload.format(pk=alice().pk)
        assert issued["access_token"] not in repr(events)


class TestLogout:
    @pytest.mark.parametrize("scheme", ["Bearer", "DPoP"])
    def test_logout_with_a_token_ends_access_and_refresh_together(self, client: MutualTLSClient, scheme: str) -> None:
        proof = prove("/oauth/token", "POST") if scheme == "DPoP" else None
        held, other = given(client, proof=proof), given(client)
        token = held["access_token"]
        headers: dict[str, Any] = {"HTTP_AUTHORIZATION": f"{scheme} {token}"}
        if scheme == "DPoP":
            headers["HTTP_DPOP"] = prove("/auth/logout", "POST", token=token)
        with recorded() as events:
            assert client.post("/auth/logout", **headers).status_code == 204
        assert (len(of_kind(events, TokenRevoked)), len(of_kind(events, FamilyRevoked))) == (1, 1)
        again = prove("/both", token=token) if scheme == "DPoP" else None
        assert not works(client, token, scheme=scheme, proof=again)
        again = prove("/oauth/token", "POST") if scheme == "DPoP" else None
        assert error_of(refresh(client, held["refresh_token"], proof=again)) == (400, "invalid_grant")
        assert works(client, other["access_token"])

    def test_logout_without_a_token_leaves_the_tokens(self, client: MutualTLSClient) -> None:
        token = given(client)["access_token"]
        assert client.post("/auth/logout").status_code == 204
        assert works(client, token)

    def test_logout_with_a_token_that_is_bad_ends_nothing(self, client: MutualTLSClient) -> None:
        held = given(client)
        answer = client.post("/auth/logout", HTTP_AUTHORIZATION=f"Bearer {held['access_token'][:-4]}AAAA")
        assert answer.status_code == 401
        assert works(client, held["access_token"])

    def test_logout_with_client_credentials_has_no_family_to_end(self, client: MutualTLSClient) -> None:
        token = given(client, "client_credentials")["access_token"]
        assert client.post("/auth/logout", HTTP_AUTHORIZATION=f"Bearer {token}").status_code == 204
        assert not works(client, token)

    @pytest.mark.django_db(transaction=True)
    def test_logout_is_committed_under_atomic_requests(self, client: MutualTLSClient, monkeypatch: Any) -> None:
        from django.db import connection

        monkeypatch.setitem(connection.settings_dict, "ATOMIC_REQUESTS", True)
        held = given(client)
        answer = client.post("/auth/logout", HTTP_AUTHORIZATION=f"Bearer {held['access_token']}")
        assert answer.status_code == 204
        assert not works(client, held["access_token"])
        assert error_of(ask(client, "refresh_token", refresh_token=held["refresh_token"])) == (400, "invalid_grant")
