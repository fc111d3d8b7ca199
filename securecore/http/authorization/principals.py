"""The principals of a request: the names to which its permissions may have been granted."""

from __future__ import annotations

from typing import Any

from securecore import identity
from securecore.grants import principals
from securecore.http.authorization.callers import principal, service_of


def principals_of(request: Any) -> tuple[str, ...]:
    """Return the principals of the caller.

    They are its user, the registered client that presented the access token, and its certificate. Raises
    ``AuthenticationRequired`` (401) for a request without any of them.
    """
    presented = request.client_certificate
    certificates = identity.identifiers(presented) if presented else ()
    by_certificate = tuple(principals.certificate(identifier) for identifier in certificates)
    if _has_no_user(request) and by_certificate:
        return by_certificate
    return (principal(request), *service_of(request), *by_certificate)


def _has_no_user(request: Any) -> bool:
    return not request.user.is_authenticated and getattr(request, "certificate_user", None) is None
