"""Enrol certificates, judge them, and revoke them."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable
from typing import Any

from django.db import transaction

from securecore import database
from securecore.conf import settings
from securecore.errors import Busy, CertificateNotVerified, CertificateRevoked, Misuse
from securecore.identity.certificates import END_OF_TIME, ClientCertificate
from securecore.identity.matching import Match
from securecore.identity.models import Certificate

#: A certificate that we revoke without having seen it is taken to expire within ten years.
_LONGEST_LIFETIME = dt.timedelta(days=3653)
#: Whose turn ``database.wait_for_turn`` waits for.
_PENDING = 1


def enroll(*, certificate: ClientCertificate, user: Any, now: dt.datetime, is_self_signed: bool = False) -> Certificate:
    """Map ``certificate`` to ``user``. An enrolled certificate keeps its row, a revoked one stays revoked.

    ``is_self_signed`` makes it good without an authority that vouches for it, where ``SELF_SIGNED_CERTIFICATES`` is on.
    Raises ``Misuse`` if it is another user's: what is bound to it, sessions and tokens, would be in the wrong hands.
    """
    return _enroll(certificate.thumbprint, user, now, is_self_signed=is_self_signed, **_described(certificate))


def enroll_match(*, match: Match, user: Any, now: dt.datetime) -> Certificate:
    """Map every certificate that ``match`` describes to ``user``, those too that are not issued yet: a renewed
    certificate keeps its user.

    It holds while ``CERTIFICATE_MATCHES`` has its mode. Raises ``Misuse`` for a match that is another user's, and for a
    name without an issuer: any trusted authority may write any name.
    """
    if not match.value or bool(match.issuer) == (match.mode == "public-key"):
        raise Misuse("A match needs a value, and its issuer too unless it is a public key.")
    described = {"matched_by": match.mode, "subject": match.value, "issuer": match.issuer}
    return _enroll(match.identifier, user, now, is_self_signed=False, **described)


def present(*, certificate: ClientCertificate, now: dt.datetime) -> bool:
    """Keep a certificate that nobody enrolled for an operator to admit; say whether it is new and was kept.

    Never do more than ``PENDING_CERTIFICATES`` wait: who can get certificates from a trusted authority must not be able
    to fill the table. Who adds one takes turns for that, and nobody waits where there is no room. Raises ``Busy`` (503)
    after a turn of ``LOCK_TIMEOUT``.
    """
    rows = Certificate.objects.using(settings.DATABASE)
    if not certificate.is_verified or rows.filter(pk=certificate.thumbprint).exists() or not _has_room():
        return False
    with database.refused_when_locked(Busy), transaction.atomic(using=settings.DATABASE):
        database.limit_waits(settings.LOCK_TIMEOUT)
        database.wait_for_turn(_PENDING)
        if not _has_room():
            return False
        _, is_new = rows.get_or_create(thumbprint=certificate.thumbprint, defaults=_described(certificate))
        return is_new


def _has_room() -> bool:
    return Certificate.objects.using(settings.DATABASE).pending().count() < settings.PENDING_CERTIFICATES


def admit(*, thumbprint: str, user: Any, now: dt.datetime) -> bool:
    """Enrol a pending certificate for ``user``; say whether it was still pending."""
    pending = Certificate.objects.using(settings.DATABASE).pending()
    return bool(pending.filter(pk=thumbprint).update(user=user, enrolled_at=now))


def owner_of(certificate: ClientCertificate, rows: Iterable[Any]) -> Any | None:
    """Return the ``user`` to whom ``rows`` map ``certificate``, active or not, or None. They are all that have one of
    its ``identifiers``, read in one statement: ``Certificate`` instances, or whatever has the same attributes.

    Raises ``CertificateRevoked`` if any of them was revoked: a no to the certificate, to its key or to a name of it
    outweighs each yes. Raises ``CertificateNotVerified`` for a certificate that neither an authority nor its enrolment
    vouches for.
    """
    is_good, is_revoked = certificate.is_verified, False
    own: set[Any] = set()
    others: set[Any] = set()
    for row in rows:
        is_own = row.thumbprint == certificate.thumbprint
        is_good = is_good or (is_own and row.is_self_signed)
        is_revoked = is_revoked or row.revoked_at is not None
        if row.user is not None and (is_own or certificate.is_verified):
            (own if is_own else others).add(row.user)
    if not is_good:
        raise CertificateNotVerified
    if is_revoked:
        raise CertificateRevoked
    # Its own enrolment is the most particular. Without one its names and its key must all say the same user.
    users = own or others
    return users.pop() if len(users) == 1 else None


def revoke(*, thumbprint: str, now: dt.datetime) -> None:
    """Refuse the certificate with this thumbprint from now on, whether it is enrolled or was never seen; or what a
    match with this identifier describes.

    Needs a transaction if more must happen with it.
    """
    rows = Certificate.objects.using(settings.DATABASE)
    unseen = {"enrolled_at": now, "not_after": now + _LONGEST_LIFETIME}
    rows.get_or_create(thumbprint=thumbprint, defaults=unseen)
    rows.filter(thumbprint=thumbprint).revoke(now=now)


def _enroll(thumbprint: str, user: Any, now: dt.datetime, *, is_self_signed: bool, **described: Any) -> Certificate:
    rows = Certificate.objects.using(settings.DATABASE)
    if rows.filter(thumbprint=thumbprint, user__isnull=False).exclude(user=user).exists():
        raise Misuse("This certificate is enrolled for another user. Revoke it, and enrol a new one for this user.")
    row, _ = rows.update_or_create(
        thumbprint=thumbprint,
        defaults={"user": user, "is_self_signed": is_self_signed},
        create_defaults={"user": user, "is_self_signed": is_self_signed, "enrolled_at": now, **described},
    )
    if row.enrolled_at is None:  # it was pending
        rows.filter(pk=thumbprint, enrolled_at=None).update(enrolled_at=now)
        row.enrolled_at = now
    return row


def _described(certificate: ClientCertificate) -> dict[str, Any]:
    return {
        "subject": certificate.subject,
        "issuer": certificate.issuer,
        "serial_number": certificate.serial_number,
        "not_after": min(certificate.not_after, END_OF_TIME),
    }
