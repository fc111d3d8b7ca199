"""Enrol certificates and revoke them."""

from __future__ import annotations

import datetime as dt
from typing import Any

from securecore.conf import settings
from securecore.errors import Misuse
from securecore.identity.certificates import ClientCertificate
from securecore.identity.models import Certificate

#: A certificate that we revoke without having seen it is taken to expire within ten years.
_LONGEST_LIFETIME = dt.timedelta(days=3653)


def enroll(*, certificate: ClientCertificate, user: Any, now: dt.datetime, is_self_signed: bool = False) -> Certificate:
    """Map ``certificate`` to ``user``. An enrolled certificate keeps its row, a revoked one stays revoked.

    ``is_self_signed`` makes it good without an authority that vouches for it, where ``SELF_SIGNED_CERTIFICATES`` is on.
    Raises ``Misuse`` if it is another user's: what is bound to it, sessions and tokens, would be in the wrong hands.
    """
    rows = Certificate.objects.using(settings.DATABASE)
    if rows.filter(thumbprint=certificate.thumbprint, user__isnull=False).exclude(user=user).exists():
        raise Misuse("This certificate is enrolled for another user. Revoke it, and enrol a new one for this user.")
    row, _ = rows.update_or_create(
        thumbprint=certificate.thumbprint,
        defaults={"user": user, "is_self_signed": is_self_signed},
        create_defaults={
            "user": user,
            "is_self_signed": is_self_signed,
            "enrolled_at": now,
            **_described(certificate),
        },
    )
    return row


def revoke(*, thumbprint: str, now: dt.datetime) -> None:
    """Refuse the certificate with this thumbprint from now on, whether it is enrolled or was never seen.

    Needs a transaction if more must happen with it.
    """
    rows = Certificate.objects.using(settings.DATABASE)
    unseen = {"enrolled_at": now, "not_after": now + _LONGEST_LIFETIME}
    rows.get_or_create(thumbprint=thumbprint, defaults=unseen)
    rows.filter(thumbprint=thumbprint).revoke(now=now)


def _described(certificate: ClientCertificate) -> dict[str, Any]:
    return {
        "subject": certificate.subject,
        "issuer": certificate.issuer,
        "serial_number": certificate.serial_number,
        "not_after": certificate.not_after,
    }
