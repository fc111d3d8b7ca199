from __future__ import annotations

import argparse
import datetime as dt
from pathlib import Path
from typing import Any

from django.contrib.auth import get_user_model
from django.core.management.base import CommandError

from securecore import clock
from securecore.conf import settings
from securecore.errors import Misuse, Refused
from securecore.identity import Certificate, Match, admit, enroll, enroll_match, match_of, parse_file
from securecore.identity.models import CertificateQuerySet
from securecore.management.terminal import TerminalCommand, whole
from securecore.management.thumbprints import ThumbprintParser, thumbprint, why_no_thumbprint
from securecore.revocation import revoke_certificate
from securecore.texts import quoted
from securecore.thumbprints import thumbprint_in

MATCHES = [mode for mode in Certificate.MODES if mode != "thumbprint"]


class Command(TerminalCommand):
    help = "List client certificates, enrol and revoke them, and list those that expire soon."

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        actions = parser.add_subparsers(dest="action", required=True, parser_class=ThumbprintParser)

        listing = actions.add_parser("list", help="list enrolled, revoked and pending certificates")
        listing.add_argument("--user", help="only this user's certificates")
        listing.add_argument("--pending", action="store_true", help="only pending certificates")

        enrolling = actions.add_parser("enroll", help="enrol a certificate, its key or one of its names for a user")
        enrolling.add_argument("user", help="the user's name")
        enrolling.add_argument(
            "certificate",
            nargs="?",
            type=thumbprint,
            help="a file, or the thumbprint of a pending certificate",
        )
        enrolling.add_argument("--self-signed", action="store_true", help="accept it without a trusted authority")
        enrolling.add_argument("--match", choices=MATCHES, help="enrol every certificate with this key or name")
        enrolling.add_argument("--issuer", default="", help="instead of a file: the issuer, as RFC 4514 text")
        enrolling.add_argument(
            "--value", default="", type=thumbprint, help="instead of a file: the name, or the key's thumbprint"
        )

        revoking = actions.add_parser("revoke", help="refuse a certificate, or those of a match, from now on")
        revoking.add_argument(
            "certificates",
            nargs="+",
            type=thumbprint,
            help="a file or a thumbprint",
        )

        expiring = actions.add_parser("expiring", help="list certificates in use that expire soon; exit code 1 if any")
        expiring.add_argument("--days", type=whole(0, 36_500), default=30)

    def handle(self, *args: Any, action: str, **options: Any) -> None:
        try:
            getattr(self, f"_{action}")(**options)
        except Misuse as error:
            raise CommandError(str(error)) from None

    def _list(self, *, user: str | None, pending: bool, **_: Any) -> None:
        rows = _rows().pending() if pending else _rows()
        if user is not None:
            rows = rows.filter(user=_user(user))
        for row in rows.order_by("not_after", "thumbprint").iterator():
            self.say(*_line(row))

    def _enroll(self, *, user: str, certificate: str | None, match: str | None, **options: Any) -> None:
        owner, now = _user(user), clock.now()
        if certificate is None:
            if match is None or not options["value"]:
                raise CommandError("Name a PEM file, or give --match, --issuer and --value.")
            row = enroll_match(match=Match(match, options["issuer"], options["value"]), user=owner, now=now)
        elif (pending := thumbprint_in(certificate)) is not None:
            if not admit(thumbprint=pending, user=owner, now=now):
                raise CommandError("No pending certificate has this thumbprint.")
            row = _rows().get(pk=pending)
        elif match is not None:
            row = enroll_match(match=match_of(_read(certificate), match), user=owner, now=now)
        else:
            row = enroll(certificate=_read(certificate), user=owner, now=now, is_self_signed=options["self_signed"])
        if row.revoked_at:
            raise CommandError(
                f"{row.thumbprint} was revoked at {row.revoked_at:%Y-%m-%d %H:%M:%S} UTC and stays refused: "
                "enrol a new certificate."
            )
        if row.matched_by not in ("thumbprint", *settings.CERTIFICATE_MATCHES):
            self.say(
                f"This enrolment counts only if SECURECORE['CERTIFICATE_MATCHES'] has {row.matched_by!r}.", error=True
            )
        self.say(*_line(row))

    def _revoke(self, *, certificates: list[str], **_: Any) -> None:
        for revoked in [thumbprint_in(name) or _read(name).thumbprint for name in certificates]:
            revoke_certificate(thumbprint=revoked)
            self.say(f"{revoked} is refused from now on.")

    def _expiring(self, *, days: int, **_: Any) -> None:
        now = clock.now()
        rows = list(_rows().expiring(now=now, until=now + dt.timedelta(days=days)))
        for row in rows:
            self.say(*_line(row))
        if rows:
            raise SystemExit(1)


def _rows() -> CertificateQuerySet:
    return Certificate.objects.using(settings.DATABASE).select_related("user")


def _line(row: Certificate) -> tuple[str, ...]:
    end = row.not_after.isoformat(timespec="seconds") if row.not_after else "-"
    state = "revoked" if row.revoked_at else "enrolled" if row.enrolled_at else "pending"
    owner = row.user.get_username() if row.user else "-"
    return row.thumbprint, row.matched_by, state, owner, end, row.subject, row.issuer


def _read(path: str) -> Any:
    try:
        return parse_file(Path(path).read_bytes())
    except (OSError, ValueError) as error:  # the text of an OSError repeats the whole path
        reason = why_no_thumbprint(path) if isinstance(error, FileNotFoundError) else ""
        why = error.strerror if isinstance(error, OSError) else "no path has such characters"
        raise CommandError(
            reason or f"{quoted(path)} cannot be read: {why}. Pass the name of the file, or a thumbprint."
        ) from None
    except Refused as refusal:
        raise CommandError(f"{quoted(path)} cannot be used: {refusal}") from None


def _user(name: str) -> Any:
    users = get_user_model()
    try:
        return users._default_manager.get_by_natural_key(name)
    except users.DoesNotExist:
        raise CommandError(f"There is no user {name!r}.") from None
