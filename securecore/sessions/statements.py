"""The two statements of a request with a session: what the presented id opens, and what is written back.

By hand, and the same for every database: composing them anew for every request would cost more than running them does.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass, replace
from typing import Any

from securecore import db
from securecore.sessions.models import Session, record_id

#: How long a request that was in flight when the id changed is still served, read-only.
GRACE = dt.timedelta(seconds=10)

_COLUMNS = """
    SELECT s.data, s.binding, s.user_id, s.last_seen_at <= %s, s.epoch <> COALESCE(g.epoch, 0), s.predecessor_was_user
    FROM securecore_session s LEFT JOIN securecore_gate g ON g.principal = s.principal
"""
_CURRENT = _COLUMNS + "WHERE s.id = %s AND s.expires_at > %s"
_REPLACED = _COLUMNS + "WHERE s.predecessor = %s AND s.expires_at > %s AND s.rotated_at >= %s"

_WRITE = """
    UPDATE securecore_session SET data = %s, user_id = %s, principal = %s, last_seen_at = %s,
        expires_at = CASE WHEN ends_at < %s THEN ends_at ELSE %s END
    WHERE id = %s AND expires_at > %s AND binding IN ({})
"""

_USER: Any = Session._meta.get_field("user")
_ID: Any = Session._meta.get_field("id")
_INSTANT: Any = Session._meta.get_field("expires_at")


@dataclass(frozen=True, slots=True)
class Found:
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


def find(session_key: str, *, now: dt.datetime, unseen_since: dt.datetime) -> Found | None:
    """Return the live session with this id, or with this predecessor within the grace period."""
    database = db.connection()
    key = _ID.get_db_prep_value(record_id(session_key), database)
    # Like QuerySet.update() and unlike raw parameters, these are spelled as each database wants them.
    at, unseen = (_INSTANT.get_db_prep_value(each, database) for each in (now, unseen_since))
    with database.cursor() as cursor:
        cursor.execute(_CURRENT, [unseen, key, at])
        row = cursor.fetchone()
        if row is not None:
            return Found(*row)
        cursor.execute(_REPLACED, [unseen, key, at, _INSTANT.get_db_prep_value(now - GRACE, database)])
        row = cursor.fetchone()
        return None if row is None else replace(Found(*row), replaced=True)


def write(session_key: str, *, now: dt.datetime, idle: dt.datetime, proven: tuple[str, ...], **contents: Any) -> bool:
    """Write ``contents`` into the live session with this id, and say whether there was one that is bound to ``proven``.

    The idle timeout becomes ``idle``, never beyond the absolute one.
    """
    database = db.connection()
    at, until = (_INSTANT.get_db_prep_value(each, database) for each in (now, idle))
    user = _USER.get_db_prep_save(contents["user_id"], database)
    values = [contents["data"], user, contents["gate_id"], at, until, until]
    key = _ID.get_db_prep_value(record_id(session_key), database)
    with database.cursor() as cursor:
        cursor.execute(_WRITE.format(", ".join(["%s"] * len(proven))), [*values, key, at, *proven])
        return bool(cursor.rowcount == 1)
