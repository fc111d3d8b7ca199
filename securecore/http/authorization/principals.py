"""The principals of a request: the names to which its permissions may have been granted."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest

from securecore import identity
from securecore.grants import principals
from securecore.http.authorization.callers import principal, service_of


def principals_of(request: Any) -> tuple[str, ...]:
    """Return the principals of the caller: its user, the registered client whose access token authenticated the
    request, its certificate. Raises ``AuthenticationRequired`` (401) for a request that has none of them.

    A certificate that is enrolled for nobody acts by itself in a plain Django view only. In a REST framework view some
    class must accept the caller, and no class accepts such a certificate: a view that takes only tokens takes no
    certificate in their place.
    """
    presented = request.client_certificate
    certificates = identity.identifiers(presented) if presented else ()
    by_certificate = tuple(principals.certificate(identifier) for identifier in certificates)
    if _has_no_user(request) and by_certificate:
        return by_certificate
    return (principal(request), *service_of(request), *by_certificate)


def _has_no_user(request: Any) -> bool:
    if not isinstance(request, HttpRequest):
        return False
    return not request.user.is_authenticated and getattr(request, "certificate_user", None) is None
