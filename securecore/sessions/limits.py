"""Limit the number of sessions that a user may have at once (ASVS 5.0 v5.0.0-7.1.2)."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from typing import Any

from securecore import events
from securecore.conf import settings
from securecore.sessions.endings import end_reported
from securecore.sessions.models import Session, record_id


def make_room(*, user: Any, session_key: str | None, now: dt.datetime) -> Sequence[events.Event]:
    """End the user's oldest sessions until the session ``session_key`` fits in; return the events for the audit.

    The login is not refused: otherwise a thief with open sessions could keep the owner out. The caller must hold the
    user's gate until the new session is stored: otherwise two logins at the same time would each count the sessions
    without the other login's.
    """
    others = Session.objects.using(settings.DATABASE).for_user(user).live(now)
    if session_key is not None:
        others = others.exclude(pk=record_id(session_key))
    surplus = others.count() - settings.SESSION_LIMIT + 1
    if surplus <= 0:
        return ()
    oldest = list(others.order_by("created_at", "pk").values_list("pk", flat=True)[:surplus])
    _, ended = end_reported(others.filter(pk__in=oldest), reason="the limit of sessions")
    return ended
