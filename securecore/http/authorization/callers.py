"""How the features name the caller of a request."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest
from rest_framework.request import Request

from securecore import digests
from securecore.errors import AuthenticationRequired, Misuse
from securecore.grants import principal_of
from securecore.http.authorization.credentials import caller_of, foreign_token


def certificate_user(request: Any) -> Any | None:
    """Return ``request.certificate_user`` as the database has it now, even under a lease: for views that give out a
    session or a token, which lives longer than the request. Raises ``CertificateRevoked``.
    """
    if request.access.is_leased:
        request.access.renew()
        request.certificate_user = request.access.user_of_certificate()
    return request.certificate_user


def request_of(arguments: tuple[Any, ...]) -> tuple[Any, Any]:
    """Return ``(class-based view or None, request)`` from a view's positional arguments."""
    if arguments and isinstance(arguments[0], (HttpRequest, Request)):
        return None, arguments[0]
    if len(arguments) > 1 and isinstance(arguments[1], (HttpRequest, Request)):
        return arguments[0], arguments[1]
    raise Misuse("This decorator goes on a view function, on a handler method, or with method_decorator on dispatch().")


def principal(request: Any) -> str:
    """Return the principal of an authenticated request. Raises ``AuthenticationRequired``, and ``CredentialsConflict``
    if a class of another package authenticated a user beside somebody else's certificate or session.

    A plain Django view knows its user from the session, else from the certificate; a REST framework view says itself
    how it authenticates.
    """
    user = request.user
    if isinstance(request, HttpRequest):
        if not user.is_authenticated:
            user = request.certificate_user  # type: ignore[attr-defined]
    elif user is not None and user.is_authenticated:
        caller_of(request)
    if user is None or not user.is_authenticated:
        raise AuthenticationRequired
    return principal_of(user)


def service_of(request: Any) -> tuple[str, ...]:
    """Return the principal of the registered client whose access token authenticated the request, or nothing."""
    service = request.access.service_of(getattr(request, "auth", None))
    return (service,) if service else ()


def nonce_scope(request: Any) -> str:
    """Return the name under which this caller's nonces are unique.

    It is the certificate only where the caller needs the key of that certificate. Otherwise a thief of a token could
    repeat a request of its user under another certificate, where the nonce would be new.
    """
    presented = foreign_token(request)
    if presented is not None:  # nobody has judged it yet
        return f"token:{digests.record_id('nonce scope', presented)}"
    decision = caller_of(request)
    if decision.certificate_vouches:
        return f"x5t#S256:{request.client_certificate.thumbprint}"
    return decision.by.user or "anonymous" if decision.by else "anonymous"


def is_signed_by_certificate(request: Any) -> bool:
    """Say whether the caller signs what the key of the certificate on the wire signs."""
    decision = caller_of(request)
    if foreign_token(request) is not None and request.access.certificate_is_nobodys():
        return False  # some class of the view may take the token, which is another caller
    return decision.certificate_is_the_callers
