"""Lockouts: shut a user, client, certificate, issuer or everyone out for a time, and lift the lockout.

A lockout changes nothing but its own row: sessions, tokens, enrolments and grants stay, refuse while the lockout
lasts, and work again afterwards unless they have ended or expired. A revocation (``securecore.revocation``) has no way
back.
"""

from __future__ import annotations

import datetime as dt
from typing import Any

from django.db import transaction

from securecore import audit, clock, database, events, leases
from securecore.arguments import require_name, require_text
from securecore.conf import settings
from securecore.distinguished_names import HOW_TO_WRITE, is_rfc4514
from securecore.errors import Busy, Misuse
from securecore.grants import gate
from securecore.grants.models import Lockout
from securecore.grants.principals import OWN, require_principal
from securecore.grants.query.lockouts import EVERYONE, ISSUER
from securecore.texts import quoted, storable

#: A lockout for longer is a revocation. An operator that forgets a lockout locks nobody out for ever.
LONGEST = dt.timedelta(days=30)
_LONGEST_SUBJECT: int = Lockout._meta.get_field("subject").max_length or 0
_LONGEST_REASON: int = Lockout._meta.get_field("reason").max_length or 0


def lock_out(*, subject: str, lasts: Any, reason: str) -> Lockout:
    """Lock ``subject`` out for this time from now on, and return the lockout.

    ``lasts`` is a ``timedelta``. ``subject`` is a principal (``user:7``, ``service:payments``, ``certificate:...``),
    ``issuer:CN=...`` for all certificates of an issuer (RFC 4514), or ``everyone``. A second lockout of a subject
    replaces the first, with its end and reason. Once this function has returned, no request that starts later is served
    to the subject, and no effect of the subject commits.

    Raises ``Misuse`` inside a transaction, for another subject, and for more than 30 days. Raises ``Busy`` (503) if
    another transaction holds a gate for longer than ``LOCK_TIMEOUT``; then nobody is locked out.
    """
    require_subject(subject)
    require_name(reason=reason)
    storable(reason, longest=_LONGEST_REASON)
    if not isinstance(lasts, dt.timedelta) or not dt.timedelta() < lasts <= LONGEST:
        raise Misuse(
            f"A lockout lasts at most {LONGEST.days} days: lasts=timedelta(hours=1). For ever is a revocation."
        )

    def change() -> Lockout:
        with database.committed_transaction("lock_out()"), database.refused_when_locked(Busy):
            _close(subject)
            now = clock.now()
            described = {"reason": reason, "locked_at": now, "expires_at": now + lasts}
            rows = Lockout.objects.using(settings.DATABASE)
            row, _ = rows.update_or_create(subject=subject, defaults=described)
            audit.report(events.LockedOut(subject=subject, reason=reason, until=row.expires_at.isoformat()))
            leases.outlast()
            return row

    return database.retry_after_deadlock(change)


def lift(*, subject: str) -> bool:
    """End the lockout of ``subject``; say whether one was in force. Opens or joins a transaction.

    A process with leases may refuse for up to ``LEASE_MS`` longer.
    """
    require_text(subject=subject)
    with transaction.atomic(using=settings.DATABASE):
        now = clock.now()
        rows = Lockout.objects.using(settings.DATABASE).filter(pk=subject)
        was_in_force = rows.filter(expires_at__gt=now).exists()
        rows.delete()
        if was_in_force:
            audit.report(events.LockoutLifted(subject=subject))
        return was_in_force


def in_force(now: dt.datetime) -> list[Lockout]:
    """Return the lockouts at ``now``, the first to end first. An operator makes each, so they are few."""
    return list(Lockout.objects.using(settings.DATABASE).filter(expires_at__gt=now).order_by("expires_at", "subject"))


def is_locked_out(*subjects: str, now: dt.datetime) -> bool:
    """Say whether one of these subjects or everyone is locked out at ``now``, for code without a request of theirs."""
    rows = Lockout.objects.using(settings.DATABASE)
    return rows.filter(subject__in=(*subjects, EVERYONE), expires_at__gt=now).exists()


def require_subject(subject: str) -> str:
    """Return ``subject`` if it can be locked out. Raises ``Misuse``, and ``TextRefused`` (400)."""
    require_text(subject=subject)
    storable(subject, longest=_LONGEST_SUBJECT)
    if subject == EVERYONE:
        return subject
    if subject.startswith(ISSUER):
        if not is_rfc4514(subject.removeprefix(ISSUER)):
            raise Misuse(f"No certificate has the issuer {quoted(subject)}. {HOW_TO_WRITE}")
        return subject
    if not subject.startswith(OWN):
        raise Misuse(
            f"{quoted(subject)} cannot be locked out: pass principal_of(user), principals.service(client_id), "
            f"principals.certificate(thumbprint), 'issuer:CN=...' or 'everyone'."
        )
    return require_principal(subject)


def _close(subject: str) -> None:
    if subject == EVERYONE or subject.startswith(ISSUER):
        gate.close_all()
    else:
        gate.close(subject)
