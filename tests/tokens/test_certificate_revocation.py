"""Tokens that were obtained under a certificate end with it, also if they are bound to another key or presented under
another certificate.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.contrib.auth.models import User

from securecore import clock, tokens
from securecore.errors import Misuse
from securecore.grants import triggers
from securecore.identity import enroll, parse_pem
from securecore.revocation import revoke_certificate
from securecore.testing import Authority, MutualTLSClient
from securecore.tokens import RefreshFamily, refresh
from tests.tokens.calls import error_of, given, post, prove, said, works
from tests.tokens.calls import refresh as refreshed
from tests.tokens.forge import ABSENT, claims, header, sign

pytestmark = [pytest.mark.django_db, pytest.mark.urls("tests.tokens.urls")]

INVALID_GRANT = (400, "invalid_grant")
Renewed = tuple[MutualTLSClient, str]


@pytest.fixture
def renewed(client: MutualTLSClient, ca: Authority) -> Renewed:
    """A client with Alice's second certificate, and its thumbprint."""
    issued = ca.issue("alice")
    certificate = parse_pem(issued.pem)
    enroll(certificate=certificate, user=User.objects.get(username="alice"), now=clock.now())
    return MutualTLSClient(issued), certificate.thumbprint


def to_the_token_endpoint() -> str:
    return prove("/oauth/token", "POST")


def works_with_a_proof(client: MutualTLSClient, token: str) -> bool:
    return works(client, token, scheme="DPoP", proof=prove("/both", token=token))


class TestAccessToken:
    @pytest.mark.parametrize("grant", ["client_credentials", "urn:securecore:grant-type:certificate"])
    def test_access_token_of_a_proof_key_is_refused_under_every_certificate(
        self, client: MutualTLSClient, renewed: Renewed, thumbprint: str, grant: str
    ) -> None:
        token = given(client, grant, proof=to_the_token_endpoint())["access_token"]
        assert works_with_a_proof(renewed[0], token)
        revoke_certificate(thumbprint=thumbprint)
        assert not works_with_a_proof(renewed[0], token)

    def test_access_token_of_another_certificate_goes_on(
        self, client: MutualTLSClient, renewed: Renewed, thumbprint: str
    ) -> None:
        token = given(renewed[0], proof=to_the_token_endpoint())["access_token"]
        assert works_with_a_proof(client, token)
        revoke_certificate(thumbprint=thumbprint)
        assert works_with_a_proof(renewed[0], token)

    def test_access_token_is_refused_to_other_services(
        self, client: MutualTLSClient, mtls_client: Callable[..., MutualTLSClient], register: Any, thumbprint: str
    ) -> None:
        register("service", user="bob", may_introspect=True)
        held = given(client, "client_credentials", proof=to_the_token_endpoint())["access_token"]

        def is_active() -> Any:
            answer = post(mtls_client("bob"), f"token={held}&client_id=service", "/oauth/introspect")
            return answer.json()["active"]

        assert is_active()
        revoke_certificate(thumbprint=thumbprint)
        assert not is_active()

    def test_access_token_is_checked_in_the_one_statement(
        self, client: MutualTLSClient, django_assert_num_queries: Any, thumbprint: str
    ) -> None:
        token = given(client, proof=to_the_token_endpoint())["access_token"]
        with django_assert_num_queries(2):  # the proof; everything else
            assert works_with_a_proof(client, token)

    def test_access_token_says_the_certificate_once(self, client: MutualTLSClient, thumbprint: str) -> None:
        assert "certificate" not in said(given(client)["access_token"])
        assert said(given(client, proof=to_the_token_endpoint())["access_token"])["certificate"] == thumbprint

    @pytest.mark.parametrize("junk", [ABSENT, None, "", 1, [], {}])
    def test_access_token_of_a_proof_key_without_one_is_refused(self, client: MutualTLSClient, junk: Any) -> None:
        good = said(given(client, proof=to_the_token_endpoint())["access_token"])
        assert works_with_a_proof(client, sign(header(), good))
        forged = claims(clock.now(), **{**good, "certificate": junk})
        assert not works_with_a_proof(client, sign(header(), forged))

    def test_access_token_of_a_proof_key_is_not_issued_without_one(self) -> None:
        with pytest.raises(Misuse, match="certificate"):
            tokens.issue(subject="1", client_id="alice", binding="jkt:key", now=clock.now())


