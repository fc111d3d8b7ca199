"""The commands of an operator: each action, its output in both forms, its exit code and its confirmation."""

from __future__ import annotations

import datetime as dt
import functools
import http.server
import threading
import uuid
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509 import load_pem_x509_certificate
from django.contrib.auth.models import Group, Permission, User
from django.core.management import CommandError, call_command, get_commands, load_command_class

from securecore import clock
from securecore.errors import Busy
from securecore.grants import grant, principal_of, principals
from securecore.identity import parse_pem
from securecore.models import AuditRow, Certificate, Client, Grant, Lockout, RefreshFamily, Session
from securecore.testing import MutualTLSClient
from tests.management.commands import exit_code, lines, objects, printed
from tests.support.revocation_lists import Lists
from tests.tokens.calls import given, said, works

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.urls("tests.tokens.urls")]

MAKE = "things.make"


@pytest.fixture
def alice(mtls_client: Any) -> MutualTLSClient:
    client: MutualTLSClient = mtls_client("alice")
    User.objects.filter(username="alice").update(email="Alice@Bank.example")
    return client


@pytest.fixture
def user(alice: MutualTLSClient) -> User:
    return User.objects.get(username="alice")


class TestEveryCommand:
    def test_every_command_is_silent_and_speaks_json(self, alice: MutualTLSClient) -> None:
        alice.post("/auth/login")
        for arguments in (
            ("securecore_sessions", "list"),
            ("securecore_tokens", "list"),
            ("securecore_clients", "list"),
            ("securecore_grants", "list"),
            ("securecore_grants", "callers", MAKE),
            ("securecore_certificates", "list"),
            ("securecore_certificates", "crls"),
            ("securecore_lock", "list"),
            ("securecore_keys", "list"),
            ("securecore_purge",),
        ):
            assert printed(*arguments, verbosity=0) == "", arguments
            assert all(isinstance(each, dict) for each in objects(*arguments))
        assert objects("securecore_keys", "list")[0]["signs"] is True

    def test_every_action_has_json(self) -> None:
        """Also an action that a later change adds."""
        own = [
            name for name, app in get_commands().items() if name.startswith("securecore_") and str(app) == "securecore"
        ]
        assert len(own) > 8
        for name in sorted(set(own)):
            parser = load_command_class("securecore", name).create_parser("manage.py", name)
            actions = [each for each in parser._actions if getattr(each, "choices", None) and each.dest == "action"]
            parsers = [each for action in actions for each in action.choices.values()] or [parser]  # type: ignore[union-attr]
            for each in parsers:
                has_one_form = each.prog.endswith("securecore_init")  # the settings of a project
                assert "--json" in each.format_help() or has_one_form, each.prog

    def test_a_busy_database_is_its_own_exit_code(self, user: User, monkeypatch: pytest.MonkeyPatch) -> None:
        def busy(*_: Any, **__: Any) -> None:
            raise Busy

        monkeypatch.setattr("securecore.management.commands.securecore_sessions.end_sessions", busy)
        assert exit_code("securecore_sessions", "end", "--user", "alice") == 4

    @pytest.mark.parametrize(("answer", "code"), [("yes", 0), ("y", 3), ("", 3)])
    def test_a_terminal_is_asked(
        self, user: User, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], answer: str, code: int
    ) -> None:
        monkeypatch.setattr("sys.stdin.isatty", lambda: True, raising=False)
        monkeypatch.setattr("builtins.input", lambda question: answer)
        assert exit_code("securecore_sessions", "end", "--all") == code

    def test_the_audit_names_operator_and_reason(self, alice: MutualTLSClient, user: User) -> None:
        alice.post("/auth/login")
        printed("securecore_sessions", "end", "--user", "alice", "--operator", "erin", "--reason", "ticket 7")
        row = AuditRow.objects.get(event="securecore.sessions.sessions-ended")
        assert (row.actor_kind, row.reason) == ("command", "ticket 7")
        assert row.actor.endswith(" for erin")


