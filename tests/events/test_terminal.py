"""Text from outside moves no cursor and forges no line, in any command."""

from __future__ import annotations

import ast
from datetime import timedelta
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core.management import CommandError, call_command

from securecore import grants
from securecore.identity import enroll, parse_pem, present
from securecore.models import Client, Lockout
from securecore.testing import Authority, Issued
from tests.support.tree import ROOT

MAKE = "things.make"
CONTROLS = "\x1b[2J\x1b]0;x\x07\x9b31m\r\nforged\tline\x7f\u202e\u2066\u200f\u2028\u0085"


def printed(*arguments: str) -> str:
    out = StringIO()
    call_command(*arguments, stdout=out, stderr=out)
    return out.getvalue()


def is_safe(text: str) -> bool:
    return all(line.replace("\t", "").isprintable() for line in text.removesuffix("\n").split("\n"))


@pytest.fixture
def hostile(ca: Authority, db: None, now: Any) -> Issued:
    """A certificate with names that attack the operator's terminal, enrolled for a user with such a name."""
    issued = ca.issue(CONTROLS[:60], uris=["urn:x"])
    enroll(certificate=parse_pem(issued.pem), user=User.objects.create(username=CONTROLS), now=now)
    return issued


class TestCertificates:
    def test_certificates_are_listed_one_a_line(self, hostile: Issued) -> None:
        out = printed("securecore_certificates", "list")
        assert is_safe(out)
        assert out.count("\n") == 1
        assert out.count("\t") == 9
        assert r"\x1b[2J" in out

    def test_certificates_that_wait_are_too(self, ca: Authority, db: None, settings: Any) -> None:
        settings.SECURECORE = {**settings.SECURECORE, "PENDING_CERTIFICATES": 2}
        assert present(certificate=parse_pem(ca.issue(CONTROLS[:60]).pem))
        assert is_safe(printed("securecore_certificates", "list", "--pending"))

    def test_certificates_that_end_soon_are_too(self, hostile: Issued) -> None:
        out = StringIO()
        with pytest.raises(SystemExit):
            call_command("securecore_certificates", "expiring", stdout=out)
        assert is_safe(out.getvalue())

    @pytest.mark.parametrize(
        "arguments",
        [
            ("securecore_certificates", "enroll", CONTROLS, "x.pem"),
            ("securecore_certificates", "revoke", CONTROLS),
            ("securecore_certificates", "list", "--user", CONTROLS + "x"),
            ("securecore_sessions", "end", "--user", CONTROLS + "x"),
            ("securecore_keys", "retire", CONTROLS),
            ("securecore_tokens", "list", "--user", CONTROLS + "x"),
            ("securecore_clients", "enable", CONTROLS),
            ("securecore_clients", "register", CONTROLS, CONTROLS + "x"),
            ("securecore_grants", "grant", CONTROLS, "--client", CONTROLS),
            ("securecore_grants", "callers", "x", "--object", CONTROLS),
            ("securecore_grants", "list", "--group", CONTROLS),
            ("securecore_lock", "add", "--issuer", CONTROLS, "--reason", "x", "--yes"),
            ("securecore_lock", "lift", "--client", CONTROLS),
            ("securecore_incident", "stolen-certificate", CONTROLS, "--yes"),
            ("securecore_incident", "stolen-token", "--file", CONTROLS),
            ("securecore_certificates", "crl", CONTROLS, "--authority", CONTROLS),
            ("securecore_certificates", "crl", "http://" + CONTROLS, "--authority", CONTROLS),
            ("securecore_edge", "check", CONTROLS),
        ],
    )
    def test_certificates_a_mistake_that_quotes_is_safe(self, hostile: Issued, arguments: tuple[str, ...]) -> None:
        with pytest.raises(CommandError) as error:
            printed(*arguments)
        assert is_safe(str(error.value))


