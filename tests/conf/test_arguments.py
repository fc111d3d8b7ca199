"""Every public function names the right call for an argument of the wrong kind."""

# mypy finds most of these mistakes, in a project that runs it.
# mypy: disable-error-code="arg-type, call-arg"

from __future__ import annotations

import datetime as dt
import traceback
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import AnonymousUser, Group, User
from django.core.management import CommandError, call_command
from django.test import RequestFactory

from securecore import clock, grants, identity, revocation, tokens
from securecore.errors import Misuse
from securecore.grants import principal_of, principals
from securecore.http.permissions import authorize, late_gate
from securecore.identity import parse_pem
from securecore.replay import signature_keys
from securecore.testing import Authority, FakeClock, MutualTLSAPIClient, MutualTLSClient, enrolled_user, identified
from securecore.texts import quoted
from securecore.tokens import clients, one_time

NOW, NAIVE = clock.now(), dt.datetime(2030, 1, 1)  # noqa: DTZ001  # a naive instant is the mistake


def enter(block: AbstractContextManager[Any]) -> None:
    with block:
        pass


def written(value: Any) -> dict[str, Callable[..., Any]]:
    """Return the calls with an error that repeats the wrong ``value``."""
    return {
        "revoke_certificate": lambda user: revocation.revoke_certificate(thumbprint=value),
        "principals.certificate": lambda user: principals.certificate(value),
        "end_sessions": lambda user: revocation.end_sessions(thumbprint=value, reason="x"),
        "admit": lambda user: identity.registry.admit(thumbprint=value, user=user, now=NOW),
        "principal_of": lambda user: principal_of(value),
        "principals.group": lambda user: principals.group(value),
        "deactivate_user": lambda user: revocation.deactivate_user(value),
        "grant": lambda user: grants.grant(principal=value, permission="x.y", now=NOW),
        "grant(permission)": lambda user: grants.grant(principal=principal_of(user), permission=value, now=NOW),
        "grant(obj)": lambda user: grants.grant(principal=principal_of(user), permission="x.y", obj=value, now=NOW),
        "grant(valid_until)": lambda user: grants.grant(
            principal=principal_of(user), permission="x.y", valid_until=value, now=NOW
        ),
        "grant(uses_limit)": lambda user: grants.grant(
            principal=principal_of(user), permission="x.y", uses_limit=value, now=NOW
        ),
        "decide": lambda user: grants.decide(value, "x.y", clock=clock.now),
        "decide(two)": lambda user: grants.decide(("user:1", value), "x.y", clock=clock.now),
        "disable_client": lambda user: revocation.disable_client(value),
        "revoke_family": lambda user: revocation.revoke_family(value),
        "revoke_tokens_before": lambda user: revocation.revoke_tokens_before(value),
        "tokens.issue": lambda user: tokens.issue(subject="1", client_id="x", binding=value, now=NOW),
        "one_time.issue": lambda user: one_time.issue(purpose=value, subject=value, lifetime=3, now=value),
        "one_time.issue(lifetime)": lambda user: one_time.issue(purpose="x", subject="1", lifetime=value, now=NOW),
        "signature_keys": lambda user: signature_keys.register(keyid="k", user=user, public_key=value, now=NOW),
        "clients.register": lambda user: clients.register(client_id="x", user=user, scope=[value], now=NOW),
        "match_of": lambda user: identity.match_of(value, value),
        "enroll": lambda user: identity.enroll(certificate=value, user=user, now=NOW),
    }


