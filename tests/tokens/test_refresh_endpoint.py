"""Refresh tokens at the token endpoint: the responses, and the changes that commit although the
response is an error.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import connection

from securecore import clock
from securecore.events import RefreshTokenRefused, RefreshTokenReused
from securecore.identity import enroll, parse_pem
from securecore.purge import purge
from securecore.revocation import revoke_certificate
from securecore.testing import Authority, MutualTLSClient
from securecore.tokens import Client, RefreshFamily, RefreshToken
from tests.events.recorder import of_kind, recorded
from tests.replay.proofs import ED25519, ES256
from tests.tokens.calls import error_of, given, prove, refresh, works

pytestmark = [pytest.mark.django_db, pytest.mark.urls("tests.tokens.urls")]

Register = Callable[..., Client]
MINUTE = dt.timedelta(minutes=1)
INVALID_GRANT = (400, "invalid_grant")


def first_used_before(interval: dt.timedelta) -> None:
    """Move every use of a refresh token back by this time."""
    for row in RefreshToken.objects.exclude(used_at=None):
        assert row.used_at is not None
        RefreshToken.objects.filter(pk=row.pk).update(used_at=row.used_at - interval)


class TestRotation:
    def test_rotation_replaces_the_token(self, client: MutualTLSClient) -> None:
        first = given(client)
        second = given(client, "refresh_token", refresh_token=first["refresh_token"])
        assert second.keys() == {"access_token", "token_type", "expires_in", "refresh_token"}
        assert second["refresh_token"] != first["refresh_token"]
        assert works(client, first["access_token"])
        assert works(client, second["access_token"])

    def test_rotation_answers_an_honest_retry(self, client: MutualTLSClient) -> None:
        """The response was lost on the way, and the same client sends the request again at once."""
        first = given(client)["refresh_token"]
        lost = given(client, "refresh_token", refresh_token=first)
        again = given(client, "refresh_token", refresh_token=first)
        assert again["refresh_token"] != lost["refresh_token"]
        assert works(client, again["access_token"])
        assert given(client, "refresh_token", refresh_token=again["refresh_token"])

    def test_rotation_is_kept_through_a_hundred_uses(self, client: MutualTLSClient) -> None:
        token = given(client)["refresh_token"]
        for _ in range(100):
            token = given(client, "refresh_token", refresh_token=token)["refresh_token"]
        assert RefreshFamily.objects.count() == 1
        assert RefreshToken.objects.filter(used_at=None).count() == 1


class TestReuse:
    """The second use is the thief's, or the owner's after the thief. Both end the whole family."""

    @pytest.fixture(params=[False, True], ids=["autocommit", "ATOMIC_REQUESTS"])
    def atomic_requests(self, request: Any) -> Iterator[None]:
        before = connection.settings_dict["ATOMIC_REQUESTS"]
        connection.settings_dict["ATOMIC_REQUESTS"] = request.param
        yield
        connection.settings_dict["ATOMIC_REQUESTS"] = before

    @pytest.mark.django_db(transaction=True)
    @pytest.mark.usefixtures("atomic_requests")
    def test_reuse_revokes_the_family_and_its_access_tokens_and_that_is_committed(
        self, client: MutualTLSClient
    ) -> None:
        first = given(client)
        second = given(client, "refresh_token", refresh_token=first["refresh_token"])
        other = given(client)
        first_used_before(MINUTE)
        with recorded() as events:
            answer = refresh(client, first["refresh_token"])
        assert error_of(answer) == INVALID_GRANT
        assert RefreshFamily.objects.exclude(revoked_at=None).count() == 1
        assert not works(client, first["access_token"])
        assert not works(client, second["access_token"])
        assert error_of(refresh(client, second["refresh_token"])) == INVALID_GRANT
        assert works(client, other["access_token"])
        family = RefreshFamily.objects.exclude(revoked_at=None).get()
        assert of_kind(events, RefreshTokenReused) == [
            RefreshTokenReused(family=str(family.pk), user=str(family.user_id), client_id="alice")
        ]

    @pytest.mark.django_db(transaction=True)
    @pytest.mark.usefixtures("atomic_requests")
    def test_reuse_of_an_ancestor_is_no_retry(self, client: MutualTLSClient) -> None:
        first = given(client)["refresh_token"]
        second = given(client, "refresh_token", refresh_token=first)["refresh_token"]
        third = given(client, "refresh_token", refresh_token=second)
        assert error_of(refresh(client, first)) == INVALID_GRANT
        assert not works(client, third["access_token"])

    @pytest.mark.parametrize("waits", [dt.timedelta(0), MINUTE], ids=["at once", "later"])
    def test_reuse_of_a_thief_who_retries_in_the_owner_s_place_is_noticed_by_the_owner(
        self, client: MutualTLSClient, waits: dt.timedelta
    ) -> None:
        """The thief has the binding too, so its retry is accepted. Then the owner presents a token
        that was replaced.
        """
        stolen = given(client)["refresh_token"]
        owners = given(client, "refresh_token", refresh_token=stolen)
        thiefs = given(client, "refresh_token", refresh_token=stolen)
        first_used_before(waits)
        with recorded() as events:
            assert error_of(refresh(client, owners["refresh_token"])) == INVALID_GRANT
        assert len(of_kind(events, RefreshTokenReused)) == 1
        assert not works(client, thiefs["access_token"])
        assert error_of(refresh(client, thiefs["refresh_token"])) == INVALID_GRANT

    def test_reuse_by_another_certificate_of_the_user_is_no_retry(self, client: MutualTLSClient, ca: Authority) -> None:
        first = given(client)["refresh_token"]
        second = given(client, "refresh_token", refresh_token=first)
        stolen_with = ca.issue("thief")
        enroll(certificate=parse_pem(stolen_with.pem), user=User.objects.get(username="alice"), now=clock.now())
        assert error_of(refresh(MutualTLSClient(stolen_with), first)) == INVALID_GRANT
        assert not works(client, second["access_token"])

    def test_reuse_is_still_noticed_when_the_stolen_token_would_have_expired(self, client: MutualTLSClient) -> None:
        """The thief was first, and the owner comes back after the weekend. Then the thief's tokens must end."""
        stolen = given(client)["refresh_token"]
        thiefs = given(client, "refresh_token", refresh_token=stolen)
        RefreshToken.objects.filter(used_at=None).update(expires_at=clock.now() + dt.timedelta(days=3))
        later = clock.now() + dt.timedelta(days=2)
        assert purge(now=later).finished
        first_used_before(dt.timedelta(days=2))
        with recorded() as events:
            assert error_of(refresh(client, stolen)) == INVALID_GRANT
        assert len(of_kind(events, RefreshTokenReused)) == 1
        assert not works(client, thiefs["access_token"])


