"""WEAKNESS: token replay. A token is good for whoever holds it, for a day, whatever happens meanwhile."""

from __future__ import annotations

import time
from typing import Any

import jwt
from django.conf import settings
from rest_framework.exceptions import AuthenticationFailed

# The flaw, part 1: a day is long enough to use a token that was found in yesterday's log.
LIFETIME = 86_400


def issue(username: str) -> str:
    """Return a token for this user."""
    now = int(time.time())
    # The flaw, part 2: no "jti", so there is nothing a revocation could name, and no "cnf", so the certificate it was
    # issued to is forgotten at once.
    return jwt.encode({"sub": username, "iat": now, "exp": now + LIFETIME}, settings.SECRET_KEY, algorithm="HS256")


def presented(request: Any) -> str | None:
    """Return the username of the token in this request, or None. Raises ``AuthenticationFailed`` (401)."""
    scheme, _, token = request.META.get("HTTP_AUTHORIZATION", "").partition(" ")
    if scheme.lower() != "bearer":
        # The flaw, part 3: a token in the URL is a token in every log, history and Referer on its way.
        token = request.GET.get("access_token", "")
    if not token:
        return None
    try:
        return str(jwt.decode(token, settings.SECRET_KEY, algorithms=["HS256"])["sub"])
    except jwt.InvalidTokenError as error:
        raise AuthenticationFailed("The token is not valid.") from error


def revoke(token: str) -> None:
    """Forget this token."""
    # The flaw, part 4: nobody keeps a list, so there is nothing to do but to answer 200.