class TestFamily:
    def test_family_of_a_proof_key_ends(self, client: MutualTLSClient, renewed: Renewed, thumbprint: str) -> None:
        token = given(client, proof=to_the_token_endpoint())["refresh_token"]
        revoke_certificate(thumbprint=thumbprint)
        assert RefreshFamily.objects.get().revoked_at is not None
        assert error_of(refreshed(renewed[0], token, proof=to_the_token_endpoint())) == INVALID_GRANT

    def test_family_ends_in_a_database_without_triggers(self, client: MutualTLSClient, thumbprint: str) -> None:
        triggers.remove()
        given(client, proof=to_the_token_endpoint())
        revoke_certificate(thumbprint=thumbprint)
        assert RefreshFamily.objects.get().revoked_at is not None

    @pytest.mark.parametrize("rotates", [True, False], ids=["rotating", "static"])
    def test_family_of_a_registered_client_ends(
        self, client: MutualTLSClient, renewed: Renewed, register: Any, thumbprint: str, rotates: bool
    ) -> None:
        register("payments", rotates_refresh_tokens=rotates)
        held = given(client, client_id="payments")
        revoke_certificate(thumbprint=thumbprint)
        assert error_of(refreshed(renewed[0], held["refresh_token"], client_id="payments")) == INVALID_GRANT

    @pytest.mark.parametrize("rotates", [True, False], ids=["rotating", "static"])
    def test_family_that_was_redeemed_under_the_renewed_certificate_goes_on(
        self, client: MutualTLSClient, renewed: Renewed, register: Any, thumbprint: str, rotates: bool
    ) -> None:
        register("payments", rotates_refresh_tokens=rotates)
        held = given(client, client_id="payments")
        old = given(client, "client_credentials", client_id="payments", proof=to_the_token_endpoint())
        again = given(renewed[0], "refresh_token", refresh_token=held["refresh_token"], client_id="payments")
        revoke_certificate(thumbprint=thumbprint)
        assert works(renewed[0], again["access_token"])
        token = again.get("refresh_token", held["refresh_token"])
        assert given(renewed[0], "refresh_token", refresh_token=token, client_id="payments")
        assert not works_with_a_proof(renewed[0], old["access_token"])

    def test_family_that_was_redeemed_under_it_last_ends(
        self, client: MutualTLSClient, renewed: Renewed, register: Any
    ) -> None:
        """Also a family that was obtained under another certificate and last redeemed under this one."""
        register("payments")
        token = given(client, client_id="payments")["refresh_token"]
        given(renewed[0], "refresh_token", refresh_token=token, client_id="payments")
        revoke_certificate(thumbprint=renewed[1])
        assert error_of(refreshed(client, token, client_id="payments")) == INVALID_GRANT

    def test_family_begun_while_it_was_being_revoked_is_dead(
        self, client: MutualTLSClient, renewed: Renewed, thumbprint: str
    ) -> None:
        """The request was accepted before the revocation, which did not see its row. The row names the certificate."""
        revoke_certificate(thumbprint=thumbprint)
        how: dict[str, Any] = {"client_id": "alice", "certificate": thumbprint, "binding": ""}
        user = User.objects.get(username="alice")
        family, token = refresh.start(user_id=user.pk, scope="", rotates=True, now=clock.now(), **how)
        assert RefreshFamily.objects.get(pk=family.pk).revoked_at is None
        assert not refresh.is_live(token, clock.now())
        outcome = refresh.redeem(presented_token=token, now=clock.now(), **{**how, "certificate": renewed[1]})
        assert isinstance(outcome, refresh.NotRedeemed)
        assert outcome.reason == "revoked"

    def test_family_of_a_refused_attempt_keeps_its_certificate(
        self, client: MutualTLSClient, renewed: Renewed, register: Any, thumbprint: str
    ) -> None:
        """Otherwise a client that cannot redeem the token could choose the certificate that ends it."""
        given(client, proof=to_the_token_endpoint())
        token = given(client)["refresh_token"]
        assert error_of(refreshed(renewed[0], token)) == INVALID_GRANT
        assert {family.certificate_id for family in RefreshFamily.objects.all()} == {thumbprint}
