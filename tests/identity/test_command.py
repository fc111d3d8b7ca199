"""The command manage.py securecore_certificates."""

from __future__ import annotations

import datetime as dt
import itertools
from collections.abc import Callable
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core.management import CommandError, call_command

from securecore import caller
from securecore.errors import CertificateRevoked
from securecore.identity import Certificate, parse_pem, present
from securecore.testing.authority import DAY, Authority, Issued

pytestmark = pytest.mark.django_db


@pytest.fixture
def hyphened(ca: Authority) -> Issued:
    """A certificate with a thumbprint that begins with a hyphen, like an option. One in 64 does."""
    issued = (ca.issue("alice") for _ in itertools.count())
    return next(each for each in issued if parse_pem(each.pem).thumbprint.startswith("-"))


def run(*arguments: str) -> list[list[str]]:
    """Return the lines that the command prints, each split into its fields."""
    out = StringIO()
    call_command("securecore_certificates", *arguments, stdout=out, stderr=StringIO())
    return [line.split("\t") for line in out.getvalue().splitlines()]


@pytest.fixture
def alice() -> User:
    return User.objects.create(username="alice")


@pytest.fixture
def file_of(tmp_path: Path) -> Callable[[Issued], str]:
    def file_of(issued: Issued) -> str:
        path = tmp_path / f"{issued.certificate.serial_number}.pem"
        path.write_text(issued.pem)
        return str(path)

    return file_of


class TestEnroll:
    def test_enroll_maps_a_file_to_a_user(self, ca: Authority, alice: User, file_of: Callable[[Issued], str]) -> None:
        issued = ca.issue("alice")
        [fields] = run("enroll", "alice", file_of(issued))
        assert caller.user_of_certificate(parse_pem(issued.pem)) == alice
        assert fields[:4] == [parse_pem(issued.pem).thumbprint, "thumbprint", "enrolled", "alice"]

    def test_enroll_maps_a_name_to_a_user(
        self, ca: Authority, alice: User, file_of: Callable[[Issued], str], settings: Any
    ) -> None:
        settings.SECURECORE = {**settings.SECURECORE, "CERTIFICATE_MATCHES": ["san-uri"]}
        first, second = (ca.issue("alice", uris=["spiffe://example/alice"]) for _ in range(2))
        run("enroll", "alice", file_of(first), "--match", "san-uri")
        assert caller.user_of_certificate(parse_pem(second.pem)) == alice

    def test_enroll_needs_no_file_for_a_name(self, ca: Authority, alice: User, settings: Any) -> None:
        settings.SECURECORE = {**settings.SECURECORE, "CERTIFICATE_MATCHES": ["san-dns"]}
        run("enroll", "alice", "--match", "san-dns", "--issuer", "CN=Test CA", "--value", "a.example")
        issued = ca.issue("alice", dns_names=["a.example"])
        assert caller.user_of_certificate(parse_pem(issued.pem)) == alice

    def test_enroll_needs_no_file_for_a_key(self, ca: Authority, alice: User, settings: Any) -> None:
        settings.SECURECORE = {**settings.SECURECORE, "CERTIFICATE_MATCHES": ["public-key"]}
        shown = (parse_pem(ca.issue("alice").pem) for _ in itertools.count())
        certificate = next(each for each in shown if each.key_thumbprint.startswith("-"))
        run("enroll", "alice", "--match", "public-key", "--value", certificate.key_thumbprint)
        assert caller.user_of_certificate(certificate) == alice

    def test_enroll_admits_a_pending_certificate(self, hyphened: Issued, alice: User, settings: Any) -> None:
        settings.SECURECORE = {**settings.SECURECORE, "PENDING_CERTIFICATES": 5}
        certificate = parse_pem(hyphened.pem)
        assert present(certificate=certificate)
        [waiting] = run("list", "--pending")
        assert waiting[2:4] == ["pending", "-"]
        run("enroll", "alice", waiting[0])
        assert caller.user_of_certificate(certificate) == alice
        assert run("list", "--pending") == []

    @pytest.mark.parametrize(
        "arguments",
        [
            ("nobody", "x.pem"),
            ("alice", "no such file"),
            ("alice",),
            ("alice", "--match", "san-uri"),
            ("alice", "--match", "san-uri", "--value", "spiffe://a/b"),
            ("alice", "A" * 43),
        ],
    )
    def test_enroll_says_what_is_wrong(self, alice: User, arguments: tuple[str, ...]) -> None:
        with pytest.raises(CommandError):
            run("enroll", *arguments)
        assert not Certificate.objects.exists()

    def test_enroll_reads_one_certificate_and_nothing_else(
        self, ca: Authority, alice: User, tmp_path: Path, file_of: Callable[[Issued], str]
    ) -> None:
        (tmp_path / "two.pem").write_text(ca.issue("alice").pem + ca.issue("bob").pem)
        with pytest.raises(CommandError, match="2 client certificates"):
            run("enroll", "alice", str(tmp_path / "two.pem"))

    def test_enroll_gives_nothing_to_another_user(
        self, ca: Authority, alice: User, file_of: Callable[[Issued], str]
    ) -> None:
        User.objects.create(username="bob")
        path = file_of(ca.issue("alice"))
        run("enroll", "alice", path)
        with pytest.raises(CommandError, match="another user"):
            run("enroll", "bob", path)


