"""Who is calling: what a request presents, whom that makes its user, and how the features name callers."""

from __future__ import annotations

from functools import lru_cache
from importlib import import_module
from typing import Any

from django.contrib.auth import BACKEND_SESSION_KEY, HASH_SESSION_KEY, SESSION_KEY, get_user, load_backend
from django.contrib.auth.backends import ModelBackend
from django.http import HttpRequest
from django.utils.crypto import constant_time_compare
from rest_framework.request import Request

from securecore.conf import django_settings
from securecore.errors import AuthenticationRequired, Misuse
from securecore.grants import principal_of
from securecore.sessions import SessionStore


def presented_token(request: HttpRequest) -> str | None:
    """Return the access token in the Authorization header, and nowhere else (RFC 6750 section 2.1)."""
    scheme, _, presented = request.META.get("HTTP_AUTHORIZATION", "").partition(" ")
    return presented.strip() if scheme.lower() in ("bearer", "dpop") else None


def presented_session(request: HttpRequest) -> str | None:
    """Return the session id in the cookie, where sessions are ours."""
    if not request.META.get("HTTP_COOKIE") or not _is_ours(django_settings.SESSION_ENGINE):
        return None
    return request.COOKIES.get(django_settings.SESSION_COOKIE_NAME)


def certificate_user(request: Any) -> Any | None:
    """Return ``request.certificate_user`` as the database has it now, whatever is leased: for whoever gives out what
    lives longer than the request, a session or a token. Raises ``CertificateRevoked``.
    """
    if request.access.is_leased:
        request.access.renew()
        request.certificate_user = request.access.user_of_certificate()
    return request.certificate_user


def session_user(request: Any) -> Any:
    """Return whom the session of the request has logged in, as Django's ``get_user()`` would, without a statement.

    Where anything is unusual Django's own decides: a backend that finds users in a way of its own, a session from
    before the password or the secret key was changed.
    """
    session = request.session
    if isinstance(session, SessionStore) and hasattr(request, "access"):
        user = request.access.user_of_session()
        if user is not None and _is_logged_in(_held(request), user):
            return user
    return get_user(request)


def _held(request: Any) -> Any:
    """What the session holds of who is logged in. By a lease it is looked at without opening the session: only what
    else it holds must be no older than the request, and is read when a view asks for it.
    """
    session: SessionStore = request.session
    is_opened = session.session_key != session.presented_key or "_session_cache" in session.__dict__
    if is_opened or not request.access.is_leased:
        return session
    session.accessed = True
    found = request.access.session
    return session.decode(found.data) if found.binding in session.proven else {}


def _is_logged_in(session: Any, user: Any) -> bool:
    path = session.get(BACKEND_SESSION_KEY)
    if session.get(SESSION_KEY) != user._meta.pk.value_to_string(user) or not hasattr(user, "get_session_auth_hash"):
        return False
    if path not in django_settings.AUTHENTICATION_BACKENDS:
        return False
    backend: Any = load_backend(path)
    if getattr(type(backend), "get_user", None) is not ModelBackend.get_user or not backend.user_can_authenticate(user):
        return False
    return constant_time_compare(session.get(HASH_SESSION_KEY, ""), user.get_session_auth_hash())


@lru_cache(maxsize=4)
def _is_ours(engine: str) -> bool:
    return issubclass(import_module(engine).SessionStore, SessionStore)


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