class TestTheft:
    def test_theft_without_the_certificate_gets_nothing_and_ends_nothing(
        self, client: MutualTLSClient, mtls_client: Any, ca: Authority
    ) -> None:
        token = given(client)["refresh_token"]
        assert error_of(refresh(mtls_client(None), token)) == (401, "invalid_client")
        with recorded() as events:
            assert error_of(refresh(mtls_client("bob"), token)) == INVALID_GRANT
            assert error_of(refresh(mtls_client("bob"), token, client_id="alice")) == (401, "invalid_client")
        assert [event.reason for event in of_kind(events, RefreshTokenRefused)] == ["another client's"]
        assert given(client, "refresh_token", refresh_token=token)

    def test_theft_after_revocation_of_the_certificate_gets_nothing(
        self, client: MutualTLSClient, thumbprint: str, ca: Authority
    ) -> None:
        token = given(client)
        revoke_certificate(thumbprint=thumbprint)
        assert RefreshFamily.objects.exclude(revoked_at=None).exists()
        assert refresh(client, token["refresh_token"]).json()["code"] == "certificate-revoked"


class TestStaticPolicy:
    """A registered client authenticates at every refresh, so its refresh token need not change (FAPI 2.0 5.3.2.1)."""

    @pytest.fixture
    def token(self, client: MutualTLSClient, register: Register) -> str:
        register("payments", scope="read")
        return str(given(client, client_id="payments", scope="read")["refresh_token"])

    def test_static_policy_keeps_the_token(self, client: MutualTLSClient, token: str) -> None:
        for _ in range(3):
            answer = given(client, "refresh_token", refresh_token=token, client_id="payments")
            assert answer.keys() == {"access_token", "token_type", "expires_in", "scope"}
            assert works(client, answer["access_token"])

    def test_static_policy_goes_on_after_a_renewal_of_the_certificate(
        self, client: MutualTLSClient, token: str, ca: Authority
    ) -> None:
        renewed = ca.issue("alice")
        enroll(certificate=parse_pem(renewed.pem), user=User.objects.get(username="alice"), now=clock.now())
        answer = given(MutualTLSClient(renewed), "refresh_token", refresh_token=token, client_id="payments")
        assert works(MutualTLSClient(renewed), answer["access_token"])
        assert not works(client, answer["access_token"])

    def test_static_policy_is_no_less_bound_to_the_client(
        self, client: MutualTLSClient, mtls_client: Any, register: Register, token: str
    ) -> None:
        assert error_of(refresh(mtls_client("bob"), token)) == INVALID_GRANT
        assert error_of(refresh(mtls_client("bob"), token, client_id="payments")) == (401, "invalid_client")
        register("other", user="bob")
        assert error_of(refresh(mtls_client("bob"), token, client_id="other")) == INVALID_GRANT
        # The certificate's user as its own client, which is not the registered one.
        assert error_of(refresh(client, token)) == INVALID_GRANT

    def test_static_policy_ends_when_the_client_is_disabled(self, client: MutualTLSClient, token: str) -> None:
        access = given(client, "refresh_token", refresh_token=token, client_id="payments")["access_token"]
        Client.objects.update(disabled_at=clock.now())
        assert not works(client, access)
        assert error_of(refresh(client, token, client_id="payments")) == (401, "invalid_client")

    def test_static_policy_is_the_client_s_choice(self, client: MutualTLSClient, register: Register) -> None:
        register("rotating", rotates_refresh_tokens=True)
        token = given(client, client_id="rotating")["refresh_token"]
        answer = given(client, "refresh_token", refresh_token=token, client_id="rotating")
        assert answer["refresh_token"] != token