@pytest.mark.django_db(transaction=True)
class TestRevoke:
    @pytest.mark.parametrize("how", ["file", "thumbprint"])
    def test_revoke_refuses_from_now_on(
        self, hyphened: Issued, alice: User, file_of: Callable[[Issued], str], how: str
    ) -> None:
        certificate = parse_pem(hyphened.pem)
        run("enroll", "alice", file_of(hyphened))
        run("revoke", file_of(hyphened) if how == "file" else certificate.thumbprint)
        with pytest.raises(CertificateRevoked):
            caller.user_of_certificate(certificate)

    def test_revoke_of_a_match_refuses_every_certificate(
        self, ca: Authority, alice: User, file_of: Callable[[Issued], str], settings: Any
    ) -> None:
        settings.SECURECORE = {**settings.SECURECORE, "CERTIFICATE_MATCHES": ["subject"]}
        [fields] = run("enroll", "alice", file_of(ca.issue("alice")), "--match", "subject")
        run("revoke", fields[0])
        with pytest.raises(CertificateRevoked):
            caller.user_of_certificate(parse_pem(ca.issue("alice").pem))


class TestExpiring:
    def test_expiring_lists_what_is_in_use_and_ends_soon(
        self, ca: Authority, alice: User, file_of: Callable[[Issued], str], now: dt.datetime
    ) -> None:
        for days in (3, 5, 40):
            run("enroll", "alice", file_of(ca.issue(f"in {days} days", not_after=now + days * DAY)))
        run("enroll", "alice", "--match", "subject", "--issuer", "CN=Test CA", "--value", "CN=never")
        out = StringIO()
        with pytest.raises(SystemExit) as code:
            call_command("securecore_certificates", "expiring", "--days", "30", stdout=out)
        assert code.value.code == 1
        assert [line.split("\t")[5] for line in out.getvalue().splitlines()] == ["CN=in 3 days", "CN=in 5 days"]

    def test_expiring_says_nothing_of_what_nobody_uses(
        self, ca: Authority, alice: User, file_of: Callable[[Issued], str], now: dt.datetime
    ) -> None:
        paths = [file_of(ca.issue(name, not_after=now + DAY)) for name in ("revoked", "left")]
        User.objects.create(username="bob", is_active=False)
        run("enroll", "alice", paths[0])
        Certificate.objects.update(revoked_at=now)
        run("enroll", "bob", paths[1])
        assert run("expiring", "--days", "30") == []
        assert run("expiring", "--days", "0") == []


class TestMistakes:
    def test_enroll_of_a_revoked_certificate_fails(
        self, ca: Authority, alice: User, file_of: Callable[[Issued], str]
    ) -> None:
        path = file_of(ca.issue("alice"))
        run("enroll", "alice", path)
        run("revoke", path)
        with pytest.raises(CommandError, match=r"was revoked at \d{4}-.* enrol a new certificate"):
            run("enroll", "alice", path)

    @pytest.mark.parametrize("action", [("revoke",), ("enroll", "alice")])
    @pytest.mark.parametrize(
        ("text", "reason"),
        [
            (":".join(["A1"] * 20), "is a SHA-1"),
            ("sha1 Fingerprint=" + ":".join(["A1"] * 20), "is a SHA-1"),
            ("a1" * 20, "is a SHA-1"),
            ("a1" * 32 + "  alice.pem", "is a line of sha256sum"),
            ("serial=4F2A90", "is a serial number"),
            ("0x4f2a90", "is a serial number"),
            ("4F:2A:90", "is a serial number"),
            ("alice.pem", "No such file"),
        ],
    )
    def test_another_number_of_a_certificate_is_named(
        self, alice: User, action: tuple[str, ...], text: str, reason: str
    ) -> None:
        with pytest.raises(CommandError, match=reason):
            run(*action, text)
