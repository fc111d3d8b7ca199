"""The user that the session of a request has logged in, without a statement of its own."""

from __future__ import annotations

from functools import lru_cache
from importlib import import_module
from typing import Any

from django.contrib.auth import BACKEND_SESSION_KEY, HASH_SESSION_KEY, SESSION_KEY, get_user, load_backend
from django.contrib.auth.backends import ModelBackend
from django.http import HttpRequest
from django.utils.crypto import constant_time_compare

from securecore.conf import django_settings
from securecore.sessions import SessionStore


def presented_session(request: HttpRequest) -> str | None:
    """Return the session id in the cookie, where sessions are ours."""
    if not request.META.get("HTTP_COOKIE") or not _is_ours(django_settings.SESSION_ENGINE):
        return None
    return request.COOKIES.get(django_settings.SESSION_COOKIE_NAME)


def session_user(request: Any) -> Any:
    """Return the user that the session of the request has logged in, as Django's ``get_user()`` would.

    Django's own decides in the unusual cases: a backend that finds users in a way of its own, a session from before the
    password or the secret key was changed.
    """
    session = request.session
    if not isinstance(session, SessionStore) or not hasattr(request, "access"):
        return get_user(request)
    user = request.access.user_of_session()
    if user is not None and _is_logged_in(_held(request), user):
        return user
    user = get_user(request)
    if user.is_authenticated:
        request.access.hold(user)
    return user


def user_beside(request: Any) -> Any | None:
    """Return the user of a session that came beside another credential, or None. The session stays unopened, so that a
    request by token or certificate does not count as its use.

    A session id that was replaced a moment ago names nobody here. A caller who sends the old id gains what a caller
    without any cookie has.
    """
    session = getattr(request, "session", None)
    if isinstance(session, SessionStore):
        found = getattr(request, "access", None) and request.access.session
        contents = _contents(request) if found and found.user_id is not None else {}
        if not contents:
            return None
        user = request.access.user_of_session()
        if user is not None and _is_logged_in(contents, user):
            return user
    elif session is None or django_settings.SESSION_COOKIE_NAME not in request.COOKIES:
        return None
    user = session_user(request)
    return user if user.is_authenticated else None


def _held(request: Any) -> Any:
    """Return the contents of the session. By a lease they are read without opening the session: only the logged-in user
    may come from a lease, and a view that asks for anything else reads the session.
    """
    session: SessionStore = request.session
    is_opened = session.session_key != session.presented_key or "_session_cache" in session.__dict__
    if is_opened or not request.access.is_leased:
        return session
    session.accessed = True
    return _contents(request)


def _contents(request: Any) -> dict[str, Any]:
    """Return what the session that was read holds; nothing if it is bound to another certificate."""
    session, found = request.session, request.access.session
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
