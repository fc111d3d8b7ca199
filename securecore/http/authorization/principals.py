"""The names by which a request may have been granted something."""

from __future__ import annotations

from typing import Any

from securecore import identity
from securecore.grants import principals
from securecore.http.authorization.callers import principal, service_of


def principals_of(request: Any) -> tuple[str, ...]:
    """Return the principals of the caller: its user, the registered client whose access token authenticated the
    request, its certificate. Raises ``AuthenticationRequired`` (401) for a request that has none of them.
    """
    presented = request.client_certificate
    certificates = identity.identifiers(presented) if presented else ()
    named = tuple(principals.certificate(each) for each in certificates)
    if _is_nobody(request) and named:
        return named
    return (principal(request), *service_of(request), *named)


def _is_nobody(request: Any) -> bool:
    return not request.user.is_authenticated and getattr(request, "certificate_user", None) is None
