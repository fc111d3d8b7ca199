"""Issue and verify access tokens (RFC 9068, RFC 8725)."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from typing import Any

import jwt

from securecore import digests
from securecore.conf import settings
from securecore.errors import InvalidToken
from securecore.tokens.keys import signing_key, verification_key

#: RFC 9068 section 2.1 allows both spellings, and nothing else.
_TYPES = ("at+jwt", "application/at+jwt")
_REQUIRED = ["iss", "aud", "exp", "iat", "sub", "jti", "client_id"]
#: Ours have about 500 characters. The bound keeps a stranger from making us hash megabytes.
_LONGEST = 8192


@dataclass(frozen=True)
class AccessToken:
    """A token whose signature, type, issuer, audience and times were good. Whether it is revoked is not said here."""

    jti: str
    subject: str
    client_id: str
    issuer: str
    expires_at: dt.datetime
    #: ``cnf.x5t#S256``: the certificate whose holder may use it (RFC 8705 section 3.1).
    bound_to: str


def issue(*, subject: str, client_id: str, thumbprint: str, now: dt.datetime) -> tuple[str, AccessToken]:
    """Return a signed token, bound to the certificate with ``thumbprint``, and what it says. Raises ``Misuse``
    without a key.
    """
    key = signing_key()
    issued_at = int(now.timestamp())
    claims = {
        "iss": settings.TOKEN_ISSUER,
        "aud": settings.TOKEN_AUDIENCE,
        "sub": subject,
        "client_id": client_id,
        "iat": issued_at,
        "exp": issued_at + settings.ACCESS_TOKEN_LIFETIME,
        "jti": digests.new_identifier(),
        "cnf": {"x5t#S256": thumbprint},
    }
    headers = {"typ": "at+jwt", "kid": key.kid}
    return jwt.encode(claims, key.private, algorithm=key.algorithm, headers=headers), _described(claims)


def verify(presented_token: str, *, now: dt.datetime) -> AccessToken:
    """Return what a token says. Raises ``InvalidToken``, one refusal for every reason (RFC 9068 section 4).

    The header chooses a key by ``kid`` and nothing else: the algorithm is the key's, and ``jku``, ``x5u``, ``jwk``
    are not looked at. ``crit`` is refused, since we understand no extension (RFC 7515 section 4.1.11).
    """
    if len(presented_token) > _LONGEST:
        raise InvalidToken
    try:
        header = jwt.get_unverified_header(presented_token)
        key = verification_key(header.get("kid"))
        if key is None or header.get("alg") != key.algorithm or header.get("typ") not in _TYPES or "crit" in header:
            raise InvalidToken
        claims = jwt.decode(
            presented_token,
            key.public,
            algorithms=[key.algorithm],
            audience=settings.TOKEN_AUDIENCE,
            issuer=settings.TOKEN_ISSUER,
            # The times are judged below by the request's own instant, with one skew for all of them.
            options={"require": _REQUIRED, "verify_exp": False, "verify_iat": False, "verify_nbf": False},
        )
        _check_times(claims, now.timestamp())
        return _described(claims)
    except (jwt.PyJWTError, KeyError, TypeError, ValueError, OverflowError, OSError, RecursionError) as error:
        raise InvalidToken from error


def _check_times(claims: dict[str, Any], now: float) -> None:
    for name in ("exp", "iat", "nbf"):
        value = claims.get(name, 0)
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            raise InvalidToken
    skew = settings.CLOCK_SKEW
    # An unknown instant (NaN) compares as false, so every line says what must hold.
    if not (claims["exp"] > now - skew and claims["iat"] <= now + skew and claims.get("nbf", 0) <= now + skew):
        raise InvalidToken


def _described(claims: dict[str, Any]) -> AccessToken:
    bound_to = claims["cnf"]["x5t#S256"]
    named = (claims["jti"], claims["sub"], claims["client_id"], bound_to)
    if not all(isinstance(value, str) and value for value in named):
        raise InvalidToken
    return AccessToken(
        jti=claims["jti"],
        subject=claims["sub"],
        client_id=claims["client_id"],
        issuer=claims["iss"],
        expires_at=dt.datetime.fromtimestamp(claims["exp"], dt.UTC),
        bound_to=bound_to,
    )
