"""Return the logged-in user of a request's session from the one query, without a further SQL statement."""

from __future__ import annotations

from functools import lru_cache
from importlib import import_module
from typing import Any

from django.contrib.auth import BACKEND_SESSION_KEY, HASH_SESSION_KEY, SESSION_KEY, get_user, load_backend
from django.contrib.auth.backends import ModelBackend
from django.http import HttpRequest
from django.utils.crypto import constant_time_compare

from securecore.caller import PresentedCredentials
from securecore.conf import django_settings
from securecore.http.request import AnyUser, SecureRequest, User, credentials_of
from securecore.sessions import SessionStore
from securecore.sessions.statements import SessionRow


def presented_session(request: HttpRequest) -> str | None:
    """Return the session id in the cookie, or None if the project does not use securecore's session engine."""
    if not request.META.get("HTTP_COOKIE") or not _is_ours(django_settings.SESSION_ENGINE):
        return None
    return request.COOKIES.get(django_settings.SESSION_COOKIE_NAME)


def session_user(request: SecureRequest) -> AnyUser:
    """Return the logged-in user of the request's session, as Django's ``get_user()`` does.

    Django's ``get_user()`` decides the unusual cases: a backend with its own ``get_user``, or a session from before a
    change of the password or the secret key.
    """
    session = request.session
    credentials = credentials_of(request)
    if credentials is None or not isinstance(session, SessionStore):
        return get_user(request)
    user: User | None = credentials.user_of_session()
    if user is not None and _is_logged_in(_session_contents(session, credentials), user):
        return user
    djangos = get_user(request)
    if djangos.is_authenticated:
        credentials.hold(djangos)
    return djangos


def user_beside(request: SecureRequest) -> User | None:
    """Return the user of the session in a request that also presents another credential, or None.

    The session is not opened, so that a request by token or certificate does not count as a use of the session. A
    session id that has just been rotated names no user here: the request is judged as if it had no cookie.
    """
    session = getattr(request, "session", None)
    if isinstance(session, SessionStore):
        credentials = credentials_of(request)
        row = credentials.session if credentials else None
        contents = _contents(session, row) if row and row.user_id is not None else {}
        if credentials is None or not contents:
            return None
        user: User | None = credentials.user_of_session()
        if user is not None and _is_logged_in(contents, user):
            return user
    elif session is None or django_settings.SESSION_COOKIE_NAME not in request.COOKIES:
        return None
    logged_in = session_user(request)
    return logged_in if logged_in.is_authenticated else None


def _session_contents(session: SessionStore, credentials: PresentedCredentials) -> SessionStore | dict[str, Any]:
    """Return the contents of the session.

    Under a lease the contents come from the leased row, and the session is not opened. Only the logged-in user may come
    from a lease. A view that reads other values of the session opens the session.
    """
    is_opened = session.session_key != session.presented_key or "_session_cache" in session.__dict__
    row = credentials.session
    if is_opened or row is None or not credentials.is_leased:
        return session
    session.accessed = True
    return _contents(session, row)


def _contents(session: SessionStore, row: SessionRow) -> dict[str, Any]:
    """Return the contents of the session row; an empty dictionary if the session is bound to another certificate."""
    return session.decode(row.data) if row.binding in session.proven else {}


def _is_logged_in(session: SessionStore | dict[str, Any], user: User) -> bool:
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
