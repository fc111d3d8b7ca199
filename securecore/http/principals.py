"""The names by which a request may have been granted something."""

from __future__ import annotations

from typing import Any

from securecore import identity
from securecore.grants import principals
from securecore.http.callers import principal
from securecore.tokens import AccessToken


def principals_of(request: Any) -> tuple[str, ...]:
    """Return the principals of the caller: its user, the service that its token was issued to, its certificate. Raises
    ``AuthenticationRequired`` (401) for a request that has none of them.
    """
    presented = request.client_certificate
    certificates = identity.identifiers(presented) if presented else ()
    token = getattr(request, "auth", None)
    services = (principals.service(token.client_id),) if isinstance(token, AccessToken) else ()
    named = tuple(principals.certificate(each) for each in certificates)
    if _is_nobody(request) and named:
        return named
    return (principal(request), *services, *named)


def _is_nobody(request: Any) -> bool:
    return not request.user.is_authenticated and getattr(request, "certificate_user", None) is None
