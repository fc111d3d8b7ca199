"""``manage.py seed``: create the users of the demo, their accounts, certificates and grants."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from django.apps import apps
from django.conf import settings
from django.contrib.auth.models import User
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import transaction

from demo_project.payments.models import Account

#: Integer cents.
STARTING_BALANCE = 1_000_000
ACCOUNTS = ("alice", "bob", "carol", "service")
MAY_TRANSFER = ("alice", "bob", "service")
ADMINISTRATORS = ("carol",)
#: Names with certificates that no longer work. They get no account and no grant.
FORMER = ("revoked", "expired")
TRANSFER = "transfers.create"


class Command(BaseCommand):
    help = "Make the demo's users, accounts, certificates and grants. What is there already stays as it is."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--pki", type=Path, default=None, metavar="DIR", help="where NAME.pem are (var/pki)")

    def handle(self, *, pki: Path | None = None, **options: Any) -> None:
        with transaction.atomic():
            users = {name: _user(name) for name in (*ACCOUNTS, *FORMER)}
            for name in ACCOUNTS:
                Account.objects.get_or_create(owner=users[name], defaults={"balance": STARTING_BALANCE})
            if apps.is_installed("securecore"):
                _enroll(users, pki or _default_pki())
                _grant(users)
                _make_administrators(users)
            else:
                _give_roles(users)
        self.stdout.write(f"{len(users)} users, {len(ACCOUNTS)} accounts.")


def _user(name: str) -> User:
    known = {"is_staff": name in ADMINISTRATORS, "email": f"{name}@demo.example"}
    user, made = User.objects.get_or_create(username=name, defaults=known)
    if made:
        # Users log in by certificate, so they get no password. An administrator needs both for the admin.
        user.set_unusable_password()
        user.save(update_fields=["password"])
    return user


def _default_pki() -> Path:
    return Path(os.environ.get("DEMO_VAR") or settings.VAR) / "pki"


def _enroll(users: dict[str, User], pki: Path) -> None:
    from securecore import clock
    from securecore.identity import enroll, parse_file

    for name, user in users.items():
        path = pki / f"{name}.pem"
        if not path.exists():
            raise CommandError(f"There is no {path}: make the certificates first, or name their folder with --pki.")
        enroll(certificate=parse_file(path.read_bytes()), user=user, now=clock.now())


def _grant(users: dict[str, User]) -> None:
    from securecore import clock
    from securecore.grants import Grant, grant, principal_of

    for name in MAY_TRANSFER:
        principal = principal_of(users[name])
        # A revoked grant counts as present: a second seed must not undo an administrator's revocation.
        if not Grant.objects.filter(principal=principal, permission=TRANSFER).exists():
            grant(principal=principal, permission=TRANSFER, now=clock.now())


def _make_administrators(users: dict[str, User]) -> None:
    """Give the administrators a password, and every permission of securecore in Django's admin."""
    from django.contrib.auth.models import Permission

    from securecore.installation.certificates import PASSWORD

    for name in ADMINISTRATORS:
        user = users[name]
        if not user.has_usable_password():
            user.set_password(PASSWORD)
            user.save(update_fields=["password"])
            user.user_permissions.set(Permission.objects.filter(content_type__app_label="securecore"))


def _give_roles(users: dict[str, User]) -> None:
    from django.contrib.auth.models import Group

    role, made = Group.objects.get_or_create(name=TRANSFER)
    if made:
        role.user_set.set([users[name] for name in MAY_TRANSFER])
