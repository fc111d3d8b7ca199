"""Who is calling, as the features name callers."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest
from rest_framework.request import Request

from securecore.errors import AuthenticationRequired, Misuse
from securecore.grants import principal_of


def request_of(arguments: tuple[Any, ...]) -> tuple[Any, Any]:
    """Return ``(class-based view or None, request)`` from a view's positional arguments."""
    if arguments and isinstance(arguments[0], (HttpRequest, Request)):
        return None, arguments[0]
    if len(arguments) > 1 and isinstance(arguments[1], (HttpRequest, Request)):
        return arguments[0], arguments[1]
    raise Misuse("This decorator goes on a view function, on a handler method, or with method_decorator on dispatch().")


def principal(request: Any) -> str:
    """Return the principal of an authenticated request. Raises ``AuthenticationRequired``.

    A plain Django view knows its user from the session, else from the certificate; a REST framework view says itself
    how it authenticates.
    """
    user = request.user
    if not user.is_authenticated and isinstance(request, HttpRequest):
        user = request.certificate_user  # type: ignore[attr-defined]
    if user is None or not user.is_authenticated:
        raise AuthenticationRequired
    return principal_of(user)


def nonce_scope(request: Any) -> str:
    """Return the name under which this caller's nonces are unique: the certificate, else the user, else everybody."""
    if request.client_certificate is not None:
        return f"x5t#S256:{request.client_certificate.thumbprint}"
    return principal_of(request.user) if request.user.is_authenticated else "anonymous"
