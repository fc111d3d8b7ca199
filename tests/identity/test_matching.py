"""Certificates that match by their key, or by a name from their issuer: which are accepted, and which are not."""

from __future__ import annotations

import dataclasses
import datetime as dt
from collections.abc import Callable
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from django.contrib.auth.models import User

from securecore import caller
from securecore.errors import CertificateNamesRefused, CertificateNotVerified, CertificateRevoked, Misuse
from securecore.events import RequestRefused
from securecore.identity import (
    Certificate,
    ClientCertificate,
    Match,
    enroll,
    enroll_match,
    identifiers,
    match_of,
    parse_pem,
    revoke,
)
from securecore.purge import purge
from securecore.testing import Authority, MutualTLSClient
from securecore.testing.authority import DAY
from tests.events.recorder import of_kind, recorded

pytestmark = pytest.mark.django_db

MODES = ("public-key", "san-uri", "san-email", "san-dns", "subject")
KEY = ec.generate_private_key(ec.SECP256R1())


@pytest.fixture
def alice() -> User:
    return User.objects.create(username="alice")


@pytest.fixture
def bob() -> User:
    return User.objects.create(username="bob")


@pytest.fixture
def matching(settings: Any) -> Callable[..., None]:
    def matching(*modes: str) -> None:
        settings.SECURECORE = {**settings.SECURECORE, "CERTIFICATE_MATCHES": modes}

    return matching


def certificate(by: Authority, **changed: Any) -> ClientCertificate:
    """A certificate with one name of each kind."""
    names: dict[str, Any] = {
        "dns_names": ["a.example"],
        "uris": ["spiffe://example/alice"],
        "emails": ["alice@example.org"],
    }
    return parse_pem(by.issue(changed.pop("common_name", "alice"), **{"key": KEY, **names, **changed}).pem)


@pytest.mark.parametrize("mode", MODES)
class TestEveryMode:
    def test_every_mode_a_renewed_certificate_keeps_its_user(
        self, ca: Authority, alice: User, matching: Callable[..., None], now: dt.datetime, mode: str
    ) -> None:
        matching(mode)
        enroll_match(match=match_of(certificate(ca), mode), user=alice, now=now)
        first, second = certificate(ca), certificate(ca)
        assert first.thumbprint != second.thumbprint
        assert caller.user_of_certificate(first) == caller.user_of_certificate(second) == alice

    def test_every_mode_holds_while_the_settings_have_it(
        self, ca: Authority, alice: User, matching: Callable[..., None], now: dt.datetime, mode: str
    ) -> None:
        enroll_match(match=match_of(certificate(ca), mode), user=alice, now=now)
        assert caller.user_of_certificate(certificate(ca)) is None
        matching(*(other for other in MODES if other != mode))
        assert caller.user_of_certificate(certificate(ca)) is None

    def test_every_mode_is_about_one_issuer(
        self, ca: Authority, alice: User, matching: Callable[..., None], now: dt.datetime, mode: str
    ) -> None:
        """Another trusted authority can write the same names. Only the holder has the key, so a key needs no issuer."""
        matching(mode)
        enroll_match(match=match_of(certificate(ca), mode), user=alice, now=now)
        other = certificate(Authority("Another CA"))
        assert caller.user_of_certificate(other) == (alice if mode == "public-key" else None)

    def test_every_mode_is_about_one_name(
        self, ca: Authority, alice: User, matching: Callable[..., None], now: dt.datetime, mode: str
    ) -> None:
        matching(mode)
        enroll_match(match=match_of(certificate(ca), mode), user=alice, now=now)
        others: dict[str, dict[str, Any]] = {
            "public-key": {"key": ec.generate_private_key(ec.SECP256R1())},
            "san-uri": {"uris": ["spiffe://example/alice/"]},
            "san-email": {"emails": ["Alice@example.org"]},
            "san-dns": {"dns_names": ["b.example"]},
            "subject": {"common_name": "alice "},
        }
        assert caller.user_of_certificate(certificate(ca, **others[mode])) is None

    def test_every_mode_of_what_nobody_vouches_for_says_nothing(
        self, ca: Authority, alice: User, matching: Callable[..., None], now: dt.datetime, mode: str
    ) -> None:
        """The holder of a self-signed certificate can write any name into it."""
        matching(mode)
        enroll_match(match=match_of(certificate(ca), mode), user=alice, now=now)
        own = dataclasses.replace(certificate(ca), is_verified=False)
        enroll(certificate=own, user=None, now=now, is_self_signed=True)
        assert caller.user_of_certificate(own) is None

    def test_every_mode_that_is_revoked_refuses(
        self, ca: Authority, alice: User, matching: Callable[..., None], now: dt.datetime, mode: str
    ) -> None:
        matching(*MODES)
        row = enroll_match(match=match_of(certificate(ca), mode), user=alice, now=now)
        enrolled = certificate(ca)
        enroll(certificate=enrolled, user=alice, now=now)
        revoke(thumbprint=row.pk, now=now)
        for each in (certificate(ca), enrolled):
            with pytest.raises(CertificateRevoked):
                caller.user_of_certificate(each)

    def test_every_mode_does_not_bring_a_revoked_certificate_back(
        self, ca: Authority, alice: User, matching: Callable[..., None], now: dt.datetime, mode: str
    ) -> None:
        matching(mode)
        enroll_match(match=match_of(certificate(ca), mode), user=alice, now=now)
        lost = certificate(ca)
        revoke(thumbprint=lost.thumbprint, now=now)
        with pytest.raises(CertificateRevoked):
            caller.user_of_certificate(lost)
        assert caller.user_of_certificate(certificate(ca)) == alice

    def test_every_mode_is_one_statement(
        self, ca: Authority, alice: User, matching: Callable[..., None], now: dt.datetime, mode: str, request: Any
    ) -> None:
        matching(*MODES)
        enroll_match(match=match_of(certificate(ca), mode), user=alice, now=now)
        with request.getfixturevalue("django_assert_num_queries")(1):
            assert caller.user_of_certificate(certificate(ca)) == alice