#: Name and call; each call gets a user and a certificate.
WRONG: dict[str, Callable[..., Any]] = {
    "deactivate_user(str)": lambda user, certificate: revocation.deactivate_user("alice"),
    "deactivate_user(int)": lambda user, certificate: revocation.deactivate_user(1),
    "deactivate_user(anon)": lambda user, certificate: revocation.deactivate_user(AnonymousUser()),
    "revoke_user_tokens(str)": lambda user, certificate: revocation.revoke_user_tokens("alice"),
    "end_sessions(user=str)": lambda user, certificate: revocation.end_sessions(user="alice", reason="x"),
    "end_sessions(thumb=cert)": lambda user, certificate: revocation.end_sessions(thumbprint=certificate, reason="x"),
    "end_selected_sessions(user)": lambda user, certificate: revocation.end_selected_sessions(user, reason="x"),
    "remove_from_group(str)": lambda user, certificate: revocation.remove_from_group(user=user, group="people"),
    "remove_from_group(user str)": lambda user, certificate: revocation.remove_from_group(
        user="alice", group=Group.objects.create(name="x")
    ),
    "revoke_grant(user)": lambda user, certificate: revocation.revoke_grant(principal=user, permission="x.y"),
    "revoke_grant(perm=None)": lambda user, certificate: revocation.revoke_grant(
        principal=principal_of(user), permission=None
    ),
    "revoke_grant(obj=str)": lambda user, certificate: revocation.revoke_grant(
        principal=principal_of(user), permission="x.y", obj="acc"
    ),
    "revoke_role(user)": lambda user, certificate: revocation.revoke_role(principal=user, role="x"),
    "revoke_all_grants(user)": lambda user, certificate: revocation.revoke_all_grants(principal=user),
    "disable_client(client)": lambda user, certificate: revocation.disable_client(user),
    "revoke_client_tokens(int)": lambda user, certificate: revocation.revoke_client_tokens(3),
    "revoke_token(jti=1)": lambda user, certificate: revocation.revoke_token(issuer="x", jti=1, expires_at=NOW),
    "revoke_token(expires int)": lambda user, certificate: revocation.revoke_token(
        issuer="x", jti="1", expires_at=1700000000
    ),
    "revoke_token(expires naive)": lambda user, certificate: revocation.revoke_token(
        issuer="x", jti="1", expires_at=NAIVE
    ),
    "revoke_family(str)": lambda user, certificate: revocation.revoke_family("abc"),
    "revoke_tokens_before(int)": lambda user, certificate: revocation.revoke_tokens_before(17),
    "revoke_tokens_before(naive)": lambda user, certificate: revocation.revoke_tokens_before(NAIVE),
    "revoke_tokens_before(future)": lambda user, certificate: revocation.revoke_tokens_before(NOW + dt.timedelta(400)),
    "revoke_certificate(cert)": lambda user, certificate: revocation.revoke_certificate(thumbprint=certificate),
    "revoke_certificate(serial)": lambda user, certificate: revocation.revoke_certificate(thumbprint="1234"),
    "authorize(user)": lambda user, certificate: enter(authorize(user, "x.y")),
    "authorize(None)": lambda user, certificate: enter(authorize(None, "x.y")),
    "authorize(perm=None)": lambda user, certificate: enter(authorize(principal_of(user), None)),
    "authorize(obj=str)": lambda user, certificate: enter(authorize(principal_of(user), "x.y", "acc")),
    "late_gate(user)": lambda user, certificate: enter(late_gate(user)),
    "decide(user)": lambda user, certificate: grants.decide(user, "x.y", clock=clock.now),
    "grant(user)": lambda user, certificate: grants.grant(principal=user, permission="x.y", now=NOW),
    "grant(now=naive)": lambda user, certificate: grants.grant(
        principal=principal_of(user), permission="x.y", now=NAIVE
    ),
    "grant(now=int)": lambda user, certificate: grants.grant(principal=principal_of(user), permission="x.y", now=3),
    "grant(obj=str)": lambda user, certificate: grants.grant(
        principal=principal_of(user), permission="x.y", obj="acc", now=NOW
    ),
    "grant(valid_until=int)": lambda user, certificate: grants.grant(
        principal=principal_of(user), permission="x.y", valid_until=3, now=NOW
    ),
    "grant(valid_until=naive)": lambda user, certificate: grants.grant(
        principal=principal_of(user), permission="x.y", valid_until=NAIVE, now=NOW
    ),
    "grant(valid_from=naive)": lambda user, certificate: grants.grant(
        principal=principal_of(user), permission="x.y", valid_from=NAIVE, now=NOW
    ),
    "row.save(naive)": lambda user, certificate: grants.Grant.objects.filter(valid_until=NAIVE).exists(),
    "principal_of(str)": lambda user, certificate: principal_of("alice"),
    "principal_of(anon)": lambda user, certificate: principal_of(AnonymousUser()),
    "principal_of(unsaved)": lambda user, certificate: principal_of(User(username="x")),
    "principals.group(str)": lambda user, certificate: principals.group("people"),
    "principals.certificate(cert)": lambda user, certificate: principals.certificate(certificate),
    "issue(subject=1)": lambda user, certificate: one_time.issue(purpose="x", subject=1, lifetime=3, now=NOW),
    "issue(subject=user)": lambda user, certificate: one_time.issue(purpose="x", subject=user, lifetime=3, now=NOW),
    "issue(purpose=1)": lambda user, certificate: one_time.issue(purpose=1, subject="1", lifetime=3, now=NOW),
    "issue(now=int)": lambda user, certificate: one_time.issue(purpose="x", subject="1", lifetime=3, now=3),
    "grant(valid_untill)": lambda user, certificate: grants.grant(
        principal=principal_of(user), permission="x.y", valid_untill=NOW + dt.timedelta(1), now=NOW
    ),
    "parse_file(name)": lambda user, certificate: identity.parse_file("alice.pem"),
    "parse_file(path)": lambda user, certificate: identity.parse_file(Path("alice.pem")),
    "parse_file(text)": lambda user, certificate: identity.parse_file("-----BEGIN CERTIFICATE-----"),
    "parse_file(None)": lambda user, certificate: identity.parse_file(None),
    "parse_pem(path)": lambda user, certificate: parse_pem(Path("alice.pem")),
    "MutualTLSClient(str)": lambda user, certificate: MutualTLSClient("alice"),
    "MutualTLSClient(cert)": lambda user, certificate: MutualTLSClient(certificate),
    "MutualTLSAPIClient(user)": lambda user, certificate: MutualTLSAPIClient(user),
    "identified(str)": lambda user, certificate: identified(RequestFactory().get("/"), "alice"),
    "identified(request=str)": lambda user, certificate: identified("/page"),
    "identified(user=str)": lambda user, certificate: identified(RequestFactory().get("/"), user="alice"),
    "enrolled_user(cert=str)": lambda user, certificate: enrolled_user("a", "cert"),
    "enrolled_user(cert)": lambda user, certificate: enrolled_user(user, certificate),
    "enrolled_user(None)": lambda user, certificate: enrolled_user(None, Authority().issue("a")),
    "principal_of(class)": lambda user, certificate: principal_of(User),
    "deactivate_user(class)": lambda user, certificate: revocation.deactivate_user(User),
    "grant(obj=class)": lambda user, certificate: grants.grant(
        principal=principal_of(user), permission="x.y", obj=Group, now=NOW
    ),
    "authorize(obj=class)": lambda user, certificate: enter(authorize(principal_of(user), "x.y", Group)),
    "principals.role(None)": lambda user, certificate: principals.role(None),
    "principals.role(empty)": lambda user, certificate: principals.role(""),
    "revoke_role(None)": lambda user, certificate: revocation.revoke_role(principal=principal_of(user), role=None),
    "grant(valid_until=past)": lambda user, certificate: grants.grant(
        principal=principal_of(user), permission="x.y", valid_until=NOW - dt.timedelta(1), now=NOW
    ),
    "retire_key(None)": lambda user, certificate: revocation.retire_key(None),
    "revoke_signature_key(int)": lambda user, certificate: revocation.revoke_signature_key(7),
    "revoke_signature_key(empty)": lambda user, certificate: revocation.revoke_signature_key(""),
    "enroll(cert=str)": lambda user, certificate: identity.enroll(certificate="alice.pem", user=user, now=NOW),
    "enroll(user=str)": lambda user, certificate: identity.enroll(certificate=certificate, user="alice", now=NOW),
    "enroll(now=int)": lambda user, certificate: identity.enroll(certificate=certificate, user=user, now=4),
    "enroll_match(match=str)": lambda user, certificate: identity.enroll_match(match="x", user=user, now=NOW),
    "match_of(cert str)": lambda user, certificate: identity.match_of("x", "public-key"),
    "match_of(mode)": lambda user, certificate: identity.match_of(certificate, "key"),
    "register(user=str)": lambda user, certificate: clients.register(client_id="x", user="alice", now=NOW),
    "register(scope=list)": lambda user, certificate: clients.register(client_id="x", user=user, scope=["a"], now=NOW),
    "tokens.issue(subject=user)": lambda user, certificate: tokens.issue(
        subject=user, client_id="x", binding="x5t#S256:" + certificate.thumbprint, now=NOW
    ),
    "tokens.issue(binding)": lambda user, certificate: tokens.issue(
        subject="1", client_id="x", binding=certificate.thumbprint, now=NOW
    ),
    "signature_keys.register": lambda user, certificate: signature_keys.register(
        keyid="k", user="alice", public_key="x", now=NOW
    ),
}


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("name", WRONG)
def test_argument_of_the_wrong_kind_is_misuse(ca: Authority, name: str) -> None:
    user = User.objects.create(username="alice")
    with pytest.raises(Misuse, match=r"(?s).{30}"):
        WRONG[name](user, parse_pem(ca.certificate_for("alice").pem))


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("name", [name for name in WRONG if "naive" in name])
def test_naive_end_is_made_aware_and_not_replaced_by_the_present(ca: Authority, name: str) -> None:
    """``expires_at=timezone.now()`` would silence the error, and the revocation would end at once."""
    user = User.objects.create(username="alice")
    with pytest.raises(Misuse, match=r"=timezone\.make_aware\(") as misuse:
        WRONG[name](user, parse_pem(ca.certificate_for("alice").pem))
    assert "now()" not in str(misuse.value)


