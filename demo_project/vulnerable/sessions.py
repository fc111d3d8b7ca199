"""WEAKNESS: session fixation. The id that was there before the login is the id of the session after it."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from django.conf import settings
from django.contrib.auth.models import User
from django.contrib.sessions.middleware import SessionMiddleware as DjangoSessionMiddleware
from django.http import HttpRequest


class SessionMiddleware(DjangoSessionMiddleware):
    """Django's, for clients without cookies too."""

    def process_request(self, request: HttpRequest) -> None:
        # The flaw, part 1: an id in the URL can be sent to somebody in a link, one in a header by any script.
        key = (
            request.GET.get("sessionid")
            or request.headers.get("X-Session-Id")
            or request.COOKIES.get(settings.SESSION_COOKIE_NAME)
        )
        request.session = import_module(settings.SESSION_ENGINE).SessionStore(key)


def log_in(request: Any, user: User) -> None:
    """Make the session of this request the session of ``user``."""
    # The flaw, part 2: Django's login() would cycle the key here. Written by hand, the anonymous session, whose id
    # somebody else may know, becomes the user's. Nothing notes which certificate it was opened under either.
    request.session["user"] = user.get_username()


def presented(request: Any) -> str | None:
    """Return the username this request's session belongs to, or None."""
    # The flaw, part 3: the certificate of this connection is not compared with anything.
    username: str | None = request.session.get("user")
    return username
