"""What we have to do with Django's own ``login()`` and its handling of exceptions."""

from __future__ import annotations

import sys
from typing import Any

from django.contrib.auth.signals import user_logged_in
from django.core.signals import got_request_exception

from securecore.http.problems import DATABASE_AWAY
from securecore.sessions import SessionStore


def rotate_session(*, request: Any, **_: Any) -> None:
    """Give the session a new id at every login, also where Django keeps the old one (the same user again)."""
    session = getattr(request, "session", None)
    if isinstance(session, SessionStore):
        session.rotate_at_login()


def note_database_away(*, request: Any = None, **_: Any) -> None:
    """Tell ``ClientCertificateMiddleware`` why a middleware failed: Django makes a 500 of it before we are asked."""
    error = sys.exc_info()[1]
    if request is not None and isinstance(error, DATABASE_AWAY):
        request.database_away = error


def connect() -> None:
    user_logged_in.connect(rotate_session, dispatch_uid="securecore.rotate_session")
    got_request_exception.connect(note_database_away, dispatch_uid="securecore.note_database_away")
