"""Revoke one access token by its ``jti``."""

from __future__ import annotations

import datetime as dt
from uuid import UUID

from securecore import database, digests
from securecore.conf import settings
from securecore.tokens.models import RevokedToken


def revocation_id(*, issuer: str, jti: str) -> UUID:
    """Return the key under which the revocation of ``jti`` is recorded. Never made of the token string: base64 has many
    spellings of one signature, and each would be another key."""
    return digests.record_id("jti", issuer, jti)


def revoke(*, issuer: str, jti: str, expires_at: dt.datetime, now: dt.datetime) -> bool:
    """Refuse ``jti`` until ``expires_at`` plus the skew with which we accept it; say whether it was news.

    In effect once the surrounding transaction commits.
    """
    until = expires_at + dt.timedelta(seconds=settings.CLOCK_SKEW)
    return database.claim(RevokedToken, now=now, id=revocation_id(issuer=issuer, jti=jti), expires_at=until)