@pytest.mark.django_db(transaction=True)
def test_no_tokens_of_the_future_are_revoked() -> None:
    """Every new token would be refused until then, and the instant in the table never moves back."""
    with FakeClock() as fake_clock:
        for seconds in (clock.SKEW + 1, 86_400 * 400):
            with pytest.raises(Misuse, match=r"write revoke_tokens_before\(timezone\.now\(\)\)"):
                revocation.revoke_tokens_before(fake_clock.now + dt.timedelta(seconds=seconds))
        assert not tokens.TokenEpoch.objects.exists()
        revocation.revoke_tokens_before(fake_clock.now + dt.timedelta(seconds=clock.SKEW))


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("form", ["text", "bytes", "one line", "body", "list"])
@pytest.mark.parametrize("name", written(None))
def test_no_error_repeats_a_private_key(ca: Authority, name: str, form: str) -> None:
    """``revoke_certificate(thumbprint=Path("both.pem").read_text())``: the traceback goes to a log, and to Sentry."""
    user, issued = User.objects.create(username="alice"), ca.issue("alice")
    both = issued.pem + issued.key_pem
    forms: dict[str, Any] = {"text": both, "bytes": both.encode(), "one line": both.replace("\n", ""), "list": [both]}
    forms["body"] = "".join(issued.key_pem.split("\n")[1:-2])
    with pytest.raises(Exception) as error:  # noqa: PT011  # a long text is TextRefused in some calls
        written(forms[form])[name](user)
    secret = [issued.key_pem[at : at + 8] for at in range(92, len(issued.key_pem) - 40)]
    text = "".join(traceback.format_exception_only(error.value))
    assert not [part for part in secret if part in text]
    assert "-----" not in text


