"""The users, clients, certificates and other subjects that the arguments of a command name."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from django.apps import apps
from django.core.management.base import CommandError

from securecore.conf import settings
from securecore.errors import Refused
from securecore.grants import principal_names, principals
from securecore.grants.principal_names import users_named
from securecore.grants.query.lockouts import EVERYONE, ISSUER
from securecore.identity import ClientCertificate, parse_file
from securecore.management.thumbprints import thumbprint, why_no_thumbprint
from securecore.texts import near, quoted_argument
from securecore.thumbprints import serial_in, thumbprint_in

_HELP = {
    "user": "the user's name or e-mail address",
    "client": "the id of an OAuth client",
    "certificate": "a file, a serial number, or the thumbprint: SHA-256 of the DER, in base64url or openssl's form",
    "group": "the name of a Django group",
    "role": "the name of a role",
    "issuer": "all certificates of an issuer, RFC 4514: CN=Mesh CA,O=Bank",
}


def add_subjects(
    parser: argparse.ArgumentParser, *kinds: str, required: bool = True, several: bool = False
) -> argparse._ArgumentGroup:
    """Add an option for each of these kinds, of which the operator gives one, or with ``several`` more."""
    group: Any = parser if several else parser.add_mutually_exclusive_group(required=required)
    for kind in kinds:
        if kind == EVERYONE:
            group.add_argument("--everyone", action="store_true", help="all users, clients and certificates")
        else:
            group.add_argument(f"--{kind}", type=thumbprint if kind == "certificate" else str, help=_HELP[kind])
    return group  # type: ignore[no-any-return]


def subjects_of(options: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the principals and other subjects that the options name. Raises ``CommandError`` for an unknown one."""
    named = {kind: options.get(kind) for kind in (*_HELP, EVERYONE)}
    return tuple(_SUBJECT[kind](value) for kind, value in named.items() if value not in (None, False))


def subject_of(options: Mapping[str, Any]) -> str:
    """Return the one subject that the options name, or an empty string."""
    return next(iter(subjects_of(options)), "")


def user_named(name: str) -> Any:
    """Return the user with this name, or the one user with this e-mail address. Raises ``CommandError``."""
    found = users_named(name)
    if len(found) > 1:
        raise CommandError(f"Several users have the e-mail address {name!r}. Give the user's name.")
    if not found:
        raise CommandError(f"There is no user {name!r}.")
    return found[0]


def thumbprint_named(text: str) -> str:
    """Return the thumbprint that ``text`` spells, or that of the certificate in the file ``text``.

    A serial number stands for the one certificate that has it. Raises ``CommandError`` with the thumbprints of several:
    each authority counts on its own.
    """
    if (named := thumbprint_in(text)) is not None:
        return named
    serial = serial_in(text)
    if serial is None or Path(text).exists():
        return read_certificate(text).thumbprint
    rows = apps.get_model("securecore.Certificate").objects.using(settings.DATABASE).filter(serial_number=serial)
    found = list(rows.order_by("pk").values_list("pk", "subject", "issuer")[:10])
    if len(found) > 1:
        each = "; ".join(f"{key} ({subject}, of {issuer})" for key, subject, issuer in found)
        raise CommandError(f"Several certificates have the serial number {text}. Give a thumbprint: {each}.")
    return found[0][0] if found else read_certificate(text).thumbprint


def read_certificate(path: str) -> ClientCertificate:
    """Return the certificate in the file ``path``. Raises ``CommandError``."""
    try:
        return parse_file(Path(path).read_bytes())
    except (OSError, ValueError) as error:  # the text of an OSError repeats the whole path
        reason = why_no_thumbprint(path) if isinstance(error, FileNotFoundError) else ""
        why = error.strerror if isinstance(error, OSError) else "no path has such characters"
        raise CommandError(
            reason or f"{quoted_argument(path)} cannot be read: {why}. Pass the name of the file, or a thumbprint."
        ) from None
    except Refused as refusal:
        raise CommandError(f"{quoted_argument(path)} cannot be used: {refusal}") from None


def object_named(text: str) -> Any:
    """Return the object that ``text`` names by its model and key: ``payments.account:7``. Raises ``CommandError``."""
    try:
        return principal_names.object_named(text)
    except LookupError as error:
        raise CommandError(str(error)) from None


def _group(name: str) -> str:
    group = apps.get_model("auth.Group").objects.using(settings.DATABASE).filter(name=name).first()
    if group is None:
        groups = apps.get_model("auth.Group").objects.using(settings.DATABASE).values_list("name", flat=True)
        raise CommandError(f"There is no group {name!r}.{near(name, groups[:1_000])}")
    return principals.group(group)


_SUBJECT: dict[str, Any] = {
    "user": lambda name: principals.principal_of(user_named(name)),
    "client": principals.service,
    "certificate": lambda text: principals.certificate(thumbprint_named(text)),
    "group": _group,
    "role": principals.role,
    "issuer": lambda name: ISSUER + name,
    EVERYONE: lambda _: EVERYONE,
}
