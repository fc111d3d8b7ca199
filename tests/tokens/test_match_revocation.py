"""Tokens that were obtained under a certificate end with each of its matches: by its key, by a name, by its subject."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from django.contrib.auth.models import User

from securecore import clock, identity, tokens
from securecore.grants import triggers
from securecore.identity import Match, enroll, enroll_match, match_of, parse_pem
from securecore.models import Certificate, CertificateIdentifier, RefreshFamily, Session
from securecore.purge import purge
from securecore.revocation import end_sessions, revoke_certificate
from securecore.testing import Authority, Issued, MutualTLSClient
from securecore.testing.authority import DAY
from securecore.tokens import refresh
from tests.tokens.calls import error_of, given, post, prove, works
from tests.tokens.calls import refresh as refreshed

pytestmark = [pytest.mark.django_db, pytest.mark.urls("tests.tokens.urls")]

MODES = ("public-key", "san-uri", "san-email", "san-dns", "subject")
INVALID_GRANT = (400, "invalid_grant")
KEY = ec.generate_private_key(ec.SECP256R1())


class Holder:
    """Alice with a certificate that is enrolled by its thumbprint."""

    def __init__(self, ca: Authority, name: str, **names: Any) -> None:
        self.issued: Issued = ca.issue(name, **names)
        self.certificate = parse_pem(self.issued.pem)
        user, _ = User.objects.get_or_create(username="alice")
        enroll(certificate=self.certificate, user=user, now=clock.now())
        self.client = MutualTLSClient(self.issued)

    def match(self, mode: str) -> Match:
        return match_of(self.certificate, mode)

    def revoke(self, mode: str) -> None:
        revoke_certificate(thumbprint=self.match(mode).identifier)


@pytest.fixture(autouse=True)
def matching(configure: Any) -> None:
    configure(CERTIFICATE_MATCHES=MODES)


@pytest.fixture
def old(ca: Authority) -> Holder:
    names: dict[str, Any] = {"dns_names": ["old.example"], "uris": ["spiffe://example/old"], "emails": ["old@example"]}
    return Holder(ca, "old", key=KEY, **names)


@pytest.fixture
def new(ca: Authority) -> Holder:
    """A certificate with no name and no key in common with the old one."""
    names: dict[str, Any] = {"dns_names": ["new.example"], "uris": ["spiffe://example/new"], "emails": ["new@example"]}
    return Holder(ca, "new", **names)


def to_the_token_endpoint() -> str:
    return prove("/oauth/token", "POST")


def works_with_a_proof(client: MutualTLSClient, token: str) -> bool:
    return works(client, token, scheme="DPoP", proof=prove("/both", token=token))


def is_active(client: MutualTLSClient, token: str) -> bool:
    return bool(post(client, f"token={token}", "/oauth/introspect").json()["active"])


@pytest.mark.parametrize("mode", MODES)
class TestEveryMode:
    @pytest.mark.parametrize("grant", ["client_credentials", "urn:securecore:grant-type:certificate"])
    def test_every_mode_ends_access_tokens_of_a_proof_key(
        self, old: Holder, new: Holder, mode: str, grant: str
    ) -> None:
        token = given(old.client, grant, proof=to_the_token_endpoint())["access_token"]
        assert works_with_a_proof(new.client, token)
        old.revoke(mode)
        assert not works_with_a_proof(new.client, token)
        assert not is_active(new.client, token)

    def test_every_mode_ends_access_tokens_of_the_certificate_for_other_services(
        self, old: Holder, new: Holder, mode: str
    ) -> None:
        """A service that introspects sees no certificate, so introspection must report its revocation."""
        token = given(old.client)["access_token"]
        assert is_active(new.client, token)
        old.revoke(mode)
        assert not is_active(new.client, token)

    def test_every_mode_ends_families_of_a_proof_key(self, old: Holder, new: Holder, mode: str) -> None:
        held = given(old.client, proof=to_the_token_endpoint())
        old.revoke(mode)
        assert RefreshFamily.objects.get().revoked_at is not None
        answer = refreshed(new.client, held["refresh_token"], proof=to_the_token_endpoint())
        assert error_of(answer) == INVALID_GRANT

    @pytest.mark.parametrize("rotates", [True, False], ids=["rotating", "static"])
    def test_every_mode_ends_families_of_a_registered_client(
        self, old: Holder, new: Holder, register: Any, mode: str, rotates: bool
    ) -> None:
        register("payments", rotates_refresh_tokens=rotates)
        held = given(old.client, client_id="payments")
        old.revoke(mode)
        assert error_of(refreshed(new.client, held["refresh_token"], client_id="payments")) == INVALID_GRANT
        assert not is_active(new.client, held["access_token"])

    def test_every_mode_ends_sessions_of_the_key(self, old: Holder, ca: Authority, configure: Any, mode: str) -> None:
        """The renewed certificate has the same key, so the session goes on, and another name."""
        configure(CERTIFICATE_MATCHES=MODES, SESSION_BINDING="public-key")
        renewed = Holder(ca, "renewed", key=KEY)
        old.client.post("/auth/login")
        renewed.client.cookies = old.client.cookies
        assert renewed.client.get("/auth/sessions").json()["results"]
        old.revoke(mode)
        assert not Session.objects.exists()

    @pytest.mark.parametrize("way", ["insert", "update"])
    def test_every_mode_ends_them_by_sql_too(self, old: Holder, new: Holder, mode: str, way: str) -> None:
        given(old.client, proof=to_the_token_endpoint())
        old.client.post("/auth/login")
        new.client.post("/auth/login")
        match, now = old.match(mode), clock.now()
        if way == "update":
            enroll_match(match=match, user=User.objects.get(), now=now)
            Certificate.objects.filter(pk=match.identifier).update(revoked_at=now)
        else:
            Certificate.objects.create(thumbprint=match.identifier, enrolled_at=now, revoked_at=now)
        assert RefreshFamily.objects.get().revoked_at is not None
        assert [session.certificate for session in Session.objects.all()] == [new.certificate.thumbprint]

    def test_every_mode_ends_them_in_a_database_without_triggers(self, old: Holder, new: Holder, mode: str) -> None:
        triggers.remove()
        given(old.client, proof=to_the_token_endpoint())
        old.client.post("/auth/login")
        new.client.post("/auth/login")
        old.revoke(mode)
        assert RefreshFamily.objects.get().revoked_at is not None
        assert [session.certificate for session in Session.objects.all()] == [new.certificate.thumbprint]

    def test_every_mode_leaves_what_was_obtained_under_another_one(self, old: Holder, new: Holder, mode: str) -> None:
        held = given(new.client, proof=to_the_token_endpoint())
        old.revoke(mode)
        assert works_with_a_proof(new.client, held["access_token"])
        assert given(new.client, "refresh_token", refresh_token=held["refresh_token"], proof=to_the_token_endpoint())

    def test_every_mode_leaves_a_family_that_was_redeemed_under_another_one_since(
        self, old: Holder, new: Holder, register: Any, mode: str
    ) -> None:
        register("payments")
        token = given(old.client, client_id="payments")["refresh_token"]
        given(new.client, "refresh_token", refresh_token=token, client_id="payments")
        old.revoke(mode)
        assert given(new.client, "refresh_token", refresh_token=token, client_id="payments")

    def test_every_mode_ends_a_family_that_was_redeemed_under_one_of_that_name_last(
        self, old: Holder, new: Holder, register: Any, mode: str
    ) -> None:
        register("payments")
        token = given(new.client, client_id="payments")["refresh_token"]
        given(old.client, "refresh_token", refresh_token=token, client_id="payments")
        old.revoke(mode)
        assert error_of(refreshed(new.client, token, client_id="payments")) == INVALID_GRANT

    def test_every_mode_reaches_a_family_that_is_begun_while_it_is_being_revoked(
        self, old: Holder, new: Holder, mode: str
    ) -> None:
        """The request was accepted before the revocation, which did not see its row."""
        old.revoke(mode)
        identity.remember(certificate=old.certificate, now=clock.now())
        how: dict[str, Any] = {"client_id": "alice", "certificate": old.certificate.thumbprint, "binding": ""}
        user = User.objects.get(username="alice")
        family, token = refresh.start(user_id=user.pk, scope="", rotates=True, now=clock.now(), **how)
        assert RefreshFamily.objects.get(pk=family.pk).revoked_at is None
        assert not refresh.is_live(token, clock.now())
        how["certificate"] = new.certificate.thumbprint
        outcome = refresh.redeem(presented_token=token, now=clock.now(), **how)
        assert isinstance(outcome, refresh.NotRedeemed)
        assert outcome.reason == "revoked"


class TestEndSessions:
    def test_end_sessions_of_a_match_ends_those_of_its_certificates(self, old: Holder, new: Holder) -> None:
        old.client.post("/auth/login")
        new.client.post("/auth/login")
        assert end_sessions(thumbprint=old.match("subject").identifier, reason="test") == 1
        assert [session.certificate for session in Session.objects.all()] == [new.certificate.thumbprint]


class TestKey:
    def test_key_is_remembered_without_any_setting(self, old: Holder, new: Holder, configure: Any) -> None:
        """A stolen key is noticed after the tokens were issued. Then an operator enables the match and revokes it."""
        configure(CERTIFICATE_MATCHES=())
        held = given(old.client, proof=to_the_token_endpoint())
        old.client.post("/auth/login")
        configure(CERTIFICATE_MATCHES=("public-key",))
        old.revoke("public-key")
        assert not works_with_a_proof(new.client, held["access_token"])
        answer = refreshed(new.client, held["refresh_token"], proof=to_the_token_endpoint())
        assert error_of(answer) == INVALID_GRANT
        assert not Session.objects.exists()

    def test_key_of_a_self_signed_certificate_is_remembered_and_no_name_of_it(self, old: Holder) -> None:
        import dataclasses

        own = dataclasses.replace(old.certificate, is_verified=False)
        identity.remember(certificate=own, now=clock.now())
        (row,) = CertificateIdentifier.objects.all()
        assert row.identifier == old.match("public-key").identifier


class TestRows:
    def test_rows_are_one_for_each_name_however_much_is_obtained(self, old: Holder) -> None:
        for _ in range(3):
            given(old.client)
            old.client.post("/auth/login")
        rows = CertificateIdentifier.objects.all()
        of_serial = old.certificate.serial_id.hex  # for revocation lists
        assert {row.identifier for row in rows} == {old.match(mode).identifier for mode in MODES} | {of_serial}
        assert len(rows) == len(MODES) + 1
        assert {row.certificate for row in rows} == {old.certificate.thumbprint}

    def test_rows_outlive_what_is_obtained_at_the_last_moment_and_are_purged_then(
        self, old: Holder, configure: Any
    ) -> None:
        configure(CERTIFICATE_MATCHES=MODES, REFRESH_ABSOLUTE_TIMEOUT=30 * 86_400)
        given(old.client)
        last = old.certificate.not_after + 30 * DAY
        purge(now=last)
        assert CertificateIdentifier.objects.count() == len(MODES) + 1
        purge(now=last + DAY)
        assert not CertificateIdentifier.objects.exists()

    def test_rows_follow_a_timeout_that_was_made_longer(self, old: Holder, configure: Any) -> None:
        given(old.client)
        before = {row.expires_at for row in CertificateIdentifier.objects.all()}
        configure(CERTIFICATE_MATCHES=MODES, REFRESH_ABSOLUTE_TIMEOUT=30 * 86_400)
        given(old.client)
        assert {row.expires_at - dt.timedelta(days=16) for row in CertificateIdentifier.objects.all()} == before

    def test_rows_are_read_in_the_one_statement(self, old: Holder, new: Holder, django_assert_num_queries: Any) -> None:
        token = given(old.client, proof=to_the_token_endpoint())["access_token"]
        with django_assert_num_queries(2):  # the proof; everything else
            assert works_with_a_proof(new.client, token)


def test_tokens_from_before_know_the_thumbprint_as_they_did(old: Holder, new: Holder, now: Any) -> None:
    """A host without this feature issued them and stored no matches. Revoking the certificate
    itself still ends them.
    """
    how: dict[str, Any] = {"client_id": "alice", "binding": "jkt:key", "certificate": old.certificate.thumbprint}
    encoded, _ = tokens.issue(subject=str(User.objects.get().pk), now=now, **how)
    assert is_active(new.client, encoded)
    revoke_certificate(thumbprint=old.certificate.thumbprint)
    assert not is_active(new.client, encoded)