class TestSessions:
    def test_sessions_are_listed_and_ended_one_by_one(self, alice: MutualTLSClient, mtls_client: Any) -> None:
        alice.post("/auth/login")
        bob = mtls_client("bob")
        bob.post("/auth/login")
        assert {row["user"] for row in objects("securecore_sessions", "list")} == {"alice", "bob"}
        (row,) = objects("securecore_sessions", "list", "--user", "alice@bank.example")
        assert lines("securecore_sessions", "list", "--certificate", row["certificate"])[0][:2] == [row["id"], "alice"]
        assert objects("securecore_sessions", "end", "--id", row["id"]) == [{"ended": 1}]
        assert [each.user and each.user.username for each in Session.objects.all()] == ["bob"]


class TestTokens:
    def test_tokens_of_a_user_a_client_an_authorization_and_one(self, alice: MutualTLSClient) -> None:
        for option, value in (("--user", "alice"), ("--client", "alice"), ("--family", ""), ("--jti", "")):
            token = given(alice)["access_token"]
            (row,) = objects("securecore_tokens", "list", "--user", "alice", "--client", "alice", "--limit", "1")
            values = {"--family": row["family"], "--jti": said(token)["jti"]}
            assert works(alice, token)
            assert "Refused from now on" in printed("securecore_tokens", "revoke", option, values.get(option, value))
            assert not works(alice, token), option
            RefreshFamily.objects.all().delete()

    @pytest.mark.parametrize("jti", ["-jti", "--help", "--jti"])
    def test_a_jti_may_begin_with_a_dash(self, jti: str, db: None) -> None:
        assert f"the access token {jti}" in printed("securecore_tokens", "revoke", "--jti", jti)

    def test_a_jti_that_nobody_gave_is_pointed_out(self, alice: MutualTLSClient) -> None:
        told = StringIO()
        arguments = ("securecore_tokens", "revoke", "--jti", "no-jti-of-ours")
        call_command(*arguments, stdout=StringIO(), stderr=told)
        assert "No issuer here uses a jti of this form" in told.getvalue()
        assert "anyway until " in printed("securecore_tokens", "revoke", "--jti", "another")
        assert ", as it was before" in printed(*arguments)
        jti = said(given(alice)["access_token"])["jti"]
        assert "anyway" not in printed("securecore_tokens", "revoke", "--jti", jti)

    def test_tokens_of_everyone_need_a_confirmation(self, alice: MutualTLSClient) -> None:
        token = given(alice)["access_token"]
        before = (clock.now() + dt.timedelta(seconds=1)).isoformat()
        for arguments in (["--all"], ["--before", before]):
            assert exit_code("securecore_tokens", "revoke", *arguments) == 3
        assert works(alice, token)
        printed("securecore_tokens", "revoke", "--all", "--yes")
        assert not works(alice, token)

    def test_an_unknown_authorization_is_a_mistake(self, user: User) -> None:
        assert exit_code("securecore_tokens", "revoke", "--family", str(uuid.uuid4())) == 1
        with pytest.raises(CommandError):
            printed("securecore_tokens", "revoke", "--before", "2026-11-28T08:00:00")


class TestClients:
    def test_clients_are_registered_disabled_and_enabled(self, alice: MutualTLSClient, user: User) -> None:
        register = ("securecore_clients", "register", "payments", "alice", "--scope", "a b")
        assert objects(*register)[0]["scope"] == "a b"
        assert exit_code(*register) == 1
        token = given(alice, client_id="payments")["access_token"]
        assert exit_code("securecore_clients", "disable", "payments") == 3
        printed("securecore_clients", "disable", "payments", "--yes")
        assert not works(alice, token)
        assert lines("securecore_clients", "list", "--user", "alice")[0][2] == "disabled"
        printed("securecore_clients", "enable", "payments")
        assert exit_code("securecore_clients", "enable", "payments") == 1
        assert not works(alice, token)
        assert works(alice, given(alice, client_id="payments")["access_token"])

    @pytest.mark.parametrize(
        "arguments",
        [
            ("disable", "unknown", "--yes"),
            ("register", "c", "nobody"),
            ("register", "c", "alice", "--certificate-name", "x"),
        ],
    )
    def test_clients_that_there_are_not(self, user: User, arguments: tuple[str, ...]) -> None:
        assert exit_code("securecore_clients", *arguments) == 1
        assert not Client.objects.exists()


