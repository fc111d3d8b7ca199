"""The statements of a request with a session: read the live session of the presented id, and write its contents.

The SQL is written by hand and works on every database: composing it with the ORM costs more than running it. The one
query (``securecore.caller``) includes ``COLUMNS`` and ``TABLES``; ``find`` reads the session where no such query ran.
"""

from __future__ import annotations

import datetime as dt
from typing import Any, NamedTuple

from securecore import database
from securecore.conf import settings
from securecore.sessions.models import GRACE, Session, record_id

#: "Last seen" is written once a minute. At each request it would be the most expensive statement of the request.
_SEEN_EVERY = dt.timedelta(minutes=1)

#: The fields of ``SessionRow`` except the last, for the session ``s``.
COLUMNS = (
    "s.data, s.binding, s.user_id, s.last_seen_at <= %(unseen_since)s, s.epoch <> COALESCE(g.epoch, 0), "
    "s.predecessor_was_user"
)
TABLES = "(securecore_session s LEFT JOIN securecore_gate g ON g.principal = s.principal)"
_CURRENT = f"SELECT {COLUMNS} FROM {TABLES} WHERE s.id = %(id)s AND s.expires_at > %(now)s"  # noqa: S608
_REPLACED = (
    f"SELECT {COLUMNS} FROM {TABLES} "  # noqa: S608
    "WHERE s.predecessor = %(id)s AND s.expires_at > %(now)s AND s.rotated_at >= %(grace)s"
)

#: The condition that the request's session is live, found by its id or by the id before its last rotation.
_BY = (
    "SELECT 1 FROM securecore_session WHERE {} = %(session_id)s AND user_id = %(session_user)s AND expires_at > %(now)s"
)
IS_LIVE = f"EXISTS ({_BY.format('id')}) OR EXISTS ({_BY.format('predecessor')})"

_WRITE = """
    UPDATE securecore_session SET data = %s, user_id = %s, principal = %s, last_seen_at = %s,
        expires_at = CASE WHEN ends_at < %s THEN ends_at ELSE %s END
    WHERE id = %s AND expires_at > %s AND binding IN ({})
"""

_USER: Any = Session._meta.get_field("user")
_ID: Any = Session._meta.get_field("id")
_INSTANT: Any = Session._meta.get_field("expires_at")


class SessionRow(NamedTuple):
    """The row of a live session. ``replaced`` if the request presented the id before the last rotation."""

    data: str
    binding: str
    user_id: Any
    long_unseen: bool
    #: Whether the user's privileges changed after the id was issued.
    outdated: bool
    predecessor_was_user: bool
    replaced: bool = False

    @property
    def predates_login(self) -> bool:
        """Whether the presented id is from before the login: it must not reach the logged-in session."""
        return self.replaced and self.user_id is not None and not self.predecessor_was_user


def find(session_key: str, *, now: dt.datetime) -> SessionRow | None:
    """Return the live session with this id."""
    return _read(_CURRENT, session_key, now)


def find_replaced(session_key: str, *, now: dt.datetime) -> SessionRow | None:
    """Return the live session that a rotation in the last ``GRACE`` moved away from this id."""
    session = _read(_REPLACED, session_key, now)
    return session and session._replace(replaced=True)


def _read(statement: str, session_key: str, now: dt.datetime) -> SessionRow | None:
    connection = database.connection()
    instants = {"now": now, "unseen_since": unseen_since(now), "grace": now - GRACE}
    # The fields adapt the values to the database, as QuerySet.update() does. Raw parameters are not adapted.
    parameters = {name: _INSTANT.get_db_prep_value(instant, connection) for name, instant in instants.items()}
    parameters["id"] = _ID.get_db_prep_value(record_id(session_key), connection)
    with connection.cursor() as cursor:
        cursor.execute(statement, parameters)
        row = cursor.fetchone()
    return None if row is None else SessionRow(*row)


def unseen_since(now: dt.datetime) -> dt.datetime:
    """Return the instant up to which ``last_seen_at`` is old enough to be written again."""
    return now - min(_SEEN_EVERY, dt.timedelta(seconds=settings.SESSION_IDLE_TIMEOUT) / 10)


def write(session_key: str, *, now: dt.datetime, idle: dt.datetime, proven: tuple[str, ...], **contents: Any) -> bool:
    """Write ``contents`` into the live session with this id and a binding in ``proven``; return False if none exists.

    The idle timeout ends at ``idle``, or earlier at the absolute timeout.
    """
    connection = database.connection()
    at, until = (_INSTANT.get_db_prep_value(instant, connection) for instant in (now, idle))
    user = _USER.get_db_prep_save(contents["user_id"], connection)
    values = [contents["data"], user, contents["gate_id"], at, until, until]
    key = _ID.get_db_prep_value(record_id(session_key), connection)
    with connection.cursor() as cursor:
        cursor.execute(_WRITE.format(", ".join(["%s"] * len(proven))), [*values, key, at, *proven])
        return bool(cursor.rowcount == 1)
