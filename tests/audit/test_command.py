"""``manage.py securecore_audit``."""

from __future__ import annotations

import datetime as dt
import io
import json
import uuid
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core.management import CommandError, call_command
from django.core.management.base import OutputWrapper

from securecore import audit, clock, grants, revocation
from securecore.audit.models import AuditRow
from securecore.events import KeyRetired
from securecore.grants import principal_of
from securecore.models import RefreshFamily, SignatureKey
from tests.audit.test_chain import sql

pytestmark = pytest.mark.django_db


def run(*arguments: str) -> str:
    out = io.StringIO()
    call_command("securecore_audit", *arguments, stdout=out, stderr=io.StringIO())
    return out.getvalue()


def lines(*arguments: str) -> list[Any]:
    return [json.loads(line) for line in run(*arguments).splitlines()]


@pytest.fixture
def alice(users: dict[str, User]) -> str:
    own = principal_of(users["alice"])
    with audit.acting(audit.Actor(kind="user", name=principal_of(users["carol"]), request_id="r" * 32), reason="why"):
        grants.grant(principal=own, permission="things.make", now=clock.now())
    audit.write(KeyRetired(kid="key"))
    return own


def test_list_of_a_user_has_its_keys_and_authorizations(users: dict[str, User]) -> None:
    now, bob = clock.now(), users["bob"]
    SignatureKey.objects.create(keyid="order", user=bob, public_key="x", registered_at=now)
    family = RefreshFamily.objects.create(
        pk=uuid.uuid4(), user=bob, client_id="shop", rotates=True, created_at=now, expires_at=now + dt.timedelta(days=1)
    )
    revocation.revoke_signature_key("order")
    revocation.revoke_family(family.pk)
    events = [row["event"].rpartition(".")[2] for row in lines("list", "--json", "--user", "bob")]
    assert {"signature-key-revoked", "family-revoked"} <= set(events)


def test_list_shows_the_newest_first(alice: str) -> None:
    listed = run("list").splitlines()
    assert "key-retired" in listed[0]
    of_alice = listed[1].split("\t")
    assert of_alice[1:3] == ["securecore.grants.grant-given", f"{alice} (alice)"]
    assert of_alice[3].endswith(" (carol)")
    assert of_alice[4:6] == ["r" * 32, "why"]
    assert json.loads(of_alice[6])["permission"] == "things.make"
    assert len(run("list", "--limit", "1").splitlines()) == 1


def test_a_terminal_shows_the_names_of_the_columns(alice: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(OutputWrapper, "isatty", lambda self: True)
    audit.refusal_counts.count(code="nonce-reused")
    audit.refusal_counts.flush()
    assert run("list").splitlines()[0].split("\t") == [
        *("at", "event", "subject", "actor", "request_id", "reason", "payload")
    ]
    assert run("refusals").splitlines()[0] == "count\tcode\treason"


def test_nothing_counted_says_where_to_look() -> None:
    """In the first minute of a wave the table is empty, and the operator is in a hurry."""
    told = io.StringIO()
    call_command("securecore_audit", "refusals", stdout=told, stderr=told)
    assert "grep request-refused" in told.getvalue()
    told = io.StringIO()
    call_command("securecore_audit", "refusals", stdout=told, stderr=told, verbosity=0)
    assert told.getvalue() == ""


def test_rows_are_found_by_a_name(alice: str, users: dict[str, User]) -> None:
    """The rows about a user, about a certificate of the user, and of changes that the user made."""
    users["alice"].email = "alice@bank.example"
    users["alice"].save()
    with audit.acting(audit.Actor(kind="user", name=alice)):
        audit.write(KeyRetired(kid="by alice"))
    for name in ("alice", "Alice@Bank.example"):
        events = [row["event"].rpartition(".")[2] for row in lines("list", "--json", "--user", name)]
        assert events == ["key-retired", "grant-given", "certificate-enrolled"], name
    assert alice in [row["subject"] for row in lines("list", "--json", "--user", "carol")]
    assert len(lines("export", "--user", "alice")) == 3
    with pytest.raises(CommandError, match="There is no user 'alicf'"):
        run("list", "--user", "alicf")


@pytest.mark.parametrize(
    "arguments",
    [
        ["--subject", "{alice}"],
        ["--event", "securecore.grants.grant-given"],
        ["--request-id", "r" * 32],
        ["--since", "2020-01-01T00:00:00Z", "--event", "securecore.grants.grant-given"],
    ],
)
def test_list_filters(alice: str, arguments: list[str]) -> None:
    arguments = [each.format(alice=alice) for each in arguments]
    assert [row["payload"]["permission"] for row in lines("list", "--json", *arguments)[:1]] == ["things.make"]
    assert not lines("list", "--json", *arguments, "--until", "2020-01-01T00:00:00Z")


def test_export_is_the_chain_and_goes_on_behind_a_position(alice: str) -> None:
    rows = lines("export")
    assert [row["position"] for row in rows] == list(range(1, AuditRow.objects.count() + 1))
    assert [row["previous"] for row in rows[1:]] == [row["digest"] for row in rows[:-1]]
    assert lines("export", "--after", str(len(rows) - 1)) == rows[-1:]


def test_verify_exits_with_1_for_a_broken_chain_and_for_another_anchor(alice: str) -> None:
    head = run("head").strip()
    assert lines("head", "--json") == [{"position": int(head.split(":")[0]), "digest": head.split(":")[1]}]
    assert f"head {head}" in run("verify", "--anchor", head)
    with pytest.raises(CommandError) as raised:
        run("verify", "--anchor", f"{head.split(':')[0]}:{'A' * 43}")
    assert raised.value.returncode == 1
    sql("UPDATE securecore_audit SET reason = 'other' WHERE position = 1")
    with pytest.raises(CommandError):
        run("verify", "--json")


def test_head_of_an_empty_audit_is_an_anchor(db: None) -> None:
    assert "0 unsealed" in run("verify", "--anchor", run("head").strip())


WRONG = (["verify", "--anchor", "x"], ["list", "--since", "yesterday"], ["list", "--since", "2026-01-01"])


@pytest.mark.parametrize("arguments", WRONG)
def test_wrong_argument_is_an_error_with_the_right_form(arguments: list[str]) -> None:
    with pytest.raises(CommandError, match="write "):
        run(*arguments)