class TestGrants:
    @pytest.fixture
    def tellers(self, user: User) -> Group:
        group = Group.objects.create(name="Tellers")
        group.user_set.add(user)
        return group

    def test_grants_are_given_listed_and_revoked(self, user: User) -> None:
        give = ("securecore_grants", "grant", MAKE, "--user", "alice")
        assert objects(*give, "--uses", "3", "--period", "60") == [{"principal": principal_of(user), "is_new": True}]
        assert "already" in printed(*give)
        (row,) = lines("securecore_grants", "list", "--user", "alice")
        assert row[1:5] == [f"{principal_of(user)} (alice)", MAKE, "-", "allows"]
        assert row[8] == "3 uses in 60 s"
        assert exit_code("securecore_grants", "revoke", MAKE, "--user", "alice") == 0
        assert exit_code("securecore_grants", "revoke", MAKE, "--user", "alice") == 1
        assert lines("securecore_grants", "list") == []
        assert len(lines("securecore_grants", "list", "--revoked", "--permission", MAKE)) == 1

    def test_a_grant_on_one_object(self, user: User, tellers: Group) -> None:
        on = f"auth.group:{tellers.pk}"
        printed("securecore_grants", "grant", MAKE, "--user", "alice", "--object", on)
        assert objects("securecore_grants", "list", "--object", on)[0]["object"] == on
        assert exit_code("securecore_grants", "why", MAKE, "--user", "alice") == 1
        assert exit_code("securecore_grants", "why", MAKE, "--user", "alice", "--object", on) == 0
        assert [row["caller"] for row in objects("securecore_grants", "callers", MAKE, "--object", on)] == [
            f"{principal_of(user)} (alice)"
        ]
        for wrong in ("auth.group:0", "auth.group", "x.y:1", "auth.group:x"):
            assert exit_code("securecore_grants", "callers", MAKE, "--object", wrong) == 1

    def test_a_certificate_brings_its_user(self, user: User) -> None:
        grant(principal=principal_of(user), permission=MAKE, now=clock.now())
        thumbprint = Certificate.objects.get(user=user).pk
        assert exit_code("securecore_grants", "why", MAKE, "--certificate", thumbprint) == 0

    def test_the_reason_names_each_grant_on_the_way(self, user: User, tellers: Group) -> None:
        printed("securecore_grants", "grant", "role:clerk", "--group", "Tellers")
        printed("securecore_grants", "grant", MAKE, "--role", "clerk")
        decision, *grants = objects("securecore_grants", "why", MAKE, "--user", "alice")
        assert decision == {"allowed": True, "reason": "granted"}
        assert {row["principal"] for row in grants} == {f"group:{tellers.pk} (Tellers)", "role:clerk"}
        printed("securecore_grants", "grant", MAKE, "--user", "alice", "--denies")
        assert exit_code("securecore_grants", "why", MAKE, "--user", "alice") == 1
        assert "denied" in _printed_though_it_fails("securecore_grants", "why", MAKE, "--user", "alice")

    def test_the_holders_are_those_of_the_check(self, user: User, tellers: Group, settings: Any) -> None:
        settings.SECURECORE = settings.SECURECORE | {"DJANGO_PERMISSIONS": True}
        names = ["bob", "carol", "dave", "erin", "frank"]
        bob, carol, dave, erin, frank = (User.objects.create(username=name) for name in names)
        now = clock.now()
        tellers.user_set.add(bob, carol)
        for principal, permission in (
            (principals.group(tellers), "role:clerk"),
            (principals.role("clerk"), "auth.add_user"),
            (principals.service("payments"), "auth.add_user"),
            (principal_of(dave), "auth.add_group"),
        ):
            grant(principal=principal, permission=permission, now=now)
        grant(principal=principal_of(bob), permission="auth.add_user", denies=True, now=now)
        User.objects.filter(pk=carol.pk).update(is_active=False)
        User.objects.filter(pk=erin.pk).update(is_superuser=True)
        frank.user_permissions.add(_permission("add_user"))
        found = [
            row["caller"].partition(" (")[2] or row["caller"]
            for row in objects("securecore_grants", "callers", "auth.add_user")
        ]
        assert sorted(found) == ["alice)", "erin)", "frank)", "service:payments"]

    def test_holders_come_in_pages(self, db: None, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("securecore.grants.callers._PAGE", 3)
        now = clock.now()
        for number in range(10):
            grant(principal=f"service:{number}", permission=MAKE, now=now)
        assert len(lines("securecore_grants", "callers", MAKE)) == 10

    def test_a_dry_run_shows_the_effect_and_has_none(self, user: User, tellers: Group) -> None:
        arguments = ("grant", MAKE, "--group", "Tellers", "--dry-run")
        (change,) = objects("securecore_grants", *arguments)
        assert (change["before"], change["after"]) == ("no-grant", "granted")
        assert not Grant.objects.exists()
        assert not AuditRow.objects.filter(event="securecore.grants.grant-given").exists()
        printed("securecore_grants", *arguments[:-1])
        printed("securecore_grants", "grant", MAKE, "--user", "alice")
        assert objects("securecore_grants", "revoke", *arguments[1:]) == [], "she has it by herself too"
        printed("securecore_grants", "revoke", MAKE, "--user", "alice")
        assert len(objects("securecore_grants", "revoke", *arguments[1:])) == 1

    def test_a_dry_run_of_a_role_shows_the_permissions_of_the_role(self, user: User) -> None:
        printed("securecore_grants", "grant", MAKE, "--role", "clerk")
        (change,) = objects("securecore_grants", "grant", "role:clerk", "--user", "alice", "--dry-run")
        assert (change["permission"], change["after"]) == (MAKE, "granted")


def _permission(codename: str) -> Any:
    return Permission.objects.get(codename=codename)


def _printed_though_it_fails(*arguments: str) -> str:
    out = StringIO()
    with pytest.raises(SystemExit):
        call_command(*arguments, stdout=out)
    return out.getvalue()


class TestLock:
    def test_a_lock_and_its_end(self, alice: MutualTLSClient, user: User) -> None:
        arguments = ("--user", "alice", "--reason", "stolen laptop")
        assert "is locked out until" in printed("securecore_lock", "add", *arguments, "--for", "2h")
        assert alice.get("/both").json()["code"] == "locked-out"
        (row,) = objects("securecore_lock", "list")
        assert (row["subject"], row["reason"]) == (f"{principal_of(user)} (alice)", "stolen laptop")
        printed("securecore_lock", "lift", "--user", "alice")
        assert alice.get("/both").status_code == 200
        assert exit_code("securecore_lock", "lift", "--user", "alice") == 1

    def test_everyone_and_an_issuer_need_a_confirmation(self, alice: MutualTLSClient) -> None:
        for arguments in (("--everyone",), ("--issuer", "CN=Test CA")):
            assert exit_code("securecore_lock", "add", *arguments, "--reason", "x") == 3
            printed("securecore_lock", "add", *arguments, "--reason", "x", "--yes")
            assert alice.get("/both").status_code == 403
            printed("securecore_lock", "lift", *arguments)
        assert alice.get("/both").status_code == 200

    @pytest.mark.parametrize(
        "arguments",
        [
            ("--user", "alice"),
            ("--user", "alice", "--reason", "x", "--for", "31d"),
            ("--user", "alice", "--reason", "x", "--for", "2"),
            ("--user", "nobody", "--reason", "x"),
            ("--issuer", "O = Bank", "--reason", "x", "--yes"),
            ("--certificate", "no such file", "--reason", "x"),
            ("--reason", "x"),
        ],
    )
    def test_a_wrong_lock_locks_nobody_out(self, user: User, arguments: tuple[str, ...]) -> None:
        with pytest.raises(CommandError):
            printed("securecore_lock", "add", *arguments)
        assert not Lockout.objects.exists()


class TestSignatureKeys:
    def test_keys_are_registered_listed_and_revoked(self, user: User, certificate_for: Any, tmp_path: Path) -> None:
        key = load_pem_x509_certificate(certificate_for("bob").pem.encode()).public_key()
        (tmp_path / "key.pem").write_bytes(key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))
        register = ("securecore_signature_keys", "register", "laptop", "alice@bank.example", str(tmp_path / "key.pem"))
        assert objects(*register)[0]["user"] == "alice"
        assert exit_code(*register) == 1, "the name is taken"
        assert lines("securecore_signature_keys", "list", "--user", "alice")[0][:2] == ["laptop", "alice"]
        printed("securecore_signature_keys", "revoke", "laptop", "--operator", "erin", "--reason", "ticket 7")
        assert AuditRow.objects.get(event="securecore.replay.signature-key-revoked").reason == "ticket 7"
        assert exit_code("securecore_signature_keys", "revoke", "laptop") == 1
        assert lines("securecore_signature_keys", "list") == []
        assert objects("securecore_signature_keys", "list", "--revoked")[0]["revoked_at"]

    @pytest.mark.parametrize("content", [b"no key", b"\xff", None])
    def test_a_file_without_a_key_is_a_mistake(self, user: User, tmp_path: Path, content: bytes | None) -> None:
        if content is not None:
            (tmp_path / "key.pem").write_bytes(content)
        assert exit_code("securecore_signature_keys", "register", "k", "alice", str(tmp_path / "key.pem")) == 1


