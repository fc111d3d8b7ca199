"""The first steps of an incident: the order, the trail, and a restored backup."""

from __future__ import annotations

import datetime as dt
import io
import json
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import Group, User
from django.core.management import CommandError, call_command
from django.db import connection, transaction

from securecore import clock
from securecore.grants import grant, principal_of, principals, triggers
from securecore.identity import enroll, parse_pem
from securecore.models import (
    AuditRow,
    Certificate,
    Gate,
    Grant,
    Lockout,
    OneTimeToken,
    RefreshFamily,
    Session,
    SignatureKey,
    TokenEpoch,
)
from securecore.revocation import (
    deactivate_user,
    disable_client,
    remove_from_group,
    revoke_all_grants,
    revoke_certificate,
    revoke_grant,
    revoke_signature_key,
    revoke_user_tokens,
)
from securecore.sessions import SessionStore
from securecore.testing import FakeClock, MutualTLSClient
from securecore.tokens import clients, one_time
from tests.management.commands import exit_code, objects, printed
from tests.tokens.calls import given, said, works

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.urls("tests.tokens.urls")]

MAKE = "things.make"


@pytest.fixture
def alice(mtls_client: Any) -> MutualTLSClient:
    client: MutualTLSClient = mtls_client("alice")
    return client


@pytest.fixture
def user(alice: MutualTLSClient) -> User:
    return User.objects.get(username="alice")


@pytest.fixture
def thumbprint(user: User) -> str:
    return str(user.certificates.get().thumbprint)


def kinds(rows: list[dict[str, Any]]) -> list[str]:
    return [row["kind"] for row in rows]