@pytest.mark.parametrize(
    "value", ["a" * 61, "é" * 5_000, b"x" * 90, ["a" * 90], {"a": "b" * 90}, object(), 10**5_000], ids=type
)
def test_value_in_an_error_is_short(value: Any) -> None:
    assert quoted(value).startswith(f"{type(value).__name__} ")
    assert len(quoted(value)) <= 60


def test_short_value_in_an_error_is_whole() -> None:
    assert [quoted(each) for each in ("alice", 17, None)] == ["str 'alice'", "int 17", "None"]


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("action", [["revoke"], ["enroll", "alice"]])
def test_no_command_repeats_a_private_key(ca: Authority, action: list[str]) -> None:
    """``securecore_certificates revoke "$(cat both.pem)"``."""
    User.objects.create(username="alice")
    issued = ca.issue("alice")
    with pytest.raises(CommandError, match="name of the file") as error:
        call_command("securecore_certificates", *action, issued.pem + issued.key_pem)
    assert "-----" not in str(error.value)


#: Texts that principal_of(user) and principals.group(group) never return.
NAMES = (
    "user:alice",
    "user:007",
    "user: 7",
    "user:+7",
    "user:7.0",
    "user:0x7",
    "user:\u0667",
    "user:1_0",
    f"user:{2**63}",
    "certificate:ab",
    "certificate:" + "AB" * 32,
    "group:tellers",
    "group:03",
    "group:None",
    "user:None",
    "user:c0ffee00-0000-4000-8000-000000000000",
)


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("name", NAMES)
def test_name_in_place_of_a_key_is_misuse(name: str) -> None:
    """A grant of ``user:alice`` is a row that no request reads; its revocation says False, and the grant lives on."""
    rights = {
        "user": r"principal_of\(user",
        "group": r"principals\.group\(",
        "certificate": r"principals\.certificate\(",
    }
    right = rights[name.partition(":")[0]]
    calls: tuple[Callable[[], object], ...] = (
        lambda: grants.grant(principal=name, permission="x.y", now=NOW),
        lambda: grants.revoke(principal=name, permission="x.y", now=NOW),
        lambda: revocation.revoke_grant(principal=name, permission="x.y"),
        lambda: revocation.revoke_role(principal=name, role="x"),
        lambda: revocation.revoke_all_grants(principal=name),
    )
    for call in calls:
        with pytest.raises(Misuse, match=right):
            call()
    assert not grants.Grant.objects.exists()


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("subject", ["alice", "user:7", User(pk=7, username="alice"), 7, None])
def test_subject_that_is_no_key_is_misuse(subject: Any) -> None:
    """The revocation would close another gate than the user's, and would return before the user's effects end."""
    with pytest.raises(Misuse, match=r"subject=str\(user\.pk\)"):
        revocation.revoke_token(issuer="x", jti="1", expires_at=NOW, subject=subject)


@pytest.mark.django_db(transaction=True)
def test_client_id_that_is_no_text_is_misuse() -> None:
    with pytest.raises(Misuse, match="client_id"):
        revocation.revoke_token(issuer="x", jti="1", expires_at=NOW, client_id=7)


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(
    "name",
    [
        "revoke_certificate(cert)",
        "principals.certificate(cert)",
        "match_of(cert str)",
        "enroll(cert=str)",
        "parse_pem(path)",
    ],
)
def test_certificate_in_a_file_is_read_by_parse_file(ca: Authority, name: str) -> None:
    """A file may hold a chain, a key, or DER: parse_pem() refuses each, and parse_file() reads them."""
    user = User.objects.create(username="alice")
    with pytest.raises(Misuse, match=r'parse_file\(Path\("alice\.pem"\)\.read_bytes\(\)\)'):
        WRONG[name](user, parse_pem(ca.certificate_for("alice").pem))


@pytest.mark.django_db(transaction=True)
def test_nothing_presented_is_no_one_time_token() -> None:
    """``request.GET.get("token")`` is None without the parameter: bad input, and no mistake of the program."""
    assert one_time.consume(None, purpose="x", now=NOW) is None
