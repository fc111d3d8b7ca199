"""Every operation of every page: permission, confirmation, effect, message, log of actions and audit."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator
from typing import Any

import pytest
from django.contrib.admin.models import LogEntry
from django.core.management import call_command
from django.db import DatabaseError, connection
from django.test import RequestFactory

from securecore.admin.operations import Change
from securecore.grants import principal_of
from securecore.models import AuditRow
from tests.admin.operator import ROOT, Operator, told
from tests.admin.records import Records, operations, pages

pytestmark = pytest.mark.django_db

EVERY = pytest.mark.parametrize(("model", "name"), operations())


def permission_of(model: str, name: str) -> str:
    page = pages()[model]
    operation = getattr(page, name).operation
    return page.permission_named(operation.permission).removeprefix("securecore.")


def asked(operator: Operator, records: Records, model: str, name: str, step: str) -> Any:
    """Send an operation with everything that its form needs."""
    operation = getattr(pages()[model], name).operation
    fields = records.fields_of(model, operation)
    if not operation.needs_rows:
        return operator.fill(model, name, step=step, **fields)
    more = {"step": step} if step == "confirmed" else {}
    return operator.select(model, name, records.row_for(model, operation).pk, **fields, **more)


def everything() -> str:
    """Return the rows of all tables, without sessions: the operator's own one changes at each request."""
    tables = sorted(connection.introspection.table_names())
    left_out = {"securecore_session", "django_admin_log"}
    return "\n".join(itertools.chain.from_iterable(map(_rows, (name for name in tables if name not in left_out))))


def _rows(table: str) -> Iterator[str]:
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT * FROM {connection.ops.quote_name(table)}")
        yield from sorted(f"{table} {row}" for row in cursor.fetchall())


