"""What Django's own ``login()`` has to do with us."""

from __future__ import annotations

from typing import Any

from django.contrib.auth.signals import user_logged_in

from securecore.sessions import SessionStore


def rotate_session(*, request: Any, **_: Any) -> None:
    """Give the session a new id at every login, also where Django keeps the old one (the same user again)."""
    session = getattr(request, "session", None)
    if isinstance(session, SessionStore):
        session.rotate_at_login()


def connect() -> None:
    user_logged_in.connect(rotate_session, dispatch_uid="securecore.rotate_session")