class TestTwoUsers:
    def test_two_users_of_one_certificate_are_nobody(
        self, ca: Authority, alice: User, bob: User, matching: Callable[..., None], now: dt.datetime
    ) -> None:
        matching("san-uri", "san-dns")
        enroll_match(match=match_of(certificate(ca), "san-uri"), user=alice, now=now)
        enroll_match(match=match_of(certificate(ca), "san-dns"), user=bob, now=now)
        assert caller.user_of_certificate(certificate(ca)) is None

    def test_two_users_yield_to_the_certificate_s_own_enrolment(
        self, ca: Authority, alice: User, bob: User, matching: Callable[..., None], now: dt.datetime
    ) -> None:
        matching("san-uri")
        enroll_match(match=match_of(certificate(ca), "san-uri"), user=alice, now=now)
        own = certificate(ca)
        enroll(certificate=own, user=bob, now=now)
        assert caller.user_of_certificate(own) == bob

    def test_two_users_cannot_have_one_match(self, ca: Authority, alice: User, bob: User, now: dt.datetime) -> None:
        match = match_of(certificate(ca), "san-uri")
        enroll_match(match=match, user=alice, now=now)
        with pytest.raises(Misuse, match="another user"):
            enroll_match(match=match, user=bob, now=now)

    def test_two_users_that_are_deactivated_are_nobody(
        self, ca: Authority, alice: User, matching: Callable[..., None], now: dt.datetime
    ) -> None:
        matching("subject")
        enroll_match(match=match_of(certificate(ca), "subject"), user=alice, now=now)
        User.objects.update(is_active=False)
        assert caller.user_of_certificate(certificate(ca)) is None


