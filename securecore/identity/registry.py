"""Enrol, admit and revoke certificates, and find the user of a certificate.

These functions change rows only. ``securecore.revocation`` also closes gates, ends sessions and emits events.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable
from dataclasses import replace
from typing import Any

from django.db import transaction

from securecore import actors, audit, database, events
from securecore.arguments import require_instant, require_user
from securecore.conf import settings
from securecore.distinguished_names import HOW_TO_WRITE, is_rfc4514
from securecore.errors import Busy, CertificateNotVerified, CertificateRevoked, Misuse
from securecore.identity.certificates import END_OF_TIME, ClientCertificate
from securecore.identity.matching import Match
from securecore.identity.models import Certificate
from securecore.thumbprints import require_thumbprint

#: The assumed lifetime, ten years, of a certificate that is revoked without having been presented.
_LONGEST_LIFETIME = dt.timedelta(days=3653)
#: The number of the lock for inserts of pending certificates (``database.take_advisory_lock``).
_PENDING = 1


def enroll(*, certificate: ClientCertificate, user: Any, now: dt.datetime, is_self_signed: bool = False) -> Certificate:
    """Enrol ``certificate`` for ``user``. An enrolled certificate keeps its row; a revoked certificate stays revoked.

    ``is_self_signed`` makes the certificate good without a trusted authority, where ``CERTIFICATE_MATCHES`` has
    "self-signed".
    Raises ``Misuse`` if the certificate is enrolled for another user: the sessions and tokens that are bound to the
    certificate would change hands.
    """
    if user is not None:  # a certificate of a service without a user
        require_user(user)
    if not isinstance(certificate, ClientCertificate):
        raise Misuse(
            'enroll() needs a certificate: enroll(certificate=parse_file(Path("alice.pem").read_bytes()), user=user, '
            "now=timezone.now())."
        )
    return _enroll(certificate.thumbprint, user, now, is_self_signed=is_self_signed, **_described(certificate))


def enroll_match(*, match: Match, user: Any, now: dt.datetime) -> Certificate:
    """Enrol every certificate that ``match`` describes for ``user``, so that a renewed certificate keeps its user.

    The enrolment counts while ``CERTIFICATE_MATCHES`` has the match's mode. Raises ``Misuse`` if the match is enrolled
    for another user, for a name without an issuer, since any trusted authority may write any name, and for a name in
    another form than RFC 4514, which would match no certificate.
    """
    require_user(user)
    if not isinstance(match, Match):
        raise Misuse('enroll_match() needs a match: enroll_match(match=match_of(certificate, "public-key"), ...).')
    if not match.value or bool(match.issuer) == (match.mode == "public-key"):
        raise Misuse("A match needs a value, and its issuer too unless it is a public key.")
    if match.mode == "public-key":
        match = replace(match, value=require_thumbprint(match.value))
    for name in (match.issuer, match.value if match.mode == "subject" else ""):
        if name and not is_rfc4514(name):
            raise Misuse(f"No certificate has the name {name!r}. {HOW_TO_WRITE}")
    described = {"matched_by": match.mode, "subject": match.value, "issuer": match.issuer}
    return _enroll(match.identifier, user, now, is_self_signed=False, **described)


def present(*, certificate: ClientCertificate) -> bool:
    """Store an unknown certificate as pending, for an operator to admit; return whether a row was added.

    At most ``PENDING_CERTIFICATES`` rows are pending: a client with many certificates of a trusted authority must not
    be able to fill the table. To keep the limit, inserts take a lock and run one after another. If the table is full,
    the request does not wait for the lock. Raises ``Busy`` (503) if the lock is not free within ``LOCK_TIMEOUT``.
    """
    rows = Certificate.objects.using(settings.DATABASE)
    if not certificate.is_verified or rows.filter(pk=certificate.thumbprint).exists() or not _has_room():
        return False
    with database.refused_when_locked(Busy), transaction.atomic(using=settings.DATABASE):
        database.limit_waits(settings.LOCK_TIMEOUT)
        database.take_advisory_lock(_PENDING)
        if not _has_room():
            return False
        _, is_new = rows.get_or_create(thumbprint=certificate.thumbprint, defaults=_described(certificate))
        if is_new:
            audit.report(events.CertificatePending(thumbprint=certificate.thumbprint, subject=certificate.subject))
        return is_new


def _has_room() -> bool:
    return Certificate.objects.using(settings.DATABASE).pending().count() < settings.PENDING_CERTIFICATES


def admit(*, thumbprint: str, user: Any, now: dt.datetime) -> bool:
    """Enrol a pending certificate for ``user``; return False if it was not pending any more."""
    pending = Certificate.objects.using(settings.DATABASE).pending().filter(pk=require_thumbprint(thumbprint))
    with transaction.atomic(using=settings.DATABASE):
        admitted = bool(pending.update(user=user, enrolled_at=now))
        if admitted:
            name, by = user.get_username(), actors.actor().name
            audit.report(events.CertificateAdmitted(thumbprint=thumbprint, user=name, by=by))
    return admitted


def owner_of(certificate: ClientCertificate, rows: Iterable[Any]) -> Any | None:
    """Return the certificate's user according to ``rows``, active or not, or None.

    ``rows`` must be all rows with one of the certificate's ``identifiers``, read by one statement: ``Certificate``
    instances, or objects with the same attributes. Raises ``CertificateRevoked`` if one of the rows is revoked: a
    revocation of the certificate, its key or one of its names outweighs each enrolment. Raises
    ``CertificateNotVerified`` if neither a trusted authority nor an enrolment as self-signed makes the certificate
    good.
    """
    is_good, is_revoked = certificate.is_verified, False
    rows = list(rows)
    for row in rows:
        is_own = row.thumbprint == certificate.thumbprint
        is_good = is_good or (is_own and row.is_self_signed)
        is_revoked = is_revoked or row.revoked_at is not None
    if not is_good:
        raise CertificateNotVerified
    if is_revoked:
        raise CertificateRevoked
    return named_user(certificate, rows)


def named_user(certificate: ClientCertificate, rows: Iterable[Any]) -> Any | None:
    """Return the user that ``rows`` name for the certificate, also if they are revoked; see ``owner_of``.

    It authorizes nothing: the report of a refusal has it.
    """
    own: set[Any] = set()
    others: set[Any] = set()
    for row in rows:
        is_own = row.thumbprint == certificate.thumbprint
        if row.user is not None and (is_own or certificate.is_verified):
            (own if is_own else others).add(row.user)
    # The certificate's own enrolment has precedence. Without it, all matches must lead to the same user.
    users = own or others
    return users.pop() if len(users) == 1 else None


def revoke(*, thumbprint: str, now: dt.datetime) -> bool:
    """Refuse the certificate with this thumbprint, enrolled or never seen, or the certificates of this match.

    Returns False if it was revoked already: its first ``revoked_at`` stays.

    ``thumbprint`` may be the identifier of a match. Run it in a transaction if other changes belong to the revocation.
    """
    rows = Certificate.objects.using(settings.DATABASE)
    unseen = {"enrolled_at": now, "not_after": now + _LONGEST_LIFETIME}
    rows.get_or_create(thumbprint=thumbprint, defaults=unseen)
    return rows.filter(thumbprint=thumbprint).revoke(now=now) == 1


def _enroll(thumbprint: str, user: Any, now: dt.datetime, *, is_self_signed: bool, **described: Any) -> Certificate:
    require_instant(now=now)
    rows = Certificate.objects.using(settings.DATABASE)
    with transaction.atomic(using=settings.DATABASE):
        enrolment = {"user": user, "is_self_signed": is_self_signed, "enrolled_at": now}
        row, is_new = rows.get_or_create(thumbprint=thumbprint, defaults=enrolment | described)
        if not is_new:
            # Behind the lock, since two operators may enrol one certificate for two users at the same time.
            row = rows.select_for_update().get(pk=thumbprint)
            if row.user_id not in (None, getattr(user, "pk", None)):
                raise Misuse(
                    "This certificate is enrolled for another user. Revoke it, and enrol a new one for this user."
                )
        before = _rights(row)
        row.user, row.is_self_signed, row.enrolled_at = user, is_self_signed, row.enrolled_at or now
        if not is_new:
            row.save(using=settings.DATABASE, update_fields=list(enrolment))
        if is_new or _rights(row) != before:
            name = None if user is None else user.get_username()
            audit.report(events.CertificateEnrolled(thumbprint=thumbprint, user=name, matched_by=row.matched_by))
    return row


def _rights(row: Certificate) -> tuple[Any, bool, bool]:
    """Return the columns of an enrolment that decide which rights the certificate has."""
    return row.user_id, row.is_self_signed, row.enrolled_at is not None


def _described(certificate: ClientCertificate) -> dict[str, Any]:
    return {
        "subject": certificate.subject,
        "issuer": certificate.issuer,
        "serial_number": certificate.serial_number,
        "not_after": min(certificate.not_after, END_OF_TIME),
    }