class TestStolenCertificate:
    def test_it_locks_revokes_ends_and_shows_the_trail(
        self, alice: MutualTLSClient, user: User, thumbprint: str
    ) -> None:
        alice.post("/auth/login", HTTP_USER_AGENT="curl/8")
        token = given(alice)["access_token"]
        grant(principal=principal_of(user), permission=MAKE, now=clock.now())
        assert exit_code("securecore_incident", "stolen-certificate", thumbprint) == 3
        assert works(alice, token)
        rows = objects("securecore_incident", "stolen-certificate", thumbprint, "--yes", "--reason", "ticket 7")
        assert {"session", "authorization", "grants.grant-given", "done", "left"} <= set(kinds(rows))
        assert "curl/8" in next(row["detail"] for row in rows if row["kind"] == "session")
        assert [row["detail"].partition(" ")[0] for row in rows if row["kind"] == "done"] == [principal_of(user), "The"]
        assert Lockout.objects.get().reason == "ticket 7"
        assert not Session.objects.exists()
        assert not RefreshFamily.objects.alive(clock.now()).exists()
        printed("securecore_lock", "lift", "--user", "alice")
        assert alice.get("/both").json()["code"] == "certificate-revoked"

    def test_all_ends_the_rest_of_the_user_too(
        self, alice: MutualTLSClient, user: User, ca: Any, thumbprint: str
    ) -> None:
        other = ca.issue("alice")
        enroll(certificate=parse_pem(other.pem), user=user, now=clock.now())
        spare = MutualTLSClient(other)
        spare.post("/auth/login")
        token = given(spare)["access_token"]
        arguments = ("securecore_incident", "stolen-certificate", thumbprint, "--yes", "--no-lock")
        printed(*arguments)
        assert works(spare, token)
        printed(*arguments, "--all")
        assert not works(spare, token)
        assert not Session.objects.exists()
        assert not Lockout.objects.exists()

    def test_the_serial_number_of_one_certificate_is_enough(self, user: User, ca: Any) -> None:
        row = user.certificates.get()
        enroll(certificate=parse_pem(ca.issue("alice").pem), user=user, now=clock.now())
        for serial in (row.serial_number, f"serial=0{row.serial_number.upper()}"):
            printed("securecore_incident", "stolen-certificate", serial, "--yes", "--no-lock")
        assert list(Certificate.objects.exclude(revoked_at=None)) == [row]
        Certificate.objects.update(serial_number="4d2f")
        with pytest.raises(CommandError, match=f"Several certificates.*{row.pk}"):
            printed("securecore_incident", "stolen-certificate", "4D:2F", "--yes", "--no-lock")
        with pytest.raises(CommandError, match="no certificate here has"):
            printed("securecore_incident", "stolen-certificate", "deadbeef", "--yes", "--no-lock")
        assert Certificate.objects.exclude(revoked_at=None).count() == 1

    def test_a_revocation_is_proven_while_the_lockout_is_in_force(self, user: User, thumbprint: str) -> None:
        grant(principal=principal_of(user), permission=MAKE, now=clock.now())
        printed("securecore_incident", "stolen-certificate", thumbprint, "--yes")
        told = io.StringIO()
        with pytest.raises(SystemExit):
            call_command("securecore_grants", "why", MAKE, "--certificate", thumbprint, stdout=told)
        assert told.getvalue().startswith("May not: certificate-revoked.")

    def test_the_trail_stands_before_the_question(
        self, alice: MutualTLSClient, thumbprint: str, tmp_path: Path
    ) -> None:
        alice.post("/auth/login", HTTP_USER_AGENT="Thief/99")
        (tmp_path / "token").write_text(given(alice)["access_token"])
        for arguments in (("stolen-certificate", thumbprint), ("stolen-token", "--file", str(tmp_path / "token"))):
            told = io.StringIO()
            with pytest.raises(CommandError, match="Nothing was changed"):
                call_command("securecore_incident", *arguments, stdout=told, stderr=told)
            assert "authorization" in told.getvalue(), arguments
        rows = objects("securecore_incident", "stolen-certificate", thumbprint, "--yes")
        assert kinds(rows).count("session") == 1

    def test_a_second_run_says_when_it_was_revoked(self, user: User, thumbprint: str, fake_clock: FakeClock) -> None:
        printed("securecore_incident", "stolen-certificate", thumbprint, "--yes", "--no-lock")
        first = Certificate.objects.get(pk=thumbprint).revoked_at
        fake_clock.advance(minutes=5)
        told = printed("securecore_incident", "stolen-certificate", thumbprint, "--yes", "--no-lock")
        assert f"was revoked already, at {first:%Y-%m-%dT%H:%M:%S}" in told
        assert told.count("certificate-revoked") == 1
        assert f"already, since {first:%Y-%m-%d %H:%M:%S}" in printed("securecore_certificates", "revoke", thumbprint)
        assert "Under it ended: 0 sessions, 0 authorizations" in told

    def test_the_trail_shows_the_device_of_a_session_that_has_ended(
        self, alice: MutualTLSClient, thumbprint: str
    ) -> None:
        alice.post("/auth/login", HTTP_USER_AGENT="Thief/99")
        arguments = ("securecore_incident", "stolen-certificate", thumbprint, "--yes", "--no-lock")
        printed(*arguments)
        assert not Session.objects.exists()
        assert "device=Thief/99" in printed(*arguments)

    def test_an_unknown_certificate_is_refused_from_now_on(self, db: None) -> None:
        rows = objects("securecore_incident", "stolen-certificate", "A" * 43, "--yes")
        assert "No row names this certificate" in rows[2]["detail"]
        assert Certificate.objects.get().revoked_at is not None

    def test_a_second_run_locks_nobody_out_again(self, user: User, thumbprint: str) -> None:
        """The user works with a new certificate by then. A second run to read the trail locked the user out again."""
        arguments = ("securecore_incident", "stolen-certificate", thumbprint, "--yes")
        with pytest.raises(CommandError, match=r"for ever and locks user alice out for 1:00:00"):
            printed(*arguments[:-1])
        assert "is locked out until" in printed(*arguments)
        Lockout.objects.all().delete()
        assert "is locked out until" not in printed(*arguments)
        with pytest.raises(CommandError, match=r"was revoked already\. This ends the sessions"):
            printed(*arguments[:-1])
        assert not Lockout.objects.exists()
        assert "is locked out until" in printed(*arguments, "--lock", "1h")

    def test_the_question_names_the_owner(self, user: User) -> None:
        row = Certificate.objects.get(user=user)
        with pytest.raises(CommandError, match=r"CN=alice.*, user alice"):
            printed("securecore_incident", "stolen-certificate", row.pk)
        assert "NOBODY is locked out" in printed("securecore_incident", "stolen-certificate", "x" * 43, "--yes")

    def test_a_thumbprint_of_which_nothing_is_known_is_doubted_first(self, thumbprint: str) -> None:
        mistyped = thumbprint[:20] + ("B" if thumbprint[20] == "A" else "A") + thumbprint[21:]
        told = io.StringIO()
        with pytest.raises(CommandError, match="enrolled for nobody") as refused:
            call_command("securecore_incident", "stolen-certificate", mistyped, stdout=io.StringIO(), stderr=told)
        assert refused.value.returncode == 3
        assert "probably mistyped" in told.getvalue()
        assert f"Did you mean {thumbprint}?" in told.getvalue()
        assert not Certificate.objects.filter(pk=mistyped).exists()

    def test_a_certificate_of_a_session_is_no_doubt(self, user: User) -> None:
        """A login by password under a certificate of a trusted authority, which was enrolled for nobody."""
        store = SessionStore()
        store["_auth_user_id"] = str(user.pk)
        store.opened_from = {"certificate": "x" * 42 + "A"}
        store.begin()
        told = io.StringIO()
        with pytest.raises(CommandError):
            call_command("securecore_incident", "stolen-certificate", "x" * 42 + "A", stdout=io.StringIO(), stderr=told)
        assert told.getvalue() == ""

    def test_the_trail_begins_where_the_operator_says(
        self, alice: MutualTLSClient, thumbprint: str, fake_clock: FakeClock
    ) -> None:
        alice.post("/auth/login")
        fake_clock.advance(hours=1)
        since = clock.now().isoformat()
        rows = objects("securecore_incident", "stolen-certificate", thumbprint, "--yes", "--since", since)
        assert set(kinds(rows)) == {"done", "left"}