class TestCertificates:
    def test_the_list_has_serial_number_and_last_use(
        self, alice: MutualTLSClient, user: User, certificate_for: Any
    ) -> None:
        (row,) = objects("securecore_certificates", "list", "--user", "alice@bank.example")
        assert row["last_seen_at"] is None
        assert row["serial_number"] == parse_pem(certificate_for("alice").pem).serial_number
        serial = row["serial_number"].upper()
        for text in (serial, f"serial={serial}", "CN=Test CA", "cn=alice", row["thumbprint"]):
            assert [each["user"] for each in objects("securecore_certificates", "list", "--find", text)] == ["alice"]
        assert objects("securecore_certificates", "list", "--find", "0") == []
        alice.post("/auth/login")
        given(alice)
        (row,) = objects("securecore_certificates", "list")
        assert row["last_seen_at"] is not None

    def test_a_list_of_an_authority_is_imported(
        self, alice: MutualTLSClient, ca: Any, certificate_for: Any, tmp_path: Path, settings: Any
    ) -> None:
        lists, authority = Lists(ca), tmp_path / "ca.pem"
        authority.write_text(lists.issued.pem)
        path = str(lists.write(tmp_path / "list.crl", certificate_for("alice")))
        assert exit_code("securecore_certificates", "crl", path) == 1
        told = objects("securecore_certificates", "crl", path, "--authority", str(authority))[0]
        assert (told["issuer"], told["added"]) == ("CN=Test CA", 1)
        assert alice.get("/both").json()["code"] == "certificate-revoked"
        assert exit_code("securecore_certificates", "crls", "--hours", "0") == 0
        assert exit_code("securecore_certificates", "crls") == 1, "it ends within a day"
        settings.SECURECORE = settings.SECURECORE | {"CERTIFICATE_AUTHORITIES": str(authority)}
        again = str(lists.write(tmp_path / "next.crl"))
        printed("securecore_certificates", "crl", again, "--when-expired", "refuse")
        assert objects("securecore_certificates", "crls", "--hours", "0")[0]["when_expired"] == "refuse"

    def test_a_list_is_fetched(self, ca: Any, tmp_path: Path) -> None:
        lists = Lists(ca)
        lists.write(tmp_path / "list.crl", ca.issue("bob"))
        (tmp_path / "ca.pem").write_text(lists.issued.pem)
        handler = functools.partial(Quiet, directory=str(tmp_path))
        with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
            threading.Thread(target=server.serve_forever, daemon=True).start()
            address = f"http://127.0.0.1:{server.server_port}"
            authority = ("--authority", str(tmp_path / "ca.pem"))
            assert exit_code("securecore_certificates", "crl", f"{address}/list.crl", *authority) == 0
            assert exit_code("securecore_certificates", "crl", f"{address}/other", *authority) == 1
            server.shutdown()
        assert exit_code("securecore_certificates", "crl", f"{address}/list.crl", *authority) == 1
        assert exit_code("securecore_certificates", "crl", "file:///etc/hostname", *authority) == 1

    @pytest.mark.parametrize("name", ["missing.pem", "list.crl", "key.pem"])
    def test_a_wrong_authority_is_a_mistake(self, ca: Any, tmp_path: Path, name: str) -> None:
        path = Lists(ca).write(tmp_path / "list.crl")
        (tmp_path / "key.pem").write_text(ca.issue("x").key_pem)
        assert exit_code("securecore_certificates", "crl", str(path), "--authority", str(tmp_path / name)) == 1


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_: Any) -> None:
        pass
