"""Name the caller of a request: its user, its principals, and the scope of its nonces.

``credentials`` finds and judges the credentials of the request.
"""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest
from rest_framework.request import Request

from securecore import digests
from securecore.errors import AuthenticationRequired, Misuse
from securecore.grants import principal_of
from securecore.http.authorization.credentials import caller_of, foreign_token


def certificate_user(request: Any) -> Any | None:
    """Return ``request.certificate_user``, read from the database again if it comes from a lease.

    Use this function in a view that issues a session or a token, which lives longer than the request. Raises
    ``CertificateRevoked``.
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


def rest_view(request: Any, instance: Any) -> Any:
    """Return the REST framework view of ``request``, or None for a plain Django view.

    The handler may be a bound method or a function under @api_view.
    """
    if isinstance(request, Request):
        return (request.parser_context or {}).get("view")
    return instance if hasattr(instance, "handle_exception") else None


def principal(request: Any) -> str:
    """Return the principal of an authenticated request.

    In a plain Django view the user comes from the session, or else from the certificate. In a REST framework view the
    view's authentication classes decide. Raises ``AuthenticationRequired``, and ``CredentialsConflict`` if a class of
    another package authenticated one user and the certificate or session belongs to another user.
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
    """Return the principal of the registered client that presented the request's access token, or an empty tuple."""
    service = request.access.service_of(getattr(request, "auth", None))
    return (service,) if service else ()


def nonce_scope(request: Any) -> str:
    """Return the name under which this caller's nonces are unique.

    The name is the certificate only if the caller cannot act without the key of that certificate. Otherwise an attacker
    with a stolen token could repeat the user's request under another certificate, under which the nonce would be new.
    """
    presented = foreign_token(request)
    if presented is not None:  # no authentication class has judged the token yet
        return f"token:{digests.record_id('nonce scope', presented)}"
    decision = caller_of(request)
    if decision.certificate_vouches:
        return f"x5t#S256:{request.client_certificate.thumbprint}"
    return decision.by.user or "anonymous" if decision.by else "anonymous"


def is_signed_by_certificate(request: Any) -> bool:
    """Return whether a signature by the key of the request's client certificate is a signature of the caller."""
    decision = caller_of(request)
    if foreign_token(request) is not None and request.access.certificate_is_nobodys():
        return False  # a class of the view may accept the token, and the token's user is then the caller
    return decision.certificate_is_the_callers
