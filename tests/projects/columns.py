"""The columns of the compatibility table: each function shows one promise on the project that the process runs.

A function raises for a broken promise, and returns ``ABSENT`` where the user model lacks the part it is about.
"""

from __future__ import annotations

import os
from typing import Any

import pytest
from django.contrib.auth import get_user_model
from django.core.management import call_command
from django.db import connection

from securecore import clock, server_functions
from securecore.conf import settings
from securecore.errors import Misuse
from securecore.grants import principal_of, principals, registry, triggers
from securecore.models import Gate, Grant, RefreshFamily, Session, SignatureKey
from securecore.replay import signature_keys
from securecore.revocation import deactivate_user, revoke_grant, revoke_user_tokens
from tests.projects import administration, peculiarities
from tests.projects.calls import ABSENT, MAKE, answered, bearer, decided, epoch, give, logged_in, made
from tests.projects.people import Person, flag
from tests.projects.permissions import grants, groups
from tests.replay.signing import P256, public_pem
from tests.tokens.calls import given, post


def start() -> str | None:
    """The checks, the migrations, the triggers and the functions are complete."""
    call_command("check", databases=[settings.DATABASE], fail_level="WARNING")
    call_command("makemigrations", "securecore", check=True, dry_run=True, verbosity=0)
    assert not triggers.missing(), triggers.missing()
    if connection.vendor == "postgresql":
        assert not server_functions.missing(), server_functions.missing()
    return None


def authentication() -> str | None:
    """A certificate, a session and a token each name their user, as the project's own class."""
    alice, _ = Person("alice"), Person("bob")
    with_grants = {"may": False} if hasattr(alice.user, "has_perm") else {}
    annotated = {"group_count": 0} if hasattr(alice.row.model._default_manager.first(), "group_count") else {}
    expected = annotated | {"key": str(alice.user.pk), "name": alice.user.get_username()}
    expected["class"] = type(alice.user).__name__
    assert answered(alice.client.get("/caller")).json() == expected | with_grants
    token = given(alice.client)["access_token"]
    assert answered(bearer(alice, token)).json() == expected | with_grants
    introspected = answered(post(alice.client, f"token={token}", "/oauth/introspect")).json()
    assert (introspected["active"], introspected["username"]) == (True, expected["name"])
    browser = alice.client
    answered(browser.post("/auth/login"))
    assert answered(browser.get("/page")).json() == expected
    registered = signature_keys.register(keyid="k", public_key=public_pem(P256), user=alice.user, now=clock.now())
    assert SignatureKey.objects.usable().get() == registered
    certificates = alice.user.certificates.model.objects
    ends = alice.certificate.not_after
    expiring = certificates.expiring(now=clock.now(), until=ends + (ends - clock.now()))
    assert alice.user.pk in {row.user_id for row in expiring}
    return None


def gate() -> str | None:
    """Each change of a user's privileges closes the gate of this user and of no other."""
    alice, bob = Person("alice"), Person("bob")
    for person in (alice, bob):
        give(principal_of(person.user), MAKE)
    counted = {principal_of(person.user): epoch(principal_of(person.user)) for person in (alice, bob)}
    changes = [name for name in ("is_active", "is_superuser", "is_staff") if flag(name)]
    for name in changes:
        before = epoch(principal_of(alice.user))
        alice.row.update(**{name: not getattr(alice.row.get(), name)})
        assert epoch(principal_of(alice.user)) > before, name
    assert epoch(principal_of(bob.user)) == counted[principal_of(bob.user)]
    names = {name for name in Gate.objects.values_list("principal", flat=True) if name.startswith("user:")}
    assert names == set(counted)
    return None if changes else ABSENT


def deactivation() -> str | None:
    """A user that any statement deactivates loses sessions, tokens and every permission at once."""
    alice, bob = Person("alice"), Person("bob")
    opened = {person: logged_in(person) for person in (alice, bob)}
    for person in (alice, bob):
        give(principal_of(person.user), MAKE)
    if not flag("is_active"):
        return _no_flag(alice)
    alice.row.update(is_active=False)
    assert Session.objects.get().user_id == bob.user.pk
    _assert_is_out(alice, *opened[alice])
    made(bob)
    alice.row.update(is_active=True)
    made(alice)
    browser, token = opened[alice]
    assert browser.get("/caller").json()["name"] == alice.user.get_username()  # by the certificate
    assert bearer(alice, token).status_code == 401
    return None


