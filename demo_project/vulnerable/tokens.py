"""WEAKNESS: token replay. A token works for every holder, for a day, with no way to revoke it."""

from __future__ import annotations

import secrets
import time
from typing import Any

import jwt
from django.conf import settings
from rest_framework.exceptions import AuthenticationFailed

# The flaw, part 1: a day is long enough to use a token from yesterday's log.
LIFETIME = 86_400
REFRESH_LIFETIME = 30 * LIFETIME


def issue(username: str) -> dict[str, Any]:
    """Return an access and a refresh token for this user."""
    # The flaw, part 2: no "jti", so a revocation can name no token. No "cnf", so a token works under any certificate.
    # No "aud" and no "typ", so a token for another purpose is accepted here.
    return {
        "access_token": _signed(username, LIFETIME),
        "refresh_token": _signed(username, REFRESH_LIFETIME, number=secrets.randbits(64)),
        "expires_in": LIFETIME,
    }


def refresh(token: str) -> dict[str, Any]:
    """Return new tokens for a refresh token."""
    # The flaw, part 3: only the client replaces the old refresh token. The server still accepts it beside the new one.
    return issue(_subject(token))


def presented(request: Any) -> str | None:
    """Return the username of the token in this request, or None. Raises ``AuthenticationFailed`` (401)."""
    scheme, _, token = request.META.get("HTTP_AUTHORIZATION", "").partition(" ")
    if scheme.lower() == "dpop":
        check_proof(request)
    elif scheme.lower() != "bearer":
        # The flaw, part 4: a token in the URL is in every log, history and Referer on its way.
        token = request.GET.get("access_token", "")
    return _subject(token) if token else None


def check_proof(request: Any) -> None:
    """Verify a DPoP proof. Raises ``AuthenticationFailed``."""
    proof = request.META.get("HTTP_DPOP", "")
    try:
        key = jwt.PyJWK(jwt.get_unverified_header(proof).get("jwk", {}))
        # The flaw, part 5: the signature is verified with the key inside the proof, and nothing else is checked: not
        # the owner of the key, not whether the token is bound to it, not whether this proof was used before.
        jwt.decode(proof, key, algorithms=["ES256"], options={"verify_exp": False, "verify_iat": False})
    except jwt.PyJWTError as error:
        raise AuthenticationFailed("The proof is not valid.") from error


def revoke(token: str) -> None:
    """Revoke this token."""
    # The flaw, part 6: there is no list of revoked tokens, so the view does nothing and answers 200.


def _signed(username: str, lifetime: int, **more: int) -> str:
    now = int(time.time())
    claims = {"sub": username, "iat": now, "exp": now + lifetime, **more}
    return jwt.encode(claims, settings.SECRET_KEY, algorithm="HS256")


def _subject(token: str) -> str:
    try:
        # The flaw, part 7: "the gateway verified the signature". This gateway verifies certificates only.
        return str(jwt.decode(token, options={"verify_signature": False})["sub"])
    except (jwt.InvalidTokenError, KeyError) as error:
        raise AuthenticationFailed("The token is not valid.") from error
