from __future__ import annotations

import argparse
import datetime as dt
from pathlib import Path
from typing import Any

from cryptography import x509
from django.core.management.base import CommandError
from django.db.models import Q

from securecore import clock, revocation_lists
from securecore.certificate_use import last_use_of, with_last_use
from securecore.conf import settings
from securecore.identity import Certificate, Match, admit, enroll, enroll_match, match_of
from securecore.identity.models import CertificateQuerySet
from securecore.management.downloads import local_file
from securecore.management.subjects import read_certificate, thumbprint_named, user_named
from securecore.management.terminal import FAILED, Actions, TerminalCommand, whole
from securecore.management.thumbprints import thumbprint
from securecore.models import RevocationList
from securecore.revocation import revoke_certificate
from securecore.texts import counted, quoted_argument
from securecore.thumbprints import serial_in, thumbprint_in

MATCHES = [mode for mode in Certificate.MODES if mode != "thumbprint"]


class Command(TerminalCommand):
    help = "List client certificates, enrol and revoke them, import revocation lists, and list those that expire soon."

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        actions = Actions(parser)
        listing = actions.add("list", help="list enrolled, revoked and pending certificates")
        listing.add_argument("--user", help="only this user's certificates, by name or e-mail address")
        listing.add_argument("--pending", action="store_true", help="only pending certificates")
        listing.add_argument("--find", help="only those with this text in thumbprint, subject, issuer or serial number")
        self._add_enrolling(actions)
        revoking = actions.add("revoke", changes=True, help="refuse a certificate, or those of a match, from now on")
        revoking.add_argument("certificates", nargs="+", type=thumbprint, help="a file or a thumbprint")
        expiring = actions.add("expiring", help="list certificates in use that expire soon; exit code 1 if any")
        expiring.add_argument(
            "--days",
            type=whole(0, 36_500),
            default=30,
            help="certificates that expire within so many days (%(default)s)",
        )
        importing = actions.add("crl", changes=True, help="import a revocation list of an authority")
        importing.add_argument("source", metavar="FILE|URL", help="the list, in DER or PEM")
        importing.add_argument(
            "--authority", help="a PEM file with the authority's certificate (CERTIFICATE_AUTHORITIES)"
        )
        importing.add_argument(
            "--when-expired",
            choices=("keep", "refuse"),
            default="keep",
            help="after nextUpdate: keep the entries (%(default)s), or refuse every certificate of the authority",
        )
        listed = actions.add("crls", help="list the imported revocation lists; exit code 1 if one ends soon")
        listed.add_argument(
            "--hours", type=whole(0, 876_000), default=24, help="soon is within so many hours (%(default)s)"
        )

    def _add_enrolling(self, actions: Actions) -> None:
        enrolling = actions.add(
            "enroll", changes=True, help="enrol a certificate, its key or one of its names for a user"
        )
        enrolling.add_argument("user", help="the user's name or e-mail address")
        enrolling.add_argument(
            "certificate", nargs="?", type=thumbprint, help="a file, or the thumbprint of a pending certificate"
        )
        enrolling.add_argument("--self-signed", action="store_true", help="accept it without a trusted authority")
        enrolling.add_argument("--match", choices=MATCHES, help="enrol every certificate with this key or name")
        enrolling.add_argument("--issuer", default="", help="instead of a file: the issuer, as RFC 4514 text")
        enrolling.add_argument(
            "--value", default="", type=thumbprint, help="instead of a file: the name, or the key's thumbprint"
        )

    def handle(self, *args: Any, action: str, **options: Any) -> None:
        getattr(self, f"_{action}")(**options)

    def _list(self, *, user: str | None, pending: bool, find: str | None, **_: Any) -> None:
        rows = _rows().pending() if pending else _rows()
        rows = rows.filter(_found(find)) if find else rows
        if user is not None:
            rows = rows.filter(user=user_named(user))
        for row in with_last_use(rows).order_by("not_after", "thumbprint").iterator(chunk_size=2_000):
            self._show(row)

    def _enroll(self, *, user: str, certificate: str | None, match: str | None, **options: Any) -> None:
        owner, now = user_named(user), clock.now()
        if certificate is None:
            if match is None or not options["value"]:
                raise CommandError("Name a PEM file, or give --match, --issuer and --value.")
            row = enroll_match(match=Match(match, options["issuer"], options["value"]), user=owner, now=now)
        elif (pending := thumbprint_in(certificate)) is not None:
            if not admit(thumbprint=pending, user=owner, now=now):
                raise CommandError("No pending certificate has this thumbprint.")
            row = _rows().get(pk=pending)
        elif match is not None:
            row = enroll_match(match=match_of(read_certificate(certificate), match), user=owner, now=now)
        else:
            presented = read_certificate(certificate)
            row = enroll(certificate=presented, user=owner, now=now, is_self_signed=options["self_signed"])
        if row.revoked_at:
            raise CommandError(
                f"{row.thumbprint} was revoked at {row.revoked_at:%Y-%m-%d %H:%M:%S} UTC and stays refused: "
                "enrol a new certificate."
            )
        if row.matched_by not in ("thumbprint", *settings.CERTIFICATE_MATCHES):
            self.say(
                f"This enrolment counts only if SECURECORE['CERTIFICATE_MATCHES'] has {row.matched_by!r}.", error=True
            )
        self._show(row)

    def _revoke(self, *, certificates: list[str], **_: Any) -> None:
        for revoked in list(map(thumbprint_named, certificates)):
            is_new = revoke_certificate(thumbprint=revoked)
            since = (
                "from now on"
                if is_new
                else f"already, since {_rows().get(pk=revoked).revoked_at:%Y-%m-%d %H:%M:%S} UTC"
            )
            self.done(f"{revoked} is refused {since}.", thumbprint=revoked, is_new=is_new)

    def _expiring(self, *, days: int, **_: Any) -> None:
        now = clock.now()
        rows = list(with_last_use(_rows().expiring(now=now, until=now + dt.timedelta(days=days))))
        for row in rows:
            self._show(row)
        if rows:
            raise SystemExit(FAILED)

    def _crl(self, *, source: str, authority: str | None, when_expired: str, **_: Any) -> None:
        authorities = _authorities(authority or settings.CERTIFICATE_AUTHORITIES)
        with local_file(source) as path:
            try:
                done = revocation_lists.import_list(
                    path, authorities=authorities, refuses_when_expired=when_expired == "refuse"
                )
            except OSError as error:
                raise CommandError(f"{quoted_argument(source)} cannot be read: {error.strerror}.") from None
        row = done.row
        self.done(
            f"{row.issuer}: {counted(row.entries, 'certificate is', 'certificates are')} refused, {done.added} new; "
            f"{counted(done.removed, 'is', 'are')} refused no longer. Sessions and tokens of {len(done.revoked)} ended."
            f" The list ends at {row.next_update:%Y-%m-%d %H:%M} UTC.",
            issuer=row.issuer,
            number=row.number,
            entries=row.entries,
            added=done.added,
            removed=done.removed,
            revoked=done.revoked,
            next_update=row.next_update,
        )

    def _crls(self, *, hours: int, **_: Any) -> None:
        for row in revocation_lists.stored_lists():
            self._show_list(row)
        if revocation_lists.ending_lists(clock.now(), within=dt.timedelta(hours=hours)):
            raise SystemExit(FAILED)

    def _show_list(self, row: RevocationList) -> None:
        self.show(
            issuer=row.issuer,
            number=row.number,
            entries=row.entries,
            this_update=row.this_update,
            next_update=row.next_update,
            state="ended" if row.next_update <= clock.now() else "in force",
            when_expired="refuse" if row.refuses_when_expired else "keep",
            imported_at=row.imported_at,
        )

    def _show(self, row: Certificate) -> None:
        self.show(
            thumbprint=row.thumbprint,
            matched_by=row.matched_by,
            state="revoked" if row.revoked_at else "enrolled" if row.enrolled_at else "pending",
            user=row.user.get_username() if row.user else None,
            not_after=row.not_after,
            subject=row.subject,
            issuer=row.issuer,
            serial_number=row.serial_number,
            last_seen_at=last_use_of(row),
            revoked_at=row.revoked_at,
        )


def _rows() -> CertificateQuerySet:
    return Certificate.objects.using(settings.DATABASE).select_related("user")


def _found(text: str) -> Q:
    """Return the condition for a text from a log or a certificate; nginx writes a serial number in upper case."""
    serial = serial_in(text)
    found = Q(subject__icontains=text) | Q(issuer__icontains=text) | Q(thumbprint=thumbprint_in(text) or text)
    return found | Q(serial_number=serial) if serial else found


def _authorities(path: str) -> list[x509.Certificate]:
    if not path:
        raise CommandError("Name a PEM file with the certificate of the authority: --authority FILE.")
    try:
        return x509.load_pem_x509_certificates(Path(path).read_bytes())
    except (OSError, ValueError) as error:
        raise CommandError(f"{quoted_argument(path)} has no certificate of an authority: {error}") from None
