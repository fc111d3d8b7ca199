"""One box finds a record by each name that an operator has; and no query of a list reads a whole table."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from typing import Any
from urllib.parse import quote

import pytest
from django.contrib.auth.models import Group, User
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from securecore import clock, grants
from securecore.admin import bounded_lists, certificates, columns
from securecore.admin.operation_pages import OperationPages
from securecore.grants import principal_of, principals
from securecore.identity import parse_pem
from securecore.identity.certificates import serial_id
from securecore.models import Certificate, Grant, ListedCertificate, Session
from securecore.revocation import revoke_certificate
from tests.admin.operator import ROOT, Operator, told
from tests.admin.records import Records, pages, session_of

pytestmark = pytest.mark.django_db


@pytest.fixture
def operator() -> Operator:
    return Operator(is_superuser=True)


@pytest.fixture
def alice(records: Records) -> User:
    records.alice.email = "Alice@bank.example"
    records.alice.save()
    certificate = records.rows["certificate"]
    Session.objects.filter(user=records.alice).update(certificate=certificate.pk)
    return records.alice


NAMED = {
    "certificate": ("alice", "alice@bank.example"),
    "session": ("alice", "alice@BANK.example"),
    "refreshfamily": ("alice", "alice@bank.example", "payments"),
    "client": ("alice", "alice@bank.example", "payments", "pay"),
    "grant": ("alice", "alice@bank.example", "things.make"),
    "signaturekey": ("alice", "alice@bank.example", "k1"),
    "auditrow": ("alice", "alice@bank.example", "grant-given", "securecore.grants.grant-given"),
    "lockout": ("partner", "service:partner", "ticket 17"),
    "refusalcount": ("nonce-reused", "/x"),
    "revocationlist": ("CN=Mesh CA", "Mesh"),
}


@pytest.mark.parametrize("model", NAMED)
@pytest.mark.usefixtures("alice")
def test_row_is_found_by_each_of_its_names(records: Records, operator: Operator, model: str) -> None:
    for text in NAMED[model]:
        assert records.rows[model].pk in {row.pk for row in operator.rows(model, text)}, text
        assert not operator.rows(model, f"{text} no")


SPELLINGS: list[Callable[[str], str]] = [
    lambda thumbprint: thumbprint,
    lambda thumbprint: f"sha256 Fingerprint={columns.hexadecimal(thumbprint)}",
    lambda thumbprint: columns.hexadecimal(thumbprint).replace(":", "").lower(),
]


def test_thumbprint_is_found_in_each_spelling(records: Records, alice: User, operator: Operator) -> None:
    thumbprint = records.rows["certificate"].pk
    grants.grant(principal=principals.certificate(thumbprint), permission="things.make", now=clock.now())
    for spell in SPELLINGS:
        for model, count in {"certificate": 1, "session": 1, "grant": 1, "auditrow": 2}.items():
            assert len(operator.rows(model, spell(thumbprint))) == count, (model, spell(thumbprint))


def test_certificate_without_a_row_is_named_with_its_state(records: Records, alice: User, operator: Operator) -> None:
    """An operator compares the thumbprint of a stolen certificate: "nothing is named" would read as mistyped."""
    certificate = records.rows["certificate"]
    thumbprint = certificate.pk
    revoke_certificate(thumbprint=thumbprint)
    at = timezone.localtime(Certificate.objects.get(pk=thumbprint).revoked_at)
    named = f"The certificate {certificate.subject} (alice), revoked {at:%Y-%m-%d %H:%M:%S}, has no"
    for spell in SPELLINGS:
        for model, rows in {"session": "live session", "grant": "grant in this list"}.items():
            page = operator.get(model, spell(thumbprint))
            assert not page.context["cl"].result_count
            assert [str(each) for each in page.context["messages"]] == [f"{named} {rows}."]
    [unknown] = operator.get("session", "A" * 42 + "E").context["messages"]
    assert str(unknown) == "This thumbprint is of no certificate that securecore knows, and has no live session."
    Session.objects.filter(user=alice).delete()
    [empty] = operator.get("session", "alice").context["messages"]
    assert str(empty) == "The user alice has no live session."


def test_serial_number_is_found_in_each_spelling(records: Records, operator: Operator) -> None:
    row: Certificate = records.rows["pending"]
    serial = row.serial_number
    spelled = (serial, serial.upper(), f"serial=0{serial.upper()}", ":".join(serial))
    for text in spelled:
        assert [found.pk for found in operator.rows("certificate", text)] == [row.pk], text
    listed = records.rows["revocationlist"]
    certificate = serial_id(listed.issuer, serial)
    ListedCertificate.objects.create(certificate=certificate, revocation_list=listed, revoked_at=clock.now(), reason=1)
    for text in spelled:
        assert [found.pk for found in operator.rows("revocationlist", text)] == [listed.pk], text


def test_grants_are_found_by_group_and_role(records: Records, operator: Operator) -> None:
    group = Group.objects.create(name="Tellers")
    for principal in (principals.group(group), principals.role("teller")):
        grants.grant(principal=principal, permission="accounts.read", now=clock.now())
    assert [row.principal for row in operator.rows("grant", "Tellers")] == [principals.group(group)]
    assert [row.principal for row in operator.rows("grant", "teller")] == ["role:teller"]


def test_grant_names_its_giver_and_reason(records: Records, alice: User, operator: Operator) -> None:
    operator.fill("grant", kind="user", name="bob", permission="things.make", reason="ticket 99")
    [of_bob], [of_alice] = operator.rows("grant", "bob"), operator.rows("grant", "alice")
    assert (of_bob.giver, of_bob.giving_reason) == ("operator", "ticket 99")
    assert (of_alice.giver, of_alice.giving_reason) == ("bob", "ticket 4711")
    revoked = operator.confirm("grant", "revoke", of_bob.pk)
    assert revoked == ["1 grant was revoked."]
    operator.fill("grant", kind="user", name="bob", permission="things.make", reason="ticket 100")
    assert [row.giving_reason for row in operator.rows("grant", "bob", state="revoked")] == ["ticket 99"]
    assert [row.giving_reason for row in operator.rows("grant", "bob")] == ["ticket 100"]


def test_changed_limits_are_in_force_at_once(records: Records, alice: User, operator: Operator) -> None:
    until = clock.now() + dt.timedelta(days=2)
    limits = {"uses_limit": "3", "period": "60", "valid_until": until.strftime("%Y-%m-%d %H:%M")}
    [message] = operator.confirm("grant", "change_limits", records.rows["grant"].pk, **limits)
    assert message.startswith("The limits were changed")
    row = Grant.objects.not_revoked().get(principal=principal_of(alice))
    assert (row.uses_limit, row.period, row.valid_until is None) == (3, 60, False)
    [refused] = operator.confirm("grant", "change_limits", row.pk, period="60")
    assert "period says when a limit begins again" in refused
    assert Grant.objects.not_revoked().get(principal=principal_of(alice)).pk == row.pk


MISTAKES: list[tuple[str, dict[str, str], str]] = [
    ("grant", {"kind": "user", "name": "nobody", "permission": "x.y"}, "There is no user 'nobody'."),
    ("grant", {"kind": "user", "name": "bob", "permission": "x.y", "object": "none:1"}, "names no object"),
    ("grant", {"kind": "certificate", "name": "43B8", "permission": "x.y"}, "is no thumbprint"),
    ("grant", {"kind": "user", "name": "alice", "permission": "things.make"}, "already: change the limits"),
    ("lockout", {"kind": "issuer", "name": "O = Bank", "lasts": "3600", "reason": "r"}, "No certificate has the"),
    ("lockout", {"kind": "user", "name": "bob", "lasts": "3600"}, "This field is required."),
    ("lockout", {"kind": "user", "name": "bob", "lasts": "99999999", "reason": "r"}, "Select a valid choice."),
    ("certificate", {"user": "bob", "certificate": "no PEM"}, "certificate"),
    ("refreshfamily", {"user": "bob", "jti": "1"}, "one of the three"),
    ("client", {"client_id": "payments", "user": "bob"}, "is registered already"),
]


def test_mistake_in_a_form_is_an_error_beside_the_field(records: Records, operator: Operator) -> None:
    for model, fields, error in MISTAKES:
        response = operator.fill(model, "revoke_tokens" if model == "refreshfamily" else "add", **fields)
        assert response.status_code == 200, fields
        errors = told(operator.client, response)
        assert any(error in each for each in errors), errors


def test_two_users_with_one_address_are_a_question(records: Records, alice: User, operator: Operator) -> None:
    User.objects.filter(username="bob").update(email=alice.email)
    response = operator.fill("lockout", kind="user", name=alice.email, lasts="3600", reason="r")
    assert told(operator.client, response) == [
        "Several users have the e-mail address 'Alice@bank.example'. Give the user's name."
    ]


class TestBounds:
    def test_list_ends_at_its_bound(self, operator: Operator, records: Records, monkeypatch: Any) -> None:
        monkeypatch.setattr(bounded_lists, "MOST", 3)
        for number in range(5):
            session_of(records.alice, address=f"192.0.2.{number}")
        with CaptureQueriesContext(connection) as queries:
            page = operator.get("session")
        assert page.context["cl"].result_count == 3
        assert "There are more rows." in page.content.decode()
        counts = [each["sql"] for each in queries if "COUNT(" in each["sql"].upper()]
        assert counts
        assert all("LIMIT 4" in each for each in counts)

    def test_part_of_a_text_is_searched_in_the_first_rows(
        self, operator: Operator, records: Records, monkeypatch: Any
    ) -> None:
        monkeypatch.setattr(bounded_lists, "NEWEST", 2)
        hour = dt.timedelta(hours=1)
        for number in range(4):
            ends = clock.now() + hour + dt.timedelta(minutes=number)
            session_of(records.alice, device=f"okhttp/{number}", expires_at=ends, ends_at=ends)
        page = operator.get("session", "okhttp")
        assert [row.device for row in page.context["cl"].result_list] == ["okhttp/3", "okhttp/2"]
        [message] = map(str, page.context["messages"])
        assert message.startswith("These rows have 'okhttp' in address or device.")
        [message] = map(str, operator.get("session", "no such device").context["messages"])
        assert message.startswith("Nothing is named 'no such device'")

    def test_rows_of_a_name_are_read_by_the_index_of_the_name(self, operator: Operator, records: Records) -> None:
        """With the order, PostgreSQL would read the index of the order: seconds for a name whose rows are all old."""
        with CaptureQueriesContext(connection) as queries:
            assert operator.rows("auditrow", "alice")
        statements = [each["sql"] for each in queries if "LIMIT 10001" in each["sql"] and "COUNT(" not in each["sql"]]
        assert len(statements) == 1
        assert "ORDER BY" not in statements[0]

    def test_query_that_takes_too_long_is_ended_and_said(self, operator: Operator, monkeypatch: Any) -> None:
        if connection.vendor != "postgresql":
            pytest.skip("SQLite has no limit of time for a query")
        monkeypatch.setattr(bounded_lists, "_LONGEST_QUERY", 50)

        def slow(*_: Any) -> list[Any]:
            with connection.cursor() as cursor:
                cursor.execute("SELECT pg_sleep(5)")
            return []

        monkeypatch.setattr(certificates, "user_keys", slow)
        response = operator.client.get(f"{ROOT}certificate/?q={quote('alice')}")
        [message] = told(operator.client, response)
        assert message.startswith("The database needed more than five seconds")

    @pytest.mark.parametrize("model", pages())
    def test_columns_without_an_index_do_not_sort(self, model: str) -> None:
        page = pages()[model]
        assert (page.sortable_by, page.date_hierarchy, page.show_full_result_count) == ((), None, False)
        assert isinstance(page, OperationPages)

    def test_queries_of_a_list_do_not_grow_with_its_rows(self, operator: Operator, records: Records) -> None:
        for model in ("session", "certificate", "grant", "auditrow", "refreshfamily", "lockout"):
            few = self._queries(operator, model)
            for number in range(5):
                self._add(records, model, number)
            assert self._queries(operator, model) == few, model

    def _queries(self, operator: Operator, model: str) -> int:
        with CaptureQueriesContext(connection) as queries:
            operator.get(model)
        return len(queries)

    def _add(self, records: Records, model: str, number: int) -> None:
        user = User.objects.create(username=f"user {model} {number}")
        if model == "session":
            session_of(user)
        elif model == "certificate":
            presented = parse_pem(records.authority.issue(user.username).pem)
            Certificate.objects.create(thumbprint=presented.thumbprint, user=user, enrolled_at=clock.now())
        else:
            grants.grant(principal=principal_of(user), permission="things.make", now=clock.now())
