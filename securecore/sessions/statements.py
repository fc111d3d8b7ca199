"""The statements of a request with a session: what the presented id opens, and what is written back.

By hand, and the same for every database: composing them anew for every request would cost more than running them does.
What opens it is read with everything else about the request (``access.statement``), and here when nobody did.
"""

from __future__ import annotations

import datetime as dt
from typing import Any, NamedTuple

from securecore import database
from securecore.conf import settings
from securecore.sessions.models import GRACE, Session, record_id

#: Writing "last seen" on every request would be the dearest statement of the request, for nothing.
_SEEN_EVERY = dt.timedelta(minutes=1)

#: The fields of ``Found``, but for the last, of the session ``s``.
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

#: That the session lives which a request came with: by its id, or by the id that a rotation has just replaced.
_BY = (
    "SELECT 1 FROM securecore_session WHERE {} = %(session_id)s AND user_id = %(session_user)s AND expires_at > %(now)s"
)
LIVES = f"EXISTS ({_BY.format('id')}) OR EXISTS ({_BY.format('predecessor')})"

_WRITE = """
    UPDATE securecore_session SET data = %s, user_id = %s, principal = %s, last_seen_at = %s,
        expires_at = CASE WHEN ends_at < %s THEN ends_at ELSE %s END
    WHERE id = %s AND expires_at > %s AND binding IN ({})
"""

_USER: Any = Session._meta.get_field("user")
_ID: Any = Session._meta.get_field("id")
_INSTANT: Any = Session._meta.get_field("expires_at")


class Found(NamedTuple):
    """A live session as the database has it. ``replaced`` if the id presented was that of its predecessor."""

    data: str
    binding: str
    user_id: Any
    long_unseen: bool
    #: The user's privileges changed since the id was issued.
    outdated: bool
    predecessor_was_user: bool
    replaced: bool = False

    @property
    def is_closed(self) -> bool:
        """Whether the id presented is from before the login: it must not open what the login opened."""
        return self.replaced and self.user_id is not None and not self.predecessor_was_user


def find(session_key: str, *, now: dt.datetime) -> Found | None:
    """Return the live session with this id."""
    return _found(_CURRENT, session_key, now)


def find_replaced(session_key: str, *, now: dt.datetime) -> Found | None:
    """Return the live session whose id took the place of this one within the grace period."""
    found = _found(_REPLACED, session_key, now)
    return found and found._replace(replaced=True)


def _found(statement: str, session_key: str, now: dt.datetime) -> Found | None:
    connection = database.connection()
    instants = {"now": now, "unseen_since": unseen_since(now), "grace": now - GRACE}
    # Like QuerySet.update() and unlike raw parameters, these are spelled as each database wants them.
    parameters = {name: _INSTANT.get_db_prep_value(each, connection) for name, each in instants.items()}
    parameters["id"] = _ID.get_db_prep_value(record_id(session_key), connection)
    with connection.cursor() as cursor:
        cursor.execute(statement, parameters)
        row = cursor.fetchone()
    return None if row is None else Found(*row)


def unseen_since(now: dt.datetime) -> dt.datetime:
    """Return the instant before which a session was seen long ago, so that it is time to write that it was seen."""
    return now - min(_SEEN_EVERY, dt.timedelta(seconds=settings.SESSION_IDLE_TIMEOUT) / 10)


def write(session_key: str, *, now: dt.datetime, idle: dt.datetime, proven: tuple[str, ...], **contents: Any) -> bool:
    """Write ``contents`` into the live session with this id, and say whether there was one that is bound to ``proven``.

    The idle timeout becomes ``idle``, never beyond the absolute one.
    """
    connection = database.connection()
    at, until = (_INSTANT.get_db_prep_value(each, connection) for each in (now, idle))
    user = _USER.get_db_prep_save(contents["user_id"], connection)
    values = [contents["data"], user, contents["gate_id"], at, until, until]
    key = _ID.get_db_prep_value(record_id(session_key), connection)
    with connection.cursor() as cursor:
        cursor.execute(_WRITE.format(", ".join(["%s"] * len(proven))), [*values, key, at, *proven])
        return bool(cursor.rowcount == 1)
