"""The introspection endpoint (RFC 7662)."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from typing import Any

import pytest
from django.contrib.auth.models import User

from securecore import clock
from securecore.grants import triggers
from securecore.revocation import revoke_certificate, revoke_family, revoke_user_tokens
from securecore.testing import MutualTLSClient
from securecore.tokens import Client, RefreshFamily, RefreshToken
from tests.replay.proofs import ES256
from tests.tokens.calls import CERTIFICATE_GRANT, error_of, given, post, prove, said
from tests.tokens.forge import claims, header, sign

pytestmark = [pytest.mark.django_db, pytest.mark.urls("tests.tokens.urls")]

Clients = Callable[..., MutualTLSClient]
INACTIVE = {"active": False}


def introspect(client: MutualTLSClient, token: str, client_id: str = "") -> Any:
    answer = post(client, f"token={token}&client_id={client_id}&token_type_hint=anything", "/oauth/introspect")
    assert answer.status_code == 200
    assert answer["Cache-Control"] == "no-store"
    return answer.json()


class TestAccessToken:
    def test_access_token_says_what_rfc_7662_names(
        self, client: MutualTLSClient, register: Any, thumbprint: str
    ) -> None:
        register(scope="read write")
        token = given(client, client_id="payments", scope="read")["access_token"]
        claimed = said(token)
        assert introspect(client, token, "payments") == {
            "active": True,
            "token_type": "Bearer",
            "iss": "https://testserver",
            "aud": "https://testserver",
            "sub": str(User.objects.get(username="alice").pk),
            "username": "alice",
            "client_id": "payments",
            "scope": "read",
            "jti": claimed["jti"],
            "iat": claimed["iat"],
            "exp": claimed["iat"] + 300,
            "cnf": {"x5t#S256": thumbprint},
        }

    def test_access_token_says_which_proof_key_it_needs(self, client: MutualTLSClient) -> None:
        from securecore.digests import jwk_thumbprint

        answer = introspect(client, given(client, proof=prove("/oauth/token", "POST"))["access_token"])
        assert answer["token_type"] == "DPoP"
        assert answer["cnf"] == {"jkt": jwk_thumbprint(ES256.jwk)}
        assert "scope" not in answer

    @pytest.mark.parametrize(
        ("grant", "end"),
        [
            ("client_credentials", lambda token: revoke_user_tokens(User.objects.get(username="alice"))),
            (CERTIFICATE_GRANT, lambda token: revoke_family(RefreshFamily.objects.get().pk)),
            ("client_credentials", lambda token: User.objects.filter(username="alice").update(is_active=False)),
            ("client_credentials", lambda token: revoke_certificate(thumbprint=said(token)["cnf"]["x5t#S256"])),
        ],
        ids=["revoked", "family", "deactivated", "certificate"],
    )
    def test_access_token_that_is_refused_is_inactive(
        self, client: MutualTLSClient, mtls_client: Clients, register: Any, grant: str, end: Any
    ) -> None:
        """Another service asks, which sees neither securecore's middleware nor the revoked certificate of the
        connection.
        """
        register("service", user="bob", may_introspect=True)
        token = given(client, grant)["access_token"]
        assert introspect(mtls_client("bob"), token, "service")["active"] is True
        end(token)
        assert introspect(mtls_client("bob"), token, "service") == INACTIVE

    def test_access_token_that_has_expired_is_inactive(
        self, client: MutualTLSClient, now: dt.datetime, thumbprint: str
    ) -> None:
        alice = str(User.objects.get(username="alice").pk)
        good = claims(now, sub=alice, cnf={"x5t#S256": thumbprint})
        assert introspect(client, sign(header(), good))["active"] is True
        assert introspect(client, sign(header(), good | {"exp": int(now.timestamp()) - 11})) == INACTIVE


class TestRefreshToken:
    def test_refresh_token_is_active_until_it_is_used(self, client: MutualTLSClient) -> None:
        first = given(client)["refresh_token"]
        answer = introspect(client, first)
        created_at = int(RefreshFamily.objects.get().created_at.timestamp())
        assert answer == {
            "active": True,
            "sub": str(User.objects.get(username="alice").pk),
            "client_id": "alice",
            "iat": created_at,
            "exp": created_at + 14 * 86_400,
        }
        second = given(client, "refresh_token", refresh_token=first)["refresh_token"]
        assert introspect(client, first) == INACTIVE
        assert introspect(client, second)["active"] is True

    @pytest.mark.parametrize(
        "end",
        [
            lambda: revoke_family(RefreshFamily.objects.get().pk),
            lambda: RefreshToken.objects.update(expires_at=clock.now()),
            lambda: RefreshFamily.objects.update(expires_at=clock.now()),
            lambda: User.objects.filter(username="alice").update(is_active=False),
        ],
        ids=["revoked", "idle", "old", "deactivated"],
    )
    def test_refresh_token_that_is_dead_is_inactive(
        self, client: MutualTLSClient, mtls_client: Clients, register: Any, end: Any
    ) -> None:
        register("service", user="bob", may_introspect=True)
        token = given(client)["refresh_token"]
        assert introspect(mtls_client("bob"), token, "service")["active"] is True
        end()
        assert introspect(mtls_client("bob"), token, "service") == INACTIVE


class TestCaller:
    @pytest.mark.parametrize("kind", ["access_token", "refresh_token"])
    def test_caller_that_is_another_client_learns_nothing(self, mtls_client: Clients, kind: str) -> None:
        token = given(mtls_client("alice"))[kind]
        assert introspect(mtls_client("bob"), token) == INACTIVE
        assert introspect(mtls_client("alice"), token)["active"] is True

    @pytest.mark.parametrize("kind", ["access_token", "refresh_token"])
    def test_caller_needs_the_permission_for_other_clients_tokens(
        self, client: MutualTLSClient, mtls_client: Clients, register: Any, kind: str
    ) -> None:
        register("service", user="bob")
        token = given(client)[kind]
        assert introspect(mtls_client("bob"), token, "service") == INACTIVE
        Client.objects.update(may_introspect=True)
        assert introspect(mtls_client("bob"), token, "service")["active"] is True

    def test_caller_must_be_a_client(self, client: MutualTLSClient, mtls_client: Clients) -> None:
        token = given(client)["access_token"]
        assert error_of(post(mtls_client(None), f"token={token}", "/oauth/introspect")) == (401, "invalid_client")
        answer = post(mtls_client(None), f"token={token}", "/oauth/introspect", HTTP_AUTHORIZATION=f"Bearer {token}")
        assert error_of(answer) == (401, "invalid_client")

    @pytest.mark.parametrize("token", ["nonsense", "a.b.c", "%FF", "x" * 100_000, "eyJ.eyJ.eyJ"])
    def test_caller_learns_nothing_about_nonsense(self, client: MutualTLSClient, token: str) -> None:
        assert introspect(client, token) == INACTIVE

    @pytest.mark.parametrize("body", ["", "token=", "token=x&token=y", "token=%00"])
    def test_caller_must_name_one_token(self, client: MutualTLSClient, body: str) -> None:
        assert error_of(post(client, body, "/oauth/introspect")) == (400, "invalid_request")


class TestDisabledClient:
    @pytest.mark.parametrize("without_triggers", [False, True], ids=["by trigger", "by the row"])
    def test_disabled_client_has_no_live_token_for_other_services(
        self, client: MutualTLSClient, mtls_client: Clients, register: Any, without_triggers: bool
    ) -> None:
        """Disabled in the admin or by SQL, where no function ends the client's authorizations, and with no trigger."""
        if without_triggers:
            triggers.remove()
        register("payments")
        register("auditor", user="bob", may_introspect=True)
        held = given(client, client_id="payments")
        tokens = (held["access_token"], held["refresh_token"])
        asked = [introspect(mtls_client("bob"), token, "auditor")["active"] for token in tokens]
        assert asked == [True, True]
        Client.objects.filter(pk="payments").update(disabled_at=clock.now())
        asked = [introspect(mtls_client("bob"), token, "auditor") for token in tokens]
        assert asked == [INACTIVE, INACTIVE]


class TestParameters:
    """RFC 6749 section 3.2, on which RFC 7662 section 2.1 builds."""

    @pytest.mark.parametrize("name", ["token", "token_type_hint", "client_id"])
    def test_parameters_are_sent_once(self, client: MutualTLSClient, name: str) -> None:
        sent = {"token": given(client)["access_token"], "token_type_hint": "x", "client_id": "alice"}
        twice = "&".join(f"{each}={value}" for each, value in [*sent.items(), (name, sent[name])])
        assert error_of(post(client, twice, "/oauth/introspect")) == (400, "invalid_request")

    def test_parameters_that_are_unknown_are_ignored(self, client: MutualTLSClient) -> None:
        token = given(client)["access_token"]
        answer = post(client, f"token={token}&resource=a&resource=b&extra=%00", "/oauth/introspect")
        assert answer.json()["active"] is True