def _no_flag(alice: Person) -> str | None:
    """Deactivate a user by the status of its own, if the model has one."""
    if not hasattr(alice.user, "status"):
        return ABSENT
    browser, token = logged_in(alice)
    alice.row.update(status="left")
    _assert_is_out(alice, browser, token)
    return None


def _assert_is_out(alice: Person, browser: Any, token: str) -> None:
    assert bearer(alice, token).status_code == 401
    assert browser.get("/page").status_code in (302, 401)
    assert alice.client.get("/caller").status_code in (401, 403)
    assert alice.client.post("/make").status_code in (401, 403)
    assert not decided(principal_of(alice.user))


def sessions() -> str | None:
    """A user lists and ends the sessions of this user and of no other; so do a command and the admin."""
    alice, bob = Person("alice"), Person("bob")
    (browser, _), _ = logged_in(alice), logged_in(bob)
    listed = answered(browser.get("/auth/sessions")).json()
    own = Session.objects.for_user(alice.user.pk).get()
    assert str(own.pk) in str(listed)
    assert str(Session.objects.for_user(bob.user.pk).get().pk) not in str(listed)
    assert (own.user, own.gate_id) == (alice.user, principal_of(alice.user))
    answered(browser.post("/auth/logout"), 204)
    assert Session.objects.get().user_id == bob.user.pk
    logged_in(alice)
    call_command("securecore_sessions", "end", "--user", alice.user.get_username(), verbosity=0)
    assert Session.objects.get().user_id == bob.user.pk
    administration.visit(bob)
    return None


def revocation() -> str | None:
    """``securecore.revocation`` revokes grants and tokens of this user, and deactivates the user."""
    alice, bob = Person("alice"), Person("bob")
    opened = {person: logged_in(person) for person in (alice, bob)}
    give(principal_of(alice.user), MAKE)
    assert revoke_grant(principal=principal_of(alice.user), permission=MAKE)
    assert alice.client.post("/make").status_code == 403
    revoke_user_tokens(alice.user)
    assert bearer(alice, opened[alice][1]).status_code == 401
    answered(bearer(bob, opened[bob][1]))
    give(principal_of(alice.user), MAKE)
    if not flag("is_active"):
        with pytest.raises(Misuse):
            deactivate_user(alice.user)
        return None
    deactivate_user(alice.user)
    assert not Session.objects.for_user(alice.user.pk).exists()
    _assert_is_out(alice, *opened[alice])
    answered(bearer(bob, opened[bob][1]))
    return None


def deletion() -> str | None:
    """A deleted user leaves no session, token, grant or certificate to a later user with the same key."""
    alice, bob = Person("alice"), Person("bob")
    (_, token), _ = logged_in(alice), logged_in(bob)
    give(principal_of(alice.user), MAKE)
    key, name = alice.user.pk, principal_of(alice.user)
    alice.user.delete()
    alice.row.all().delete()
    assert Session.objects.get().user_id == bob.user.pk
    assert RefreshFamily.objects.get().user_id == bob.user.pk
    assert not Grant.objects.not_revoked().filter(principal=name).exists()
    assert alice.client.get("/caller").status_code in (401, 403)
    assert bearer(alice, token).status_code == 401
    assert not decided(name)
    assert not get_user_model()._base_manager.filter(pk=key).exists()
    return None


def strange_keys() -> str | None:
    """A text that cannot be a key names nobody, and is no failure."""
    alice = Person("alice")
    for text in ("", "0", "x", "9" * 30, "-" + "9" * 30, "70000", "a" * 100, "1.5", "\u0661", "None"):
        name = f"user:{text}"
        assert text == str(alice.user.pk) or not decided(name), text
    key = str(alice.user.pk)
    for text in (key.upper(), key.replace("-", ""), f"0{key}", f" {key}"):
        if text != key and principals.user(text) == principal_of(alice.user):
            with pytest.raises(Misuse, match="principal_of"):  # another spelling of her key is no name of hers
                give(f"user:{text}", MAKE)
    registry.note_change(principal_of(alice.user))
    return None


def peculiarity() -> str | None:
    """The promise that only this project tests."""
    show = peculiarities.OF.get(os.environ["PROJECT"])
    return ABSENT if show is None else show()


COLUMNS = (
    start,
    authentication,
    grants,
    groups,
    gate,
    deactivation,
    sessions,
    revocation,
    deletion,
    strange_keys,
    peculiarity,
)
