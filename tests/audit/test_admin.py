"""The audit in the admin: read-only, found by user name, thumbprint and request id."""

from __future__ import annotations

import pytest
from django.contrib.auth.models import User

from securecore import audit, clock, grants
from securecore.audit.models import AuditRow
from securecore.grants import principal_of
from securecore.revocation import revoke_certificate
from tests.admin.operator import Operator

pytestmark = pytest.mark.django_db(transaction=True)

ROWS = "/admin/securecore/auditrow/"


@pytest.fixture
def operator(users: dict[str, User]) -> Operator:
    operator = Operator(is_superuser=True)
    with audit.acting(audit.Actor(kind="user", name="user:0", request_id="r" * 32)):
        grants.grant(principal=principal_of(users["alice"]), permission="things.make", now=clock.now())
    revoke_certificate(thumbprint=users["bob"].certificates.get().pk)
    return operator


def shown(operator: Operator, query: str) -> list[str]:
    return [row.event.rpartition(".")[2] for row in operator.rows("auditrow", query)]


def test_search_finds_rows_by_user_certificate_request_and_event(operator: Operator, users: dict[str, User]) -> None:
    thumbprint = users["bob"].certificates.get().pk
    assert shown(operator, "alice") == ["grant-given"]
    assert shown(operator, thumbprint)[0] == shown(operator, f"certificate:{thumbprint}")[0] == "certificate-revoked"
    assert shown(operator, "r" * 32) == ["grant-given"]
    assert set(shown(operator, "securecore.identity.certificate-revoked")) == {"certificate-revoked"}
    assert set(shown(operator, "certificate-revoked")) == {"certificate-revoked"}
    assert shown(operator, "nobody") == []


@pytest.mark.parametrize("path", ["add/", "{pk}/delete/", "{pk}/change/"])
def test_rows_are_read_only(operator: Operator, path: str) -> None:
    row = AuditRow.objects.latest("id")
    response = operator.client.post(ROWS + path.format(pk=row.pk), {"actor": "nobody", "post": "yes"})
    assert response.status_code == 403
    assert AuditRow.objects.get(pk=row.pk).actor == row.actor


def test_row_is_shown_whole(operator: Operator) -> None:
    row = AuditRow.objects.filter(event="securecore.identity.certificate-revoked").get()
    page = operator.client.get(f"{ROWS}{row.pk}/change/").content.decode()
    assert all(text in page for text in (row.event, row.subject, "sessions_ended"))


def test_action_of_an_operator_names_the_operator(operator: Operator, users: dict[str, User]) -> None:
    thumbprint = users["carol"].certificates.get().pk
    operator.confirm("certificate", "revoke", thumbprint, reason="ticket 4711")
    row = AuditRow.objects.latest("id")
    own = principal_of(operator.user)
    assert (row.event, row.actor_kind, row.actor) == ("securecore.identity.certificate-revoked", "admin", own)
    assert row.reason == "ticket 4711"


def test_counts_of_refusals_are_shown(operator: Operator) -> None:
    audit.refusal_counts.take()
    audit.refusal_counts.count(code="nonce-reused", reason="r", route="/x")
    audit.refusal_counts.flush()
    assert "nonce-reused" in operator.client.get("/admin/securecore/refusalcount/").content.decode()
