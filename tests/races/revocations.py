"""Every way to revoke a permission: by securecore, and by changes outside securecore."""

from __future__ import annotations

import datetime as dt
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from django.contrib.auth.models import Group, Permission, User
from django.db import connection

from securecore import clock, grants
from securecore.grants import Grant, lockouts, principal_of, principals
from securecore.models import Certificate, Client, Lockout
from securecore.revocation import (
    deactivate_user,
    disable_client,
    remove_from_group,
    revoke_all_grants,
    revoke_certificate,
    revoke_grant,
    revoke_role,
)
from tests.races import carriers

MAKE = "auth.add_group"
GROUP = "people of"


def effects() -> int:
    """Return the number of effects. Each effect is a new Django group."""
    return Group.objects.exclude(name__startswith=GROUP).count()


@dataclass
class Person:
    """A user with a certificate and an OAuth client, in a group and with a role. Nothing is granted yet."""

    name: str = field(default_factory=lambda: uuid.uuid4().hex)

    def __post_init__(self) -> None:
        now = clock.now()
        self.user = User.objects.create(username=self.name)
        self.group = Group.objects.create(name=f"{GROUP} {self.name}")
        self.group.user_set.add(self.user)
        self.thumbprint = (self.name * 2)[:43]
        until = now + dt.timedelta(days=1)
        self.issuer = f"CN={self.name}"
        Certificate.objects.create(
            thumbprint=self.thumbprint, user=self.user, issuer=self.issuer, not_after=until, enrolled_at=now
        )
        Client.objects.create(client_id=self.name, user=self.user, created_at=now)

    @property
    def own(self) -> str:
        return principal_of(self.user)

    @property
    def names(self) -> tuple[str, ...]:
        return self.own, principals.service(self.name), principals.certificate(self.thumbprint)

    def give(self, principal: str, permission: str = MAKE) -> None:
        grants.grant(principal=principal, permission=permission, now=clock.now())

    def give_role(self, principal: str) -> None:
        self.give(principal, f"role:{self.name}")
        self.give(principals.role(self.name))


@dataclass(frozen=True)
class Revocation:
    """How ``person`` gets a permission and loses it.

    ``row`` is the row that the change writes, as table and condition. Without ``row`` the change commits nothing by
    itself.
    """

    give: Callable[[Person], Any]
    take: Callable[[Person], Any]
    row: Callable[[Person], tuple[str, str]] | None = None


def _own(person: Person) -> None:
    person.give(person.own)


def _grant_row(person: Person) -> tuple[str, str]:
    return "securecore_grant", f"permission = '{MAKE}' AND revoked_at IS NULL"


def _role_row(person: Person) -> tuple[str, str]:
    return "securecore_grant", f"permission = 'role:{person.name}'"


def _membership_row(person: Person) -> tuple[str, str]:
    return "auth_user_groups", f"user_id = {person.user.pk}"


def _user_row(person: Person) -> tuple[str, str]:
    return "auth_user", f"id = {person.user.pk}"


def _certificate_row(person: Person) -> tuple[str, str]:
    return "securecore_certificate", f"thumbprint = '{person.thumbprint}'"


def _client_row(person: Person) -> tuple[str, str]:
    return "securecore_client", f"client_id = '{person.name}'"


def _lock_out(subject: str) -> None:
    lockouts.lock_out(subject=subject, lasts=dt.timedelta(hours=1), reason="a race")


def _lockout_row(person: Person) -> tuple[str, str]:
    """An expired lockout of each subject, which the new one replaces."""
    now = clock.now() - dt.timedelta(hours=1)
    subjects = [*person.names, f"issuer:{person.issuer}"]
    for subject in subjects:
        Lockout.objects.get_or_create(subject=subject, defaults={"locked_at": now, "expires_at": now})
    return "securecore_lockout", f"subject = ANY('{{{','.join(subjects)}}}')"