class TestStolenToken:
    def test_a_token_from_a_file(self, alice: MutualTLSClient, user: User, tmp_path: Path) -> None:
        both = given(alice)
        (tmp_path / "token").write_text(both["access_token"] + "\n")
        arguments = ("securecore_incident", "stolen-token", "--file", str(tmp_path / "token"))
        assert exit_code(*arguments) == 3
        with pytest.raises(CommandError, match=rf"locks user:{user.pk} \(alice\) out for 1:00:00"):
            call_command(*arguments)
        rows = objects(*arguments, "--yes")
        assert kinds(rows).count("done") == 3
        assert "authorization" in kinds(rows)
        printed("securecore_lock", "lift", "--user", "alice")
        assert not works(alice, both["access_token"])
        assert not RefreshFamily.objects.alive(clock.now()).exists()
        assert both["access_token"].rpartition(".")[2] not in json.dumps(rows)

    def test_a_second_run_locks_nobody_out_again(self, alice: MutualTLSClient, tmp_path: Path) -> None:
        (tmp_path / "token").write_text(given(alice)["access_token"])
        arguments = ("securecore_incident", "stolen-token", "--file", str(tmp_path / "token"))
        with pytest.raises(CommandError, match="out for 1:00:00"):
            printed(*arguments)
        assert "is locked out until" in printed(*arguments, "--yes")
        printed("securecore_lock", "lift", "--user", "alice")
        assert "is locked out until" not in printed(*arguments, "--yes")
        assert "is locked out until" in printed(*arguments, "--yes", "--lock", "1h")

    def test_a_token_on_standard_input(self, alice: MutualTLSClient, monkeypatch: pytest.MonkeyPatch) -> None:
        token = given(alice)["access_token"]
        monkeypatch.setattr("sys.stdin", io.StringIO(token))
        printed("securecore_incident", "stolen-token", "--file", "-", "--yes", "--no-lock")
        assert not works(alice, token)

    def test_a_jti_alone(self, alice: MutualTLSClient) -> None:
        token = given(alice)["access_token"]
        rows = objects("securecore_incident", "stolen-token", "--jti", said(token)["jti"], "--yes")
        with pytest.raises(CommandError, match="locks nobody out"):
            call_command("securecore_incident", "stolen-token", "--jti", said(token)["jti"])
        assert "Only the jti was given" in next(row["detail"] for row in rows if row["kind"] == "left")
        assert not works(alice, token)
        assert not Lockout.objects.exists()

    def test_another_file_is_a_mistake(self, db: None, tmp_path: Path) -> None:
        for content in (b"no token", b"\xff"):
            (tmp_path / "token").write_bytes(content)
            assert exit_code("securecore_incident", "stolen-token", "--file", str(tmp_path / "token"), "--yes") == 1
        assert exit_code("securecore_incident", "stolen-token", "--file", str(tmp_path / "missing"), "--yes") == 1


