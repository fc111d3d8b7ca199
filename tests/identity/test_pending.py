"""Certificates without an enrolment wait for an operator. Their number is bounded."""

from __future__ import annotations

from typing import Any

import pytest
from django.contrib.admin.utils import quote
from django.contrib.auth.models import Permission, User
from django.test import Client

from securecore.events import CertificateAdmitted, CertificatePending
from securecore.identity import Certificate, parse_pem
from securecore.testing import Authority, Issued, MutualTLSClient
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

    def operator(self, *permissions: str) -> Client:
        user = User.objects.create_user("operator", is_staff=True)
        user.user_permissions.set(Permission.objects.filter(codename__in=permissions))
        client = MutualTLSClient()
        client.force_login(user, backend="django.contrib.auth.backends.ModelBackend")
        return client

    def admit(self, client: Client, issued: Issued, user: User) -> Any:
        url = f"/admin/securecore/certificate/{quote(parse_pem(issued.pem).thumbprint)}/change/"
        return client.post(url, {"user": user.pk}, follow=True)

    def test_admin_admits_what_waits(self, pending: Issued, alice: User) -> None:
        operator = self.operator("view_certificate", "change_certificate", "view_user")
        listed = operator.get("/admin/securecore/certificate/?enrolled_at__isempty=1")
        assert "CN=new" in listed.content.decode()
        with recorded() as events:
            assert self.admit(operator, pending, alice).status_code == 200
        assert seen(pending).json()["user"] == "alice"
        [admitted] = of_kind(events, CertificateAdmitted)
        assert (admitted.user, admitted.by) == ("alice", f"user:{User.objects.get(username='operator').pk}")

    def test_admin_needs_the_permission(self, pending: Issued, alice: User) -> None:
        assert self.admit(self.operator("view_certificate"), pending, alice).status_code == 403
        assert seen(pending).json()["user"] is None

    def test_admin_changes_nothing_that_is_enrolled(self, users: dict[str, User], certificate_for: Any) -> None:
        operator = self.operator("view_certificate", "change_certificate", "view_user")
        assert self.admit(operator, certificate_for("alice"), users["bob"]).status_code == 403
        assert seen(certificate_for("alice")).json()["user"] == "alice"

    def test_admin_changes_nothing_that_is_revoked(self, pending: Issued, alice: User, now: Any) -> None:
        Certificate.objects.update(revoked_at=now)
        operator = self.operator("view_certificate", "change_certificate", "view_user")
        assert self.admit(operator, pending, alice).status_code == 403
        assert Certificate.objects.get().user is None

    @pytest.mark.django_db(transaction=True)
    @pytest.mark.parametrize(("permission", "status"), [("delete_certificate", 403), ("change_certificate", 200)])
    def test_admin_revokes(self, pending: Issued, permission: str, status: int) -> None:
        operator = self.operator("view_certificate", permission)
        chosen = {"action": "revoke", "_selected_action": [parse_pem(pending.pem).thumbprint]}
        operator.post("/admin/securecore/certificate/", chosen)
        assert seen(pending).status_code == status
