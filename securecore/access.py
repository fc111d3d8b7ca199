"""What one request needs to know, read in one statement.

The caller's user, and whether the certificate or token it came with is still wanted, come from one SELECT each, so
nothing can change between two of them and no cache has to be kept true.
"""

from __future__ import annotations

import datetime as dt
from typing import Any
from uuid import UUID

from django.contrib.auth import get_user_model
from django.core.exceptions import ValidationError
from django.db.models import Exists

from securecore.conf import settings
from securecore.errors import CertificateRevoked, InvalidToken
from securecore.identity import Certificate
from securecore.tokens import RevokedToken


def user_of_certificate(thumbprint: str) -> Any | None:
    """Return the active user whose certificate this is, or None. Raises ``CertificateRevoked``."""
    row = Certificate.objects.using(settings.DATABASE).select_related("user").filter(thumbprint=thumbprint).first()
    if row is None:
        return None
    if row.revoked_at is not None:
        raise CertificateRevoked
    return row.user if row.user is not None and row.user.is_active else None


def user_of_token(*, subject: str, revocation: UUID, now: dt.datetime) -> Any:
    """Return the active user that a verified token names. Raises ``InvalidToken`` without one, or if it was revoked."""
    revoked = RevokedToken.objects.filter(pk=revocation, expires_at__gt=now)
    users = get_user_model()._default_manager.using(settings.DATABASE)
    try:
        user = users.filter(pk=subject, is_active=True).annotate(token_revoked=Exists(revoked)).first()
    except (ValueError, ValidationError) as error:
        raise InvalidToken from error
    if user is None or user.token_revoked:
        raise InvalidToken
    return user
