"""The audit in the admin: read-only, found by user name, thumbprint and request id."""

from __future__ import annotations

from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client

from securecore import audit, clock, grants
from securecore.audit.models import AuditRow
from securecore.grants import principal_of
from securecore.revocation import revoke_certificate
from securecore.testing import MutualTLSClient

pytestmark = pytest.mark.django_db(transaction=True)

ROWS = "/admin/securecore/auditrow/"


@pytest.fixture
def operator(users: dict[str, User]) -> Client:
    user = User.objects.create_superuser("operator")
    client = MutualTLSClient()
    client.force_login(user, backend="django.contrib.auth.backends.ModelBackend")
    with audit.acting(audit.Actor(kind="user", name="user:0", request_id="r" * 32)):
        grants.grant(principal=principal_of(users["alice"]), permission="things.make", now=clock.now())
    revoke_certificate(thumbprint=users["bob"].certificates.get().pk)
    return client


def shown(operator: Client, query: str) -> list[str]:
    page = operator.get(ROWS, {"q": query})
    assert page.status_code == 200
    return [row.event.rpartition(".")[2] for row in page.context["cl"].result_list]


def test_search_finds_rows_by_user_certificate_request_and_event(operator: Client, users: dict[str, User]) -> None:
    thumbprint = users["bob"].certificates.get().pk
    assert shown(operator, "alice") == ["grant-given"]
    assert shown(operator, thumbprint)[0] == shown(operator, f"certificate:{thumbprint}")[0] == "certificate-revoked"
    assert shown(operator, "r" * 32) == ["grant-given"]
    assert set(shown(operator, "securecore.identity.certificate-revoked")) == {"certificate-revoked"}
    assert shown(operator, "nobody") == []


@pytest.mark.parametrize("path", ["add/", "{pk}/delete/", "{pk}/change/"])
def test_rows_are_read_only(operator: Client, path: str) -> None:
    row = AuditRow.objects.latest("id")
    response = operator.post(ROWS + path.format(pk=row.pk), {"actor": "nobody", "post": "yes"})
    assert response.status_code == 403
    assert AuditRow.objects.get(pk=row.pk).actor == row.actor


def test_row_is_shown_whole(operator: Client) -> None:
    row = AuditRow.objects.filter(event="securecore.identity.certificate-revoked").get()
    page = operator.get(f"{ROWS}{row.pk}/change/").content.decode()
    assert all(text in page for text in (row.event, row.subject, "sessions_ended"))


def test_action_of_an_operator_names_the_operator(operator: Client, users: dict[str, User]) -> None:
    thumbprint = users["carol"].certificates.get().pk
    chosen: dict[str, Any] = {"action": "revoke", "_selected_action": [thumbprint]}
    operator.post("/admin/securecore/certificate/", chosen)
    row = AuditRow.objects.latest("id")
    own = principal_of(User.objects.get(username="operator"))
    assert (row.event, row.actor_kind, row.actor) == ("securecore.identity.certificate-revoked", "admin", own)


def test_counts_of_refusals_are_shown(operator: Client) -> None:
    audit.refusal_counts.take()
    audit.refusal_counts.count(code="nonce-reused", reason="r", route="/x")
    audit.refusal_counts.flush()
    assert "nonce-reused" in operator.get("/admin/securecore/refusalcount/").content.decode()