def _sql(statement: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute(statement)


def _permission() -> Permission:
    return Permission.objects.get(content_type__app_label="auth", codename="add_group")


def _group(person: Person) -> str:
    return principals.group(person.group)


def _role(person: Person) -> str:
    return principals.role(person.name)


THROUGH_US = {
    "a grant": Revocation(_own, lambda p: revoke_grant(principal=p.own, permission=MAKE), _grant_row),
    "a grant of a service": Revocation(
        lambda p: p.give(p.names[1]), lambda p: revoke_grant(principal=p.names[1], permission=MAKE), _grant_row
    ),
    "a grant of a certificate": Revocation(
        lambda p: p.give(p.names[2]), lambda p: revoke_grant(principal=p.names[2], permission=MAKE), _grant_row
    ),
    "a grant of a group": Revocation(
        lambda p: p.give(_group(p)), lambda p: revoke_grant(principal=_group(p), permission=MAKE), _grant_row
    ),
    "a grant of a role": Revocation(
        lambda p: p.give_role(p.own), lambda p: revoke_grant(principal=_role(p), permission=MAKE), _grant_row
    ),
    "a grant of a group's role": Revocation(
        lambda p: p.give_role(_group(p)), lambda p: revoke_grant(principal=_role(p), permission=MAKE), _grant_row
    ),
    "everything of a role": Revocation(
        lambda p: p.give_role(p.own), lambda p: revoke_all_grants(principal=_role(p)), _grant_row
    ),
    "a role": Revocation(lambda p: p.give_role(p.own), lambda p: revoke_role(principal=p.own, role=p.name), _role_row),
    "a group's role": Revocation(
        lambda p: p.give_role(_group(p)), lambda p: revoke_role(principal=_group(p), role=p.name), _role_row
    ),
    "a membership": Revocation(
        lambda p: p.give(_group(p)), lambda p: remove_from_group(user=p.user, group=p.group), _membership_row
    ),
    "a user": Revocation(_own, lambda p: deactivate_user(p.user), _user_row),
    "a certificate": Revocation(_own, lambda p: revoke_certificate(thumbprint=p.thumbprint), _certificate_row),
    "a client": Revocation(_own, lambda p: disable_client(p.name), _client_row),
    "a lockout of the user": Revocation(_own, lambda p: _lock_out(p.own), _lockout_row),
    "a lockout of the certificate": Revocation(_own, lambda p: _lock_out(p.names[2]), _lockout_row),
    "a lockout of the client": Revocation(_own, lambda p: _lock_out(p.names[1]), _lockout_row),
    "a lockout of the issuer": Revocation(_own, lambda p: _lock_out(f"issuer:{p.issuer}"), _lockout_row),
}

#: Changes that concern every member of a group or holder of a role.
OF_MANY = {
    "a grant of a group",
    "a grant of a role",
    "a grant of a group's role",
    "everything of a role",
    "a group's role",
}

ROUND_US = {
    "a grant by update()": Revocation(
        _own, lambda p: Grant.objects.filter(principal=p.own).update(revoked_at=clock.now())
    ),
    "a grant's end by update()": Revocation(
        _own, lambda p: Grant.objects.filter(principal=p.own).update(valid_until=clock.now() - carriers.span())
    ),
    "a grant by SQL": Revocation(_own, lambda p: _sql(f"DELETE FROM securecore_grant WHERE principal = '{p.own}'")),
    "a denial by SQL": Revocation(
        _own,
        lambda p: _sql(
            f"INSERT INTO securecore_grant (principal, permission, object_type, object_id, denies, granted_at) "
            f"VALUES ('{p.own}', '{MAKE}', '', '', true, now())"
        ),
    ),
    "a group's grant by update()": Revocation(
        lambda p: p.give(_group(p)), lambda p: Grant.objects.filter(principal=_group(p)).update(revoked_at=clock.now())
    ),
    "a role's grant by SQL": Revocation(
        lambda p: p.give_role(_group(p)), lambda p: _sql(f"DELETE FROM securecore_grant WHERE principal = '{_role(p)}'")
    ),
    "a membership by remove()": Revocation(lambda p: p.give(_group(p)), lambda p: p.group.user_set.remove(p.user)),
    "a membership by SQL": Revocation(
        lambda p: p.give(_group(p)), lambda p: _sql(f"DELETE FROM auth_user_groups WHERE user_id = {p.user.pk}")
    ),
    "a membership by the group's end": Revocation(lambda p: p.give(_group(p)), lambda p: p.group.delete()),
    "Django's permission of a user": Revocation(
        lambda p: p.user.user_permissions.add(_permission()), lambda p: p.user.user_permissions.clear()
    ),
    "Django's permission of a group": Revocation(
        lambda p: p.group.permissions.add(_permission()),
        lambda p: _sql(f"DELETE FROM auth_group_permissions WHERE group_id = {p.group.pk}"),
    ),
    "a superuser by update()": Revocation(
        lambda p: User.objects.filter(pk=p.user.pk).update(is_superuser=True),
        lambda p: User.objects.filter(pk=p.user.pk).update(is_superuser=False),
    ),
    "a user by update()": Revocation(_own, lambda p: User.objects.filter(pk=p.user.pk).update(is_active=False)),
    "a certificate by update()": Revocation(
        _own, lambda p: Certificate.objects.filter(pk=p.thumbprint).update(revoked_at=clock.now())
    ),
    "a client by SQL": Revocation(
        _own, lambda p: _sql(f"UPDATE securecore_client SET disabled_at = now() WHERE client_id = '{p.name}'")
    ),
}