class TestRestoredBackup:
    def test_it_ends_everything_and_lets_every_epoch_leap(
        self, alice: MutualTLSClient, user: User, fake_clock: FakeClock
    ) -> None:
        alice.post("/auth/login")
        revoke_user_tokens(user)
        token = given(alice)["access_token"]
        secret = one_time.issue(purpose="reset", subject="alice", lifetime=600, now=clock.now())
        epochs = dict(TokenEpoch.objects.values_list("subject", "epoch"))
        gates = dict(Gate.objects.values_list("principal", "epoch"))
        assert exit_code("securecore_incident", "restored-backup") == 3
        (done,) = objects("securecore_incident", "restored-backup", "--yes")
        assert (done["sessions"], done["families"], done["one_time_tokens"]) == (1, 1, 1)
        assert not works_behind_lock(alice, token)
        assert one_time.consume(secret, purpose="reset", now=clock.now()) is None
        assert not OneTimeToken.objects.exists()
        for subject, epoch in TokenEpoch.objects.exclude(subject="everyone").values_list("subject", "epoch"):
            assert epoch == epochs[subject] + 10**9
        assert all(
            epoch >= gates[name] + 10**9
            for name, epoch in Gate.objects.values_list("principal", "epoch")
            if name in gates
        )

    def test_everyone_waits_until_no_request_from_before_can_be_repeated(
        self, alice: MutualTLSClient, fake_clock: FakeClock
    ) -> None:
        """A nonce that was seen after the backup is unknown: its request would be accepted a second time."""
        (done,) = objects("securecore_incident", "restored-backup", "--yes")
        assert alice.get("/both").json()["code"] == "locked-out"
        fake_clock.advance(seconds=140)
        assert alice.get("/both").status_code == 403
        fake_clock.advance(seconds=2)
        assert alice.get("/both").status_code == 200
        assert done["locked_until"]
        stopped = (clock.now() - dt.timedelta(minutes=10)).isoformat()
        assert (
            objects("securecore_incident", "restored-backup", "--yes", "--stopped-at", stopped)[0]["locked_until"]
            is None
        )

    def test_revocations_of_the_audit_are_made_again(
        self, alice: MutualTLSClient, user: User, thumbprint: str, mtls_client: Any, tmp_path: Path
    ) -> None:
        give_everything(user, mtls_client)
        backup = clock.now()
        revoke_everything(user, thumbprint)
        revoked = state_of(user, thumbprint)
        export = tmp_path / "audit.jsonl"
        export.write_text(printed("securecore_audit", "export"))
        bring_back(user, backup)
        arguments = ("securecore_incident", "restored-backup", "--yes", "--audit", str(export))
        rows = objects(*arguments)
        assert not [row for row in rows if row.get("error")]
        assert len(rows) == 9
        assert state_of(user, thumbprint) == revoked

    def test_a_revocation_that_cannot_be_made_again_is_named(self, db: None, tmp_path: Path) -> None:
        export = tmp_path / "audit.jsonl"
        row = {
            "event": "securecore.identity.user-deactivated",
            "at": clock.now().isoformat(),
            "subject": "user:999",
            "payload": {"user": "999"},
        }
        export.write_text(json.dumps(row) + "\n")
        assert exit_code("securecore_incident", "restored-backup", "--yes", "--audit", str(export)) == 1


def works_behind_lock(client: MutualTLSClient, token: str) -> bool:
    Lockout.objects.all().delete()
    return works(client, token)


OTHER = "things.read"


def give_everything(user: User, mtls_client: Any) -> None:
    """Give everything that ``revoke_everything`` takes."""
    group, now = Group.objects.create(name="Tellers"), clock.now()
    group.user_set.add(user)
    mtls_client("bob")
    clients.register(client_id="payments", user=user, now=now)
    for name in ("group.add", MAKE):
        grant(principal=principal_of(user), permission=name, now=now)
    grant(principal=principals.service("payments"), permission=MAKE, now=now)
    SignatureKey.objects.create(keyid="order", user=user, public_key="x", registered_at=now)


def revoke_everything(user: User, thumbprint: str) -> None:
    bob = User.objects.get(username="bob")
    revoke_grant(principal=principal_of(user), permission=MAKE)
    revoke_all_grants(principal=principals.service("payments"))
    grant(principal=principal_of(user), permission=OTHER, denies=True, now=clock.now())
    remove_from_group(user=user, group=Group.objects.get(name="Tellers"))
    revoke_certificate(thumbprint=thumbprint)
    disable_client("payments")
    revoke_signature_key("order")
    deactivate_user(bob)


def state_of(user: User, thumbprint: str) -> list[Any]:
    return [
        sorted(Grant.objects.not_revoked().values_list("principal", "permission", "denies")),
        list(user.groups.values_list("name", flat=True)),
        Certificate.objects.get(pk=thumbprint).revoked_at is None,
        clients.Client.objects.get().disabled_at is None,
        SignatureKey.objects.get().revoked_at is None,
        User.objects.get(username="bob").is_active,
    ]


def bring_back(user: User, backup: dt.datetime) -> None:
    """Undo ``revoke_everything``, as a restore does, with the audit rows since the backup."""
    Grant.objects.filter(denies=True).delete()
    Grant.objects.update(revoked_at=None)
    user.groups.add(Group.objects.get(name="Tellers"))
    Certificate.objects.update(revoked_at=None)
    clients.Client.objects.update(disabled_at=None)
    SignatureKey.objects.update(revoked_at=None)
    User.objects.update(is_active=True)
    with triggers.without_audit_guard(), transaction.atomic(), connection.cursor() as cursor:
        if connection.vendor == "postgresql":  # the trigger of the audit refuses to delete a row
            cursor.execute("SET LOCAL session_replication_role = replica")
        AuditRow.objects.filter(at__gte=backup).delete()
