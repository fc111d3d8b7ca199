"""What the one statement said, kept as values."""

from __future__ import annotations

import datetime as dt
from typing import Any, NamedTuple

from securecore import database
from securecore.caches import BoundedCache
from securecore.caller import query
from securecore.caller.query import Presented
from securecore.caller.user_table import UserTable, user_table
from securecore.conf import settings
from securecore.grants.query.effective import Held
from securecore.sessions.statements import Found


class Enrolled(NamedTuple):
    """A certificate's row. ``user`` is the name of a user in ``Snapshot.users``."""

    thumbprint: str
    user: Any
    is_self_signed: bool
    revoked_at: Any


class Registration(NamedTuple):
    """The row of a registered OAuth client. ``user`` is spelled as in ``Enrolled``."""

    client_id: str
    user: Any
    certificate_name: str


class Snapshot(NamedTuple):
    """The database's answer about what one request presented, at one instant.

    Later requests of the same caller share this object, so only this package holds it. A request gets users that
    ``user()`` copies, and values that are immutable.
    """

    table: UserTable
    certificates: dict[str, Enrolled]
    session: Found | None
    session_ends_soon: bool
    #: The user that the token names; None if the token is no longer wanted.
    subject: Any
    #: The registered client that the token names; None if it is not registered, or if there is no token.
    client: Registration | None
    #: The columns of each user by primary key, as the database spells it.
    users: dict[Any, tuple[Any, ...]]
    #: What each of them may do, as JSON; only ``has_perm()`` reads it.
    granted: dict[Any, str | None]

    def user(self, key: Any) -> Any:
        """Return a new user object for one request, which shares no mutable value with another request's."""
        user = self.table.user(self.users[key])
        user.securecore_granted = Held(self.granted[key])
        return user

    @property
    def may_be_shared(self) -> bool:
        """Whether the next request may be told the same: not if this one has to write something into its session."""
        found = self.session
        return found is None or not (found.long_unseen or found.outdated or self.session_ends_soon)


class _Asked:
    """What is asked about one ``Presented``, and what was answered the last time."""

    __slots__ = ("answered", "places", "presented", "question", "table")

    def __init__(self, presented: Presented, table: UserTable) -> None:
        self.presented, self.table = presented, table
        self.question = query.question(presented, table)
        self.places = query.places(presented.parts)
        #: The rows, and what they say.
        self.answered: tuple[list[tuple[Any, ...]], Snapshot] | None = None

    def snapshot(self, now: dt.datetime, users: dict[Any, Any]) -> Snapshot:
        connection, answered = database.connection(), self.answered

        def made_ahead() -> None:
            if answered is not None and self.table.is_made_without_statements:
                users.update((key, answered[1].user(key)) for key in answered[1].users)

        rows = self.question.rows(connection, query.instants(self.presented, now, connection), made_ahead)
        if answered is None or answered[0] is not rows:
            users.clear()
            self.answered = answered = rows, self._said(rows)
        return answered[1]

    def _said(self, rows: list[tuple[Any, ...]]) -> Snapshot:
        places, first = self.places, rows[0]
        certificates, users, granted = {}, {}, {}
        for row in rows:
            columns = row[places["user"]]
            key = columns[self.table.key_index]
            if key is not None:
                users[key] = columns
                (granted[key],) = row[places["granted"]]
            if "certificate" in places:
                enrolled = Enrolled(*row[places["certificate"]])
                if enrolled.thumbprint is not None:
                    certificates[enrolled.thumbprint] = enrolled
        session, ends_soon = None, False
        if "session" in places:
            *found, ends_soon = first[places["session"]]
            session = None if found[0] is None else Found(*found)
        token, subject = self.presented.token, None
        if token is not None and _is_wanted(first, places, certificates.get(token.certificate)):
            subject = self.question.parameters["subject"]
        client = Registration(*first[places["client"]]) if "client" in places and first[places["client"]][0] else None
        return Snapshot(self.table, certificates, session, bool(ends_soon), subject, client, users, granted)


#: The question about a caller never changes. The last answer counts as the next one only if PostgreSQL sent the same
#: bytes. So a tenant's schema needs no place in the key: another schema's rows are other bytes, or equal users.
_asked: BoundedCache[_Asked] = BoundedCache(
    size=lambda: settings.CALLER_CACHE_SIZE, seconds=lambda: settings.CACHE_SECONDS
)


def read(presented: Presented, now: dt.datetime, users: dict[Any, Any]) -> Snapshot:
    """Ask the database about ``presented``, in one statement. Puts the objects into ``users``, by primary key, that
    could be made of the last answer while the database gave the same again: it takes some time, and their making too.
    """
    table = user_table()
    if table.is_filtered:  # by what may be another thing each time
        return _Asked(presented, table).snapshot(now, users)
    name = presented, table, settings.DJANGO_PERMISSIONS
    asked = _asked.get(name)
    if asked is None:
        asked = _Asked(presented, table)
        _asked.put(name, asked)
    return asked.snapshot(now, users)


def _is_wanted(row: tuple[Any, ...], places: dict[str, slice], obtained_under: Enrolled | None) -> bool:
    if obtained_under is not None and obtained_under.revoked_at is not None:
        return False
    (is_revoked,) = row[places["token"]]
    (certificate_is_revoked,) = row[places["obtained"]] if "obtained" in places else (False,)
    # A family must be there: a purged one has no tokens that live.
    (family_lives,) = row[places["family"]] if "family" in places else (True,)
    (key_verifies,) = row[places["key"]] if "key" in places else (True,)
    return bool(not is_revoked and not certificate_is_revoked and family_lives and key_verifies)