@pytest.mark.parametrize(
    "arguments",
    [
        ("securecore_grants", "list"),
        ("securecore_grants", "callers", MAKE),
        ("securecore_grants", "why", MAKE, "--user", CONTROLS),
        ("securecore_lock", "list"),
        ("securecore_clients", "list"),
        ("securecore_certificates", "list"),
    ],
)
def test_results_are_one_a_line(hostile: Issued, now: Any, arguments: tuple[str, ...]) -> None:
    user = User.objects.get()
    grants.grant(principal=grants.principal_of(user), permission=MAKE, now=now)
    Lockout.objects.create(
        subject=grants.principal_of(user), reason=CONTROLS, locked_at=now, expires_at=now + timedelta(hours=1)
    )
    Client.objects.create(client_id="c", user=user, certificate_name=CONTROLS, created_at=now)
    if arguments[1] in ("callers", "why"):
        Lockout.objects.all().delete()
    for form in ((), ("--json",)):
        out = printed(*arguments, *form)
        assert is_safe(out)
        assert out.count("\n") == (2 if arguments[1] == "why" else 1)


def test_keys_are_listed_one_a_line(db: None, settings: Any) -> None:
    [key] = settings.SECURECORE["TOKEN_SIGNING_KEYS"]
    settings.SECURECORE = {**settings.SECURECORE, "TOKEN_SIGNING_KEYS": [{**key, "kid": CONTROLS}]}
    out = printed("securecore_keys", "list")
    assert is_safe(out)
    assert r"\x1b" in out


def test_the_edge_is_told_of_line_by_line(tmp_path: Path) -> None:
    hostile = tmp_path / f"a{CONTROLS}.conf"
    hostile.write_text("http { server { listen 443 ssl; ssl_verify_client optional; } }")
    out = StringIO()
    with pytest.raises(SystemExit):
        call_command("securecore_edge", "check", str(hostile), stdout=out)
    assert is_safe(out.getvalue())


def surrogate(*arguments: str) -> None:
    with pytest.raises(CommandError):
        printed(*arguments)


@pytest.mark.django_db
@pytest.mark.parametrize("text", ["\udcff", "a\0b"])
def test_an_argument_that_no_column_holds_is_a_mistake_and_no_traceback(text: str) -> None:
    """A shell passes bytes that are not UTF-8 as half surrogate pairs."""
    surrogate("securecore_certificates", "list", "--user", text)
    surrogate("securecore_certificates", "enroll", text, "x")
    surrogate("securecore_certificates", "revoke", text)
    surrogate("securecore_sessions", "end", "--user", text)
    surrogate("securecore_sessions", "end", "--certificate", text)
    surrogate("securecore_keys", "retire", text)
    surrogate("securecore_grants", "grant", "x", "--client", text)
    surrogate("securecore_lock", "add", "--client", "x", "--reason", text)
    surrogate("securecore_incident", "stolen-token", "--jti", text, "--yes")


@pytest.mark.django_db
@pytest.mark.parametrize("number", ["99999999999999", "-99999999999999", "9" * 400])
def test_a_number_out_of_range_is_a_mistake_and_no_traceback(number: str, settings: Any) -> None:
    with pytest.raises((CommandError, SystemExit)):
        printed("securecore_certificates", "expiring", f"--days={number}")
    for value in (number, "nan", "inf"):
        with pytest.raises((CommandError, SystemExit)):
            printed("securecore_purge", f"--batch-size={value}")
        with pytest.raises((CommandError, SystemExit)):
            printed("securecore_keys", "rotate", f"--lead={value}")


def test_no_command_writes_past_say() -> None:
    """Except the progress bar of the purge, which holds no text from outside."""
    found = []
    for path in sorted((ROOT / "securecore/management").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if (isinstance(node, ast.Attribute) and node.attr in ("stdout", "stderr")) or is_print(node):
                found.append(path.name)
    assert set(found) <= {"terminal.py", "securecore_purge.py"}


def is_print(node: ast.AST) -> bool:
    return isinstance(node, ast.Name) and node.id == "print"
