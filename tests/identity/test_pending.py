"""Certificates without an enrolment wait for an operator. Their number is bounded."""

from __future__ import annotations

from typing import Any

import pytest
from django.contrib.auth.models import User

from securecore.events import CertificateAdmitted, CertificatePending
from securecore.identity import Certificate, parse_pem
from securecore.testing import Authority, Issued, MutualTLSClient
from tests.admin.operator import Operator
from tests.events.recorder import of_kind, recorded

pytestmark = [pytest.mark.django_db, pytest.mark.urls("tests.identity.urls")]


@pytest.fixture
def keeps_two(settings: Any) -> None:
    settings.SECURECORE = {**settings.SECURECORE, "PENDING_CERTIFICATES": 2}


def seen(issued: Issued, **defaults: Any) -> Any:
    return MutualTLSClient(issued, **defaults).get("/seen")


@pytest.mark.usefixtures("keeps_two")
class TestPending:
    def test_pending_is_who_came_and_is_nobody(self, ca: Authority) -> None:
        issued = ca.issue("new")
        with recorded() as events:
            assert seen(issued).json()["user"] is None
        row = Certificate.objects.pending().get()
        assert (row.pk, row.subject, row.user) == (parse_pem(issued.pem).thumbprint, "CN=new", None)
        assert [event.subject for event in of_kind(events, CertificatePending)] == ["CN=new"]

    def test_pending_is_kept_once(self, ca: Authority) -> None:
        issued = ca.issue("new")
        with recorded() as events:
            for _ in range(3):
                seen(issued)
        assert Certificate.objects.count() == len(of_kind(events, CertificatePending)) == 1

    def test_pending_is_kept_in_a_bounded_number(self, ca: Authority) -> None:
        for number in range(5):
            seen(ca.issue(f"new {number}"))
        assert Certificate.objects.pending().count() == 2

    def test_pending_is_not_what_nobody_verified(self, ca: Authority, settings: Any) -> None:
        settings.SECURECORE = {**settings.SECURECORE, "CERTIFICATE_MATCHES": ["self-signed"]}
        seen(ca.issue("new"), HTTP_X_SSL_CLIENT_VERIFY="FAILED:self-signed certificate")
        seen(ca.issue("new"), REMOTE_ADDR="203.0.113.9")
        assert not Certificate.objects.exists()

    def test_pending_is_not_who_was_deactivated(self, users: dict[str, User], certificate_for: Any) -> None:
        User.objects.update(is_active=False)
        seen(certificate_for("alice"))
        assert not Certificate.objects.pending().exists()


def test_nothing_is_kept_by_default(ca: Authority) -> None:
    seen(ca.issue("new"))
    assert not Certificate.objects.exists()


@pytest.mark.usefixtures("keeps_two")
class TestAdmin:
    @pytest.fixture
    def pending(self, ca: Authority) -> Issued:
        issued = ca.issue("new")
        seen(issued)
        return issued

    @pytest.fixture
    def alice(self) -> User:
        return User.objects.create(username="alice")

    def admit(self, operator: Operator, issued: Issued, user: User) -> list[str]:
        thumbprint = parse_pem(issued.pem).thumbprint
        return operator.confirm("certificate", "admit", thumbprint, user=user.username)

    def test_admin_admits_what_waits(self, pending: Issued, alice: User) -> None:
        operator = Operator("change_certificate")
        assert [row.subject for row in operator.rows("certificate", state="pending")] == ["CN=new"]
        with recorded() as events:
            assert self.admit(operator, pending, alice) == ["1 certificate was enrolled for alice."]
        assert seen(pending).json()["user"] == "alice"
        [admitted] = of_kind(events, CertificateAdmitted)
        assert (admitted.user, admitted.by) == ("alice", f"user:{operator.user.pk}")

    def test_admin_needs_the_permission(self, pending: Issued, alice: User) -> None:
        thumbprint = parse_pem(pending.pem).thumbprint
        asked = Operator("view_certificate").select("certificate", "admit", thumbprint, step="confirmed", user="alice")
        assert asked.status_code == 403
        assert seen(pending).json()["user"] is None

    def test_admin_changes_nothing_that_is_enrolled(self, users: dict[str, User], certificate_for: Any) -> None:
        told = self.admit(Operator("change_certificate"), certificate_for("alice"), users["bob"])
        assert told[0].startswith("0 certificates were enrolled for bob. 1 was not pending")
        assert seen(certificate_for("alice")).json()["user"] == "alice"

    def test_admin_changes_nothing_that_is_revoked(self, pending: Issued, alice: User, now: Any) -> None:
        Certificate.objects.update(revoked_at=now)
        self.admit(Operator("change_certificate"), pending, alice)
        assert Certificate.objects.get().user is None

    @pytest.mark.django_db(transaction=True)
    @pytest.mark.parametrize(("permission", "status"), [("delete_certificate", 403), ("change_certificate", 200)])
    def test_admin_revokes(self, pending: Issued, permission: str, status: int) -> None:
        operator, thumbprint = Operator("view_certificate", permission), parse_pem(pending.pem).thumbprint
        operator.select("certificate", "revoke", thumbprint, step="confirmed")
        assert seen(pending).status_code == status
