"""Audit rows: written with the change, with the actor and the reason, and never changed."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from cryptography.fernet import Fernet
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509 import load_pem_x509_certificate
from django.apps import apps
from django.contrib.auth.models import Group, User
from django.core.management import call_command
from django.db import DatabaseError, connection, transaction

from securecore import actors, audit, clock, grants, revocation
from securecore.audit.models import AuditRow
from securecore.digests import record_id
from securecore.errors import Misuse
from securecore.events import Event, every_event
from securecore.grants import lockouts, principal_of, triggers
from securecore.idempotency import claim_lease
from securecore.identity import admit, enroll, parse_pem
from securecore.incidents import after_restore
from securecore.models import Certificate, Client, RefreshFamily, RefreshToken, SigningKey
from securecore.replay import signature_keys
from securecore.revocation_lists import import_list
from securecore.sessions import Session, SessionStore
from securecore.testing import Authority, MutualTLSClient
from securecore.tokens import clients, keys
from tests.support.revocation_lists import Lists
from tests.support.tree import ROOT
from tests.tokens.calls import given, post

pytestmark = [pytest.mark.django_db, pytest.mark.urls("tests.http.urls")]

OPERATOR = audit.Actor(kind="command", name="root for alice", address="host-1")


def last() -> AuditRow:
    return AuditRow.objects.order_by("-id")[0]


def written() -> list[str]:
    return [event.rpartition(".")[2] for event in AuditRow.objects.order_by("id").values_list("event", flat=True)]


class TestActor:
    def test_actor_and_reason_of_the_block_are_in_the_row(self, users: dict[str, User]) -> None:
        principal = principal_of(users["bob"])
        with audit.acting(OPERATOR, reason="ticket 4711"):
            grants.grant(principal=principal, permission="things.make", now=clock.now())
        row = last()
        assert (row.actor_kind, row.actor, row.address, row.reason) == (
            "command",
            "root for alice",
            "host-1",
            "ticket 4711",
        )
        assert (row.event, row.subject) == ("securecore.grants.grant-given", principal)
        assert row.payload == {"principal": principal, "permission": "things.make", "object": "", "denies": False}

    def test_actor_outside_of_every_block_is_the_system(self, users: dict[str, User]) -> None:
        revocation.revoke_user_tokens(users["bob"])
        assert (last().actor_kind, last().actor, last().reason) == ("system", "", "")

    def test_actor_of_a_request_is_its_user_with_address_and_request_id(self, mtls_client: Any, users: Any) -> None:
        client = mtls_client("alice", HTTP_X_REAL_IP="192.0.2.7", HTTP_X_REQUEST_ID="4f1c" * 8)
        assert client.post("/auth/login").status_code == 200
        row = last()
        assert (row.event, row.actor_kind) == ("securecore.sessions.session-opened", "user")
        assert (row.actor, row.address, row.request_id) == (principal_of(users["alice"]), "192.0.2.7", "4f1c" * 8)
        assert audit.Actor(kind="system") == actors.actor()

    def test_reason_of_an_outer_block_stays(self, users: dict[str, User]) -> None:
        with audit.acting(OPERATOR, reason="ticket 1"), audit.acting(audit.operator("bob")):
            revocation.revoke_user_tokens(users["bob"])
        assert (last().reason, last().actor.endswith(" for bob")) == ("ticket 1", True)


def enrolling(client: Any, ca: Authority, alice: User, now: dt.datetime) -> str:
    """Let a certificate wait, admit it, log in twice, and register keys and a client; return the thumbprint."""
    MutualTLSClient(ca.issue("new")).get("/seen")
    pending = str(Certificate.objects.pending().get().pk)
    admit(thumbprint=pending, user=alice, now=now)
    client.post("/auth/login")
    other = MutualTLSClient(ca.certificate_for("alice"))
    other.post("/auth/login")
    other.post("/auth/logout")
    keys.rotate(algorithm="ES256", lead=0, now=now)
    clients.register(client_id="shop", user=alice, now=now)
    signature_keys.register(keyid="key-1", user=alice, public_key=public_key(ca), now=now)
    return pending


def reusing(client: Any, now: dt.datetime) -> None:
    """Redeem a refresh token twice, the second time too late for a retry."""
    held = given(client)
    given(client, "refresh_token", refresh_token=held["refresh_token"])
    RefreshToken.objects.update(used_at=now - dt.timedelta(minutes=5))
    post(client, f"grant_type=refresh_token&refresh_token={held['refresh_token']}&client_id=alice")


def revoking(client: Any, alice: User, pending: str, now: dt.datetime) -> None:
    own, group = principal_of(alice), Group.objects.create(name="tellers")
    alice.groups.add(group)
    for permission in ("things.make", "things.take"):
        grants.grant(principal=own, permission=permission, now=now)
    revocation.revoke_grant(principal=own, permission="things.make")
    revocation.revoke_all_grants(principal=own)
    revocation.remove_from_group(user=alice, group=group)
    revocation.revoke_token(issuer="i", jti="j", expires_at=now + dt.timedelta(minutes=1))
    given(client)
    revocation.revoke_family(RefreshFamily.objects.filter(revoked_at=None).latest("created_at").pk)
    revocation.revoke_client_tokens("shop")
    revocation.retire_key(SigningKey.objects.get().pk)
    revocation.revoke_signature_key("key-1")
    revocation.disable_client("shop")
    client.post("/auth/login")
    revocation.end_sessions(user=alice, reason="test")
    revocation.revoke_certificate(thumbprint=pending)
    revocation.deactivate_user(alice)


def take_over(now: dt.datetime) -> None:
    for instant in (now, now + dt.timedelta(minutes=1)):
        claim_lease(record=record_id("idempotency", "k"), fingerprint=b"", now=instant, lease=1)


def operating(ca: Authority, user: User, path: Path, now: dt.datetime) -> None:
    """Lock a user out, import a list, enable a client, and restore a backup."""
    lockouts.lock_out(subject=principal_of(user), lasts=dt.timedelta(hours=1), reason="a test")
    lockouts.lift(subject=principal_of(user))
    Client.objects.create(client_id="disabled", user=user, created_at=now, disabled_at=now)
    clients.enable("disabled")
    lists = Lists(ca)
    import_list(lists.write(path / "list.crl"), authorities=[lists.issued.certificate])
    after_restore(stopped_at=now, reason="a test")


def public_key(ca: Authority) -> str:
    key = load_pem_x509_certificate(ca.issue("signer").pem.encode()).public_key()
    return key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()


def test_each_change_writes_its_row(
    mtls_client: Any, users: dict[str, User], ca: Authority, settings: Any, tmp_path: Path
) -> None:
    """Every event of a change is in the audit. An event that is missing here needs a row, or a line in NO_ROW."""
    settings.SECURECORE = {
        **settings.SECURECORE,
        "ENCRYPTION_KEYS": [Fernet.generate_key().decode()],
        "PENDING_CERTIFICATES": 2,
        "SESSION_LIMIT": 1,
    }
    now, client = clock.now(), mtls_client("alice")
    pending = enrolling(client, ca, users["alice"], now)
    reusing(client, now)
    revoking(client, users["alice"], pending, now)
    take_over(now)
    operating(ca, users["bob"], tmp_path, now)
    own = [event for event in every_event() if event.__module__.startswith("securecore.events")]
    assert {event.name.rpartition(".")[2] for event in own} - set(written()) == NO_ROW


#: Events that change no row: refusals and findings, and a session of PostgreSQL that a revocation ended.
NO_ROW = {
    "header-forged",
    "proxy-address-unknown",
    "server-confuses-headers",
    "request-refused",
    "binding-mismatch",
    "id-exposed",
    "credentials-conflicting",
    "refresh-token-refused",
    "token-inactive",
    "simplejwt-accepted",
    "would-refuse",
    "permission-refused",
    "gate-holder-ended",
    "database-away",
}


def test_the_manual_says_for_each_table_which_changes_have_a_row() -> None:
    """A new table or event needs a place in the table of docs/audit.md: a row, or the reason for none."""
    page = (ROOT / "docs" / "audit.md").read_text().partition("## Every change")[2].partition("## Append-only")[0]
    named = re.findall("`([a-z_-]+)`", page)
    tables = {model._meta.db_table for model in apps.get_app_config("securecore").get_models()}
    own = {event.name.rpartition(".")[2] for event in every_event() if event.__module__.startswith("securecore.")}
    assert tables - set(named) == set()
    assert own - NO_ROW - set(named) == set()
    assert not {name for name in named if name.startswith("securecore_")} - tables


def test_a_certificate_that_gets_a_user_has_a_second_row(users: dict[str, User], ca: Authority) -> None:
    """A certificate of a service was enrolled for no user; with a user it has the rights of the user."""
    certificate = parse_pem(ca.issue("shop").pem)
    for user in (None, None, users["alice"], users["alice"]):
        enroll(certificate=certificate, user=user, now=clock.now())
    rows = AuditRow.objects.filter(subject=f"certificate:{certificate.thumbprint}").order_by("id")
    assert [row.payload["user"] for row in rows] == [None, "alice"]


class TestAgain:
    def test_a_second_revocation_writes_no_second_row(self, users: dict[str, User]) -> None:
        alice, now = users["alice"], clock.now()
        thumbprint = alice.certificates.get().pk
        clients.register(client_id="shop", user=alice, now=now)
        grants.grant(principal=principal_of(alice), permission="things.make", now=now)
        each: tuple[Callable[[], object], ...] = (
            lambda: revocation.revoke_certificate(thumbprint=thumbprint),
            lambda: revocation.disable_client("shop"),
            lambda: revocation.revoke_all_grants(principal=principal_of(alice)),
        )
        for revoke in each:
            assert revoke()
            rows = AuditRow.objects.count()
            assert not revoke()
            assert AuditRow.objects.count() == rows

    def test_a_revocation_that_ended_a_session_of_a_revoked_certificate_has_its_row(self, mtls_client: Any) -> None:
        mtls_client("alice")
        thumbprint = Certificate.objects.get().pk
        Certificate.objects.update(revoked_at=clock.now())
        store = SessionStore()  # a trigger ended those from before
        store.opened_from = {"certificate": thumbprint}
        store.begin()
        assert revocation.revoke_certificate(thumbprint=thumbprint)
        assert last().payload["sessions_ended"] == 1


class TestLogout:
    def test_logout_writes_one_row_with_the_request(self, mtls_client: Any, users: Any) -> None:
        client = mtls_client("alice", HTTP_X_REQUEST_ID="4f1c" * 8)
        client.post("/auth/login")
        for _ in range(2):
            assert client.post("/auth/logout").status_code == 204
        own = principal_of(users["alice"])
        (row,) = AuditRow.objects.filter(event="securecore.sessions.session-closed")
        assert (row.subject, row.actor_kind, row.actor, row.request_id) == (own, "user", own, "4f1c" * 8)
        certificate = users["alice"].certificates.get().pk
        assert row.payload == {"user": own, "certificate": certificate, "address": "", "device": ""}

    def test_logout_with_the_id_before_a_rotation_writes_its_row(self, users: Any, now: dt.datetime) -> None:
        store = SessionStore()
        store["_auth_user_id"] = str(users["alice"].pk)
        store.begin()
        before = SessionStore(store.session_key)
        store.rotate()
        before.load()
        before.end()
        assert written().count("session-closed") == 1

    def test_end_of_an_anonymous_session_writes_no_row(self, db: None) -> None:
        store = SessionStore()
        store["basket"] = 1
        store.save()
        before = AuditRow.objects.count()
        store.flush()
        assert not Session.objects.exists()
        assert AuditRow.objects.count() == before

    def test_code_that_ends_a_session_writes_a_row(self, users: Any) -> None:
        for end in (lambda store: store.flush(), lambda store: SessionStore().delete(store.session_key)):
            store = SessionStore()
            store["_auth_user_id"] = str(users["alice"].pk)
            store.begin()
            end(store)
        assert not Session.objects.exists()
        assert written().count("session-closed") == 2

    def test_logout_rolls_back_with_its_row(
        self, transactional_db: None, mtls_client: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        client = mtls_client("alice")
        client.post("/auth/login")

        def fail(event: Event) -> None:
            raise DatabaseError("no room")

        monkeypatch.setattr("securecore.sessions.lifecycle.audit.report", fail)
        with pytest.raises(DatabaseError):
            client.post("/auth/logout")
        assert Session.objects.count() == 1


class TestTransaction:
    def test_row_needs_the_transaction_of_the_change(self, transactional_db: None) -> None:
        with pytest.raises(Misuse, match="needs the transaction of the change"):
            audit.write(every_event()[0])  # type: ignore[arg-type]

    def test_row_rolls_back_with_the_change(self, users: dict[str, User]) -> None:
        before, principal = AuditRow.objects.count(), principal_of(users["bob"])
        with pytest.raises(ZeroDivisionError), transaction.atomic():
            grants.grant(principal=principal, permission="things.make", now=clock.now())
            assert AuditRow.objects.count() == before + 1
            raise ZeroDivisionError
        assert AuditRow.objects.count() == before

    def test_change_rolls_back_with_the_row(
        self, transactional_db: None, users: dict[str, User], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """The audit table is full, or the role lacks the right: then nothing is revoked, and the caller hears it."""
        thumbprint = users["alice"].certificates.get().pk

        def fail(event: Event) -> None:
            raise DatabaseError("no room")

        monkeypatch.setattr(audit, "write", fail)
        with pytest.raises(DatabaseError, match="no room"):
            revocation.revoke_certificate(thumbprint=thumbprint)
        assert Certificate.objects.get(pk=thumbprint).revoked_at is None


class TestAppendOnly:
    @pytest.fixture
    def row(self, users: dict[str, User]) -> AuditRow:
        revocation.revoke_user_tokens(users["bob"])
        return last()

    CHANGES: tuple[Callable[[Any], Any], ...] = (
        lambda rows: rows.update(actor="nobody"),
        lambda rows: rows.update(expires_at=clock.now() - dt.timedelta(days=1)),
        lambda rows: rows.update(position=99, digest="x", payload={}),
        lambda rows: rows.delete(),
    )

    @pytest.mark.parametrize("is_sealed", [False, True])
    @pytest.mark.parametrize("change", CHANGES)
    def test_row_is_neither_changed_nor_deleted(self, row: AuditRow, change: Any, is_sealed: bool) -> None:
        if is_sealed:
            audit.seal()
        before = AuditRow.objects.values().get(pk=row.pk)
        with pytest.raises(DatabaseError, match="audit row is never changed"), transaction.atomic():
            change(AuditRow.objects.filter(pk=row.pk))
        assert AuditRow.objects.values().get(pk=row.pk) == before

    def test_row_is_sealed_once(self, row: AuditRow) -> None:
        audit.seal()
        with pytest.raises(DatabaseError, match="audit row is never changed"), transaction.atomic():
            AuditRow.objects.filter(pk=row.pk).update(position=None, previous=None, digest=None)

    def test_a_missing_trigger_is_reported(self, row: AuditRow) -> None:
        with connection.cursor() as cursor:
            suffix = " ON securecore_audit" if connection.vendor == "postgresql" else ""
            cursor.execute(f"DROP TRIGGER securecore_audit_changed{suffix}")
        assert triggers.missing() == ["securecore_audit_changed"]

    def test_flush_empties_the_audit(self, transactional_db: None, row: AuditRow) -> None:
        call_command("flush", interactive=False, verbosity=0)
        assert not AuditRow.objects.exists()
        assert triggers.missing() == []
