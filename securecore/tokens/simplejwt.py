"""Access tokens of djangorestframework-simplejwt, accepted while a project moves away from it.

They are bearer tokens: nothing binds them. What changes at once is that they can be revoked, by ``jti`` and by user.
"""

from __future__ import annotations

import datetime as dt
from typing import Any

import jwt

from securecore.conf import settings
from securecore.errors import InvalidToken
from securecore.texts import is_storable
from securecore.tokens.access import AccessToken, require_within, times_of

_LONGEST = 8192
_REQUIRED = ["exp", "jti", "token_type"]
#: The issuer under which revocations are recorded: their tokens name none by default.
ISSUER = "simplejwt"
CLIENT_ID = "simplejwt"


def verify(presented_token: str, *, now: dt.datetime) -> AccessToken:
    """Return what a simplejwt access token says. Raises ``InvalidToken``.

    ``SIMPLEJWT_VERIFYING_KEY`` and ``SIMPLEJWT_ALGORITHM`` are that project's ``SIGNING_KEY`` (or ``VERIFYING_KEY``)
    and ``ALGORITHM``, ``SIMPLEJWT_USER_ID_CLAIM`` its ``USER_ID_CLAIM``. A token without ``iat`` counts as issued at
    the epoch.
    """
    if not settings.SIMPLEJWT_VERIFYING_KEY or len(presented_token) > _LONGEST:
        raise InvalidToken
    try:
        claims: dict[str, Any] = jwt.decode(
            presented_token,
            settings.SIMPLEJWT_VERIFYING_KEY,
            algorithms=[settings.SIMPLEJWT_ALGORITHM],
            options={
                "require": _REQUIRED,
                "verify_exp": False,
                "verify_iat": False,
                "verify_nbf": False,
                # Their audience and issuer are off by default; a project that set them has no tokens for anybody else.
                "verify_aud": False,
            },
        )
        require_within(times_of(claims), now)
        return _described(claims)
    except (jwt.PyJWTError, KeyError, TypeError, ValueError, OverflowError, OSError, RecursionError) as error:
        raise InvalidToken from error


def _described(claims: dict[str, Any]) -> AccessToken:
    if claims["token_type"] != "access" or not isinstance(claims["jti"], str) or not claims["jti"]:  # noqa: S105
        raise InvalidToken
    subject = str(claims[settings.SIMPLEJWT_USER_ID_CLAIM])
    if not is_storable(subject):
        raise InvalidToken
    return AccessToken(
        jti=claims["jti"],
        subject=subject,
        client_id=CLIENT_ID,
        issuer=ISSUER,
        issued_at=dt.datetime.fromtimestamp(claims.get("iat", 0), dt.UTC),
        expires_at=dt.datetime.fromtimestamp(claims["exp"], dt.UTC),
        binding="",
    )
