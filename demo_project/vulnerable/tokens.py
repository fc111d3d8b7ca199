"""WEAKNESS: token replay. A token is good for whoever holds it, for a day, whatever happens meanwhile."""

from __future__ import annotations

import secrets
import time
from typing import Any

import jwt
from django.conf import settings
from rest_framework.exceptions import AuthenticationFailed

# The flaw, part 1: a day is long enough to use a token that was found in yesterday's log.
LIFETIME = 86_400
REFRESH_LIFETIME = 30 * LIFETIME


def issue(username: str) -> dict[str, Any]:
    """Return an access and a refresh token for this user."""
    # The flaw, part 2: no "jti", so there is nothing a revocation could name, and no "cnf", so the certificate it was
    # issued to is forgotten at once. No "aud" and no "typ" either: a token for anything is a token for this.
    return {
        "access_token": _signed(username, LIFETIME),
        "refresh_token": _signed(username, REFRESH_LIFETIME, number=secrets.randbits(64)),
        "expires_in": LIFETIME,
    }


def refresh(token: str) -> dict[str, Any]:
    """Return new tokens for a refresh token."""
    # The flaw, part 3: the old one is replaced in the client only. Here it goes on, beside the new one.
    return issue(_subject(token))


def presented(request: Any) -> str | None:
    """Return the username of the token in this request, or None. Raises ``AuthenticationFailed`` (401)."""
    scheme, _, token = request.META.get("HTTP_AUTHORIZATION", "").partition(" ")
    if scheme.lower() == "dpop":
        check_proof(request)
    elif scheme.lower() != "bearer":
        # The flaw, part 4: a token in the URL is a token in every log, history and Referer on its way.
        token = request.GET.get("access_token", "")
    return _subject(token) if token else None


def check_proof(request: Any) -> None:
    """Verify a DPoP proof. Raises ``AuthenticationFailed``."""
    proof = request.META.get("HTTP_DPOP", "")
    try:
        key = jwt.PyJWK(jwt.get_unverified_header(proof).get("jwk", {}))
        # The flaw, part 5: its signature is verified with the key it brings, and that is all. Whose key it is, whether
        # the token is bound to it, and whether this proof was here before: nobody asks.
        jwt.decode(proof, key, algorithms=["ES256"], options={"verify_exp": False, "verify_iat": False})
    except jwt.PyJWTError as error:
        raise AuthenticationFailed("The proof is not valid.") from error


def revoke(token: str) -> None:
    """Forget this token."""
    # The flaw, part 6: nobody keeps a list, so there is nothing to do but to answer 200.


def _signed(username: str, lifetime: int, **more: int) -> str:
    now = int(time.time())
    claims = {"sub": username, "iat": now, "exp": now + lifetime, **more}
    return jwt.encode(claims, settings.SECRET_KEY, algorithm="HS256")


def _subject(token: str) -> str:
    try:
        # The flaw, part 7: "the gateway verified the signature". This gateway verifies certificates.
        return str(jwt.decode(token, options={"verify_signature": False})["sub"])
    except (jwt.InvalidTokenError, KeyError) as error:
        raise AuthenticationFailed("The token is not valid.") from error