class TestProofKey:
    """A DPoP key binds the refresh tokens that were issued for it (RFC 9449 section 5)."""

    def test_proof_key_is_needed_at_each_refresh(self, client: MutualTLSClient) -> None:
        token = given(client, proof=prove("/oauth/token", "POST"))["refresh_token"]
        for proof in (None, prove("/oauth/token", "POST", by=ED25519)):
            assert error_of(refresh(client, token, proof=proof)) == INVALID_GRANT
        answer = given(client, "refresh_token", refresh_token=token, proof=prove("/oauth/token", "POST", by=ES256))
        assert answer["token_type"] == "DPoP"

    def test_proof_key_outlives_the_certificate(self, client: MutualTLSClient, ca: Authority) -> None:
        token = given(client, proof=prove("/oauth/token", "POST"))["refresh_token"]
        renewed = ca.issue("alice")
        enroll(certificate=parse_pem(renewed.pem), user=User.objects.get(username="alice"), now=clock.now())
        proof = prove("/oauth/token", "POST")
        assert given(MutualTLSClient(renewed), "refresh_token", refresh_token=token, proof=proof)

    def test_proof_key_is_not_taken_on_later(self, client: MutualTLSClient) -> None:
        token = given(client)["refresh_token"]
        assert error_of(refresh(client, token, proof=prove("/oauth/token", "POST"))) == INVALID_GRANT
        assert given(client, "refresh_token", refresh_token=token)["token_type"] == "Bearer"

    def test_proof_key_of_somebody_else_at_a_second_use_ends_the_family(self, client: MutualTLSClient) -> None:
        token = given(client, proof=prove("/oauth/token", "POST"))["refresh_token"]
        given(client, "refresh_token", refresh_token=token, proof=prove("/oauth/token", "POST"))
        with recorded() as events:
            stolen = refresh(client, token, proof=prove("/oauth/token", "POST", by=ED25519))
        assert error_of(stolen) == INVALID_GRANT
        assert len(of_kind(events, RefreshTokenReused)) == 1
