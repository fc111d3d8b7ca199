"""Create the clients of throughput.py that pay from accounts of their own, in both services of the demo.

    parties = own_accounts(stack, 8)  # [("payer0", "payee0"), ...]

A payer is a user with an account, the permission to pay, and a certificate of the demo's authority. A payee is a user
with an account. ``own_accounts`` issues the certificates, and runs this file as a program once for each service. The
program creates the rows in the project of ``DJANGO_SETTINGS_MODULE``. The protected service enrols the certificates,
and the twin takes the user's name from them.
"""

from __future__ import annotations

import logging
import os
import subprocess
import sys
from typing import Any

from demo_project.stack import BASE_DIR, Stack
from securecore import clock
from securecore.installation import certificates

#: The user and the payee of each client.
Parties = list[tuple[str, str]]

_PROJECTS = ("demo_project.settings", "demo_project.vulnerable.settings")


def own_accounts(stack: Stack, clients: int) -> Parties:
    """Create a payer and a payee for each client in both services, and return their names."""
    for payer, _ in _parties(clients):
        certificates.issue(stack.pki, payer, now=clock.now())
    common = {"DEMO_VAR": str(stack.var), "PORT": str(stack.port), "DATABASE_URL": stack.database_url or ""}
    for settings in _PROJECTS:
        environment = os.environ | common | {"DJANGO_SETTINGS_MODULE": settings}
        command = [sys.executable, "-m", "benchmarks.throughput_accounts", str(clients)]
        subprocess.run(command, cwd=BASE_DIR, env=environment, check=True)
    return _parties(clients)


def _parties(clients: int) -> Parties:
    return [(f"payer{number}", f"payee{number}") for number in range(clients)]


def _create(parties: Parties) -> None:
    import django

    django.setup()
    logging.disable(logging.INFO)  # securecore logs each enrolment and grant
    from django.db import transaction

    with transaction.atomic():
        for payer, payee in parties:
            _permit(_owner(payer))
            _owner(payee)


def _owner(name: str) -> Any:
    """Create a user with an account."""
    from django.contrib.auth.models import User

    from demo_project.management.commands.seed import STARTING_BALANCE
    from demo_project.payments.models import Account

    user = User.objects.create_user(name)
    Account.objects.create(owner=user, balance=STARTING_BALANCE)
    return user


def _permit(payer: Any) -> None:
    """Grant ``payer`` the permission to pay. The protected service also enrols the payer's certificate."""
    from django.apps import apps
    from django.conf import settings

    from demo_project.management.commands.seed import TRANSFER

    if apps.is_installed("securecore"):
        from securecore.grants import grant, principal_of
        from securecore.identity import enroll, parse_file

        pem = (settings.VAR / "pki" / f"{payer.get_username()}.pem").read_bytes()
        enroll(certificate=parse_file(pem), user=payer, now=clock.now())
        grant(principal=principal_of(payer), permission=TRANSFER, now=clock.now())
    else:
        from demo_project.vulnerable import permissions

        permissions.grant(payer, TRANSFER)


if __name__ == "__main__":
    _create(_parties(int(sys.argv[1])))
