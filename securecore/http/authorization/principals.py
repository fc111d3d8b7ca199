"""The names by which a request may have been granted something."""

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
    named = tuple(principals.certificate(each) for each in certificates)
    if _is_nobody(request) and named:
        return named
    return (principal(request), *service_of(request), *named)


def _is_nobody(request: Any) -> bool:
    if not isinstance(request, HttpRequest):
        return False
    return not request.user.is_authenticated and getattr(request, "certificate_user", None) is None