class TestTooManyNames:
    """Each name is one more key to look up. A certificate with too many names is refused whole, so extra names hide
    none.
    """

    @staticmethod
    def of(ca: Authority, names: int, **changed: Any) -> ClientCertificate:
        return certificate(ca, dns_names=[f"h{number}.example" for number in range(names)], **changed)

    @pytest.mark.parametrize("mode", ["public-key", "san-uri", "subject"])
    def test_too_many_names_do_not_hide_a_revoked_key_or_name(
        self, ca: Authority, alice: User, matching: Callable[..., None], now: dt.datetime, mode: str
    ) -> None:
        matching("san-dns", mode)
        revoke(thumbprint=match_of(certificate(ca), mode).identifier, now=now)
        for names, refusal in ((1, CertificateRevoked), (31, CertificateRevoked), (100, CertificateNamesRefused)):
            own = self.of(ca, names)
            enroll(certificate=own, user=alice, now=now)
            with pytest.raises(refusal):
                caller.user_of_certificate(own)

    def test_too_many_names_are_more_than_thirty_two_of_the_kinds_that_count(
        self, ca: Authority, matching: Callable[..., None]
    ) -> None:
        matching("san-dns")
        assert len(identifiers(self.of(ca, 32))) == 33
        with pytest.raises(CertificateNamesRefused):
            identifiers(self.of(ca, 33))
        matching("subject", "public-key", "san-uri")
        assert len(identifiers(self.of(ca, 100))) == 4

    def test_too_many_names_do_not_matter_without_matches(self, ca: Authority, alice: User, now: dt.datetime) -> None:
        own = self.of(ca, 100)
        enroll(certificate=own, user=alice, now=now)
        assert caller.user_of_certificate(own) == alice

    def test_too_many_names_are_told_and_reported(
        self, ca: Authority, alice: User, matching: Callable[..., None], now: dt.datetime
    ) -> None:
        matching("san-dns")
        issued = ca.issue("alice", dns_names=[f"h{number}.example" for number in range(100)])
        enroll(certificate=parse_pem(issued.pem), user=alice, now=now)
        with recorded() as events:
            answer = MutualTLSClient(issued).post("/auth/login")
        assert (answer.status_code, answer.json()["code"]) == (403, "certificate-names-refused")
        (refused,) = of_kind(events, RequestRefused)
        assert refused.thumbprint == parse_pem(issued.pem).thumbprint


class TestKeyOfASelfSignedCertificate:
    """The handshake proves the key of every certificate. So a revoked key is refused in a
    self-signed certificate too.
    """

    def test_key_of_a_self_signed_certificate_that_is_revoked_refuses(
        self, ca: Authority, alice: User, matching: Callable[..., None], now: dt.datetime
    ) -> None:
        own = dataclasses.replace(certificate(ca), is_verified=False)
        enroll(certificate=own, user=alice, now=now, is_self_signed=True)
        matching("public-key", "subject")
        assert caller.user_of_certificate(own) == alice
        revoke(thumbprint=match_of(own, "subject").identifier, now=now)
        assert caller.user_of_certificate(own) == alice
        revoke(thumbprint=match_of(own, "public-key").identifier, now=now)
        with pytest.raises(CertificateRevoked):
            caller.user_of_certificate(own)

    def test_key_of_a_self_signed_certificate_vouches_for_nobody(
        self, ca: Authority, alice: User, matching: Callable[..., None], now: dt.datetime
    ) -> None:
        matching("public-key")
        own = dataclasses.replace(certificate(ca), is_verified=False)
        enroll_match(match=match_of(own, "public-key"), user=alice, now=now)
        with pytest.raises(CertificateNotVerified):
            caller.user_of_certificate(own)


class TestMatch:
    def test_match_hosts_are_compared_without_regard_to_case(self, ca: Authority) -> None:
        one, other = (
            certificate(ca, dns_names=[name], emails=[f"alice@{name}"]) for name in ("a.example", "A.Example")
        )
        for mode in ("san-dns", "san-email"):
            assert match_of(one, mode) == match_of(other, mode)

    def test_match_identifiers_do_not_run_together(self) -> None:
        made = {Match(*parts).identifier for parts in (("ab", "c", "d"), ("a", "bc", "d"), ("ab", "cd", ""))}
        assert len(made) == 3
        assert {len(identifier) for identifier in made} == {43}

    @pytest.mark.parametrize(
        "match", [Match("san-uri", "", "spiffe://a/b"), Match("subject", "CN=x", ""), Match("public-key", "CN=x", "y")]
    )
    def test_match_that_is_no_name_of_anybody_is_not_enrolled(
        self, alice: User, now: dt.datetime, match: Match
    ) -> None:
        with pytest.raises(Misuse):
            enroll_match(match=match, user=alice, now=now)

    @pytest.mark.parametrize("names", [[], ["spiffe://a/b", "spiffe://a/c"]])
    def test_match_must_be_the_only_one_to_be_taken(self, ca: Authority, names: list[str]) -> None:
        with pytest.raises(Misuse, match=str(len(names))):
            match_of(certificate(ca, uris=names), "san-uri")

    def test_match_outlives_a_purge(self, ca: Authority, alice: User, now: dt.datetime) -> None:
        enroll_match(match=match_of(certificate(ca), "subject"), user=alice, now=now)
        purge(now=now + 4000 * DAY)
        assert Certificate.objects.count() == 1
