"""WEAKNESS: session fixation. The session id from before the login stays the id after the login."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from django.conf import settings
from django.contrib.auth.models import User
from django.contrib.sessions.middleware import SessionMiddleware as DjangoSessionMiddleware
from django.http import HttpRequest


class SessionMiddleware(DjangoSessionMiddleware):
    """Django's session middleware, extended for clients without cookies."""

    def process_request(self, request: HttpRequest) -> None:
        # The flaw, part 1: an attacker can send a victim an id in a link, and any script can send one in a header.
        key = (
            request.GET.get("sessionid")
            or request.headers.get("X-Session-Id")
            or request.COOKIES.get(settings.SESSION_COOKIE_NAME)
        )
        request.session = import_module(settings.SESSION_ENGINE).SessionStore(key)


def log_in(request: Any, user: User) -> None:
    """Make the session of this request the session of ``user``."""
    # The flaw, part 2: Django's login() would cycle the key here. This code does not, so an anonymous session becomes
    # the user's session under an id that an attacker may know. Nor does it record the certificate of the login.
    request.session["user"] = user.get_username()


def presented(request: Any) -> str | None:
    """Return the username of this request's session, or None."""
    # The flaw, part 3: the certificate of this connection is compared with nothing.
    username: str | None = request.session.get("user")
    return username
