from __future__ import annotations

import datetime as dt
from collections.abc import Callable

import pytest
from django.contrib.auth.models import User

from securecore import caller, identity
from securecore.errors import CertificateRevoked, Misuse
from securecore.identity import Certificate, ClientCertificate, enroll, parse_pem
from securecore.testing import Authority, Issued

SECOND = dt.timedelta(seconds=1)


@pytest.fixture
def certificate(certificate_for: Callable[[str], Issued]) -> ClientCertificate:
    return parse_pem(certificate_for("alice").pem)


@pytest.fixture
def alice(enrolled: Callable[[str], User]) -> User:
    return enrolled("alice")


class TestEnroll:
    def test_enroll_maps_the_certificate_to_the_user(self, alice: User, certificate: ClientCertificate) -> None:
        assert caller.user_of_certificate(certificate) == alice

    def test_enroll_keeps_what_the_certificate_says(self, alice: User, certificate: ClientCertificate) -> None:
        row = Certificate.objects.get()
        assert (row.subject, row.issuer, row.serial_number, row.not_after) == (
            certificate.subject,
            certificate.issuer,
            certificate.serial_number,
            certificate.not_after,
        )

    def test_enroll_twice_changes_nothing(self, alice: User, certificate: ClientCertificate, now: dt.datetime) -> None:
        before = Certificate.objects.values().get()
        enroll(certificate=certificate, user=alice, now=now + SECOND)
        assert Certificate.objects.values().get() == before

    def test_enroll_gives_no_certificate_to_another_user(
        self, users: dict[str, User], certificate: ClientCertificate, now: dt.datetime
    ) -> None:
        """Alice's sessions and tokens are bound to the certificate. Another user with it could use them."""
        with pytest.raises(Misuse, match="Revoke it"):
            enroll(certificate=certificate, user=users["bob"], now=now)
        assert Certificate.objects.get(thumbprint=certificate.thumbprint).user == users["alice"]

    def test_enroll_gives_a_user_several_certificates(self, alice: User, ca: Authority, now: dt.datetime) -> None:
        renewed = parse_pem(ca.issue("alice").pem)
        enroll(certificate=renewed, user=alice, now=now)
        assert caller.user_of_certificate(renewed) == alice

    def test_enroll_does_not_believe_a_name(self, alice: User, ca: Authority) -> None:
        """Any authority may write any name, so the thumbprint decides."""
        assert caller.user_of_certificate(parse_pem(ca.issue("alice").pem)) is None

    def test_enroll_brings_no_revoked_certificate_back(
        self, alice: User, certificate: ClientCertificate, now: dt.datetime
    ) -> None:
        identity.revoke(thumbprint=certificate.thumbprint, now=now)
        enroll(certificate=certificate, user=alice, now=now + SECOND)
        with pytest.raises(CertificateRevoked):
            caller.user_of_certificate(certificate)


class TestRevoke:
    def test_revoke_refuses_an_enrolled_certificate(
        self, alice: User, certificate: ClientCertificate, now: dt.datetime
    ) -> None:
        identity.revoke(thumbprint=certificate.thumbprint, now=now)
        with pytest.raises(CertificateRevoked):
            caller.user_of_certificate(certificate)

    @pytest.mark.django_db
    def test_revoke_refuses_a_certificate_never_seen(self, certificate: ClientCertificate, now: dt.datetime) -> None:
        identity.revoke(thumbprint=certificate.thumbprint, now=now)
        with pytest.raises(CertificateRevoked):
            caller.user_of_certificate(certificate)

    def test_revoke_refuses_one_certificate_only(
        self, users: dict[str, User], certificate_for: Callable[[str], Issued], now: dt.datetime
    ) -> None:
        identity.revoke(thumbprint=parse_pem(certificate_for("alice").pem).thumbprint, now=now)
        assert caller.user_of_certificate(parse_pem(certificate_for("bob").pem)) == users["bob"]

    def test_revoke_keeps_the_first_instant(
        self, alice: User, certificate: ClientCertificate, now: dt.datetime
    ) -> None:
        identity.revoke(thumbprint=certificate.thumbprint, now=now)
        identity.revoke(thumbprint=certificate.thumbprint, now=now + SECOND)
        assert Certificate.objects.get().revoked_at == now

    def test_revoke_outlives_the_user(self, alice: User, certificate: ClientCertificate, now: dt.datetime) -> None:
        """A user leaves: an operator revokes the certificate, then deletes the account. The key still exists."""
        identity.revoke(thumbprint=certificate.thumbprint, now=now)
        alice.delete()
        with pytest.raises(CertificateRevoked):
            caller.user_of_certificate(certificate)


class TestUserOfCertificate:
    @pytest.mark.django_db
    def test_user_of_certificate_is_nobody_for_an_unknown_certificate(self, certificate: ClientCertificate) -> None:
        assert caller.user_of_certificate(certificate) is None

    def test_user_of_certificate_is_nobody_for_a_deactivated_user(
        self, alice: User, certificate: ClientCertificate
    ) -> None:
        User.objects.filter(pk=alice.pk).update(is_active=False)
        assert caller.user_of_certificate(certificate) is None

    def test_user_of_certificate_is_nobody_for_a_deleted_user(
        self, alice: User, certificate: ClientCertificate
    ) -> None:
        alice.delete()
        assert caller.user_of_certificate(certificate) is None

    def test_user_of_certificate_asks_once(
        self, alice: User, certificate: ClientCertificate, django_assert_num_queries: Callable[[int], object]
    ) -> None:
        with django_assert_num_queries(1):  # type: ignore[attr-defined]
            caller.user_of_certificate(certificate)