@EVERY
def test_operation_is_permitted_confirmed_recorded_and_atomic(
    records: Records, model: str, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    page, permission = pages()[model], permission_of(model, name)
    operation = getattr(page, name).operation
    every = {permission_of(*each) for each in operations()}
    stranger = Operator(f"view_{model}", *every - {permission}, name="stranger")
    operator = Operator(f"view_{model}", permission)
    row = page.model._default_manager.get(pk=records.row_for(model, operation).pk)
    before, last = everything(), AuditRow.objects.latest("id").id

    assert asked(stranger, records, model, name, "confirmed").status_code == 403
    assert everything() == before

    if operation.needs_rows:
        asking = asked(operator, records, model, name, "")
        assert asking.context["rows"] == [(row.pk, page.named(row))]
        assert f"securecore.{permission}" in asking.content.decode()
        assert everything() == before

    with monkeypatch.context() as context:
        context.setattr(LogEntry.objects, "create", _fail)
        with pytest.raises(DatabaseError, match="disk is full"):
            asked(operator, records, model, name, "confirmed")
    assert everything() == before
    assert not LogEntry.objects.exists()

    response = asked(operator, records, model, name, "confirmed")
    assert response.status_code == 302, told(operator.client, response)
    [message] = told(operator.client, response)
    assert not message.startswith("0 ")
    assert not re.match("[a-z]+:", message), "Django would print User:7"
    assert not re.search(r"\b1 (\w+s |were)|\b0 ", message), "one row is no plural, and none is not worth a word"
    assert everything() != before
    written = AuditRow.objects.filter(id__gt=last)
    assert {(row.actor_kind, row.actor, row.reason) for row in written} == {
        ("admin", principal_of(operator.user), "ticket 99")
    }
    entries = LogEntry.objects.all()
    assert len(entries) == len(written)
    assert {entry.user for entry in entries} == {operator.user}
    assert all("ticket 99" in entry.change_message for entry in entries)


def _fail(**_: Any) -> None:
    raise DatabaseError("the disk is full")


@pytest.mark.parametrize("model", pages())
def test_page_names_each_operation_with_its_permission(records: Records, model: str) -> None:
    shown = Operator(f"view_{model}").get(model).content.decode()
    for each in pages()[model].every_operation():
        assert each.label in shown
        assert pages()[model].permission_named(each.permission) in shown
    assert ">may</td>" not in shown


@pytest.mark.parametrize("model", pages())
def test_row_is_shown_and_never_changed(records: Records, model: str) -> None:
    row, operator = records.rows[model], Operator(f"view_{model}")
    url = f"{ROOT}{model}/{row.pk}/change/"
    assert operator.client.get(url, follow=True).status_code == 200
    assert operator.client.post(url, {"_save": "yes"}).status_code in (302, 403)
    assert operator.client.post(f"{ROOT}{model}/{row.pk}/delete/", {"post": "yes"}).status_code == 403


@pytest.mark.parametrize("model", pages())
def test_staff_without_a_permission_see_nothing(records: Records, model: str) -> None:
    stranger = Operator("view_user")
    for below in ("", f"{records.rows[model].pk}/change/", "add/", "operation/revoke_tokens/"):
        assert stranger.client.get(f"{ROOT}{model}/{below}").status_code == 403
    assert stranger.client.post(f"{ROOT}{model}/", {"action": "revoke", "_selected_action": "1"}).status_code == 403


def test_harm_of_a_form_is_confirmed(records: Records) -> None:
    operator = Operator("add_lockout", "add_grant", "delete_refreshfamily")
    before = everything()
    named = {"kind": "user", "name": "bob", "reason": "ticket 4711"}
    locked = operator.fill("lockout", step="ask", **named, lasts="3600")
    denied = operator.fill("grant", step="ask", **named, permission="things.make", denies="on")
    revoked = operator.fill("refreshfamily", "revoke_tokens", step="ask", user="bob")
    for page in (locked, denied, revoked):
        assert "bob" in page.context["harm"]
        assert 'type="hidden" name="reason"' in page.content.decode()
    assert everything() == before


def test_name_that_may_be_misspelt_is_confirmed(records: Records) -> None:
    operator = Operator("add_grant", "add_lockout")
    before = everything()
    named = {"kind": "user", "name": "bob"}
    typo = operator.fill("grant", step="ask", **named, permission="things.mkae")
    assert "No view names the permission things.mkae" in typo.context["harm"]
    assert "Did you mean things.make?" in typo.context["harm"]
    client = {"kind": "client", "name": "paymentz"}
    for page in (
        operator.fill("grant", step="ask", **client, permission="things.make"),
        operator.fill("lockout", step="ask", **client, lasts="3600", reason="ticket 4711"),
    ):
        assert "Did you mean payments?" in page.context["harm"]
    assert everything() == before
    assert operator.fill("grant", step="ask", **named, permission="things.make").status_code == 302


def test_log_of_a_row_is_its_history(records: Records) -> None:
    operator = Operator(is_superuser=True)
    operator.confirm("grant", "revoke", records.rows["grant"].pk, reason="ticket 4711")
    page = operator.client.get(f"{ROOT}grant/{records.rows['grant'].pk}/history/")
    assert "Revoke: ticket 4711 [grants.grant-revoked]" in page.content.decode()


def test_more_rows_than_a_page_are_refused(records: Records) -> None:
    operator = Operator(is_superuser=True)
    for number in range(101):
        call_command("securecore_lock", "add", "--client", f"c{number}", "--reason", "x", verbosity=0)
    everyone = {"action": "lift", "_selected_action": ["service:c1"], "select_across": "1"}
    [message] = told(operator.client, operator.client.post(f"{ROOT}lockout/", everyone))
    assert message == "Lift: select at most 100 rows at a time. Nothing was done."


@pytest.mark.parametrize(
    ("model", "name", "told_last"),
    [
        ("certificate", "revoke", "0 certificates were revoked. 1 was revoked already."),
        ("client", "disable", "0 clients were disabled. 1 was disabled already."),
        ("refreshfamily", "revoke", "0 authorizations were revoked. 1 was revoked already."),
        ("signaturekey", "revoke_keys", "0 keys were revoked. 1 was revoked already."),
    ],
)
def test_row_that_another_operator_has_changed_is_told_apart(
    records: Records, model: str, name: str, told_last: str
) -> None:
    request = RequestFactory().post("/")
    request.user = Operator(is_superuser=True).user
    page, operation = pages()[model], getattr(pages()[model], name).operation
    told_each = [operation.run(page, Change(request, operation, [records.rows[model]], {})) for _ in range(2)]
    assert told_each[0].startswith("1 ")
    assert told_each[1] == told_last
