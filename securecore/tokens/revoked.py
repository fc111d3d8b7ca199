"""Revoke one access token by its ``jti``."""

from __future__ import annotations

import datetime as dt
from uuid import UUID

from securecore import clock, database, digests
from securecore.tokens.models import RevokedToken

#: The claim of the revocation of a token: it tells whether the token was revoked before.
CLAIM = database.ClaimStatement(RevokedToken, ("id", "expires_at"))


def revocation_id(*, issuer: str, jti: str) -> UUID:
    """Return the primary key for the revocation of ``jti``.

    The key is never computed from the token string: base64 has many spellings of one signature, and each spelling would
    have a key of its own.
    """
    return digests.record_id("jti", issuer, jti)


def revoke(*, issuer: str, jti: str, expires_at: dt.datetime, now: dt.datetime) -> bool:
    """Refuse ``jti`` until ``expires_at`` plus ``clock.SKEW``; return False if it was revoked already.

    ``verify`` accepts a token for ``clock.SKEW`` after its end, so the row must stay as long. The revocation takes
    effect when the surrounding transaction commits.
    """
    until = expires_at + dt.timedelta(seconds=clock.SKEW)
    return CLAIM.take(now=now, id=revocation_id(issuer=issuer, jti=jti), expires_at=until)
