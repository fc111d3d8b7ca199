"""REST framework permissions."""

from __future__ import annotations

import datetime as dt
from typing import Any

from rest_framework.permissions import BasePermission

from securecore import clock
from securecore.errors import RecentAuthenticationRequired
from securecore.sessions import SessionStore


class RecentlyAuthenticated(BasePermission):
    """The session's user logged in or stepped up within the last ``within`` seconds; 401 otherwise (RFC 9470).

    ``permission_classes = [IsAuthenticated, RecentlyAuthenticated(within=300)]``. A certificate or token is no recent
    authentication: each is sent without anybody being there.
    """

    def __init__(self, *, within: float) -> None:
        self.within = within

    def __call__(self) -> RecentlyAuthenticated:
        """REST framework makes an instance of every class it is given; this is one already."""
        return self

    def has_permission(self, request: Any, view: Any) -> bool:
        require_recent_authentication(request, within=self.within)
        return True


def require_recent_authentication(request: Any, *, within: float) -> None:
    """Raise ``RecentAuthenticationRequired`` unless the database says that the session's user was there just now."""
    session = request.session
    since = clock.now() - dt.timedelta(seconds=within)
    if not (isinstance(session, SessionStore) and session.is_authenticated_since(since)):
        challenge = f'Session error="insufficient_user_authentication", max_age="{within:.0f}"'
        raise RecentAuthenticationRequired(headers={"WWW-Authenticate": challenge})
